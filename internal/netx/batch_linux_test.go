package netx

import (
	"bytes"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

func readInt(t testing.TB, path string) int {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func optionOf(t testing.TB, c syscall.Conn, level, opt int) int {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var v int
	var got error
	if err := raw.Control(func(fd uintptr) { v, got = unix.GetsockoptInt(int(fd), level, opt) }); err != nil || got != nil {
		t.Fatal(err, got)
	}
	return v
}

func TestReceiveEmptyAndFull(t *testing.T) {
	u := open(t, UDPConfig{Addr: netip.MustParseAddrPort("127.0.0.1:0")})
	b := newBatch(t, 4)
	buf := bytes.Repeat([]byte{0xee}, 10*8)
	if n, err := b.Receive(u.FD(), buf, 8); n != 0 || err != nil {
		t.Fatalf("empty socket: %d, %v", n, err)
	}
	c := dial(t, SendConfig{Addr: u.Addr()})
	for i := range 7 {
		send(t, c, strings.Repeat(strconv.Itoa(i), i+1))
	}
	if n, err := b.Receive(u.FD(), buf[:3*8+7], 8); n != 3 || err != nil {
		t.Fatalf("room for 3: %d, %v", n, err)
	}
	if want := "0\xee\xee\xee\xee\xee\xee\xee11\xee\xee\xee\xee\xee\xee222\xee\xee\xee\xee\xee\xee"; string(buf[:25]) != want {
		t.Errorf("slots %q, want %q", buf[:25], want)
	}
	if n, err := b.Receive(u.FD(), buf[:7], 8); n != 0 || err != nil {
		t.Errorf("no room: %d, %v", n, err)
	}
	if n, err := b.Receive(u.FD(), buf, 8); n != 4 || err != nil || b.Datagram(3).Len != 7 {
		t.Errorf("a batch of 4: %d, %v", n, err)
	}
}

func TestReceiveError(t *testing.T) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(p[0])
	defer unix.Close(p[1])
	if _, err := newBatch(t, 1).Receive(p[0], make([]byte, 8), 8); err == nil {
		t.Error("received from a pipe")
	}
}

// TestBatchServesManySockets: nothing of one socket's datagrams is left over for
// the next, of another IP version.
func TestBatchServesManySockets(t *testing.T) {
	b := newBatch(t, 4)
	for _, addr := range []string{"[::1]:0", "127.0.0.1:0", "[::1]:0"} {
		u := open(t, UDPConfig{Addr: netip.MustParseAddrPort(addr)})
		c := dial(t, SendConfig{Addr: u.Addr()})
		send(t, c, "x")
		g := receive(t, b, u.FD(), 1, 1316)[0]
		from := netip.MustParseAddrPort(c.LocalAddr().String())
		if g.Src != from || g.Dst != u.Addr().Addr() || g.IfIndex != 1 || g.Dropped != 0 {
			t.Errorf("%s: %+v, want it from %s", addr, g.Datagram, from)
		}
	}
}

func TestReceiveDoesNotAllocate(t *testing.T) {
	u := open(t, UDPConfig{Addr: netip.MustParseAddrPort("239.1.1.1:0")})
	c := dial(t, SendConfig{Addr: u.Addr()})
	b := newBatch(t, 8)
	buf, payload := make([]byte, 8*1316), make([]byte, 2000)
	sum := 0
	allocs := testing.AllocsPerRun(100, func() {
		for range 4 {
			c.Write(payload)
		}
		n, err := b.Receive(u.FD(), buf, 1316)
		if n != 4 || err != nil {
			t.Fatalf("received %d, %v", n, err)
		}
		for i := range n {
			d := b.Datagram(i)
			sum += d.Len + len(d.Overflow) + d.IfIndex
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations a batch", allocs)
	}
}

// TestGroupRequestLayout compares with the C declarations of Linux: the alignment
// of a pointer, then 128 bytes an address.
func TestGroupRequestLayout(t *testing.T) {
	ptr := int(unsafe.Sizeof(uintptr(0)))
	b := groupRequest(7, netip.MustParseAddr("239.1.2.3"), netip.Addr{})
	if len(b) != ptr+128 || b[0] != 7 && b[3] != 7 || !bytes.Equal(b[ptr+4:ptr+8], []byte{239, 1, 2, 3}) {
		t.Errorf("group_req % x", b)
	}
	b = groupRequest(7, netip.MustParseAddr("ff15::1"), netip.MustParseAddr("fd00::7"))
	if len(b) != ptr+256 || b[ptr+8] != 0xff || b[ptr+23] != 1 || b[ptr+128+8] != 0xfd || b[ptr+128+23] != 7 {
		t.Errorf("group_source_req % x", b)
	}
}

// FuzzControl feeds any bytes to the reader of ancillary data.
func FuzzControl(f *testing.F) {
	pktinfo := unix.PktInfo4(&unix.Inet4Pktinfo{Ifindex: 3, Addr: [4]byte{239, 1, 1, 1}})
	f.Add(pktinfo)
	f.Add(unix.PktInfo6(&unix.Inet6Pktinfo{Ifindex: 3, Addr: [16]byte{0xff, 0x15, 15: 1}}))
	f.Add(pktinfo[:len(pktinfo)-5])
	f.Add(append(unix.UnixRights(1, 2), pktinfo...))
	f.Add(make([]byte, controlSize))
	f.Fuzz(func(t *testing.T, b []byte) {
		var d Datagram
		d.setControl(b)
		if d.HasDst != d.Dst.IsValid() {
			t.Errorf("destination %v, told %v", d.Dst, d.HasDst)
		}
	})
}

func TestControlMessages(t *testing.T) {
	var d Datagram
	d.setControl(append(unix.UnixRights(1, 2, 3), unix.PktInfo4(&unix.Inet4Pktinfo{Ifindex: 3, Addr: [4]byte{239, 1, 1, 1}})...))
	if d.IfIndex != 3 || d.Dst != netip.MustParseAddr("239.1.1.1") || !d.HasDst {
		t.Errorf("read %+v", d)
	}
}

// BenchmarkReceive moves 7-packet datagrams from loopback into slots. The sender
// is not timed.
func BenchmarkReceive(b *testing.B) {
	const batch, size = 64, 1316
	u := open(b, UDPConfig{Addr: netip.MustParseAddrPort("127.0.0.1:0")})
	c := dial(b, SendConfig{Addr: u.Addr()})
	r := newBatch(b, batch)
	buf, payload := make([]byte, batch*size), make([]byte, size)
	b.SetBytes(size)
	b.ReportAllocs()
	for done := 0; done < b.N; {
		b.StopTimer()
		for range batch {
			c.Write(payload)
		}
		b.StartTimer()
		n, err := r.Receive(u.FD(), buf, size)
		if err != nil {
			b.Fatal(err)
		}
		for i := range n {
			if d := r.Datagram(i); d.Len != size {
				b.Fatal(d)
			}
		}
		done += n
	}
}

// BenchmarkReceiveOneByOne is the yardstick: package net, one call a datagram.
func BenchmarkReceiveOneByOne(b *testing.B) {
	const batch, size = 64, 1316
	u := listenUDP(b)
	c := dial(b, SendConfig{Addr: netip.MustParseAddrPort(u.LocalAddr().String())})
	buf, payload, oob := make([]byte, size), make([]byte, size), make([]byte, 96)
	b.SetBytes(size)
	b.ReportAllocs()
	for done := 0; done < b.N; done += batch {
		b.StopTimer()
		for range batch {
			c.Write(payload)
		}
		b.StartTimer()
		for range batch {
			if _, _, _, _, err := u.ReadMsgUDPAddrPort(buf, oob); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func listenUDP(b *testing.B) *net.UDPConn {
	u, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { u.Close() })
	if err := u.SetReadBuffer(DefaultReceiveBuffer); err != nil {
		b.Fatal(err)
	}
	return u
}
