package ts

import (
	"math/bits"
	"slices"
)

// Health counts the faults of one stream that ETSI TR 101 290, 5.2 names and that need
// no decoding; the numbers are those of its tables. Sync loss (1.1) is the Framer's.
//
// Time is the stream's own: the PCR of the first program, and before its PMT is known
// that of the first PID that has one; between two PCRs it goes on byte by byte
// (ISO/IEC 13818-1, 2.4.2.2). Arrival never matters, so the same bytes give the same
// counts. It stands still across a jump of the PCR, and without a PCR nothing is late.
type Health struct {
	// PAT (1.3a) counts every 0.5 s without the beginning of a section of the PAT:
	// an absence of 1.2 s counts twice, and one that does not end goes on counting.
	// And each packet of PID 0 that is scrambled, each section there of another table.
	PAT uint64 `json:"pat"`
	// Continuity (1.4) counts jumps of a continuity counter that were not announced.
	Continuity uint64 `json:"continuity"`
	// PMT (1.5a) counts every 0.5 s without the beginning of a section of a PMT, for
	// each PID that the PAT names, and each packet there that is scrambled.
	PMT uint64 `json:"pmt"`
	// Transport (2.1) counts packets with transport_error_indicator.
	Transport uint64 `json:"transport"`
	// CRC (2.2) counts sections of PAT and PMT with a wrong CRC or lengths that lie.
	CRC uint64 `json:"crc"`
	// PCRInterval (2.3a) counts PCRs more than 101 ms, and at most 1 s, after the one
	// before. ISO/IEC 13818-1, 2.7.2 allows 100 ms; common encoders send one with every
	// third picture of 30000/1001 a second, after 100.1. The 40 ms that DVB recommends
	// are kept by few, and more is no fault.
	PCRInterval uint64 `json:"pcr_interval"`
	// PCRJump (2.3b) counts PCRs that step back, or more than 1 s ahead, without
	// discontinuity_indicator. A smaller step ahead can not be told from PCRs that
	// are missing and is a PCRInterval. The wrap-around is no step.
	PCRJump uint64 `json:"pcr_jump"`
	// PCRJitter (2.4) counts PCRs that are off the line of a constant bit rate by more
	// than 1 µs: each may be off by 500 ns, so two of them by twice that. It needs a
	// constant rate: null packets, and most of 17 PCRs in a row on one line. In a
	// stream of variable rate the PCRs define the rate (2.4.2.2) and nothing counts. A
	// PCR counts once a later one is back on the line; 16 that are not are a new rate.
	PCRJitter uint64 `json:"pcr_jitter"`
	// PTS (2.5) counts every 0.7 s without a PTS, for each stream of video and audio
	// that had one. Where it is scrambled, the beginning of a PES packet will do.
	PTS uint64 `json:"pts"`
}

// Limits in ticks of 27 MHz.
const (
	maxTableGap = ClockRate / 2      // TR 101 290, 1.3a and 1.5a
	maxPTSGap   = ClockRate * 7 / 10 // TR 101 290, 2.5; ISO/IEC 13818-1, 2.7.4
	maxPCRGap   = ClockRate / 1000 * 101
)

// maxTimed bounds the streams whose PTS are watched.
const maxTimed = 32

// health is what a Tracker keeps beside its tables to count Health.
type health struct {
	count  Health
	clocks []clock // of all programs; the first tells the time
	now    int64   // at the latest PCR of the first, in ticks since its first
	timed  []recurrence
	nulls  uint64 // null packets
	breaks uint64 // packets that are missing or came twice: bytes before and after do not fit
}

// Health returns the faults so far, zero without CheckHealth.
func (t *Tracker) Health() Health {
	if !t.CheckHealth {
		return Health{}
	}
	h := t.health.count
	h.Continuity, h.Transport, h.CRC = t.stats.Continuity, t.stats.TransportErrors, t.stats.BadTables
	return h
}

// checkClock reads an adaptation field's clock.
func (t *Tracker) checkClock(pid uint16, p Packet, offset int64) {
	h := &t.health
	pcr, ok := p.PCR()
	if ok && len(h.clocks) == 0 {
		h.clocks = append(h.clocks, clock{pid: pid})
	}
	i := slices.IndexFunc(h.clocks, func(c clock) bool { return c.pid == pid })
	if i < 0 {
		return
	}
	c := &h.clocks[i]
	// The indicator may come before the first PCR of the new time base (2.4.3.5).
	c.announced = c.announced || p.Discontinuity()
	if !ok {
		return
	}
	s := segment{from: c.at, to: offset, begin: h.now}
	step := c.tick(pcr, offset, h)
	if i == 0 {
		h.now += step
		s.end = h.now
		t.pass(s)
	}
}

// pass lets the time of a segment pass.
func (t *Tracker) pass(s segment) {
	count := &t.health.count
	count.PAT += t.pat.due.pass(s)
	for _, pmt := range t.pmts {
		count.PMT += pmt.due.pass(s)
	}
	for i := range t.health.timed {
		count.PTS += t.health.timed[i].pass(s)
	}
}

// checkPES looks for a PTS in the packet with which a PES packet starts.
func (h *health) checkPES(pid uint16, p Packet, offset int64) {
	for i := range h.timed {
		if h.timed[i].pid != pid {
			continue
		}
		if pts, _ := p.pesFields(); pts != nil || p.Scrambled() {
			h.timed[i].see(offset)
		}
		return
	}
}

// tune takes the clocks and streams of new tables; what stays goes on.
func (t *Tracker) tune() {
	h := &t.health
	var clocks []clock
	var timed []recurrence
	for _, p := range t.programs {
		if p.known && p.pcrPID != NullPID && !slices.ContainsFunc(clocks, func(c clock) bool { return c.pid == p.pcrPID }) {
			clocks = append(clocks, keep(h.clocks, clock{pid: p.pcrPID}, func(c clock) bool { return c.pid == p.pcrPID }))
		}
		for _, e := range p.streams {
			same := func(r recurrence) bool { return r.pid == e.pid }
			if e.medium != data && e.pid != NullPID && !t.CarriesTables(e.pid) && len(timed) < maxTimed && !slices.ContainsFunc(timed, same) {
				timed = append(timed, keep(h.timed, recurrence{pid: e.pid, limit: maxPTSGap}, same))
			}
		}
	}
	if len(clocks) > 0 {
		h.clocks = clocks
	}
	h.timed = timed
}

// keep returns the one that is there already, or else fresh.
func keep[T any](all []T, fresh T, same func(T) bool) T {
	if i := slices.IndexFunc(all, same); i >= 0 {
		return all[i]
	}
	return fresh
}

// segment is the bytes between two PCRs and the time they take, in ticks.
type segment struct {
	from, to   int64 // offsets
	begin, end int64
}

// time is that of the byte at offset (13818-1, 2.4.2.2).
func (s segment) time(offset int64) int64 {
	at, all, step := offset-s.from, s.to-s.from, s.end-s.begin
	switch {
	case at <= 0:
		return s.begin
	case at >= all:
		return s.end
	}
	high, low := bits.Mul64(uint64(at), uint64(step))
	quotient, _ := bits.Div64(high, low, uint64(all)) // less than step
	return s.begin + int64(quotient)
}

// recurrence is something that must come again within a limit. Between two PCRs only
// the first and the last time count: PCRs so far apart are a fault of their own.
type recurrence struct {
	pid   uint16
	limit int64 // in ticks
	due   int64 // when it is late; 0 = it never came
	seen  bool  // since the latest PCR
	first int64 // offsets of the first and the last time
	last  int64
}

func (r *recurrence) see(offset int64) {
	if !r.seen {
		r.seen, r.first = true, offset
	}
	r.last = offset
}

// pass returns how often the limit passed in a segment.
func (r *recurrence) pass(s segment) (missed uint64) {
	if r.seen {
		missed = r.until(s.time(r.first))
		r.due, r.seen = s.time(r.last)+r.limit, false
	}
	return missed + r.until(s.end)
}

func (r *recurrence) until(now int64) (missed uint64) {
	if r.due == 0 || now <= r.due {
		return 0
	}
	n := (now - r.due + r.limit - 1) / r.limit
	r.due += n * r.limit
	return uint64(n)
}
