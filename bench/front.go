package main

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// The scenarios of front, without the I/O.

// The figures of the scenarios of front. README.md says how each is made.
const (
	headRate     figure = "HEAD requests a second"
	headP99      figure = "HEAD p99 ms"
	streamRate   figure = "streams begun a second"
	streamP99    figure = "stream begun p99 ms"
	refusalRate  figure = "refusals a second"
	refusalP99   figure = "refusal p99 ms"
	loadTime     figure = "from start to served ms"
	reloadTime   figure = "from HUP to served ms"
	loadMemory   figure = "memory MiB"
	htmlFresh    figure = "report html, fresh, ms"
	htmlCached   figure = "report html, cached, ms"
	xmlFresh     figure = "report xml, fresh, ms"
	xmlCached    figure = "report xml, cached, ms"
	jsonFresh    figure = "report json, fresh, ms"
	jsonCached   figure = "report json, cached, ms"
	warmP99      figure = "first packet, warm, p99 ms"
	pausedPacket figure = "first packet, source paused, slowest, ms"
	startTime    figure = "from start to first packet ms"
	offChannel   figure = "reported rate of the channel, off by %"
	offClient    figure = "reported rate of its client, off by %"
	offClockP99  figure = "datagrams off the clock p99 ms"
	offClockMost figure = "datagrams off the clock, most, ms"
)

// The files of a server that ends TLS.
const (
	certFile  = "cert.pem"
	keyFile   = "key.pem"
	bothFile  = "both.pem" // the certificate and the key
	proxyFile = "haproxy.cfg"
)

// manyChannels is the size of the lists that are loaded.
const manyChannels = 10_000

// listing writes lists of channels in one of the forms that sluice reads.
type listing struct {
	head string
	line func(n int) string
}

// of is a list of n channels, the first of which is number 0; of none it is empty.
func (l listing) of(n int) string {
	if n == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString(l.head)
	for i := range n {
		b.WriteString(l.line(i))
	}
	return b.String()
}

// listed is the name of a channel of a list, and the path of its request.
func listed(n int) (name, path string) {
	name = fmt.Sprintf("channel-%d", n)
	return name, "/$" + name
}

func confListing() listing {
	return listing{"", func(n int) string {
		name, _ := listed(n)
		return fmt.Sprintf("%s udp://%s\n", name, groupAddr(0, n))
	}}
}

func m3uListing() listing {
	return listing{"#EXTM3U\n", func(n int) string {
		name, _ := listed(n)
		return fmt.Sprintf("#EXTINF:-1,%s\nudp://@%s\n", name, groupAddr(0, n))
	}}
}

func yamlListing() listing {
	return listing{"channels:\n", func(n int) string {
		name, _ := listed(n)
		return fmt.Sprintf("  %s:\n    source: udp://%s\n", name, groupAddr(0, n))
	}}
}

// offBy is how far a value is from what it should be, in percent of that.
func offBy(value, should float64) float64 {
	return 100 * max(value-should, should-value) / should
}

// offClock returns how far each arrival is from its due time, sorted. Both are in
// nanoseconds and of clocks that began at different times: the median arrival is in time.
func offClock(arrived, due []int64) []int64 {
	late := make([]int64, len(arrived))
	for i := range arrived {
		late[i] = arrived[i] - due[i]
	}
	slices.Sort(late)
	middle := percentile(late, 50)
	for i, d := range late {
		late[i] = max(d-middle, middle-d)
	}
	slices.Sort(late)
	return late
}

// grant decides on a line that sluice sends its helpers (docs/auth.md): who has the token as
// the parameter auth is let in.
func grant(line, token string) string {
	f := strings.Fields(line)
	if len(f) < 3 {
		return ""
	}
	result := 1
	if strings.HasSuffix(f[2], "?auth="+token) {
		result = 0
	}
	return fmt.Sprintf("%s %d\n", f[0], result)
}

// answerOf reads the status of the answer that b begins with, and how much stands behind its
// head, in bytes; whole is false as long as the head is not.
func answerOf(b []byte) (status, rest int, whole bool) {
	head, body, whole := bytes.Cut(b, []byte("\r\n\r\n"))
	if !whole {
		return 0, 0, false
	}
	if f := bytes.Fields(head); len(f) > 1 {
		status, _ = strconv.Atoi(string(f[1])) // 0 is no status
	}
	return status, len(body), true
}
