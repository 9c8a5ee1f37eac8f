package iothread

import (
	"errors"
	"io"
	"net"
	"syscall"
	"testing"

	"sluice/internal/flow"
	"sluice/internal/testkit"
)

// TestResetOfBlocked: the reset of a side is passed on also when nothing can be read from it
// because the other side takes nothing.
func TestResetOfBlocked(t *testing.T) {
	testkit.NoLeaks(t)
	stuck := make(chan struct{})
	s := serve(t, "tcp", "127.0.0.1:0", func(c halfConn) {
		go func() {
			<-stuck
			c.(*net.TCPConn).SetLinger(0)
			c.Close()
		}()
		c.Write(make([]byte, 100<<20))
	})
	d := &desk{target: &flow.Target{Addr: s.addr}}
	threads := run(t, Config{}, d)
	c := dialTo(t, listen(t, threads, flow.Listener{}))
	testkit.Eventually(t, func() error {
		if kept(threads) == 0 {
			return errors.New("nothing is kept yet")
		}
		return nil
	})
	close(stuck)
	if end := closed(t, d, 1)[0]; end.Cause != flow.CauseRemote || !errors.Is(end.Err, syscall.ECONNRESET) {
		t.Errorf("cause %s, %v", end.Cause, end.Err)
	}
	if _, err := io.Copy(io.Discard, c); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the client sees %v", err)
	}
}

// TestResetAfterEnd: a side that has ended and breaks off then is noticed though neither side
// sends anything.
func TestResetAfterEnd(t *testing.T) {
	testkit.NoLeaks(t)
	saw := make(chan error, 1)
	ended := make(chan struct{})
	s := serve(t, "tcp", "127.0.0.1:0", func(c halfConn) {
		io.Copy(io.Discard, c)
		close(ended)
		// It has been told of the end; the reset is an error of the socket all the same.
		saw <- waitError(c)
	})
	d := &desk{target: &flow.Target{Addr: s.addr}}
	c := dialTo(t, listen(t, run(t, Config{}, d), flow.Listener{}))
	c.CloseWrite()
	<-ended
	c.(*net.TCPConn).SetLinger(0)
	c.Close()
	if err := <-saw; err == nil {
		t.Error("the remote sees no error")
	}
	if end := closed(t, d, 1)[0]; end.Cause != flow.CauseClient || end.Err == nil {
		t.Errorf("cause %s, %v", end.Cause, end.Err)
	}
}

// TestResetBeforeWrite: a remote breaks off after the thread has looked what is ready, so that a write is
// the first to hear of it: the client gets what the remote has sent, and then a reset, not an end.
func TestResetBeforeWrite(t *testing.T) {
	testkit.NoLeaks(t)
	const last = "the last words.."
	hold := make(chan halfConn)
	s := serve(t, "tcp", "127.0.0.1:0", func(c halfConn) { hold <- c; <-hold })
	d := &desk{target: &flow.Target{Addr: s.addr}}
	threads := run(t, Config{}, d)
	c := dialTo(t, listen(t, threads, flow.Listener{Buffer: len(last)}))
	r := <-hold
	io.WriteString(c, "x")
	io.ReadFull(r, make([]byte, 1))
	threads.visit(func(t *thread) func(s *session) {
		return func(s *session) {
			s.ends[client].ready, s.ends[remote].ready = true, true
			io.WriteString(c, "more")
			io.WriteString(r, last)
			r.(*net.TCPConn).SetLinger(0)
			r.Close()
			t.relay(s)
		}
	})
	hold <- nil
	got := make([]byte, len(last))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != last {
		t.Errorf("the client reads %q, %v", got, err)
	}
	if _, err := c.Read(got); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("then the client sees %v", err)
	}
	if end := closed(t, d, 1)[0]; end.Cause != flow.CauseRemote || !errors.Is(end.Err, syscall.ECONNRESET) {
		t.Errorf("cause %s, %v", end.Cause, end.Err)
	}
}
