package iothread

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"sluice/internal/flow"
	"sluice/internal/testkit"
)

// TestHalfClosedForever: 10 000 sessions whose remote never ends leave nothing behind.
func TestHalfClosedForever(t *testing.T) {
	testkit.NoLeaks(t)
	var over atomic.Pointer[chan struct{}]
	renew := func() {
		next := make(chan struct{})
		if last := over.Swap(&next); last != nil {
			close(*last)
		}
	}
	renew()
	var served atomic.Int64
	s := serve(t, "tcp", "127.0.0.1:0", func(halfConn) {
		until := over.Load()
		served.Add(1)
		<-*until
	})
	d := &desk{target: &flow.Target{Addr: s.addr}, within: testkit.Patience}
	threads := run(t, Config{Threads: 2}, d)
	addr := listen(t, threads, flow.Listener{HalfClose: 20 * time.Millisecond})
	before := descriptors(t)
	const rounds, each = 20, 500
	for round := range rounds {
		var clients []net.Conn
		for range each {
			c := dialTo(t, addr)
			c.CloseWrite()
			clients = append(clients, c)
		}
		for _, c := range clients {
			reads(t, c, "")
			c.Close()
		}
		testkit.Eventually(t, func() error {
			want := (round + 1) * each
			if _, n := d.counts(); n != want || served.Load() != int64(want) {
				return fmt.Errorf("%d sessions have ended, %d have come to the remote", n, served.Load())
			}
			return nil
		})
		renew()
	}
	for _, end := range closed(t, d, rounds*each) {
		if end.Cause != flow.CauseHalfClosed {
			t.Fatalf("cause %s, %v", end.Cause, end.Err)
		}
	}
	testkit.Eventually(t, func() error {
		if n := descriptors(t); n > before {
			return fmt.Errorf("%d descriptors, %d before", n, before)
		}
		return nil
	})
	if n := threads.Count(); n != 0 {
		t.Errorf("%d sessions are left", n)
	}
}

// TestChurn has clients come, send, break off, wait, be woken and be ended, all at once.
func TestChurn(t *testing.T) {
	testkit.NoLeaks(t)
	s := serve(t, "tcp", "127.0.0.1:0", echo)
	gone, _ := net.Listen("tcp", "127.0.0.1:0")
	gone.Close()
	var wakers sync.WaitGroup
	defer wakers.Wait()
	d := &desk{within: testkit.Patience}
	plan := func(s2 *flow.Session) flow.Plan {
		to := s.addr
		if s2.ID%7 == 0 {
			to = flow.FromNet(gone.Addr())
		}
		return flow.Plan{Step: flow.Dial, Target: &flow.Target{Addr: to, Prelude: []byte("p")}, Within: testkit.Patience}
	}
	d.open = func(s2 *flow.Session) flow.Plan {
		switch s2.ID % 3 {
		case 0:
			wakers.Go(func() { s2.Wake(); s2.Wake() })
			return flow.Plan{Step: flow.Wait, Within: testkit.Patience}
		case 1:
			return flow.Plan{Step: flow.Look, Within: testkit.Patience}
		}
		return plan(s2)
	}
	d.look = func(s2 *flow.Session, _ []byte, _ bool) flow.Plan { return plan(s2) }
	d.again = func(s2 *flow.Session, _ bool) flow.Plan { return plan(s2) }
	threads := run(t, Config{Threads: 4}, d)
	addr := listen(t, threads, flow.Listener{Idle: time.Second, HalfClose: 100 * time.Millisecond})
	before := descriptors(t)
	var clients sync.WaitGroup
	for i := range 8 {
		clients.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 3))
			for range 60 {
				churn(t, addr, r)
			}
		})
	}
	stop := make(chan struct{})
	var orders sync.WaitGroup
	orders.Go(func() {
		for n := uint64(0); ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			threads.End(func(v flow.View) bool { return v.ID%50 == n%50 }, flow.CauseKilled, n%2 == 0)
			threads.Views()
			threads.Pause("test", n%2 == 0)
			threads.Pause("test", false)
		}
	})
	clients.Wait()
	close(stop)
	orders.Wait()
	testkit.Eventually(t, func() error {
		if opened, closed := d.counts(); opened != closed || threads.Count() != 0 {
			return fmt.Errorf("%d were opened, %d closed, %d are left", opened, closed, threads.Count())
		}
		if n := descriptors(t); n > before {
			return fmt.Errorf("%d descriptors, %d before", n, before)
		}
		return nil
	})
}

// churn is one client.
func churn(t *testing.T, addr flow.Addr, r *rand.Rand) {
	c, err := net.Dial("tcp", addr.String())
	if errors.Is(err, syscall.ECONNRESET) {
		return // ended by order before it knew that it was let in
	}
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(testkit.Patience))
	size := 1 << r.IntN(20)
	how := r.IntN(4)
	if how == 0 {
		c.(*net.TCPConn).SetLinger(0)
		return
	}
	var both sync.WaitGroup
	both.Go(func() {
		c.Write(make([]byte, size))
		if how == 1 {
			c.(*net.TCPConn).CloseWrite()
		}
	})
	if how == 3 {
		io.CopyN(io.Discard, c, int64(size/2))
		c.Close()
	} else {
		io.CopyN(io.Discard, c, int64(size))
	}
	both.Wait()
}
