package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"

	"sluice/internal/testkit"
)

// copied is the yardstick in front of a rig, in this process.
func copied(t *testing.T, r *rig, conf *tls.Config) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().(*net.TCPAddr).AddrPort()
	if conf != nil {
		l = tls.NewListener(l, conf)
	}
	done := make(chan error)
	go func() { done <- copyAll(l, r.addr.String()) }()
	t.Cleanup(func() {
		l.Close()
		if err := <-done; !errors.Is(err, net.ErrClosed) {
			t.Errorf("the relay ended: %v", err)
		}
	})
	return addr
}

func testRig(t *testing.T) *rig {
	t.Helper()
	r, err := startRig(0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// counted waits until guests have counted so much, and fails when one was lost.
func counted(t *testing.T, g *guests, want int64) {
	t.Helper()
	testkit.Eventually(t, func() error {
		var count int64
		var lost error
		g.rig.with(func() { count, lost = g.count, errors.Join(g.lost, g.rig.failed) })
		if lost != nil {
			t.Fatal(lost)
		}
		if count < want {
			return fmt.Errorf("%d counted, want %d", count, want)
		}
		return nil
	})
}

// All kinds of guests get what they come for, through the yardstick.
func TestRigGuests(t *testing.T) {
	tests := map[string]struct {
		kind kind
		want int64
	}{
		"bulk":    {kind{bulk: true}, 64 << 20},
		"trips":   {kind{size: 1 << 10, again: true}, 1000},
		"renewed": {kind{size: 1, renew: true}, 200},
		"quiet":   {kind{size: 1}, 8},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			testkit.NoLeaks(t)
			r := testRig(t)
			g, err := r.invite(copied(t, r, nil), 8, test.kind)
			if err != nil {
				t.Fatal(err)
			}
			defer g.leave()
			g.rig.with(func() { g.keep = true })
			counted(t, g, test.want)
			r.with(func() {
				if !test.kind.bulk && int64(len(g.waits)) > g.count {
					t.Errorf("%d waits of %d round trips", len(g.waits), g.count)
				}
				if len(g.fds) != 8 {
					t.Errorf("%d connections, want 8", len(g.fds))
				}
			})
		})
	}
}

// A relay that closes is noticed.
func TestRigNoticesLoss(t *testing.T) {
	testkit.NoLeaks(t)
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	r := testRig(t)
	g, err := r.invite(l.Addr().(*net.TCPAddr).AddrPort(), 1, kind{bulk: true})
	if err != nil {
		t.Fatal(err)
	}
	defer g.leave()
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil { // unread, it would make the end a reset
		t.Fatal(err)
	}
	conn.Close()
	testkit.Eventually(t, func() error {
		var lost error
		r.with(func() { lost = g.lost })
		if !errors.Is(lost, errClosed) {
			return fmt.Errorf("lost is %w, want errClosed", lost)
		}
		return nil
	})
}

// Bulk over TLS goes on after the connection was taken apart, and handshakes are full ones.
func TestRigTLS(t *testing.T) {
	testkit.NoLeaks(t)
	cert, key, err := certificate()
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair([]byte(cert), []byte(key))
	if err != nil {
		t.Fatal(err)
	}
	r := testRig(t)
	addr := copied(t, r, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS13})

	conns, err := secureMany(context.Background(), addr, 4, askBulk)
	if err != nil {
		t.Fatal(err)
	}
	fds, err := unwrap(conns)
	if err != nil {
		t.Fatal(err)
	}
	g, err := r.adopt(fds)
	defer g.leave()
	if err != nil {
		t.Fatal(err)
	}
	counted(t, g, 16<<20)

	load := shake(context.Background(), addr)
	testkit.Eventually(t, func() error {
		if n := load.count.Load(); n < 20 {
			return fmt.Errorf("%d handshakes, want 20", n)
		}
		return nil
	})
	if err := load.end(); err != nil {
		t.Error(err)
	}
}

// A relay that would do other work than the rest is refused.
func TestTLSAgreed(t *testing.T) {
	testkit.NoLeaks(t)
	cert, key, err := certificate()
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair([]byte(cert), []byte(key))
	if err != nil {
		t.Fatal(err)
	}
	r := testRig(t)
	addr := copied(t, r, &tls.Config{Certificates: []tls.Certificate{pair}, MaxVersion: tls.VersionTLS12})
	if conn, err := secure(context.Background(), addr, askEcho); err == nil {
		conn.Close()
		t.Error("TLS 1.2 was taken")
	}
}
