package netx

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sluice/internal/testkit"
)

// cable is a connection to a second host that can be taken away and laid again: cab0
// is the end here, cab1 the one there.
type cable struct{ h *testkit.Hosts }

func layCable(t *testing.T) cable {
	t.Helper()
	c := cable{testkit.TwoHosts(t)}
	c.lay(t)
	t.Cleanup(func() {
		if _, err := net.InterfaceByName("cab0"); err == nil {
			c.take(t)
		}
	})
	return c
}

// lay makes both ends. The sender's comes up last, so that what it sends arrives.
func (c cable) lay(t *testing.T) {
	t.Helper()
	thereIP(t, c.h, "link", "add", "cab1", "type", "veth", "peer", "name", "cab0", "netns", strconv.Itoa(os.Getpid()))
	for _, end := range []struct {
		last string
		run  func(...string)
		name string
	}{
		{"1", func(args ...string) { ip(t, args...) }, "cab0"},
		{"2", func(args ...string) { thereIP(t, c.h, args...) }, "cab1"},
	} {
		end.run("link", "set", end.name, "addrgenmode", "none")
		end.run("link", "set", end.name, "up")
		end.run("addr", "add", "10.98.0."+end.last+"/24", "dev", end.name)
		end.run("addr", "add", "fd98::"+end.last+"/64", "dev", end.name, "nodad")
		end.run("addr", "add", "fe80::"+end.last+"/64", "dev", end.name, "nodad")
	}
}

func (c cable) take(t *testing.T) {
	t.Helper()
	ip(t, "link", "del", "cab0")
}

// flows fails the test unless datagrams come over the cable.
func (c cable) flows(t *testing.T, u *UDP) {
	t.Helper()
	b, buf := newBatch(t, 1), make([]byte, 1316)
	testkit.Eventually(t, func() error {
		if err := c.send(t, u.Addr()); err != nil {
			return err
		}
		if n, err := b.Receive(u.FD(), buf, len(buf)); err != nil || n == 0 {
			return errors.Join(err, errors.New("nothing was received"))
		}
		if d := b.Datagram(0); d.IfIndex != u.Interface() {
			return errors.New("it came from interface " + strconv.Itoa(d.IfIndex))
		}
		return nil
	})
}

// send sends one datagram. Routes and addresses may need a moment to be of use.
func (c cable) send(t *testing.T, to netip.AddrPort) (err error) {
	c.h.Do(t, func() {
		var conn *net.UDPConn
		if conn, err = DialUDP(SendConfig{Addr: to, Interface: "cab1"}); err == nil {
			_, err = conn.Write([]byte("over the cable"))
			conn.Close()
		}
	})
	return err
}

// watch runs WatchLinks until the test is over. The channel has a value when there is
// news.
func watch(t *testing.T) <-chan struct{} {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	news, done := make(chan struct{}, 1), make(chan error)
	go func() {
		done <- WatchLinks(ctx, func() {
			select {
			case news <- struct{}{}:
			default:
			}
		})
	}()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	<-news // it listens
	return news
}

// rejoinUntil calls Rejoin after each change until it returns this error.
func rejoinUntil(t *testing.T, news <-chan struct{}, u *UDP, want error) {
	t.Helper()
	for {
		select {
		case <-news:
		case <-t.Context().Done():
			t.Fatal("no news of interfaces came")
		}
		err := u.Rejoin()
		if errors.Is(err, want) {
			return
		}
		if err != nil && !errors.Is(err, ErrNoInterface) {
			t.Fatal(err)
		}
	}
}

// TestRejoin: the interface goes and is made again; WatchLinks tells, Rejoin joins.
func TestRejoin(t *testing.T) {
	for _, tt := range []struct {
		name, group, source string
		chosen              bool // by the system
	}{
		{"IPv4", "239.1.1.1", "", false},
		{"IPv4, one source", "232.1.1.1", "10.98.0.2", false},
		{"IPv4, the system's choice", "239.1.1.2", "", true},
		{"IPv6", "ff15::1", "", false},
		{"IPv6, one source", "ff35::1", "fd98::2", false},
		{"IPv6, link-local group", "ff12::1", "", false},
		{"IPv6, the system's choice", "ff15::2", "", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := layCable(t)
			config := UDPConfig{Addr: group(tt.group, freePort(t)), Interface: "cab0"}
			if tt.source != "" {
				config.Source = netip.MustParseAddr(tt.source)
			}
			if tt.chosen {
				config.Interface = ""
				routeToCable(t, config.Addr.Addr())
			}
			u := open(t, config)
			c.flows(t, u)
			news, before := watch(t), u.Interface()
			c.take(t)
			rejoinUntil(t, news, u, ErrNoInterface)
			c.lay(t)
			for u.Interface() == before {
				rejoinUntil(t, news, u, nil)
			}
			c.flows(t, u)
			now, err := net.InterfaceByName("cab0")
			if err != nil {
				t.Fatal(err)
			}
			if g, s, i := u.Joined(); g != config.Addr.Addr() || s != config.Source || i != now.Index {
				t.Errorf("joined %v, %v on %d, want %v, %v on %d", g, s, i, config.Addr.Addr(), config.Source, now.Index)
			}
		})
	}
}

// routeToCable leads one group over the cable. The route goes with it.
func routeToCable(t *testing.T, group netip.Addr) {
	t.Helper()
	args := []string{"route", "add", group.String(), "dev", "cab0"}
	if group.Is6() {
		args = append([]string{"-6"}, append(args, "table", "local")...)
	}
	ip(t, args...)
}

// TestRejoinOften: an interface that is made again more often than a socket may have
// memberships (net.ipv4.igmp_max_memberships).
func TestRejoinOften(t *testing.T) {
	limit := readInt(t, "/proc/sys/net/ipv4/igmp_max_memberships")
	for name, seenMissing := range map[string]bool{"seen missing": true, "not seen missing": false} {
		t.Run(name, func(t *testing.T) {
			dummy(t, "dum0", "10.99.0.1/24")
			u := open(t, UDPConfig{Addr: group("239.1.1.1", freePort(t)), Interface: "dum0"})
			for i := range limit + 2 {
				ip(t, "link", "del", "dum0")
				if seenMissing {
					if err := u.Rejoin(); !errors.Is(err, ErrNoInterface) {
						t.Fatalf("without the interface: %v", err)
					}
				}
				ip(t, "link", "add", "dum0", "type", "veth", "peer", "name", "dum0-end")
				if err := u.Rejoin(); err != nil {
					t.Fatalf("the interface was made %d times: %v", i+1, err)
				}
			}
		})
	}
}

// TestRejoinSameIndex: the index does not tell that the interface is another one.
func TestRejoinSameIndex(t *testing.T) {
	c := layCable(t)
	u := open(t, UDPConfig{Addr: group("239.1.1.1", freePort(t)), Interface: "cab0"})
	index := u.Interface()
	if n := groupUsers(t, "cab0", "239.1.1.1"); n != 1 {
		t.Fatalf("%d sockets are in the group at first, want 1", n)
	}
	c.take(t)
	if err := u.Rejoin(); !errors.Is(err, ErrNoInterface) {
		t.Fatal(err)
	}
	ip(t, "link", "add", "cab0", "index", strconv.Itoa(index), "type", "veth", "peer", "name", "cab0-end")
	if n := groupUsers(t, "cab0", "239.1.1.1"); n != 0 {
		t.Fatalf("%d sockets are in the group before Rejoin", n)
	}
	for range 2 {
		if err := u.Rejoin(); err != nil {
			t.Fatal(err)
		}
	}
	if n := groupUsers(t, "cab0", "239.1.1.1"); n != 1 || u.Interface() != index {
		t.Errorf("%d sockets are in the group on %d, want one on %d", n, u.Interface(), index)
	}
}

// groupUsers is how many sockets are in a group, as `ip maddr` tells it.
func groupUsers(t *testing.T, ifname, group string) int {
	t.Helper()
	text, err := os.ReadFile("/proc/net/igmp")
	if err != nil {
		t.Fatal(err)
	}
	a := netip.MustParseAddr(group).As4()
	want := fmt.Sprintf("%02X%02X%02X%02X", a[3], a[2], a[1], a[0])
	here := false
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		switch {
		case line[0] != '\t':
			here = f[1] == ifname
		case here && f[0] == want:
			users, err := strconv.Atoi(f[1])
			if err != nil {
				t.Fatal(err)
			}
			return users
		}
	}
	return 0
}

// TestRejoinDownAndUp: the groups of an interface that was only down are joined still,
// without Rejoin, and Rejoin changes nothing.
func TestRejoinDownAndUp(t *testing.T) {
	for _, address := range []string{"239.1.1.1", "ff15::1"} {
		t.Run(address, func(t *testing.T) {
			c := layCable(t)
			u := open(t, UDPConfig{Addr: group(address, freePort(t)), Interface: "cab0"})
			c.flows(t, u)
			index := u.Interface()
			ip(t, "link", "set", "cab0", "down")
			if err := u.Rejoin(); err != nil {
				t.Error(err)
			}
			ip(t, "link", "set", "cab0", "up")
			c.flows(t, u)
			if err := u.Rejoin(); err != nil || u.Interface() != index {
				t.Errorf("%v, interface %d, was %d", err, u.Interface(), index)
			}
			c.flows(t, u)
		})
	}
}

// TestRejoinSaysNothing: Rejoin in a good membership brings forth no packet. The kernel
// sends what has changed with a short delay, all of it together; so the join of another
// group comes behind, or with, whatever Rejoin might have caused.
func TestRejoinSaysNothing(t *testing.T) {
	const once = "/proc/sys/net/ipv4/igmp_qrv" // how often a join is sent
	before := readInt(t, once)
	if err := os.WriteFile(once, []byte("1"), 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.WriteFile(once, []byte(strconv.Itoa(before)), 0); err != nil {
			t.Error(err)
		}
	})
	h := testkit.TwoHosts(t)
	addr, fence := group("239.1.1.1", freePort(t)), group("239.1.1.2", freePort(t))
	s := newForgetful(t, h, addr, fence.Addr(), 1)
	u := open(t, UDPConfig{Addr: addr, Interface: h.Here.Interface})
	s.await(t, "to_ex{}")
	for range 3 {
		if err := u.Rejoin(); err != nil {
			t.Fatal(err)
		}
	}
	open(t, UDPConfig{Addr: fence, Interface: h.Here.Interface})
	if s.await(t, fenced); len(s.seen) != 2 {
		t.Errorf("seen %q, want the join and the fence", s.seen)
	}
}

// TestRejoinLinkLocalNeedsARight: what cannot be done is said, and can be done later.
func TestRejoinLinkLocalNeedsARight(t *testing.T) {
	c := layCable(t)
	u := open(t, UDPConfig{Addr: group("ff12::1", freePort(t)), Interface: "cab0"})
	c.take(t)
	c.lay(t)
	withoutNetRaw(t, func() {
		if err := u.Rejoin(); !errors.Is(err, unix.EPERM) || !strings.Contains(err.Error(), "CAP_NET_RAW") {
			t.Errorf("without CAP_NET_RAW: %v", err)
		}
	})
	if err := u.Rejoin(); err != nil {
		t.Fatal(err)
	}
	c.flows(t, u)
}

// TestJoined tells also where the system has joined, and nothing of a unicast socket.
func TestJoined(t *testing.T) {
	dummy(t, "dum0", "10.99.0.1/24")
	dummy(t, "dum1", "10.99.1.1/24")
	ip(t, "route", "add", "239.9.9.0/24", "dev", "dum1")
	ip(t, "-6", "route", "add", "ff15:9::/32", "dev", "dum1", "table", "local")
	for address, ifname := range map[string]string{"239.9.9.9": "dum1", "239.1.1.1": "lo", "ff15:9::9": "dum1"} {
		u := open(t, UDPConfig{Addr: group(address, freePort(t))})
		i, err := net.InterfaceByName(ifname)
		if err != nil {
			t.Fatal(err)
		}
		if g, s, index := u.Joined(); g.String() != address || s.IsValid() || index != i.Index || u.Interface() != index {
			t.Errorf("joined %v, %v on %d, want %s on %s (%d)", g, s, index, address, ifname, i.Index)
		}
	}
	u := open(t, UDPConfig{Addr: netip.MustParseAddrPort("127.0.0.1:0")})
	if g, _, index := u.Joined(); g.IsValid() || index != 0 {
		t.Errorf("unicast has joined %v on %d", g, index)
	}
	if err := u.Rejoin(); err != nil {
		t.Error(err)
	}
}

// TestTheSystemsChoice: where a group is joined without a name is where the kernel
// would have joined it by itself.
func TestTheSystemsChoice(t *testing.T) {
	dummy(t, "dum0", "10.99.0.1/24")
	dummy(t, "dum1", "10.99.1.1/24")
	for _, address := range []string{"239.1.1.1", "ff15::1", "ff05::1"} {
		addr := group(address, freePort(t))
		u := open(t, UDPConfig{Addr: addr})
		by := open(t, UDPConfig{Addr: addr, Interface: "lo"})
		if err := leave(by.FD(), by.Interface(), addr.Addr()); err != nil {
			t.Fatal(err)
		}
		if err := join(by.FD(), 0, addr.Addr(), netip.Addr{}); err != nil {
			t.Fatal(err)
		}
		if err := leave(by.FD(), u.Interface(), addr.Addr()); err != nil {
			t.Errorf("%s: chosen was %s, but the kernel joins elsewhere", address, u.ifname)
		}
	}
}
