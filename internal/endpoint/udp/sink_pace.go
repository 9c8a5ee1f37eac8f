package udp

import (
	"errors"
	"math"
	"time"

	"sluice/internal/media/ts"
)

const (
	// sinkPayload is what a full datagram holds: it fits into an Ethernet frame.
	sinkPayload = 7 * ts.PacketSize
	// forEver is the wait for something that only more bytes can bring.
	forEver = time.Duration(math.MaxInt64)
	// clockPatience is how long the beginning of a stream is held while it may still show a
	// clock (PCR): they are 100 ms apart at most (ISO/IEC 13818-1, 2.7.2).
	clockPatience = 100 * time.Millisecond
	// filePace is how much, in bytes, comes within clockPatience of a stream that is not sent
	// by anybody's clock, but as fast as it is taken: it needs one of its own.
	filePace = 1 << 20
	// fillPatience is how long a datagram waits to be filled.
	fillPatience = 40 * time.Millisecond
	// maxAhead is how much of the stream waits here, as its clock says: more stays with the
	// loop. maxQueue bounds it in bytes.
	maxAhead = time.Second
	maxQueue = 4 << 20
	// maxLate is how late is made good; beyond that the stream goes on as if in time.
	maxLate = time.Second
	// delayWindow is how often the delay of a live stream is looked at. Of what stood in the
	// way of nothing during a window, beyond delayKept, at most delayStep is given up.
	delayWindow = time.Second
	delayKept   = 10 * time.Millisecond
	delayStep   = 25 * time.Millisecond
)

// errNoClock says that a stream cannot be sent at its own pace.
var errNoClock = errors.New("no clock (PCR) in the stream, which comes as fast as it is taken: give its bit rate, as in bitrate=8M")

// pacer says when the bytes of a stream are to be sent: at the times of its clock, spread
// evenly between two of them; or at a bit rate; or, when there is neither, as they come. It
// does nothing itself and knows no time but what it is told, since any moment.
//
// The clock that a sender ticks by is never quite ours. Of a stream that is live, bytes that
// come after their time shift it: then they are in time. While all come long before their
// time it is shifted back, little by little; so the delay stays as small as the jitter of
// what comes permits. A stream that comes as fast as it is taken always waits here, and
// keeps its time.
//
// The zero pacer, or one with a bitrate, is ready.
type pacer struct {
	bitrate int64 // bits a second; 0 = what the clock says

	queue []byte // what was not sent yet
	at    int64  // its offset in the stream
	ended bool   // nothing comes behind it

	clock ts.Pace
	seen  int64  // offset up to which packets were looked at
	ticks []tick // the last three that are behind, and those of the queue

	state state
	began time.Duration // when the first byte came
	fresh time.Duration // when the newest did
	zero  time.Duration // when the time of the stream was 0

	window time.Duration // its end
	least  time.Duration // how long before its time anything came in it; forEver = nothing came
	full   bool          // bytes were left with the loop in it
}

// tick is a place where the stream tells the time.
type tick struct {
	at  int64
	due time.Duration
}

// perByte is the time of a byte between t and next, in nanoseconds.
func (t tick) perByte(next tick) float64 {
	return float64(next.due-t.due) / float64(next.at-t.at)
}

type state uint8

const (
	holding state = iota // whether there is a clock is still to be seen
	paced
	loose // as it comes
)

// add takes what came at now.
func (p *pacer) add(b []byte, now time.Duration) {
	if len(b) == 0 {
		return
	}
	if p.at == 0 && len(p.queue) == 0 {
		p.began = now
	}
	first, starved := p.at+int64(len(p.queue)), len(p.queue) < sinkPayload
	if starved {
		p.goOn(first, now)
	}
	p.queue = append(p.queue, b...)
	p.fresh = now
	p.scan()
	if p.state != paced {
		return
	}
	early := p.zero + p.due(first) - now
	if early < 0 && starved {
		p.zero -= early
		early = 0
	}
	p.least = min(p.least, max(early, 0))
}

// goOn takes note of a pause in what came before first. That is made up for here: the clock,
// which may have gone on meanwhile, is not to tell of it once more.
func (p *pacer) goOn(first int64, now time.Duration) {
	if p.state != paced {
		return
	}
	if late := now - p.zero - p.due(first); late > clockPatience {
		p.zero += late
		p.clock.Gap()
	}
}

// end says that nothing comes any more.
func (p *pacer) end() { p.ended = true }

// done says that everything was sent.
func (p *pacer) done() bool { return p.ended && len(p.queue) == 0 }

// takes says whether there is room for more.
func (p *pacer) takes() bool {
	if p.ended {
		return false
	}
	if last := p.at + int64(len(p.queue)); len(p.queue) >= maxQueue || p.state == paced && p.due(last)-p.due(p.at) >= maxAhead {
		p.full = true
		return false
	}
	return true
}

// next returns the datagram that is due at now, which belongs to the caller until the next
// add; or nil, and how long it is until there may be one.
func (p *pacer) next(now time.Duration) (b []byte, wait time.Duration, err error) {
	if len(p.queue) == 0 {
		return nil, forEver, nil
	}
	if p.state != paced {
		if wait, err = p.decide(now); err != nil || wait > 0 {
			return nil, wait, err
		}
	}
	p.lookBack(now)
	n := min(len(p.queue), sinkPayload)
	when := p.when(now)
	if n < sinkPayload && !p.ended {
		if p.state == paced {
			n -= n % ts.PacketSize
		}
		when = max(when, p.fresh+fillPatience)
	}
	switch {
	case n == 0:
		return nil, forEver, nil
	case when > now:
		return nil, when - now, nil
	}
	b, p.queue = p.queue[:n], p.queue[n:]
	p.at += int64(n)
	p.forget()
	return b, 0, nil
}

// decide looks for the pace of a stream that has none yet, and says how long to wait for it.
func (p *pacer) decide(now time.Duration) (wait time.Duration, err error) {
	held := now - p.began
	switch {
	case p.bitrate > 0 || len(p.ticks) >= 2:
		p.state, p.zero = paced, now-p.due(p.at)
		p.window, p.least, p.full = now+delayWindow, forEver, false
	case p.state == loose:
	case len(p.queue) >= maxQueue, len(p.queue) >= filePace && held >= clockPatience:
		return 0, errNoClock
	case p.ended || held >= clockPatience:
		p.state = loose
	default:
		return clockPatience - held, nil
	}
	return 0, nil
}

// when is the time at which the first byte of the queue is to be sent.
func (p *pacer) when(now time.Duration) time.Duration {
	if p.state == loose {
		return now
	}
	when := p.zero + p.due(p.at)
	if late := now - when; late > maxLate {
		p.zero += late
		when = now
	}
	return when
}

// lookBack shifts the time of a live stream back that waits longer than it has to.
func (p *pacer) lookBack(now time.Duration) {
	if p.state != paced || now < p.window {
		return
	}
	if p.bitrate == 0 && !p.full && p.least < forEver && p.least > delayKept {
		p.zero -= min(p.least-delayKept, delayStep)
	}
	p.window, p.least, p.full = now+delayWindow, forEver, false
}

// due is the time of the byte at offset at, as the stream counts it.
func (p *pacer) due(at int64) time.Duration {
	if p.bitrate > 0 {
		return time.Duration(float64(at) * 8 / float64(p.bitrate) * float64(time.Second))
	}
	i := 1
	for i < len(p.ticks)-1 && p.ticks[i].at <= at {
		i++
	}
	a, b := p.ticks[i-1], p.ticks[i]
	if at > b.at {
		return b.due + time.Duration(p.perByte()*float64(at-b.at))
	}
	return a.due + time.Duration(a.perByte(b)*float64(at-a.at))
}

// perByte is the time of a byte behind the last tick, in nanoseconds: that of the faster of
// the two spans before it. A span over a splice may have hardly any bytes.
func (p *pacer) perByte() float64 {
	last := p.ticks[max(0, len(p.ticks)-3):]
	least := last[0].perByte(last[1])
	if len(last) > 2 {
		least = min(least, last[1].perByte(last[2]))
	}
	return least
}

// scan looks for ticks in what was added. What the loop sends of a transport stream begins
// with a packet and has only whole ones.
func (p *pacer) scan() {
	for p.seen < p.at { // what has no clock is sent in parts of packets, too
		p.seen += ts.PacketSize
	}
	if p.seen < p.at { // a part of a packet was sent as it came: the rest is not one
		p.seen = (p.at + ts.PacketSize - 1) / ts.PacketSize * ts.PacketSize
	}
	for end := p.at + int64(len(p.queue)); p.seen+ts.PacketSize <= end; p.seen += ts.PacketSize {
		packet := ts.Packet(p.queue[p.seen-p.at:][:ts.PacketSize])
		if packet[0] != ts.SyncByte {
			continue
		}
		due, ok := p.clock.Tick(packet)
		if n := len(p.ticks); ok && (n == 0 || due > p.ticks[n-1].due) {
			p.ticks = append(p.ticks, tick{p.seen, due})
		}
	}
}

// forget drops the ticks that are no longer needed.
func (p *pacer) forget() {
	for len(p.ticks) > 3 && p.ticks[2].at <= p.at {
		p.ticks = p.ticks[1:]
	}
}
