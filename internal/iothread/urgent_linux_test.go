package iothread

import (
	"bytes"
	"io"
	"net"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"sluice/internal/flow"
	"sluice/internal/testkit"
)

// TestUrgent: urgent data, before which the kernel stops a read, does not stop what follows.
func TestUrgent(t *testing.T) {
	testkit.NoLeaks(t)
	s := serve(t, "tcp", "127.0.0.1:0", echo)
	d := &desk{target: &flow.Target{Addr: s.addr}}
	c := dialTo(t, listen(t, run(t, Config{}, d), flow.Listener{}))
	raw, _ := c.(*net.TCPConn).SyscallConn()
	raw.Control(func(fd uintptr) {
		unix.Sendto(int(fd), []byte("before"), 0, nil)
		unix.Sendto(int(fd), []byte("!"), unix.MSG_OOB, nil)
		unix.Sendto(int(fd), []byte("after"), 0, nil)
	})
	got := make([]byte, len("beforeafter"))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "beforeafter" {
		t.Errorf("%q came, %v", got, err)
	}
}

// TestUrgentInBulk: urgent data, before which splice(2) stops for good, neither stops nor ends what follows, whether
// the end is there already or not.
func TestUrgentInBulk(t *testing.T) {
	testkit.NoLeaks(t)
	for _, ends := range []bool{false, true} {
		s := serve(t, "tcp", "127.0.0.1:0", echo)
		d := &desk{target: &flow.Target{Addr: s.addr}}
		p := run(t, Config{}, d)
		c := dialTo(t, listen(t, p, flow.Listener{}))
		bulk := bytes.Repeat([]byte("0123456789abcdef"), 1<<18)
		var sent sync.WaitGroup
		sent.Go(func() {
			c.Write(bulk)
			raw, _ := c.(*net.TCPConn).SyscallConn()
			raw.Write(func(fd uintptr) bool { return unix.Sendto(int(fd), []byte("!"), unix.MSG_OOB, nil) != unix.EAGAIN })
			c.Write(bulk)
			if ends {
				c.CloseWrite()
			}
		})
		got := make([]byte, 2*len(bulk))
		if n, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got[:len(bulk)], bulk) || !bytes.Equal(got[len(bulk):], bulk) {
			t.Errorf("%d of %d bytes came, %v, or others", n, len(got), err)
		}
		sent.Wait()
		if p.Figures().Spliced == 0 {
			t.Error("nothing was spliced")
		}
	}
}
