package relay

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/internal/flow"
	"sluice/internal/testkit"
)

// Whatever becomes of sessions, each is told of once and nothing stays counted.
func TestNothingStaysCounted(t *testing.T) {
	id := newIdentity(t, "a.example.com")
	a, b := serve(t, named("a")), serve(t, named("b"))
	ra, rb := a.remote("a"), b.remote("b")
	ra.MaxConns, rb.MaxConns = 3, 2
	c := one(Remote{Name: "gone", Addr: nobody(t)}, ra, rb)
	c.Threads, c.MaxSessions = 2, 12
	c.Pools[0].Queue = 4
	l := &c.Listeners[0]
	l.Addrs[0].Addr = nobody(t)
	l.Max, l.PerSource = 10, 9
	l.TLS = id.listener()
	l.TLS.Auto = true
	h := open(t, c)

	at := h.addr(0)
	var all sync.WaitGroup
	for i := range 12 {
		all.Go(func() {
			for range 15 {
				conn, err := flow.Connect(t.Context(), netip.Addr{}, at)
				if err != nil {
					continue // refused: at the limit
				}
				if i%3 == 0 {
					secure := tls.Client(conn, id.client("a.example.com"))
					_ = secure.SetDeadline(time.Now().Add(testkit.Patience))
					_ = secure.Handshake() // may be refused, as all that follows
					conn = secure
				}
				if i%5 > 0 { // others go without a word, in the midst of it all
					_, _ = io.WriteString(conn, "x")
					_, _ = io.ReadFull(conn, make([]byte, 2))
				}
				conn.Close()
			}
		})
	}
	for i := range 20 {
		c.MaxSessions, c.Overload = 8+i%5, Overload(i%3)
		if err := h.Reload(c, nil); err != nil {
			t.Error(err)
		}
		h.endSessions(func(v flow.View) bool { return v.ID%7 == 0 }, flow.CauseKilled, true)
	}
	all.Wait()
	testkit.Eventually(t, func() error {
		s := h.Status()
		if s.Totals.Sessions != 0 || s.Listeners[0].Sessions != 0 || len(s.Sessions) != 0 || s.Pools[0].Waiting != 0 {
			return fmt.Errorf("left behind: %+v", s)
		}
		for _, r := range s.Pools[0].Remotes {
			if r.Sessions != 0 {
				return fmt.Errorf("%s has %d sessions", r.Name, r.Sessions)
			}
		}
		ended := uint64(0)
		for _, n := range s.Totals.Ended {
			ended += n
		}
		if lines := strings.Count(h.records.String(), "\n"); ended != s.Totals.Accepted || uint64(lines) != ended {
			return fmt.Errorf("%d accepted, %d ended, %d lines", s.Totals.Accepted, ended, lines)
		}
		return nil
	})
	tally := h.listeners[0].door.tally
	tally.mu.Lock()
	defer tally.mu.Unlock()
	if len(tally.sources) != 0 {
		t.Errorf("sources are left: %v", tally.sources)
	}
}
