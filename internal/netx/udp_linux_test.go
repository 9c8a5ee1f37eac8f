package netx

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sluice/internal/testkit"
)

// ip runs ip(8) in the namespace of the tests.
func ip(t testing.TB, args ...string) {
	t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// dummy makes an interface that swallows what is sent and loops multicast back: one
// end of a cable whose other end nobody uses.
func dummy(t testing.TB, name string, addrs ...string) {
	t.Helper()
	ip(t, "link", "add", name, "type", "veth", "peer", "name", name+"-end")
	t.Cleanup(func() { ip(t, "link", "del", name) })
	ip(t, "link", "set", name+"-end", "up")
	ip(t, "link", "set", name, "up")
	for _, a := range addrs {
		ip(t, "addr", "add", a, "dev", name)
	}
}

func open(t testing.TB, c UDPConfig) *UDP {
	t.Helper()
	u, err := OpenUDP(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := u.Close(); err != nil {
			t.Error(err)
		}
	})
	return u
}

func dial(t testing.TB, c SendConfig) *net.UDPConn {
	t.Helper()
	conn, err := DialUDP(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func send(t testing.TB, c *net.UDPConn, payload string) {
	t.Helper()
	if _, err := c.Write([]byte(payload)); err != nil {
		t.Fatal(err)
	}
}

// got is a received datagram, copied out of the batch.
type got struct {
	Datagram
	payload []byte
}

// receive waits for want datagrams and takes all that are there then.
func receive(t testing.TB, b *Batch, fd, want, stride int) []got {
	t.Helper()
	var all []got
	buf := make([]byte, 64*stride)
	for {
		n, err := b.Receive(fd, buf, stride)
		if err != nil {
			t.Fatal(err)
		}
		for i := range n {
			d := b.Datagram(i)
			p := append([]byte(nil), buf[i*stride:i*stride+min(d.Len, stride)]...)
			p = append(p, d.Overflow...)
			d.Overflow = slices.Clone(d.Overflow)
			all = append(all, got{d, p})
		}
		if n == 0 && len(all) >= want {
			return all
		}
		if n == 0 {
			awaitReadable(t, fd)
		}
	}
}

func awaitReadable(t testing.TB, fd int) {
	t.Helper()
	p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(p, int(testkit.Patience.Milliseconds()))
	if err != nil && !errors.Is(err, unix.EINTR) {
		t.Fatal(err)
	}
	if n == 0 && err == nil {
		t.Fatal("nothing was received")
	}
}

func newBatch(t testing.TB, n int) *Batch {
	b := NewBatch(n)
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func payloads(all []got) string {
	var s []string
	for _, g := range all {
		s = append(s, string(g.payload))
	}
	return strings.Join(s, " ")
}

// freePort is a port that no socket of this namespace has.
func freePort(t testing.TB) uint16 {
	t.Helper()
	u, err := OpenUDP(UDPConfig{Addr: netip.MustParseAddrPort("127.0.0.1:0")})
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	return u.Addr().Port()
}

func group(addr string, port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr(addr), port)
}

func TestGroupsOnOnePortDoNotMix(t *testing.T) {
	port := freePort(t)
	b := newBatch(t, 8)
	var sockets []*UDP
	for i := range 3 {
		sockets = append(sockets, open(t, UDPConfig{Addr: group(fmt.Sprintf("239.1.1.%d", i+1), port)}))
	}
	for i, u := range sockets {
		c := dial(t, SendConfig{Addr: u.Addr()})
		send(t, c, fmt.Sprintf("for-%d", i))
	}
	for i, u := range sockets {
		all := receive(t, b, u.FD(), 1, 1316)
		if want := fmt.Sprintf("for-%d", i); payloads(all) != want {
			t.Errorf("group %s received %q, want %q", u.Addr(), payloads(all), want)
		}
		if d := all[0]; !d.HasDst || d.Dst != u.Addr().Addr() {
			t.Errorf("destination %v of a datagram for %s", d.Dst, u.Addr())
		}
	}
}

// TestTwoSocketsOneGroup: every receiver of a group gets everything.
func TestTwoSocketsOneGroup(t *testing.T) {
	addr := group("239.1.1.1", freePort(t))
	first, second := open(t, UDPConfig{Addr: addr}), open(t, UDPConfig{Addr: addr})
	send(t, dial(t, SendConfig{Addr: addr}), "both")
	b := newBatch(t, 4)
	for _, u := range []*UDP{first, second} {
		if all := receive(t, b, u.FD(), 1, 1316); payloads(all) != "both" {
			t.Errorf("received %q", payloads(all))
		}
	}
}

func TestOneGroupOnTwoInterfaces(t *testing.T) {
	dummy(t, "dum0", "10.99.0.1/24")
	dummy(t, "dum1", "10.99.1.1/24")
	addr := group("239.1.1.1", freePort(t))
	b := newBatch(t, 8)
	sockets := map[string]*UDP{}
	for _, name := range []string{"dum0", "dum1"} {
		sockets[name] = open(t, UDPConfig{Addr: addr, Interface: name})
	}
	for name := range sockets {
		send(t, dial(t, SendConfig{Addr: addr, Interface: name}), name)
	}
	for name, u := range sockets {
		all := receive(t, b, u.FD(), 1, 1316)
		if payloads(all) != name {
			t.Errorf("joined on %s, received %q", name, payloads(all))
		}
		if all[0].IfIndex != u.Interface() || u.Interface() == 0 {
			t.Errorf("on %s: interface %d, want %d", name, all[0].IfIndex, u.Interface())
		}
	}
}

func TestSourceSpecificJoin(t *testing.T) {
	dummy(t, "dum0", "10.99.0.1/24", "10.99.0.2/24")
	wanted, other := netip.MustParseAddr("10.99.0.1"), netip.MustParseAddr("10.99.0.2")
	addr := group("232.1.1.1", freePort(t))
	picky := open(t, UDPConfig{Addr: addr, Interface: "dum0", Source: wanted})
	open(t, UDPConfig{Addr: addr, Interface: "dum0"}) // lets the other source into the machine
	for _, source := range []netip.Addr{other, wanted, other, wanted} {
		c := dial(t, SendConfig{Addr: addr, Interface: "dum0", Source: source})
		send(t, c, source.String())
	}
	all := receive(t, newBatch(t, 8), picky.FD(), 2, 1316)
	if payloads(all) != "10.99.0.1 10.99.0.1" {
		t.Errorf("received %q, want both of %s", payloads(all), wanted)
	}
	for _, g := range all {
		if g.Src.Addr() != wanted || g.Src.Port() == 0 {
			t.Errorf("source %s", g.Src)
		}
	}
}

func TestIPv6Group(t *testing.T) {
	h := testkit.TwoHosts(t)
	for _, tt := range []struct{ name, group, source string }{
		{"any source", "ff15::1", ""},
		{"one source", "ff35::1", h.There.V6.String()},
		{"link-local group", "ff12::1", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := UDPConfig{Addr: group(tt.group, freePort(t)), Interface: h.Here.Interface}
			if tt.source != "" {
				c.Source = netip.MustParseAddr(tt.source)
			}
			u := open(t, c)
			h.Do(t, func() {
				send(t, dial(t, SendConfig{Addr: c.Addr, Interface: h.There.Interface}), "over the cable")
			})
			all := receive(t, newBatch(t, 4), u.FD(), 1, 1316)
			g := all[0]
			if payloads(all) != "over the cable" || g.Dst != c.Addr.Addr() || g.IfIndex != u.Interface() {
				t.Errorf("received %+v %q", g.Datagram, g.payload)
			}
			if tt.source != "" && g.Src.Addr() != c.Source {
				t.Errorf("source %s, want %s", g.Src, c.Source)
			}
		})
	}
}

func TestIPv6OtherSourceStaysOut(t *testing.T) {
	h := testkit.TwoHosts(t)
	second := netip.MustParseAddr("fd00:ffff::2")
	if out, err := h.Command("ip", "addr", "add", second.String()+"/64", "dev", h.There.Interface, "nodad").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	addr := group("ff35::1", freePort(t))
	u := open(t, UDPConfig{Addr: addr, Interface: h.Here.Interface, Source: h.There.V6})
	open(t, UDPConfig{Addr: addr, Interface: h.Here.Interface})
	h.Do(t, func() {
		for _, source := range []netip.Addr{second, h.There.V6} {
			send(t, dial(t, SendConfig{Addr: addr, Interface: h.There.Interface, Source: source}), source.String())
		}
	})
	if all := receive(t, newBatch(t, 4), u.FD(), 1, 1316); payloads(all) != h.There.V6.String() {
		t.Errorf("received %q, want that of %s alone", payloads(all), h.There.V6)
	}
}

func TestLargeDatagrams(t *testing.T) {
	for _, network := range []string{"127.0.0.1:0", "[::1]:0", "239.1.1.1:0"} {
		u := open(t, UDPConfig{Addr: netip.MustParseAddrPort(network)})
		c := dial(t, SendConfig{Addr: u.Addr()})
		b := newBatch(t, 4)
		for _, size := range []int{0, 1, 1316, 1317, 9000, 65507} {
			want := make([]byte, size)
			for i := range want {
				want[i] = byte(i * 7 >> 3)
			}
			send(t, c, string(want))
			all := receive(t, b, u.FD(), 1, 1316)
			if len(all) != 1 || all[0].Len != size || all[0].Truncated || !bytes.Equal(all[0].payload, want) {
				t.Errorf("%s, %d bytes: %d datagrams, the first of %d bytes, truncated %v",
					network, size, len(all), all[0].Len, all[0].Truncated)
			}
			if (all[0].Overflow != nil) != (size > 1316) {
				t.Errorf("%d bytes: overflow of %d", size, len(all[0].Overflow))
			}
		}
	}
}

// TestDropCounter fills a small buffer: what does not arrive is counted.
func TestDropCounter(t *testing.T) {
	u := open(t, UDPConfig{Addr: netip.MustParseAddrPort("127.0.0.1:0"), ReceiveBuffer: 8 << 10})
	c := dial(t, SendConfig{Addr: u.Addr()})
	const sent = 500
	for range sent {
		send(t, c, strings.Repeat("x", 1316))
	}
	b := newBatch(t, 16)
	before := len(receive(t, b, u.FD(), 1, 1316))
	if before == sent {
		t.Fatal("nothing was dropped")
	}
	send(t, c, "after") // the counter travels with the next datagram
	last := receive(t, b, u.FD(), 1, 1316)[0]
	if want := uint32(sent - before); last.Dropped != want {
		t.Errorf("%d of %d arrived, counted as dropped %d, want %d", before, sent, last.Dropped, want)
	}
}

func TestGrantedBuffer(t *testing.T) {
	for _, tt := range []struct{ ask, want int }{{0, DefaultReceiveBuffer}, {1 << 20, 1 << 20}} {
		u := open(t, UDPConfig{Addr: netip.MustParseAddrPort("239.1.1.1:0"), ReceiveBuffer: tt.ask})
		limit := readInt(t, "/proc/sys/net/core/rmem_max")
		if u.Granted() != tt.want && u.Granted() != min(tt.want, limit) {
			t.Errorf("asked for %d, granted %d, rmem_max %d", tt.ask, u.Granted(), limit)
		}
	}
}

func TestOpenUDPRefuses(t *testing.T) {
	taken := open(t, UDPConfig{Addr: netip.MustParseAddrPort("127.0.0.1:0")}).Addr()
	tests := []struct {
		name string
		c    UDPConfig
		is   error
		says string
	}{
		{"nothing", UDPConfig{}, nil, "no address"},
		{"port in use", UDPConfig{Addr: taken}, unix.EADDRINUSE, "another program"},
		{"not local", UDPConfig{Addr: group("192.0.2.1", 5000)}, unix.EADDRNOTAVAIL, "no interface of this machine"},
		{"unknown interface", UDPConfig{Addr: group("239.1.1.1", 5000), Interface: "no0"}, nil, `no interface "no0" (there are lo`},
		{"wildcard", UDPConfig{Addr: group("0.0.0.0", 5000)}, nil, "want a multicast group"},
		{"zone", UDPConfig{Addr: group("fe80::1%lo", 5000)}, nil, "zone"},
		{"mapped", UDPConfig{Addr: group("::ffff:239.1.1.1", 5000)}, nil, "unmap"},
		{"mixed", UDPConfig{Addr: group("239.1.1.1", 5000), Source: netip.MustParseAddr("::1")}, nil, "different IP versions"},
		{"source of unicast", UDPConfig{Addr: group("127.0.0.1", 5000), Source: netip.MustParseAddr("127.0.0.1")}, nil, "no multicast group"},
		{"link-local without interface", UDPConfig{Addr: group("fe80::1", 5000)}, unix.EINVAL, "needs an interface"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { refused(t, tt.c, tt.is, tt.says) })
	}
}

func refused(t *testing.T, c UDPConfig, is error, says string) {
	t.Helper()
	u, err := OpenUDP(c)
	if err == nil {
		u.Close()
		t.Fatal("opened")
	}
	if is != nil && !errors.Is(err, is) {
		t.Errorf("%v is not %v", err, is)
	}
	if !strings.Contains(err.Error(), says) {
		t.Errorf("%q does not say %q", err, says)
	}
}

func TestNoMulticastRoute(t *testing.T) {
	ip(t, "route", "del", "224.0.0.0/4", "dev", "lo")
	t.Cleanup(func() { ip(t, "route", "add", "224.0.0.0/4", "dev", "lo") })
	refused(t, UDPConfig{Addr: group("239.1.1.1", freePort(t))}, unix.ENODEV, "ip route add 224.0.0.0/4")
	open(t, UDPConfig{Addr: group("239.1.1.1", freePort(t)), Interface: "lo"}) // needs no route
	if _, err := DialUDP(SendConfig{Addr: group("239.1.1.1", 5000)}); err == nil || !strings.Contains(err.Error(), "no route") {
		t.Errorf("sender without a route: %v", err)
	}
}

func TestSenderOptions(t *testing.T) {
	for _, tt := range []struct {
		c          SendConfig
		level, opt int
		want       int
	}{
		{SendConfig{Addr: group("239.1.1.1", 5000)}, unix.IPPROTO_IP, unix.IP_MULTICAST_TTL, 1},
		{SendConfig{Addr: group("239.1.1.1", 5000), TTL: 8}, unix.IPPROTO_IP, unix.IP_MULTICAST_TTL, 8},
		{SendConfig{Addr: group("239.1.1.1", 5000)}, unix.IPPROTO_IP, unix.IP_MULTICAST_LOOP, 1},
		{SendConfig{Addr: group("239.1.1.1", 5000), NoLoop: true}, unix.IPPROTO_IP, unix.IP_MULTICAST_LOOP, 0},
		{SendConfig{Addr: group("ff15::1", 5000), TTL: 3}, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, 3},
		{SendConfig{Addr: group("127.0.0.1", 5000), TTL: 5}, unix.IPPROTO_IP, unix.IP_TTL, 5},
		{SendConfig{Addr: group("::1", 5000), TTL: 6}, unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, 6},
	} {
		c := dial(t, tt.c)
		if v := optionOf(t, c, tt.level, tt.opt); v != tt.want {
			t.Errorf("%+v: option %d/%d is %d, want %d", tt.c, tt.level, tt.opt, v, tt.want)
		}
	}
	for _, c := range []SendConfig{{}, {Addr: group("239.1.1.1", 0)}, {Addr: group("239.1.1.1", 5000), Interface: "no0"}} {
		if conn, err := DialUDP(c); err == nil {
			conn.Close()
			t.Errorf("%+v was accepted", c)
		}
	}
}
