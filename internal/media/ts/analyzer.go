package ts

import (
	"maps"
	"slices"
	"time"
)

// Analyzer judges a stream: what a Tracker knows, and its timing. The zero
// Analyzer is ready; it is one stream's and not safe for concurrent use. It is made
// for one stream under test, not for the hot path.
type Analyzer struct {
	framer  Framer
	tracker Tracker
	scratch []byte
	bytes   uint64 // given to Packets
	offset  int64  // of the next whole packet

	first, last time.Duration // arrival of the first and the latest chunk
	firstBytes  uint64        // length of the first chunk
	firstPacket time.Duration
	firstStart  time.Duration
	started     bool // firstStart is set

	clock     pcrMeter
	pids      map[uint16]*pidMeter
	scrambled uint64
	patGaps   gapMeter
	pmtGaps   map[uint16]*gapMeter
	keyFrames uint64
	keyGaps   gapMeter
}

type pidMeter struct {
	packets, continuity, scrambled uint64
}

// Packets takes the next bytes of the stream, which arrived at the given time
// since the start of the test. Any chunking will do: a Framer cuts it into packets.
func (a *Analyzer) Packets(b []byte, at time.Duration) {
	if len(b) == 0 {
		return
	}
	if a.bytes == 0 {
		a.first, a.firstBytes = at, uint64(len(b))
		a.tracker.CheckHealth = true
		a.pids, a.pmtGaps = map[uint16]*pidMeter{}, map[uint16]*gapMeter{}
	}
	a.last = at
	a.bytes += uint64(len(b))
	if !a.framer.Pass(b) {
		a.scratch = a.framer.Append(a.scratch[:0], b)
		b = a.scratch
	}
	if a.offset == 0 && len(b) > 0 {
		a.firstPacket = at
	}
	for ; len(b) >= PacketSize; b = b[PacketSize:] {
		a.packet(Packet(b[:PacketSize]), at)
	}
}

func (a *Analyzer) packet(p Packet, at time.Duration) {
	pid := p.PID()
	m := a.pids[pid]
	if m == nil {
		m = &pidMeter{}
		a.pids[pid] = m
	}
	m.packets++
	if p.Scrambled() && !p.TransportError() && pid != NullPID {
		m.scrambled++
		a.scrambled++
	}
	a.time(p, at)

	before := a.tracker.Stats().Continuity
	starts := a.tracker.Scan(p, a.offset)
	a.offset += PacketSize
	m.continuity += a.tracker.Stats().Continuity - before
	for _, s := range starts {
		a.start(s, at)
	}
}

// time reads the clock and what is measured by it.
func (a *Analyzer) time(p Packet, at time.Duration) {
	if p.TransportError() {
		return
	}
	pid := p.PID()
	if ticks, ok := p.PCR(); ok {
		if clockPID, known := a.tracker.ClockPID(); known && clockPID == pid {
			restart := p.Discontinuity() || pid != a.clock.pid
			a.clock.pid = pid
			a.clock.add(ticks, restart, at, a.offset)
		}
	}
	if !p.PayloadStart() || a.clock.count == 0 {
		return
	}
	if pid == a.tracker.pat.pid {
		a.patGaps.add(a.clock.elapsed)
	} else if a.tracker.CarriesTables(pid) {
		gaps := a.pmtGaps[pid]
		if gaps == nil {
			gaps = &gapMeter{}
			a.pmtGaps[pid] = gaps
		}
		gaps.add(a.clock.elapsed)
	}
}

func (a *Analyzer) start(s Start, at time.Duration) {
	if s.Kind == AnyPacket {
		return
	}
	if !a.started {
		a.firstStart, a.started = at, true
	}
	if s.Kind == KeyFrame {
		a.keyFrames++
		a.keyGaps.add(a.clock.elapsed)
	}
}

// gapMeter keeps the longest time between two events, in ticks of 27 MHz.
type gapMeter struct {
	seen    bool
	last    int64
	longest int64
}

func (g *gapMeter) add(ticks int64) {
	if g.seen {
		g.longest = max(g.longest, ticks-g.last)
	}
	g.seen, g.last = true, ticks
}

// maxClockStep is the longest step between two PCRs that is no discontinuity, in
// ticks of 27 MHz: one second, ten times what ISO/IEC 13818-1, 2.7.2 allows.
const maxClockStep = ClockRate

// pcrMeter follows the clock of one program.
type pcrMeter struct {
	pid             uint16
	count           uint64
	discontinuities uint64 // steps back, or forward by more than maxClockStep, not announced
	elapsed         int64  // sum of all other steps, in ticks
	steps           int64
	bytes           int64 // of the stream within these steps
	longest         int64 // step, in ticks
	jitter          time.Duration

	last   int64
	lastAt time.Duration
	lastIn int64 // offset in the stream
}

// add takes a PCR; restart says that it need not fit the one before.
func (m *pcrMeter) add(ticks int64, restart bool, at time.Duration, offset int64) {
	if m.count > 0 && !restart {
		step := mod(ticks-m.last, wrapPCR)
		if step > maxClockStep {
			m.discontinuities++
		} else {
			m.elapsed += step
			m.steps++
			m.bytes += offset - m.lastIn
			m.longest = max(m.longest, step)
			m.jitter = max(m.jitter, (at - m.lastAt - clockTime(step)).Abs())
		}
	}
	m.count++
	m.last, m.lastAt, m.lastIn = ticks, at, offset
}

// clockTime converts ticks of 27 MHz.
func clockTime(ticks int64) time.Duration {
	return time.Duration(ticks/ClockRate)*time.Second + time.Duration(ticks%ClockRate*1000/27)
}

// Report says what was found so far.
func (a *Analyzer) Report() Analysis {
	stats := a.tracker.Stats()
	r := Analysis{
		Packets:          stats.Packets,
		Bytes:            a.bytes,
		DurationMS:       milliseconds(a.last - a.first),
		BitRate:          rate(a.bytes-a.firstBytes, a.last-a.first),
		ClockBitRate:     rate(uint64(a.clock.bytes), clockTime(a.clock.elapsed)),
		ScrambledPackets: a.scrambled,
		Continuity:       stats.Continuity,
		TransportErrors:  stats.TransportErrors,
		BadTables:        stats.BadTables,
		SyncLosses:       a.framer.SyncLosses(),
		SkippedBytes:     a.framer.Skipped(),
		Health:           a.tracker.Health(),
		KeyFrames:        a.keyFrames,
		KeyFrameMaxMS:    a.keyGaps.milliseconds(),
		PATMaxMS:         a.patGaps.milliseconds(),
		PCR:              a.clock.report(),
		Programs:         a.programs(),
		PIDs:             a.allPIDs(),
	}
	r.PCR.PID, _ = a.tracker.ClockPID()
	if m := a.pids[NullPID]; m != nil {
		r.NullPackets = m.packets
	}
	for _, g := range a.pmtGaps {
		r.PMTMaxMS = max(r.PMTMaxMS, g.milliseconds())
	}
	if a.offset > 0 {
		r.FirstPacketMS = new(milliseconds(a.firstPacket))
	}
	if a.started {
		r.FirstStartMS = new(milliseconds(a.firstStart))
	}
	r.judge()
	return r
}

func (a *Analyzer) programs() []ProgramAnalysis {
	all := []ProgramAnalysis{}
	for _, p := range a.tracker.programs {
		r := ProgramAnalysis{Number: p.number, PMTPID: p.pmtPID, PMT: p.known, PCRPID: p.pcrPID, Streams: []StreamAnalysis{}}
		for _, e := range p.streams {
			r.Streams = append(r.Streams, StreamAnalysis{Type: e.streamType, Codec: e.codec, PIDAnalysis: a.pid(e.pid)})
		}
		all = append(all, r)
	}
	return all
}

func (a *Analyzer) allPIDs() []PIDAnalysis {
	all := []PIDAnalysis{}
	for _, pid := range slices.Sorted(maps.Keys(a.pids)) {
		all = append(all, a.pid(pid))
	}
	return all
}

func (a *Analyzer) pid(pid uint16) PIDAnalysis {
	r := PIDAnalysis{PID: pid}
	if m := a.pids[pid]; m != nil {
		r.Packets, r.Continuity, r.ScrambledPackets = m.packets, m.continuity, m.scrambled
	}
	return r
}

func (g *gapMeter) milliseconds() float64 { return milliseconds(clockTime(g.longest)) }

func (m *pcrMeter) report() PCRAnalysis {
	r := PCRAnalysis{
		Count:           m.count,
		Discontinuities: m.discontinuities,
		IntervalMaxMS:   milliseconds(clockTime(m.longest)),
		JitterMaxMS:     milliseconds(m.jitter),
	}
	if m.steps > 0 {
		r.IntervalAvgMS = milliseconds(clockTime(m.elapsed / m.steps))
	}
	return r
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// rate is in bits a second, 0 when no time has passed.
func rate(bytes uint64, d time.Duration) uint64 {
	if d <= 0 {
		return 0
	}
	return uint64(float64(bytes) * 8 / d.Seconds())
}
