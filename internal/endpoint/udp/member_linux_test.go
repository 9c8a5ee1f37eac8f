package udp_test

import (
	"bytes"
	"encoding/binary"
	"log/slog"
	"net"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sluice/internal/endpoint"
	"sluice/internal/endpoint/endtest"
	"sluice/internal/endpoint/udp"
	"sluice/internal/netx"
	"sluice/internal/testkit"
)

// ip changes the network of the test.
func ip(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

func member(t *testing.T, src endpoint.Source) endpoint.Member {
	t.Helper()
	m, ok := src.(endpoint.Member)
	if !ok {
		t.Fatal("the source is no endpoint.Member")
	}
	return m
}

// TestOneLegCannotBeHad: the other one is received; the first comes in when it can be.
func TestOneLegCannotBeHad(t *testing.T) {
	testkit.Need(t, "ip")
	from := source(t, "udp://192.0.2.77:5000|udp://239.5.2.1:5000")
	var log bytes.Buffer
	src := endtest.Open(t, endtest.End{
		Opener: &udp.Opener{Interface: "lo", Log: slog.New(slog.NewTextHandler(&log, nil))}, Source: from,
	})
	if !strings.Contains(log.String(), "192.0.2.77") {
		t.Errorf("the log does not name the leg: %s", log.String())
	}
	b := &bench{t: t, src: src, w: endtest.NewWindow(t), legs: []*net.UDPConn{nil, sender(t, from[1])}}
	b.run("b1..9")
	b.came("1..9")
	legs := src.Counters().Legs
	if !strings.Contains(legs[0].Dropped, "192.0.2.77") || legs[1].Dropped != "" {
		t.Errorf("dropped: %q, %q", legs[0].Dropped, legs[1].Dropped)
	}
	m := member(t, src)
	if err := m.Rejoin(); err == nil || !strings.Contains(err.Error(), "192.0.2.77") {
		t.Errorf("rejoined without the address: %v", err)
	}
	if src.Holding() {
		t.Error("wants to be drained for a leg that is not there")
	}

	ip(t, "addr", "add", "192.0.2.77/32", "dev", "lo")
	t.Cleanup(func() { ip(t, "addr", "del", "192.0.2.77/32", "dev", "lo") })
	if err := m.Rejoin(); err != nil {
		t.Fatal(err)
	}
	if !src.Holding() {
		t.Error("nobody waits for the new descriptor, and the source does not want to be drained")
	}
	b.legs[0] = sender(t, from[0])
	b.run("a10 b12 a11")
	b.came("1..12")
	if d := src.Counters().Legs[0].Dropped; d != "" {
		t.Errorf("still dropped: %s", d)
	}
}

// TestRejoin: an interface goes and comes back; the error says so, then datagrams flow.
func TestRejoin(t *testing.T) {
	testkit.Need(t, "ip")
	lay := func() {
		ip(t, "link", "add", "there0", "type", "veth", "peer", "name", "there1")
		ip(t, "addr", "add", "10.9.8.7/24", "dev", "there0")
		ip(t, "link", "set", "there0", "up")
		ip(t, "link", "set", "there1", "up")
	}
	lay()
	t.Cleanup(func() { ip(t, "link", "del", "there0") })
	from := source(t, "udp://239.5.2.2:5000")
	src := endtest.Open(t, endtest.End{Opener: &udp.Opener{Interface: "there0"}, Source: from})
	w, m := endtest.NewWindow(t), member(t, src)
	flows := func(what string) {
		t.Helper()
		c, err := netx.DialUDP(netx.SendConfig{Addr: from[0].Addr, Interface: "there0"})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		n := int(w.Head()) + len(what)
		send(t, c, []byte(what))
		endtest.Collect(t, src, w, n)
	}
	flows("Gone")
	if err := m.Rejoin(); err != nil {
		t.Errorf("nothing has changed: %v", err)
	}
	ip(t, "link", "del", "there0")
	if err := m.Rejoin(); err == nil || !strings.Contains(err.Error(), "there0") {
		t.Errorf("joined on an interface that is gone: %v", err)
	}
	if d := src.Counters().Legs[0].Dropped; !strings.Contains(d, "there0") {
		t.Errorf("the report does not say that the leg is not joined: %q", d)
	}
	lay()
	if err := m.Rejoin(); err != nil {
		t.Fatal(err)
	}
	flows("Gback")
	if got := string(w.All()); got != "GoneGback" {
		t.Errorf("received %q", got)
	}
	if d := src.Counters().Legs[0].Dropped; d != "" {
		t.Errorf("still not joined: %q", d)
	}
}

// awaitReports waits on lo for membership reports of the groups.
func awaitReports(t *testing.T, fd int, groups ...string) {
	t.Helper()
	missing := map[string]bool{}
	for _, g := range groups {
		missing[string(net.ParseIP(g).To4())] = true
	}
	frame := make([]byte, 2048)
	for len(missing) > 0 {
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		if n, err := unix.Poll(poll, 10_000); n == 0 || err != nil && err != unix.EINTR {
			t.Fatalf("no report of %d groups in 10 s: %v", len(missing), err)
		}
		n, _, err := unix.Recvfrom(fd, frame, unix.MSG_DONTWAIT)
		if err != nil {
			continue
		}
		// IPv4 with a router alert, then IGMP: the group is the last of it.
		if b := frame[:n]; n >= 32 && b[9] == unix.IPPROTO_IGMP {
			delete(missing, string(b[n-4:]))
		}
	}
}

// TestRenew: each group is reported, and the sources of an Opener share what it takes.
func TestRenew(t *testing.T) {
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	opener := &udp.Opener{Interface: "lo"}
	t.Cleanup(func() { opener.Close() })
	two := endtest.Open(t, endtest.End{Opener: opener, Source: source(t, "udp://239.5.2.3:5000|udp://239.5.2.4:5000")})
	unicast := endtest.Open(t, endtest.End{Opener: opener, Source: source(t, "udp://127.0.0.1:5020")})

	ipv4 := binary.NativeEndian.Uint16([]byte{unix.ETH_P_IP >> 8, unix.ETH_P_IP & 0xFF})
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: ipv4, Ifindex: lo.Index}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		for _, src := range []endpoint.Source{two, unicast} {
			if err := member(t, src).Renew(); err != nil {
				t.Fatal(err)
			}
		}
		awaitReports(t, fd, "239.5.2.3", "239.5.2.4")
	}
}

// TestRenewNeedsARight: without it, that is said once, and all goes on.
func TestRenewNeedsARight(t *testing.T) {
	var log bytes.Buffer
	opener := &udp.Opener{Interface: "lo", Log: slog.New(slog.NewTextHandler(&log, nil))}
	src := endtest.Open(t, endtest.End{Opener: opener, Source: source(t, "udp://239.5.2.5:5000")})
	withoutNetRaw(t, func() {
		for range 2 {
			if err := member(t, src).Renew(); err != nil {
				t.Error(err)
			}
		}
	})
	if n := strings.Count(log.String(), "CAP_NET_RAW"); n == 0 || strings.Count(log.String(), "\n") != 1 {
		t.Errorf("want one line that names the right: %s", log.String())
	}
	if err := opener.Close(); err != nil {
		t.Error(err)
	}
}

// withoutNetRaw runs f on a thread that lacks CAP_NET_RAW.
func withoutNetRaw(t *testing.T, f func()) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var have [2]unix.CapUserData
	if err := unix.Capget(&head, &have[0]); err != nil {
		t.Fatal(err)
	}
	less := have
	less[0].Effective &^= 1 << unix.CAP_NET_RAW
	if err := unix.Capset(&head, &less[0]); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Capset(&head, &have[0]); err != nil {
			t.Fatal(err)
		}
	}()
	f()
}
