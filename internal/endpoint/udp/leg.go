package udp

import (
	"net/netip"

	"sluice/internal/endpoint"
	"sluice/internal/media/rtp"
	"sluice/internal/media/ts"
	"sluice/internal/netx"
	"sluice/internal/report"
	"sluice/internal/uri"
)

// leg is one socket of a source.
type leg struct {
	index  int
	end    uri.End
	sock   *netx.UDP // nil while it cannot be opened
	late   bool      // opened by Rejoin: nobody waits for its descriptor
	failed error     // why there is no socket, or nothing comes from it
	stride int

	count  report.Leg
	kernel uint32 // the kernel's count of what it dropped, as of the last batch
	isRTP  bool
	plain  int // datagrams without RTP
	odd    int // of them those that do not begin with a transport packet
	likely int // datagrams that look like RTP, since the last odd one
}

// spoke says whether anything usable has come.
func (l *leg) spoke() bool { return l.isRTP || l.plain > 0 }

// speaksRTP says whether b, which begins with no transport packet, is to be taken as RTP. A
// leg that has brought RTP goes on with it: a header that lies does not make it plain. One
// of odd datagrams, cut without regard for packets or no transport stream at all, has to
// prove it: about one in a thousand of them looks like RTP by chance.
func (l *leg) speaksRTP(b []byte) bool {
	switch {
	case l.isRTP:
		return true
	case rtp.Detect(b):
		l.likely++
		return l.odd < surelyPlain || l.likely >= surelyPlain
	}
	l.odd++
	l.likely = 0
	return false
}

// note counts a batch of n datagrams and sets the stride for the next. whole says that
// each of them fits its slot. bytes is their length, where none counts for less than a
// packet: a flood of tiny ones takes its time as well.
func (l *leg) note(batch *netx.Batch, n int) (bytes int, whole bool) {
	longest, whole := 0, true
	for i := range n {
		d := batch.Datagram(i)
		longest = max(longest, d.Len)
		bytes += max(d.Len, ts.PacketSize)
		whole = whole && d.Overflow == nil
	}
	l.count.Datagrams += uint64(n)
	dropped := batch.Datagram(n - 1).Dropped // counts modulo 2³²
	l.count.KernelLost += uint64(dropped - l.kernel)
	l.kernel = dropped
	l.stride = min(max(longest, ts.PacketSize), endpoint.MaxDatagram)
	return bytes, whole
}

// wanted says whether a datagram is one that the end names, and whole; others are
// counted. The kernel has filtered already; this is what keeps two groups on one port
// apart should it not have.
func (l *leg) wanted(d *netx.Datagram) bool {
	if !l.named(d) {
		l.count.Foreign++
		return false
	}
	if d.Truncated {
		l.count.Truncated++
		return false
	}
	return true
}

func (l *leg) named(d *netx.Datagram) bool {
	if d.HasDst {
		if d.Dst != l.end.Addr.Addr() {
			return false
		}
		if want := l.sock.Interface(); want != 0 && d.IfIndex != want {
			return false
		}
	}
	return !l.end.Source.IsValid() || sameHost(d.Src.Addr(), l.end.Source)
}

func sameHost(a, b netip.Addr) bool { return a.Unmap().WithZone("") == b }
