package relay

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"sluice/internal/flow"
	"sluice/internal/testkit"
)

// held talks to clients and notes how many it has at once.
type held struct {
	now, most atomic.Int64
}

func (x *held) talk(c net.Conn) {
	n := x.now.Add(1)
	defer x.now.Add(-1)
	for most := x.most.Load(); n > most && !x.most.CompareAndSwap(most, n); most = x.most.Load() {
	}
	if _, err := io.WriteString(c, "hello"); err != nil {
		return
	}
	_, _ = io.Copy(io.Discard, c)
}

// Line 28: with queue, who is beyond the limit waits.
func TestOverloadQueues(t *testing.T) {
	x := new(held)
	s := serve(t, x.talk)
	c := one(s.remote("a"))
	c.MaxSessions = 2
	h := open(t, c)
	var all sync.WaitGroup
	for range 20 {
		client := h.dial(0)
		all.Go(func() {
			if _, err := io.ReadFull(client, make([]byte, 5)); err != nil {
				t.Error(err)
			}
			client.Close()
		})
	}
	all.Wait()
	if n := x.most.Load(); n > 2 {
		t.Errorf("%d sessions at once", n)
	}
	h.log.wait(t, "limit of 2 concurrent users reached, queueing new connections")
	h.log.wait(t, "resuming normal operation")
}

// Another limit lets those in that wait.
func TestOverloadEndsWithReload(t *testing.T) {
	for _, way := range []Overload{Queue, Reset} {
		s := serve(t, new(held).talk)
		c := one(s.remote("a"))
		c.Listeners[0].Addrs[0].Addr = nobody(t)
		c.MaxSessions, c.Overload = 1, way
		h := open(t, c)
		first(t, h.dial(0), 5)
		h.log.wait(t, "limit of 1 concurrent users reached")
		if way == Queue {
			waits := h.dial(0)
			defer first(t, waits, 5)
		}
		c.MaxSessions = 3
		if err := h.Reload(c, nil); err != nil {
			t.Fatal(err)
		}
		first(t, h.dial(0), 5)
	}
}

func TestOverloadCloses(t *testing.T) {
	x := new(held)
	s := serve(t, x.talk)
	c := one(s.remote("a"))
	c.MaxSessions, c.Overload = 1, Close
	h := open(t, c)
	a := h.dial(0)
	first(t, a, 5)
	if got := rest(t, h.dial(0)); got != "" {
		t.Errorf("got %q", got)
	}
	h.records.wait(t, "cause=limit", `error="limit of all sessions"`)
	h.log.wait(t, "limit of 1 concurrent users reached, closing new connections")
	a.Close()
	h.log.wait(t, "resuming normal operation")
	first(t, h.dial(0), 5)
	if got := h.Status().Listeners[0].Refused["limit"]; got != 1 {
		t.Errorf("%d refused", got)
	}
}

// reset says whether a client was refused or reset.
func reset(a flow.Addr, t *testing.T) error {
	c, err := flow.Connect(t.Context(), netip.Addr{}, a)
	if err == nil {
		defer c.Close()
		if _, err = c.Read(make([]byte, 1)); err == nil {
			return errors.New("the client got an answer")
		}
	}
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET) {
		return nil
	}
	return fmt.Errorf("the client got something else: %w", err)
}

// With reset who is beyond the limit is refused, also where the socket is held by others, too.
func TestOverloadResets(t *testing.T) {
	for _, at := range []string{"chosen", "given", "inherited"} {
		t.Run(at, func(t *testing.T) {
			x := new(held)
			s := serve(t, x.talk)
			c := one(s.remote("a"))
			c.MaxSessions, c.Overload = 1, Reset
			var o []func(*Options)
			switch at {
			case "given":
				c.Listeners[0].Addrs[0].Addr = nobody(t)
			case "inherited":
				file, addr := listening(t)
				c.Listeners[0].Addrs[0].Addr = addr
				defer file.Close()
				o = append(o, inheriting(t, map[string]int{addr.String(): int(file.Fd())}))
			}
			h := open(t, c, o...)
			for range 2 {
				a := h.dial(0)
				first(t, a, 5)
				testkit.Eventually(t, func() error {
					if !h.Status().Listeners[0].Paused {
						return errors.New("not shut")
					}
					return nil
				})
				if err := reset(h.addr(0), t); err != nil {
					t.Error(err)
				}
				a.Close()
				testkit.Eventually(t, func() error {
					if h.Status().Listeners[0].Paused {
						return errors.New("still shut")
					}
					return nil
				})
			}
			first(t, h.dial(0), 5)
		})
	}
}

// Who takes the port while it is shut has it for as long as he wants it, and not for ever.
func TestShutPortIsTaken(t *testing.T) {
	x := new(held)
	c := one(serve(t, x.talk).remote("a"))
	c.MaxSessions, c.Overload = 1, Reset
	c.Listeners[0].Addrs[0].Addr = nobody(t)
	h := open(t, c)
	at := h.addr(0)
	a := h.dial(0)
	first(t, a, 5)
	var other net.Listener
	testkit.Eventually(t, func() (err error) {
		other, err = net.Listen("tcp", at.IP.String()) // not before the relay has shut it
		return err
	})
	defer other.Close()
	a.Close()
	h.log.wait(t, "listener down", "address already in use")
	other.Close()
	testkit.Eventually(t, func() error {
		b, err := flow.Connect(t.Context(), netip.Addr{}, at)
		if err != nil {
			return err
		}
		defer b.Close()
		first(t, b, 5)
		return nil
	})
}

func TestLimitsOfAListener(t *testing.T) {
	x := new(held)
	s := serve(t, x.talk)
	for what, change := range map[string]func(*Listener){
		"limit of the listener":             func(l *Listener) { l.Max = 1 },
		"limit of the client's address":     func(l *Listener) { l.PerSource = 1 },
		"limit of the listener, by rate":    func(l *Listener) { l.Rate = 0.001 },
		"limit of the client's address too": func(l *Listener) { l.RatePerSource = 0.001 },
	} {
		t.Run(what, func(t *testing.T) {
			c := one(s.remote("a"))
			change(&c.Listeners[0])
			h := open(t, c)
			first(t, h.dial(0), 5)
			if got := rest(t, h.dial(0)); got != "" {
				t.Errorf("got %q", got)
			}
			h.records.wait(t, "cause=limit")
		})
	}
}

func TestDeniedClients(t *testing.T) {
	s := serve(t, named("a"))
	c := one(s.remote("a"))
	c.Listeners[0].Rules = []Rule{rule("deny 127.0.0.1/32"), rule("0.0.0.0/0")}
	h := open(t, c)
	if got := rest(t, h.dial(0)); got != "" {
		t.Errorf("got %q", got)
	}
	h.records.wait(t, "cause=denied", "remote=-")
	h.log.wait(t, "level=DEBUG", "client refused", "reason=denied")
}
