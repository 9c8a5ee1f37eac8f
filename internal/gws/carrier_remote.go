package gws

import (
	"fmt"
	"time"

	"sluice/internal/handoff"
)

// remote is a session whose bytes go elsewhere: the engine opens its target, and the client
// gets a line that says so.
type remote struct {
	answered
	c *client
}

func (k *remote) hand(to *handoff.Conn, a handoff.Attach) error { return to.Send(a) }

// untouched: what an engine that is gone has written went to the target, whose connection
// is gone, too.
func (k *remote) untouched() bool { return true }

// carry answers; the session needs gws no more. Its tags are those with which it can be
// dropped.
func (k *remote) carry() error {
	_ = k.control.SetWriteDeadline(time.Now().Add(grace)) // it fails as the answer will
	k.announce(k.c.header)
	fmt.Fprintf(k.w, "started %s %s\n", k.c.tag, k.c.attach.Tag()) // who has left need not know
	return nil
}

func (k *remote) close() {}

// errand is a remote session that nobody waits for: a route.
type errand struct{}

func (errand) hand(to *handoff.Conn, a handoff.Attach) error { return to.Send(a) }
func (errand) untouched() bool                               { return true }
func (errand) carry() error                                  { return nil }
func (errand) refuse(*refusal)                               {}
func (errand) giveUp(outcome)                                {}
func (errand) close()                                        {}
