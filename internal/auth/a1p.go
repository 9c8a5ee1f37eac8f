package auth

import (
	"strconv"
	"strings"
)

// A1P is the protocol of gigapxy's helpers: one line asks, one line answers.
//
//	A3404 104.12.33.67:12301 udp://224.0.2.12:5011?auth=ef031204ba0c -
//	A3404 0
const (
	maxNumber     = 1<<31 - 1 // of a request, and of a result
	maxAnswerLine = 256       // bytes, its end included
	emptyField    = "-"
)

// requestID names the n-th request of a guard, n from 1 on: the numbers go from 1 to
// 2147483647 and begin with 1 again.
func requestID(n uint64) string {
	return "A" + strconv.FormatUint((n-1)%maxNumber+1, 10)
}

// fields is what a helper reads behind the id of a request, without the end of the line.
func (q *Question) fields(listener bool) string {
	list := []string{orEmpty(q.peer()), orEmpty(q.Source), orEmpty(q.Destination)}
	if listener {
		list = append(list, orEmpty(q.Listener))
	}
	return strings.Join(list, " ")
}

// peer is the address and port of who asks: 192.0.2.7:50905 or [2001:db8::7]:50905; empty
// if it has none.
func (q *Question) peer() string {
	if !q.Peer.IsValid() {
		return ""
	}
	return q.Peer.String()
}

func orEmpty(field string) string {
	if field == "" {
		return emptyField
	}
	return field
}

// printable says whether each field is one word of printable ASCII: what is not could
// become another field or another request in a helper's eyes.
func (q *Question) printable() bool {
	for _, field := range []string{q.peer(), q.Source, q.Destination, q.Listener} {
		for i := range len(field) {
			if field[i] < 0x21 || field[i] > 0x7e {
				return false
			}
		}
	}
	return true
}

// parseAnswer reads the answer to request id, without its LF. valid is false for anything
// else than the id, blanks and a number from 0 to 2147483647; a CR at the end is let pass.
func parseAnswer(line, id string) (allowed, valid bool) {
	words := strings.FieldsFunc(strings.TrimSuffix(line, "\r"), func(r rune) bool { return r == ' ' || r == '\t' })
	if len(words) != 2 || words[0] != id {
		return false, false
	}
	result, err := strconv.ParseUint(words[1], 10, 31)
	return err == nil && result == 0, err == nil
}
