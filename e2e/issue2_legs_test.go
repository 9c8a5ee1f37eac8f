//go:build e2e

package e2e

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"sluice/internal/media/rtp"
	"sluice/internal/media/ts"
	"sluice/internal/report"
)

// fork sends every datagram that comes to it to two groups, as a sender of SMPTE ST
// 2022-7 does, over two ways that can be broken one by one.
type fork struct {
	addr string // where it listens
	legs [2]*forkLeg
}

type forkLeg struct {
	group string
	conn  *net.UDPConn

	off   atomic.Bool                  // nothing goes this way
	drop  atomic.Uint64                // every so many datagrams do not
	alter func(datagram []byte) []byte // what becomes of each on the last way; nil = nothing

	lost atomic.Uint64 // datagrams that did not go this way
}

func newFork(t *testing.T) *fork {
	t.Helper()
	in, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	roomy(t, in)
	f := &fork{addr: in.LocalAddr().String()}
	for i := range f.legs {
		group := newGroup()
		out, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(netip.MustParseAddrPort(group)))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { out.Close() })
		f.legs[i] = &forkLeg{group: group, conn: out}
	}
	var wg sync.WaitGroup
	wg.Go(func() { f.run(in) })
	t.Cleanup(func() { in.Close(); wg.Wait() })
	return f
}

// rcvbufForce is SO_RCVBUFFORCE of Linux (socket(7)), where these tests run.
const rcvbufForce = 33

// roomy gives a socket a receive buffer of some seconds: nothing is to be lost before the
// fork, however busy the machine is.
func roomy(t *testing.T, conn *net.UDPConn) {
	t.Helper()
	raw, err := conn.SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) {
			// Who may not have it (a namespace without root) has the usual one.
			_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, rcvbufForce, 8<<20)
		})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// run ends when in is closed.
func (f *fork) run(in *net.UDPConn) {
	b := make([]byte, 64<<10)
	for count := uint64(1); ; count++ {
		n, err := in.Read(b)
		if err != nil {
			return
		}
		for _, l := range f.legs {
			l.pass(b[:n], count)
		}
	}
}

func (l *forkLeg) pass(datagram []byte, count uint64) {
	if drop := l.drop.Load(); l.off.Load() || drop != 0 && count%drop == 0 {
		l.lost.Add(1)
		return
	}
	if l.alter != nil {
		datagram = l.alter(datagram)
	}
	_, _ = l.conn.Write(datagram) // nobody may listen
}

// path is that of the channel of both legs.
func (f *fork) path() string {
	return "/rtp/" + f.legs[0].group + "%7C" + f.legs[1].group
}

func (f *fork) source(p *product) report.Source {
	p.t.Helper()
	c, _, err := channel(p.status(), f.legs[1].group)
	if err != nil {
		p.t.Fatal(err)
	}
	return c.Sources[0]
}

// leg waits until the status tells of a leg what is wanted.
func (f *fork) leg(p *product, index int, want func(report.Leg) bool) {
	p.t.Helper()
	p.eventually(func(st report.Status) error {
		c, _, err := channel(st, f.legs[1].group)
		if err == nil && !want(c.Sources[0].Legs[index]) {
			err = fmt.Errorf("source %+v", c.Sources[0])
		}
		return err
	})
}

func testPlayersKeepPlayingThroughLossOfALeg(t *testing.T) {
	p := run(t, settings{})
	f := newFork(t)
	send(t, h264, "rtp", f.addr)
	v := watch(t, p.url(f.path()))
	v.untilStart()
	players := play(t, p.url(f.path()))
	for i, l := range f.legs {
		l.off.Store(true)
		moreFrames(50, players)
		l.off.Store(false)
		f.leg(p, i, func(r report.Leg) bool { return r.Lost == l.lost.Load() })
	}
	second := f.legs[1]
	second.drop.Store(5)
	moreFrames(50, players)
	second.drop.Store(0)
	f.leg(p, 1, func(r report.Leg) bool { return r.Lost == second.lost.Load() })
	moreFrames(25, players)

	stillPlay(players)
	v.unbroken()
	playedClean(players)
	s := f.source(p)
	if s.RTPLost != 0 || s.Late != 0 || s.Duplicates != 0 || s.Restarts != 0 || s.Continuity != 0 {
		t.Errorf("the loss of a leg is seen: %+v", s)
	}
	for i, l := range s.Legs {
		if l.Dropped != "" || f.legs[i].lost.Load() < 10 {
			t.Errorf("leg %d, of which %d datagrams were held back: %+v", i, f.legs[i].lost.Load(), l)
		}
	}
}

// testDifferentLegs joins what does not belong together. The second leg is dropped for a
// reason that is told, and nothing of it comes through. Both come by one fork, so that
// none of them is silent because the machine is busy.
func testDifferentLegs(t *testing.T) {
	p := run(t, settings{})
	for _, c := range []struct {
		name   string
		alter  func(datagram []byte) []byte
		reason string
	}{
		{"another stream", func(d []byte) []byte {
			d[2] ^= 0x80 // the RTP number
			d[11] ^= 1   // the SSRC
			return foreign(d)
		}, "numbers do not meet"},
		{"another stream without RTP", func(d []byte) []byte { return foreign(d)[rtp.HeaderSize:] }, "no RTP"},
		{"other content under the same numbers", foreign, "packets of one RTP number differ"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := newFork(t)
			f.legs[1].off.Store(true)
			f.legs[1].alter = c.alter
			send(t, h264, "rtp", f.addr)
			v := record(t, p.url(f.path()))
			v.untilStart()
			f.legs[1].off.Store(false)
			f.leg(p, 1, func(r report.Leg) bool { return strings.Contains(r.Dropped, c.reason) })
			v.more(50_000)
			v.unbroken()
			s := f.source(p)
			if s.Legs[0].Dropped != "" || s.RTPLost != 0 || s.Continuity != 0 {
				t.Errorf("the first leg suffers: %+v", s)
			}
			f.leg(p, 1, func(r report.Leg) bool { return r.Datagrams > s.Legs[1].Datagrams }) // counted still
			b := v.recorded()
			for at := 0; at < len(b); at += ts.PacketSize {
				if pid := ts.Packet(b[at : at+ts.PacketSize]).PID(); pid&foreignPID != 0 {
					t.Fatalf("a packet of the second leg came through, PID %d", pid)
				}
			}
		})
	}
}

const foreignPID = 0x0800 // of no clip

// foreign makes the packets in a datagram those of another stream.
func foreign(datagram []byte) []byte {
	for at := rtp.HeaderSize; at < len(datagram); at += ts.PacketSize {
		datagram[at+1] |= foreignPID >> 8
	}
	return datagram
}
