package tools

import (
	"time"

	"sluice/internal/media/ts"
)

// timeJump is how far all times jump, in ticks of 27 MHz.
const timeJump = 10 * ts.ClockRate

// packetFaults is what the breaker remembers of packets.
type packetFaults struct {
	seen     uint64
	payloads uint64 // packets that Faults.Continuity counts
	sections uint64 // that Faults.BadCRC counts

	tables   ts.Tracker         // says where the PMTs are
	gaps     [gapKinds]omission // PAT, PMT, PCR, PTS
	blanking map[uint16]bool    // tables that are left out until they start again
	counters map[uint16]uint8   // added to the continuity counters of each PID that came

	odd   map[uint16]bool // PIDs whose next PCR is moved
	clock int             // PID of the clock + 1, 0 = none yet
	pcrs  uint64          // of the clock
	shift int64           // of all times, in ticks of 27 MHz
}

// packet breaks one packet, due so long after the first, in place.
func (b *breaker) packet(p ts.Packet, due time.Duration) {
	m := &b.packets
	if m.seen == 0 {
		m.blanking, m.counters, m.odd = map[uint16]bool{}, map[uint16]uint8{}, map[uint16]bool{}
	}
	m.seen++
	if p.PID() != ts.NullPID && !p.TransportError() {
		m.tables.Scan(p, int64(m.seen)*ts.PacketSize)
		if b.table(p, due) {
			b.times(p, due)
			b.count(p)
		}
	}
	if every(b.faults.TransportError, m.seen) {
		p[1] |= 0x80
		b.stats.TransportErrors++
	}
}

// Tables

// table breaks tables. It returns false when the packet has become a null packet.
func (b *breaker) table(p ts.Packet, due time.Duration) bool {
	m, pid := &b.packets, p.PID()
	if !m.tables.CarriesTables(pid) {
		return true
	}
	kind, length, never, packets, begun := pmtGap, b.faults.PMTGap, b.faults.NoPMT, &b.stats.NoPMT, &b.stats.PMTGaps
	if pid == 0 {
		kind, length, never, packets, begun = patGap, b.faults.PATGap, b.faults.NoPAT, &b.stats.NoPAT, &b.stats.PATGaps
	}
	if never {
		blank(p)
		*packets++
		return false
	}
	if p.PayloadStart() { // a section is left out as a whole
		m.blanking[pid] = m.gaps[kind].at(pid, length, due, begun)
	}
	if m.blanking[pid] {
		if _, came := m.counters[pid]; came && p.HasPayload() {
			m.counters[pid]--
		}
		blank(p)
		return false
	}
	b.damage(p)
	return true
}

// blank makes a null packet of p.
func blank(p ts.Packet) { p[1], p[2] = p[1]&0xE0|ts.NullPID>>8, ts.NullPID&0xFF }

// damage changes a bit of the section that starts in a packet of PAT or PMT, so that
// its CRC is wrong.
func (b *breaker) damage(p ts.Packet) {
	const (
		tablePAT, tablePMT = 0x00, 0x02
		idAt               = 4 // the second byte of transport_stream_id or program_number
	)
	s := p.Payload()
	if !p.PayloadStart() || p.Scrambled() || len(s) == 0 || len(s) <= 1+int(s[0])+idAt {
		return
	}
	s = s[1+int(s[0]):]
	if want := map[bool]byte{true: tablePAT, false: tablePMT}[p.PID() == 0]; s[0] != want {
		return
	}
	b.packets.sections++
	if every(b.faults.BadCRC, b.packets.sections) {
		s[idAt] ^= 1
		b.stats.BadCRCs++
	}
}

// Times

// times breaks PCR, PTS and DTS.
func (b *breaker) times(p ts.Packet, due time.Duration) {
	m, pid := &b.packets, p.PID()
	pcr, ok := p.PCR()
	if ok && m.gaps[pcrGap].at(pid, b.faults.PCRGap, due, &b.stats.PCRGaps) {
		p.RemovePCR()
		ok = false
	}
	if _, _, has := p.PESTimes(); has && m.gaps[ptsGap].at(pid, b.faults.PTSGap, due, &b.stats.PTSGaps) {
		p.RemovePESTimes()
	}
	if ok && (m.clock == 0 || m.clock == int(pid)+1) {
		m.clock = int(pid) + 1
		m.pcrs++
		b.jumps(p, pcr)
	}
	if m.shift != 0 {
		p.ShiftTimes(m.shift)
	}
	if ok && b.faults.PCRJitter > 0 {
		if m.odd[pid] {
			p.SetPCR(pcr + m.shift + int64(b.faults.PCRJitter)*27/1000)
			b.stats.MovedPCR++
		}
		m.odd[pid] = !m.odd[pid]
	}
}

// jumps decides on the shift of all times from a PCR of the clock on.
func (b *breaker) jumps(p ts.Packet, pcr int64) {
	m := &b.packets
	if b.faults.PCRWrap > 0 && m.pcrs == 1 {
		toWrap := wrapPCR - pcr - int64(b.faults.PCRWrap)*27/1000
		m.shift = toWrap / 300 * 300 // PTS and DTS must move as far
	}
	switch {
	case every(b.faults.PCRSplice, m.pcrs):
		p[5] |= 0x80 // discontinuity_indicator; a packet with a PCR has these flags
		b.stats.Splices++
	case every(b.faults.PCRJump, m.pcrs):
		b.stats.PCRJumps++
	default:
		return
	}
	m.shift = (m.shift + timeJump) % wrapPCR
}

// Counters

// count breaks the continuity counter.
func (b *breaker) count(p ts.Packet) {
	m, pid := &b.packets, p.PID()
	ahead, came := m.counters[pid]
	if came && p.HasPayload() && !p.Discontinuity() {
		m.payloads++
		if every(b.faults.Continuity, m.payloads) {
			ahead++
			b.stats.Continuity++
		}
	}
	m.counters[pid] = ahead
	p.SetContinuity(p.Continuity() + ahead)
}

// Gaps

// The kinds of gaps.
const (
	patGap = iota
	pmtGap
	pcrGap
	ptsGap
	gapKinds
)

// omission tells when something is left out: for a length of time, gapSpacing apart.
type omission struct {
	latest map[uint16]time.Duration // number of the latest gap of a PID, from 1
}

// at reports that due falls into a gap of a PID, and counts those that begin.
func (g *omission) at(pid uint16, length, due time.Duration, begun *uint64) bool {
	period := gapSpacing + length
	if length == 0 || due%period < gapSpacing {
		return false
	}
	if g.latest == nil {
		g.latest = map[uint16]time.Duration{}
	}
	if n := due/period + 1; n != g.latest[pid] {
		g.latest[pid] = n
		*begun++
	}
	return true
}
