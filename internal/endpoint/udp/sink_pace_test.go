package udp

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"sluice/internal/media/ts"
)

// broadcast makes the packets of a stream of a constant rate, with a clock each 40 ms.
type broadcast struct {
	rate  int64 // bits a second
	made  int64 // packets
	jump  int64 // is added to the clock, in ticks
	mute  bool  // no clock
	ticks int64 // of 40 ms that were told
}

// at is when packet n is due by the clock of the stream.
func (s *broadcast) at(n int64) time.Duration {
	return time.Duration(float64(n) * ts.PacketSize * 8 / float64(s.rate) * float64(time.Second))
}

func (s *broadcast) next() []byte {
	p := make(ts.Packet, ts.PacketSize)
	due := s.at(s.made)
	p[0], p[1], p[2], p[3], p[4] = ts.SyncByte, 1, 0, 0x30, 7
	if !s.mute && int64(due/(40*time.Millisecond)) >= s.ticks {
		s.ticks = int64(due/(40*time.Millisecond)) + 1
		p[5] = 0x10
		p.SetPCR(int64(due)*27/1000 + s.jump)
	}
	for i := range 8 {
		p[12+i] = byte(s.made >> (8 * i))
	}
	s.made++
	return p
}

// arrival is bytes that come at a time.
type arrival struct {
	at time.Duration
	b  []byte
}

// sent is a datagram that was sent.
type sent struct {
	at     time.Duration
	offset int64
	size   int
}

// play runs a pacer through time: each arrival is added when it has come and there is room.
func play(t *testing.T, p *pacer, arrivals []arrival) (log []sent, err error) {
	t.Helper()
	var now time.Duration
	var came, went bytes.Buffer
	for {
		b, wait, err := p.next(now)
		if err != nil {
			return log, err
		}
		if b != nil {
			log = append(log, sent{now, int64(went.Len()), len(b)})
			went.Write(b)
			continue
		}
		if p.done() {
			break
		}
		switch {
		case len(arrivals) > 0 && p.takes():
			if a := arrivals[0]; now >= a.at || wait == forEver || now+wait >= a.at {
				now = max(now, a.at)
				came.Write(a.b)
				p.add(a.b, now)
				arrivals = arrivals[1:]
				continue
			}
		case len(arrivals) == 0 && !p.ended:
			p.end()
			continue
		}
		if wait <= 0 || wait == forEver {
			t.Fatalf("at %v: nothing to send, nothing to wait for (%v)", now, wait)
		}
		now += wait
	}
	if !bytes.Equal(came.Bytes(), went.Bytes()) {
		t.Error("what was sent is not what came")
	}
	return log, nil
}

// live are the arrivals of a stream in bursts, by a sender whose clock is off by ppm.
func live(s *broadcast, length, burst time.Duration, ppm float64) (all []arrival) {
	for end := burst; end <= length; end += burst {
		a := arrival{at: time.Duration(float64(end) / (1 + ppm/1e6))}
		for s.at(s.made) < end {
			a.b = append(a.b, s.next()...)
		}
		all = append(all, a)
	}
	return all
}

// asFile has everything come as soon as it is taken.
func asFile(s *broadcast, length time.Duration) (all []arrival) {
	for s.at(s.made) < length {
		var a arrival
		for range 100 {
			a.b = append(a.b, s.next()...)
		}
		all = append(all, a)
	}
	return all
}

// slowly has arrivals come one after the other.
func slowly(all []arrival, every time.Duration) []arrival {
	for i := range all {
		all[i].at = time.Duration(i) * every
	}
	return all
}

// TestPacedFile: a file is sent at the times of its clock, to a millisecond, for as long as
// it lasts.
func TestPacedFile(t *testing.T) {
	for _, rate := range []int64{200_000, 8_000_000, 60_000_000} {
		s := &broadcast{rate: rate}
		log, err := play(t, &pacer{}, asFile(s, time.Duration(100_000_000/rate)*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range log {
			if off := d.at - s.at(d.offset/ts.PacketSize); off.Abs() > time.Millisecond {
				t.Fatalf("%d bit/s: byte %d is sent %v off its time", rate, d.offset, off)
			}
			if d.size%ts.PacketSize != 0 || d.size > sinkPayload {
				t.Fatalf("datagram of %d bytes", d.size)
			}
		}
	}
}

// TestPacedLive: a live stream is delayed by less than 100 ms, however its bytes are bunched
// by the loop and however far the sender's clock is off; and what was bunched is spread.
func TestPacedLive(t *testing.T) {
	for _, burst := range []time.Duration{5 * time.Millisecond, 20 * time.Millisecond, 60 * time.Millisecond} {
		for _, ppm := range []float64{0, 3000, -3000} {
			s := &broadcast{rate: 400_000}
			log, err := play(t, &pacer{}, live(s, time.Minute, burst, ppm))
			if err != nil {
				t.Fatal(err)
			}
			worst, bunch := time.Duration(0), 0
			for i, d := range log {
				made := time.Duration(float64(s.at(d.offset/ts.PacketSize)) / (1 + ppm/1e6))
				worst = max(worst, d.at-made)
				if i > 0 && d.at == log[i-1].at {
					bunch++
				}
			}
			if limit := 100*time.Millisecond + fillPatience; worst > limit {
				t.Errorf("bursts of %v, %v ppm: delayed by %v", burst, ppm, worst)
			}
			if bunch > len(log)/20 {
				t.Errorf("bursts of %v, %v ppm: %d of %d datagrams are not spread", burst, ppm, bunch, len(log))
			}
		}
	}
}

// TestPacedHiccup: a live stream that was held up once is soon in time again.
func TestPacedHiccup(t *testing.T) {
	s := &broadcast{rate: 1_000_000}
	all := live(s, 80*time.Second, 10*time.Millisecond, 0)
	for i := range all {
		if at := all[i].at; at > 30*time.Second && at < 30*time.Second+400*time.Millisecond {
			all[i].at = 30*time.Second + 400*time.Millisecond
		}
	}
	log, err := play(t, &pacer{}, all)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range log {
		delay := d.at - s.at(d.offset/ts.PacketSize)
		if (d.at < 30*time.Second || d.at > time.Minute) && delay > 100*time.Millisecond {
			t.Fatalf("at %v delayed by %v", d.at, delay)
		}
	}
}

// TestPacedSplice: a clock that jumps changes nothing of the pace.
func TestPacedSplice(t *testing.T) {
	for _, jump := range []int64{20 * ts.ClockRate, -3 * ts.ClockRate} {
		s := &broadcast{rate: 4_000_000}
		all := asFile(s, 10*time.Second)
		s.jump = jump
		all = append(all, asFile(s, 20*time.Second)...)
		log, err := play(t, &pacer{}, all)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range log {
			if off := d.at - s.at(d.offset/ts.PacketSize); off.Abs() > 10*time.Millisecond {
				t.Fatalf("byte %d is sent %v off its time", d.offset, off)
			}
		}
	}
}

// TestPacedAfterSleep: a machine that was asleep does not send what it has missed at once.
func TestPacedAfterSleep(t *testing.T) {
	s := &broadcast{rate: 4_000_000}
	p := &pacer{}
	for p.takes() {
		p.add(s.next(), 0)
		if _, _, err := p.next(0); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	for b, _, _ := p.next(time.Hour); b != nil; b, _, _ = p.next(time.Hour) {
		n++
	}
	if n == 0 || n > 2 {
		t.Errorf("%d datagrams at once after an hour", n)
	}
}

// TestBitrate: the rate that was ordered holds, clock or not.
func TestBitrate(t *testing.T) {
	for _, mute := range []bool{false, true} {
		s := &broadcast{rate: 8_000_000, mute: mute}
		log, err := play(t, &pacer{bitrate: 2_000_000}, asFile(s, 5*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range log {
			want := time.Duration(d.offset * 8 * 500) // nanoseconds
			if off := d.at - want; off.Abs() > time.Millisecond {
				t.Fatalf("byte %d is sent %v off its time", d.offset, off)
			}
		}
	}
}

// TestNoClock: a stream without a clock is sent as it comes, unless it comes as fast as it is
// taken: then somebody has to say how fast.
func TestNoClock(t *testing.T) {
	s := &broadcast{rate: 8_000_000, mute: true}
	all := live(s, 10*time.Second, 10*time.Millisecond, 0)
	odd := []byte("no transport stream")
	all = append(all, arrival{all[len(all)-1].at + time.Second, odd})
	log, err := play(t, &pacer{}, all)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range log {
		made := s.at(d.offset / ts.PacketSize)
		if delay := d.at - made; d.at < 10*time.Second && delay > clockPatience+fillPatience+10*time.Millisecond {
			t.Fatalf("byte %d is delayed by %v", d.offset, delay)
		}
	}
	if _, err := play(t, &pacer{}, asFile(&broadcast{rate: 8_000_000, mute: true}, time.Minute)); !errors.Is(err, errNoClock) {
		t.Errorf("a file without a clock: %v", err)
	}
	if _, err := play(t, &pacer{}, slowly(asFile(&broadcast{rate: 8_000_000, mute: true}, time.Minute), time.Millisecond)); !errors.Is(err, errNoClock) {
		t.Errorf("a file without a clock on a slow disk: %v", err)
	}
	log, err = play(t, &pacer{}, []arrival{{0, odd}})
	if err != nil || len(log) != 1 || log[0].at > clockPatience {
		t.Errorf("a few bytes: %v, %v", log, err)
	}
}

// TestOddPieces: what is no transport stream is sent as it comes, however it is cut.
func TestOddPieces(t *testing.T) {
	for _, size := range []int{1, 187, 189, 1000, 1315, 1317, 4000} {
		var all []arrival
		for i := range 40 {
			b := bytes.Repeat([]byte{ts.SyncByte, byte(i)}, size)[:size]
			all = append(all, arrival{time.Duration(i) * 150 * time.Millisecond, b})
		}
		log, err := play(t, &pacer{}, all)
		if err != nil || len(log) < len(all) {
			t.Errorf("pieces of %d bytes: %d datagrams, %v", size, len(log), err)
		}
	}
}

// TestLateClock: a clock that comes late is followed from then on.
func TestLateClock(t *testing.T) {
	s := &broadcast{rate: 4_000_000, mute: true}
	all := live(s, time.Second, 50*time.Millisecond, 0)
	s.mute, s.ticks = false, 25
	all = append(all, live(s, 5*time.Second, 50*time.Millisecond, 0)[20:]...)
	log, err := play(t, &pacer{}, all)
	if err != nil {
		t.Fatal(err)
	}
	for i, d := range log[1:] {
		if d.at > 2*time.Second && d.at == log[i].at {
			t.Fatalf("at %v two datagrams are sent at once", d.at)
		}
	}
}
