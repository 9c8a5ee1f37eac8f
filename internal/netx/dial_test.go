package netx_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"

	"sluice/internal/netx"
)

func TestPermits(t *testing.T) {
	lan, everything := nets("10.0.0.0/8", "fd00::/8"), nets("0.0.0.0/0", "::/0")
	for _, tt := range []struct {
		dialer    netx.Dialer
		addr      string
		permitted bool
	}{
		{netx.Dialer{}, "10.0.0.1", false},
		{netx.Dialer{Allow: lan}, "10.0.0.1", true},
		{netx.Dialer{Allow: lan}, "::ffff:10.0.0.1", true},
		{netx.Dialer{Allow: lan}, "192.0.2.1", false},
		{netx.Dialer{Allow: lan}, "fd12::1", true},
		{netx.Dialer{Allow: lan}, "fe80::1%lo", false},
		{netx.Dialer{Allow: lan}, "127.0.0.1", false},
		{netx.Dialer{Allow: lan}, "::1", false},
		{netx.Dialer{Any: true}, "127.0.0.1", true},
		{netx.Dialer{Any: true, NotLocal: true}, "127.0.0.1", false},
		{netx.Dialer{Any: true, NotLocal: true}, "127.255.0.9", false},
		{netx.Dialer{Any: true, NotLocal: true}, "::ffff:127.0.0.1", false},
		{netx.Dialer{Any: true, NotLocal: true}, "::1", false},
		{netx.Dialer{Any: true, NotLocal: true}, "0.0.0.0", false},
		{netx.Dialer{Any: true, NotLocal: true}, "::", false},
		{netx.Dialer{Any: true, NotLocal: true}, "169.254.169.254", false},
		{netx.Dialer{Any: true, NotLocal: true}, "fe80::1%lo", false},
		{netx.Dialer{Any: true, NotLocal: true}, "192.0.2.1", true},
		{netx.Dialer{Allow: everything, NotLocal: true}, "127.0.0.1", false},
		// Who says everybody does not mean this machine: that has to be said.
		{netx.Dialer{Allow: everything}, "192.0.2.1", true},
		{netx.Dialer{Allow: everything}, "127.0.0.1", false},
		{netx.Dialer{Allow: everything}, "::1", false},
		{netx.Dialer{Allow: everything}, "169.254.169.254", false},
		{netx.Dialer{Allow: everything}, "224.0.0.9", true},
		{netx.Dialer{Allow: everything}, "ff02::9", true},
		{netx.Dialer{Allow: nets("0.0.0.0/1")}, "127.0.0.1", false},
		{netx.Dialer{Allow: nets("126.0.0.0/7")}, "127.0.0.1", false},
		{netx.Dialer{Allow: nets("127.0.0.0/8")}, "127.0.0.1", true},
		{netx.Dialer{Allow: nets("127.0.0.1/32")}, "::ffff:127.0.0.1", true},
		{netx.Dialer{Allow: nets("::1/128")}, "::1", true},
		{netx.Dialer{Allow: nets("fe80::/10")}, "fe80::1%lo", true},
		{netx.Dialer{Allow: nets("169.254.0.0/16", "0.0.0.0/0")}, "169.254.7.7", true},
	} {
		err := tt.dialer.Permits(netip.MustParseAddr(tt.addr))
		if (err == nil) != tt.permitted || err != nil && !errors.Is(err, netx.ErrForbidden) {
			t.Errorf("%+v, %s: %v", tt.dialer, tt.addr, err)
		}
	}
}

func nets(list ...string) (out []netip.Prefix) {
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

// TestDialTCP: it is the address that is judged, not the name.
func TestDialTCP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	loopback := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	for _, host := range []string{"127.0.0.1", "localhost"} {
		c, err := netx.Dialer{Allow: loopback}.DialTCP(context.Background(), net.JoinHostPort(host, port))
		if err != nil {
			t.Fatalf("%s: %v", host, err)
		}
		c.Close()
		if c, err = (netx.Dialer{Any: true, NotLocal: true}).DialTCP(context.Background(), net.JoinHostPort(host, port)); !errors.Is(err, netx.ErrForbidden) {
			t.Errorf("%s: connected to what is not permitted: %v, %v", host, c, err)
		}
	}
}
