package udp_test

import (
	"bytes"
	"log/slog"
	"net"
	"strings"
	"testing"

	"sluice/internal/endpoint"
	"sluice/internal/endpoint/endtest"
	"sluice/internal/endpoint/udp"
	"sluice/internal/media/rtp"
	"sluice/internal/netx"
	"sluice/internal/testkit"
	"sluice/internal/uri"
)

func TestMain(m *testing.M) { testkit.MainInNamespace(m) }

func source(t testing.TB, s string) uri.Source {
	t.Helper()
	from, err := uri.ParseSource(s)
	if err != nil {
		t.Fatal(err)
	}
	return from
}

// open opens a source on lo.
func open(t *testing.T, from uri.Source) endpoint.Source {
	t.Helper()
	return endtest.Open(t, endtest.End{Opener: &udp.Opener{Interface: "lo"}, Source: from})
}

func sender(t testing.TB, to uri.End) *net.UDPConn {
	t.Helper()
	c, err := netx.DialUDP(netx.SendConfig{Addr: to.Addr, Interface: "lo"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func send(t testing.TB, c *net.UDPConn, b []byte) {
	t.Helper()
	if _, err := c.Write(b); err != nil {
		t.Fatal(err)
	}
}

func TestSuite(t *testing.T) {
	for name, where := range map[string]string{
		"multicast":            "udp://239.5.0.1:5000",
		"unicast":              "udp://127.0.0.1:5001",
		"ipv6":                 "udp://[::1]:5002",
		"two legs, one speaks": "udp://239.5.0.1:5003|udp://127.0.0.1:5003",
	} {
		t.Run(name, func(t *testing.T) {
			from := source(t, where)
			c := sender(t, from[0])
			endtest.Run(t, endtest.End{
				Opener: &udp.Opener{Interface: "lo", Log: slog.New(slog.DiscardHandler)},
				Source: from,
				Send:   func(t *testing.T, b []byte) { send(t, c, b) },
				// Steady, shorter, longer than the datagram before, jumbo, the longest.
				Sizes: []int{1316, 1316, 188, 1472, 9000, 1316, 65507, 1, 1316},
			})
		})
	}
}

// TestRTP: whatever RTP wraps around the stream is taken off, on /udp/ as well, whatever
// the sizes; what lies about itself is dropped and counted.
func TestRTP(t *testing.T) {
	from := source(t, "udp://239.5.0.2:5000")
	src, w, c := open(t, from), endtest.NewWindow(t), sender(t, from[0])
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
		{nil, nil},                                                                       // not even a header
		{append(head(0x80, 104), ts(5)...), ts(5)},
		{head(0x80, 105), nil},                                                       // nothing inside
		{append(head(0x80, 106), bytes.Repeat(ts(6), 6)...), bytes.Repeat(ts(6), 6)}, // 7908 bytes
		{append(head(0x80, 107), ts(7)...), ts(7)},
	} {
		send(t, c, d.datagram)
		want = append(want, d.inside...)
	}
	endtest.CollectUnits(t, src, w, 10, 0)
	if !bytes.Equal(w.All(), want) {
		t.Errorf("%d bytes came, want the %d of the packets inside", w.Head(), len(want))
	}
	got := src.Counters()
	if !got.RTP || got.RTPLost != 0 || got.Legs[0].Malformed != 1 || src.Holding() {
		t.Errorf("counters %+v: want RTP, none lost, 1 malformed", got)
	}
}

// TestLooksLikeRTP: datagrams that are cut without regard for packets are passed on as they
// are, those that look like RTP by chance as well. A sender that changes to RTP is believed.
func TestLooksLikeRTP(t *testing.T) {
	from := source(t, "udp://239.5.0.4:5000")
	src, w, c := open(t, from), endtest.NewWindow(t), sender(t, from[0])
	odd := bytes.Repeat([]byte{0x11}, 1472)
	packet := append([]byte{0x47}, make([]byte, 187)...)
	like := func(seq uint16) []byte {
		return append(rtp.Header{PayloadType: 33, Sequence: seq, SSRC: uint32(seq)}.Append(nil), packet...)
	}
	var want []byte
	for _, d := range [][]byte{odd, odd, odd, odd, like(7), odd, like(9000), packet, odd, like(3), like(400), like(5), odd} {
		send(t, c, d)
		want = append(want, d...)
	}
	endtest.Collect(t, src, w, len(want))
	if got := src.Counters(); !bytes.Equal(w.All(), want) || got.RTP || got.Legs[0].Malformed != 0 {
		t.Errorf("%d bytes came of %d, counters %+v", w.Head(), len(want), got)
	}
	for seq := range uint16(10) {
		d := rtp.Header{PayloadType: 33, Sequence: seq, SSRC: 1}.Append(nil)
		send(t, c, append(d, packet...))
		if seq < 3 {
			want = append(want, d...)
		}
		want = append(want, packet...)
	}
	endtest.Collect(t, src, w, len(want))
	if got := src.Counters(); !bytes.Equal(w.All(), want) || !got.RTP {
		t.Errorf("%d bytes came of %d, counters %+v", w.Head(), len(want), got)
	}
}

// TestFlood: a Drain ends also when what comes is many datagrams and few bytes.
func TestFlood(t *testing.T) {
	from := source(t, "udp://239.5.0.5:5000")
	src, w, c := open(t, from), endtest.NewWindow(t), sender(t, from[0])
	const sent = 8000
	for range sent {
		send(t, c, nil)
	}
	endtest.Await(t, src)
	if err := src.Drain(0, w); err != nil {
		t.Fatal(err)
	}
	if n := endtest.Units(src); n >= sent {
		t.Errorf("one Drain took all %d datagrams", n)
	}
	endtest.CollectUnits(t, src, w, sent, 0)
}

// TestOneSender: with a source address (SSM) another sender of the group is not heard.
func TestOneSender(t *testing.T) {
	from := source(t, "udp://127.0.0.1@232.5.0.3:5000")
	src, w, e := open(t, from), endtest.NewWindow(t), from[0]
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
	for name, c := range map[string]struct {
		opener *udp.Opener
		from   string
		want   []string
	}{
		"interface that does not exist": {
			&udp.Opener{Interface: "nosuch0"}, "udp://239.5.0.4:5000", []string{"UDP://239.5.0.4:5000", "nosuch0"},
		},
		"address of another machine": {&udp.Opener{}, "udp://192.0.2.1:5000", []string{"UDP://192.0.2.1:5000"}},
		"two legs, none to be had": {
			&udp.Opener{}, "udp://192.0.2.1:5000|udp://192.0.2.2:5000",
			[]string{"UDP://192.0.2.1:5000", "UDP://192.0.2.2:5000"},
		},
	} {
		src, err := c.opener.Open(t.Context(), endpoint.Want{Source: source(t, c.from)})
		if err == nil {
			src.Close()
			t.Errorf("%s: opened", name)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q does not name %s", name, err, want)
			}
		}
	}
}

func BenchmarkDrain(b *testing.B) {
	from := source(b, "udp://127.0.0.1:5010")
	src, err := (&udp.Opener{}).Open(b.Context(), endpoint.Want{Source: from})
	if err != nil {
		b.Fatal(err)
	}
	defer src.Close()
	c := sender(b, from[0])
	w := endtest.NewWindow(b)
	for name, size := range map[string]int{"plain": 0, "RTP": rtp.HeaderSize} {
		b.Run(name, func(b *testing.B) { drain(b, src, w, c, size) })
	}
}

// drain times the draining of 64 datagrams.
func drain(b *testing.B, src endpoint.Source, w endtest.Window, c *net.UDPConn, header int) {
	seq := uint16(0)
	b.SetBytes(64 * 1316)
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		for range 64 {
			head := rtp.Header{PayloadType: rtp.PayloadTypeMP2T, Sequence: seq}.Append(nil)[:header]
			send(b, c, append(head, bytes.Repeat([]byte{0x47}, 1316)...))
			seq++
		}
		b.StartTimer()
		if err := src.Drain(0, w); err != nil {
			b.Fatal(err)
		}
		for w.Held() > 1<<20 {
			w.Retire()
		}
	}
}
