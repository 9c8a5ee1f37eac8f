package flow

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice/internal/netx"
	"sluice/internal/testkit"
)

// listen opens a socket and says where.
func listen(t *testing.T, s netx.StreamSocket) (net.Listener, Addr) {
	t.Helper()
	f, err := netx.ListenStream(s)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	l, err := net.FileListener(f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l, FromNet(l.Addr())
}

func loopback(port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port)
}

func TestConnect(t *testing.T) {
	testkit.NoLeaks(t)
	for _, tt := range []struct {
		socket netx.StreamSocket
		from   string
	}{
		{netx.StreamSocket{Addr: loopback(0)}, ""},
		{netx.StreamSocket{Addr: loopback(0)}, "127.0.0.7"},
		{netx.StreamSocket{Addr: netip.MustParseAddrPort("[::1]:0")}, "::1"},
		{netx.StreamSocket{Path: filepath.Join(t.TempDir(), "x.sock")}, ""},
	} {
		l, addr := listen(t, tt.socket)
		var from netip.Addr
		if tt.from != "" {
			from = netip.MustParseAddr(tt.from)
		}
		c, err := Connect(t.Context(), from, addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, ok := c.(interface{ CloseWrite() error }); !ok {
			t.Errorf("%T cannot end its side", c)
		}
		s, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if peer := FromNet(s.RemoteAddr()); from.IsValid() && peer.IP.Addr() != from {
			t.Errorf("%s comes from %s, want %s", addr, peer, from)
		}
		io.WriteString(c, "word")
		got := make([]byte, 4)
		if _, err := io.ReadFull(s, got); err != nil || string(got) != "word" {
			t.Errorf("%s: %q, %v", addr, got, err)
		}
	}
}

func TestConnectSays(t *testing.T) {
	testkit.NoLeaks(t)
	l, gone := listen(t, netx.StreamSocket{Addr: loopback(0)})
	l.Close()
	l, full := listen(t, netx.StreamSocket{Addr: loopback(0), Backlog: 1})
	defer l.Close()
	fill(t, full)
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	ended, end := context.WithCancel(t.Context())
	end()
	for _, tt := range []struct {
		ctx  context.Context
		from string
		to   Addr
		is   error
		says string
	}{
		{t.Context(), "", gone, syscall.ECONNREFUSED, "connect to " + gone.String() + ": connection refused"},
		{t.Context(), "", Addr{Network: Unix, Path: "/no/such"}, syscall.ENOENT, "connect to unix:/no/such: no such file or directory"},
		{t.Context(), "192.0.2.1", gone, syscall.EADDRNOTAVAIL, "bind: cannot assign requested address"},
		{t.Context(), "::1", gone, nil, "the local address ::1 is of the other IP version"},
		{short, "", full, context.DeadlineExceeded, "connect to " + full.String() + ": no answer in time"},
		{ended, "", full, context.Canceled, "connect to " + full.String() + ": context canceled"},
	} {
		var from netip.Addr
		if tt.from != "" {
			from = netip.MustParseAddr(tt.from)
		}
		c, err := Connect(tt.ctx, from, tt.to)
		if err == nil || c != nil {
			t.Errorf("%s: %v, %v", tt.to, c, err)
			continue
		}
		if tt.is != nil && !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%q, want %v and %q", err, tt.is, tt.says)
		}
	}
}

// fill connects until the queue of the listener at addr is full: then nothing is answered.
func fill(t *testing.T, addr Addr) {
	t.Helper()
	for {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		c, err := Connect(ctx, netip.Addr{}, addr)
		cancel()
		if err != nil {
			return
		}
		t.Cleanup(func() { c.Close() })
	}
}

// TestConnectSCTP: nobody listens, or the kernel has none; the error is the same on its outside.
func TestConnectSCTP(t *testing.T) {
	c, err := Connect(t.Context(), netip.Addr{}, Addr{Network: SCTP, IP: loopback(1)})
	if c != nil || err == nil || !strings.HasPrefix(err.Error(), "connect to sctp://127.0.0.1:1: ") {
		t.Errorf("%v, %v", c, err)
	}
}
