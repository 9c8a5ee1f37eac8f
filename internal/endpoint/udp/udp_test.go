package udp_test

import (
	"bytes"
	"log/slog"
	"net"
	"testing"

	"sluice/internal/endpoint/endtest"
	"sluice/internal/endpoint/udp"
	"sluice/internal/media/rtp"
	"sluice/internal/netx"
	"sluice/internal/testkit"
	"sluice/internal/uri"
)

func TestMain(m *testing.M) { testkit.MainInNamespace(m) }

func end(t *testing.T, s string) uri.End {
	t.Helper()
	e, err := uri.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func sender(t *testing.T, to uri.End) *net.UDPConn {
	t.Helper()
	c, err := netx.DialUDP(netx.SendConfig{Addr: to.Addr, Interface: "lo"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func send(t *testing.T, c *net.UDPConn, b []byte) {
	t.Helper()
	if _, err := c.Write(b); err != nil {
		t.Fatal(err)
	}
}

func TestSuite(t *testing.T) {
	for name, where := range map[string]string{
		"multicast": "udp://239.5.0.1:5000",
		"unicast":   "udp://127.0.0.1:5001",
		"ipv6":      "udp://[::1]:5002",
	} {
		t.Run(name, func(t *testing.T) {
			e := end(t, where)
			c := sender(t, e)
			endtest.Run(t, endtest.End{
				Opener: &udp.Opener{Interface: "lo", Log: slog.New(slog.DiscardHandler)},
				End:    e,
				Send:   func(t *testing.T, b []byte) { send(t, c, b) },
				// Steady, shorter, longer than the datagram before, jumbo, the longest.
				Sizes: []int{1316, 1316, 188, 1472, 9000, 1316, 65507, 1, 1316},
			})
		})
	}
}

// TestRTP: whatever RTP wraps around the stream is taken off, on /udp/ as well; what
// lies about itself is dropped and counted; gaps in the numbers are counted.
func TestRTP(t *testing.T) {
	e := end(t, "udp://239.5.0.2:5000")
	src := endtest.Open(t, endtest.End{Opener: &udp.Opener{Interface: "lo"}, End: e})
	w := endtest.NewWindow(t)
	c := sender(t, e)
	ts := func(fill byte) []byte {
		b := bytes.Repeat([]byte{fill}, 7*188)
		for i := 0; i < len(b); i += 188 {
			b[i] = 0x47
		}
		return b
	}
	head := func(first byte, seq uint16) []byte {
		b := rtp.Header{PayloadType: 33, Sequence: seq, SSRC: 7}.Append(nil)
		b[0] = first
		return b
	}
	var want []byte
	for _, d := range []struct {
		datagram, inside []byte
	}{
		{append(head(0x80, 100), ts(1)...), ts(1)},
		{append(append(head(0x82, 101), make([]byte, 8)...), ts(2)...), ts(2)},           // 2 CSRCs
		{append(append(head(0x90, 102), 0xBE, 0xDE, 0, 1, 9, 9, 9, 9), ts(3)...), ts(3)}, // extension
		{append(append(head(0xA0, 103), ts(4)...), 0, 0, 0, 4), ts(4)},                   // padding
		{append(head(0x8F, 104), 1, 2, 3), nil},                                          // 15 CSRCs in 3 bytes
		{append(head(0x80, 108), ts(5)...), ts(5)},                                       // after a gap
	} {
		send(t, c, d.datagram)
		want = append(want, d.inside...)
		endtest.Collect(t, src, w, len(want))
	}
	if !bytes.Equal(w.All(), want) {
		t.Errorf("%d bytes came, want the %d of the packets inside", w.Head(), len(want))
	}
	got := src.Counters()
	if !got.RTP || got.Malformed != 1 || got.RTPLost != 4 || got.Datagrams != 6 {
		t.Errorf("counters %+v: want RTP, 1 malformed, 4 lost, 6 datagrams", got)
	}
}

// TestOneSender: with a source address (SSM) another sender of the group is not heard.
func TestOneSender(t *testing.T) {
	e := end(t, "udp://127.0.0.1@232.5.0.3:5000")
	src := endtest.Open(t, endtest.End{Opener: &udp.Opener{Interface: "lo"}, End: e})
	w := endtest.NewWindow(t)
	stranger, err := net.DialUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 2)}, net.UDPAddrFromAddrPort(e.Addr))
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	friend, err := net.DialUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}, net.UDPAddrFromAddrPort(e.Addr))
	if err != nil {
		t.Fatal(err)
	}
	defer friend.Close()
	send(t, stranger, []byte("Gstranger"))
	send(t, friend, []byte("Gfriend"))
	endtest.Collect(t, src, w, len("Gfriend"))
	if got := string(w.All()); got != "Gfriend" {
		t.Errorf("received %q", got)
	}
}

// TestErrors: what cannot be opened says what and why.
func TestErrors(t *testing.T) {
	for name, open := range map[string]*udp.Opener{
		"interface that does not exist": {Interface: "nosuch0"},
	} {
		t.Run(name, func(t *testing.T) {
			src, err := open.Open(end(t, "udp://239.5.0.4:5000"))
			if err == nil {
				src.Close()
				t.Fatal("opened")
			}
			if msg := err.Error(); !bytes.Contains([]byte(msg), []byte("UDP://239.5.0.4:5000")) || !bytes.Contains([]byte(msg), []byte("nosuch0")) {
				t.Errorf("error %q names neither channel nor interface", msg)
			}
		})
	}
	if src, err := (&udp.Opener{}).Open(end(t, "udp://192.0.2.1:5000")); err == nil {
		src.Close()
		t.Error("opened an address that is not this machine's")
	}
}

func BenchmarkDrain(b *testing.B) {
	e, err := uri.Parse("udp://127.0.0.1:5010")
	if err != nil {
		b.Fatal(err)
	}
	src, err := (&udp.Opener{}).Open(e)
	if err != nil {
		b.Fatal(err)
	}
	defer src.Close()
	c, err := netx.DialUDP(netx.SendConfig{Addr: e.Addr})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	w := endtest.NewWindow(b)
	datagram := bytes.Repeat([]byte{0x47}, 1316)
	b.SetBytes(64 * 1316)
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		for range 64 {
			if _, err := c.Write(datagram); err != nil {
				b.Fatal(err)
			}
		}
		b.StartTimer()
		if err := src.Drain(w); err != nil {
			b.Fatal(err)
		}
		for w.Held() > 1<<20 {
			w.Retire()
		}
	}
}
