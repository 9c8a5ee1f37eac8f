// Package health asks remotes again and again whether they are well.
package health

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"math/rand/v2"
	"net/netip"
	"syscall"
	"time"

	"sluice/internal/flow"
)

// Kind is how a remote is asked.
type Kind uint8

// The kinds.
const (
	Off   Kind = iota
	TCP        // it takes a connection (SCTP and UNIX sockets likewise)
	TLS        // and a handshake
	HTTP       // and answers GET with a good status
	HTTPS      // over TLS
	Talk       // it is sent something, and answers something
)

// Check is what is asked and how often. Zero fields mean what is said beside them.
type Check struct {
	Kind    Kind
	Port    uint16        // of the remote; 0 = that of its address
	Every   time.Duration // from one check to the next; if zero 2 s; a tenth more or less by chance
	Timeout time.Duration // of one check; if zero 1 s
	Rise    int           // good answers in a row until it is up again; 0 = 2
	Fall    int           // bad ones until it is down; 0 = 3
	Path    string        // HTTP; "" = /; with ? and a query if there is one
	Host    string        // HTTP: the Host field; "" = the address
	Status  []int         // HTTP: good ones; empty = 200 to 399
	Send    []byte        // Talk: what is sent first; may be empty
	Expect  []byte        // Talk: what the first 64 KiB of the answer contain; empty = any byte
	From    netip.Addr    // local address
	TLS     *tls.Config   // TLS, HTTPS: as towards the remote; nil = any certificate is good
	Prelude []byte        // is sent before everything: a PROXY header (LOCAL)
}

// Run checks the remote at addr until ctx ends, and tells the outcome when it is known first
// and whenever it changes: nil = up, or why it is down, which may change while it is. The first
// check comes at once and decides alone. A check for which this machine has no room (descriptors, memory, ports) says
// nothing of the remote and does not count. Off is no check: nothing is told.
func Run(ctx context.Context, c Check, addr flow.Addr, told func(error)) {
	if c.Kind != Off {
		run(ctx, c, func(ctx context.Context) error { return Once(ctx, c, addr) }, told)
	}
}

// run is Run for a way to ask.
func run(ctx context.Context, c Check, ask func(context.Context) error, told func(error)) {
	j := judge{rise: cmp.Or(c.Rise, 2), fall: cmp.Or(c.Fall, 3)}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		begun := time.Now()
		err := ask(ctx)
		if ctx.Err() != nil {
			return
		}
		if !ours(err) && j.turns(err) {
			told(err)
		}
		timer.Reset(pause(c, rand.Float64()) - time.Since(begun))
	}
}

// pause is the time from the beginning of a check to that of the next; random, from 0 to 1,
// makes it up to a tenth more or less, so that remotes are not all asked at once for ever.
func pause(c Check, random float64) time.Duration {
	return time.Duration(float64(cmp.Or(c.Every, 2*time.Second)) * (0.9 + random/5))
}

// ours says whether a check failed for reasons of this machine.
func ours(err error) bool {
	for _, no := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.ENOBUFS, syscall.EADDRNOTAVAIL, syscall.EADDRINUSE} {
		if errors.Is(err, no) {
			return true
		}
	}
	return false
}

// judge decides by checks in a row whether a remote is up.
type judge struct {
	rise, fall int
	known, up  bool
	row        int    // checks in a row that say otherwise
	why        string // it is down
}

// turns takes the outcome of a check, and says whether the judgement, or its reason, is another
// by it.
func (j *judge) turns(err error) bool {
	good, why := err == nil, ""
	if !good {
		why = err.Error()
	}
	if j.known && good == j.up {
		j.row = 0
		if good || why == j.why {
			return false
		}
		j.why = why
		return true
	}
	j.row++
	if need := j.need(good); j.row < need {
		return false
	}
	*j = judge{rise: j.rise, fall: j.fall, known: true, up: good, why: why}
	return true
}

// need is how many checks in a row must say so.
func (j *judge) need(good bool) int {
	switch {
	case !j.known:
		return 1
	case good:
		return j.rise
	}
	return j.fall
}
