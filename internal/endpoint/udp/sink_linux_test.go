package udp_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sluice/internal/endpoint"
	"sluice/internal/endpoint/endtest"
	"sluice/internal/endpoint/udp"
	"sluice/internal/media/rtp"
	"sluice/internal/media/ts"
	"sluice/internal/testkit"
	"sluice/internal/uri"
)

// everywhere permits all addresses of IPv4 and IPv6.
var everywhere = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0"), netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// heard is a far side that our own source of datagrams receives.
func heard(t *testing.T, where string) endtest.Far {
	src, w := open(t, source(t, where)), endtest.NewWindow(t)
	return endtest.Far{
		Target: endpoint.Target{End: source(t, where)[0]},
		All: func(t *testing.T, n int) []byte {
			endtest.Collect(t, src, w, n)
			return w.All()
		},
	}
}

func TestSinkSuite(t *testing.T) {
	port := 5100 // each target has one of its own
	for name, where := range map[string]string{
		"multicast": "udp://239.5.1.1",
		"unicast":   "udp://127.0.0.1",
		"ipv6":      "udp://[::1]",
		"rtp":       "rtp://239.5.1.1",
	} {
		t.Run(name, func(t *testing.T) {
			endtest.RunSink(t, endtest.Sinks{
				Opener: &udp.SinkOpener{Interface: "lo", Allow: everywhere},
				Size:   64*7*ts.PacketSize + 500, // the last one is not full
				Make: func(t *testing.T) endtest.Far {
					port++
					return heard(t, fmt.Sprintf("%s:%d", where, port))
				},
			})
		})
	}
}

// TestSinkOfNobody: that nobody listens at an address, and its host says so, ends nothing.
func TestSinkOfNobody(t *testing.T) {
	s := endtest.Sinks{Opener: &udp.SinkOpener{Allow: everywhere}}
	sink, socket := s.OpenSink(t, endpoint.Target{End: source(t, "udp://127.0.0.1:5099")[0]})
	b := make([]byte, 100*7*ts.PacketSize)
	if err := errors.Join(endtest.Feed(socket, b), unix.Shutdown(socket, unix.SHUT_WR), sink.Wait()); err != nil {
		t.Error(err)
	}
}

// TestSinkPaced: a stream with a clock, and one with a bit rate, come whole, through a socket
// that is much smaller than they are.
func TestSinkPaced(t *testing.T) {
	var stream []byte
	for i := range int64(3000) {
		p := make(ts.Packet, ts.PacketSize)
		copy(p, []byte{ts.SyncByte, 1, 0, 0x30, 7, 0x10, 0, 0, 0, 0, 0, 0, byte(i), byte(i >> 8)})
		p.SetPCR(i * ts.ClockRate / 10_000) // 15 Mbit/s
		stream = append(stream, p...)
	}
	s := endtest.Sinks{Opener: &udp.SinkOpener{Interface: "lo", Allow: everywhere}}
	for name, bitrate := range map[string]int64{"clock": 0, "bit rate": 20_000_000} {
		t.Run(name, func(t *testing.T) {
			far := heard(t, "udp://239.5.1.2:5000")
			far.Target.Bitrate = bitrate
			sink, socket := s.OpenSink(t, far.Target)
			fed := make(chan error, 1)
			go func() {
				fed <- errors.Join(endtest.Feed(socket, stream), unix.Shutdown(socket, unix.SHUT_WR), sink.Wait())
			}()
			if got := far.All(t, len(stream)); !bytes.Equal(got, stream) {
				t.Errorf("%d bytes came, or others; want %d", len(got), len(stream))
			}
			if err := <-fed; err != nil {
				t.Error(err)
			}
		})
	}
}

// TestSinkOnTheWire: seven packets a datagram, sixteen hops; RTP with one number after the
// other; and the source that a target names is the address that is sent from.
func TestSinkOnTheWire(t *testing.T) {
	const group = "239.5.1.3"
	for scheme, header := range map[string]int{"udp": 0, "rtp": rtp.HeaderSize} {
		t.Run(scheme, func(t *testing.T) {
			c, err := net.ListenMulticastUDP("udp4", &net.Interface{Index: 1}, &net.UDPAddr{IP: net.ParseIP(group), Port: 5200})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			raw, err := c.SyscallConn()
			if err != nil {
				t.Fatal(err)
			}
			if err := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_RECVTTL, 1) }); err != nil {
				t.Fatal(err)
			}
			to, err := uri.Parse(scheme + "://127.0.0.9@" + group + ":5200")
			if err != nil {
				t.Fatal(err)
			}
			s := endtest.Sinks{Opener: &udp.SinkOpener{Interface: "lo", Allow: everywhere}}
			sink, socket := s.OpenSink(t, endpoint.Target{End: to})
			b := bytes.Repeat([]byte{ts.SyncByte, 1, 2, 3}, 20*ts.PacketSize/4)
			if err := errors.Join(endtest.Feed(socket, b), unix.Shutdown(socket, unix.SHUT_WR), sink.Wait()); err != nil {
				t.Fatal(err)
			}
			var sizes []int
			var last rtp.Header
			for range 3 {
				buf, oob := make([]byte, 2000), make([]byte, 100)
				n, oobn, _, from, err := c.ReadMsgUDP(buf, oob)
				if err != nil {
					t.Fatal(err)
				}
				sizes = append(sizes, n-header)
				msgs, err := unix.ParseSocketControlMessage(oob[:oobn])
				if err != nil || len(msgs) != 1 || msgs[0].Data[0] != 16 || !from.IP.Equal(net.ParseIP("127.0.0.9")) {
					t.Errorf("from %v, %v (%v), want 16 hops from 127.0.0.9", from, msgs, err)
				}
				if header > 0 {
					h, payload, err := rtp.Parse(buf[:n])
					if err != nil || h.PayloadType != rtp.PayloadTypeMP2T || last.SSRC != 0 && (h.SSRC != last.SSRC || h.Sequence != last.Sequence+1) || len(payload) != n-header {
						t.Errorf("header %+v behind %+v: %v", h, last, err)
					}
					last = h
				}
			}
			if want := []int{1316, 1316, 6 * ts.PacketSize}; sizes[0] != want[0] || sizes[1] != want[1] || sizes[2] != want[2] {
				t.Errorf("datagrams of %v, want %v", sizes, want)
			}
		})
	}
}

// TestSinkInterfaceGone: a network that is gone ends the session.
func TestSinkInterfaceGone(t *testing.T) {
	h := testkit.TwoHosts(t)
	s := endtest.Sinks{Opener: &udp.SinkOpener{Interface: h.Here.Interface, Allow: everywhere}}
	to, err := uri.Parse("udp://239.5.1.4:5000")
	if err != nil {
		t.Fatal(err)
	}
	sink, socket := s.OpenSink(t, endpoint.Target{End: to})
	ip(t, "link", "set", h.Here.Interface, "down")
	if err := endtest.Feed(socket, bytes.Repeat([]byte("no clock"), 1000)); err != nil {
		t.Fatal(err)
	}
	if err := sink.Wait(); err == nil || !strings.HasPrefix(err.Error(), "UDP://239.5.1.4:5000: send: network is") {
		t.Errorf("ended with %v", err)
	}
}

// TestSinkClosedWhilePaced: what is left of a slow stream is given up.
func TestSinkClosedWhilePaced(t *testing.T) {
	s := endtest.Sinks{Opener: &udp.SinkOpener{Interface: "lo", Allow: everywhere}}
	to := endpoint.Target{End: source(t, "udp://239.5.1.5:5000")[0], Bitrate: 1}
	for _, end := range []bool{false, true} {
		sink, socket := s.OpenSink(t, to)
		if err := endtest.Feed(socket, make([]byte, 100*ts.PacketSize)); err != nil {
			t.Fatal(err)
		}
		if end {
			if err := unix.Shutdown(socket, unix.SHUT_WR); err != nil {
				t.Fatal(err)
			}
		}
		if err := sink.Close(); err != nil {
			t.Error(err)
		}
		if err := sink.Wait(); err == nil {
			t.Error("all was delivered, at a bit a second")
		}
	}
}

func TestSinkRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		allow  []netip.Prefix
		where  string
		status int
	}{
		"not permitted":         {[]netip.Prefix{netip.MustParsePrefix("239.0.0.0/8")}, "udp://224.0.0.1:5000", http.StatusForbidden},
		"no such sender's here": {everywhere, "udp://192.0.2.1@239.5.1.6:5000", http.StatusServiceUnavailable},
	} {
		_, err := (&udp.SinkOpener{Interface: "lo", Allow: c.allow}).OpenSink(t.Context(), endpoint.Target{End: source(t, c.where)[0]})
		var refusal *endpoint.Refusal
		if !errors.As(err, &refusal) || refusal.Status != c.status {
			t.Errorf("%s: %v, want a refusal with %d", name, err, c.status)
		}
	}
}
