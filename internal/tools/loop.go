package tools

import "sluice/internal/media/ts"

// Wrap-around of the times in a stream (ISO/IEC 13818-1, 2.4.3.5 and 2.4.3.7).
const (
	wrapDTS = int64(1) << 33         // PTS and DTS, in ticks of 90 kHz
	wrapPCR = (int64(1) << 33) * 300 // PCR, in ticks of 27 MHz
)

// looper joins rounds of one file so that a receiver sees no seam: the times of a
// round go on where those of the round before ended, and so does the continuity counter
// of every PID. What is broken within the file stays broken.
//
// The period of a round is exact: last minus first DTS of the first video stream, and
// one frame interval (the shortest between two pictures). Without video it is the same
// of the first audio stream, without audio of the PCR. It is learned while the first
// round passes, so the file is read once a round and never ahead. The zero looper is
// ready.
type looper struct {
	round uint64
	shift int64 // of this round's times, in ticks of 27 MHz

	video, audio, clock timeline // of the first round
	counters            map[uint16]*counter
}

// counter is the continuity of one PID.
type counter struct {
	last  uint8  // as sent
	delta uint8  // from the file's counter to the sent one, in this round
	round uint64 // delta belongs to
}

// pass rewrites one packet of the present round.
func (l *looper) pass(p ts.Packet) {
	if p.PID() == ts.NullPID || p.TransportError() {
		return
	}
	if l.round == 0 {
		l.learn(p)
	}
	l.count(p)
	if l.shift != 0 {
		p.ShiftTimes(l.shift)
	}
}

// turn ends a round.
func (l *looper) turn() {
	l.round++
	l.shift = (l.shift + l.period()) % wrapPCR
}

// period is the length of the first round in ticks of 27 MHz, 0 when nothing in it
// tells a time.
func (l *looper) period() int64 {
	switch {
	case l.video.step > 0:
		return l.video.period(wrapDTS) * 300
	case l.audio.step > 0:
		return l.audio.period(wrapDTS) * 300
	case l.clock.step > 0:
		return l.clock.period(wrapPCR) / 300 * 300 // PTS and DTS must move as far as the PCR
	}
	return 0
}

func (l *looper) learn(p ts.Packet) {
	pid := p.PID()
	if pcr, ok := p.PCR(); ok {
		l.clock.add(pid, pcr, wrapPCR)
	}
	_, dts, ok := p.PESTimes()
	if !ok {
		return
	}
	switch id := p.Payload()[3]; { // stream_id, ISO/IEC 13818-1, table 2-22
	case id&0xF0 == 0xE0:
		l.video.add(pid, dts, wrapDTS)
	case id&0xE0 == 0xC0, id == 0xBD: // 0xBD: AC-3 and others
		l.audio.add(pid, dts, wrapDTS)
	}
}

func (l *looper) count(p ts.Packet) {
	pid, c := p.PID(), p.Continuity()
	if l.counters == nil {
		l.counters = map[uint16]*counter{}
	}
	k := l.counters[pid]
	if k == nil {
		l.counters[pid] = &counter{last: c, round: l.round}
		return
	}
	if k.round != l.round {
		next := k.last
		if p.HasPayload() {
			next++
		}
		k.round, k.delta = l.round, (next-c)&0x0F
	}
	k.last = (c + k.delta) & 0x0F
	p.SetContinuity(k.last)
}

// timeline is the times of the first PID that tells one.
type timeline struct {
	pid         uint16
	known       bool
	first, last int64
	step        int64 // shortest between two in a row, 0 = none yet
}

// add takes the next time of a PID, in ticks that wrap.
func (t *timeline) add(pid uint16, ticks, wrap int64) {
	if !t.known {
		t.pid, t.first, t.last, t.known = pid, ticks, ticks, true
		return
	}
	if pid != t.pid {
		return
	}
	if step := mod(ticks-t.last, wrap); step > 0 && step < wrap/2 && (t.step == 0 || step < t.step) {
		t.step = step
	}
	t.last = ticks
}

func (t *timeline) period(wrap int64) int64 { return mod(t.last-t.first+t.step, wrap) }

// mod is the remainder that is never negative.
func mod(a, wrap int64) int64 {
	if a %= wrap; a < 0 {
		a += wrap
	}
	return a
}
