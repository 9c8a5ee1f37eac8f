package udp

import (
	"testing"
	"time"

	"sluice/internal/media/ts"
)

// delays are the longest delay of a byte that came after from, and that of the last one.
func delays(log []sent, arrivals []arrival, from time.Duration) (worst, last time.Duration) {
	i, behind := 0, int64(0) // the arrival of a byte, and the bytes before that
	for _, d := range log {
		for behind+int64(len(arrivals[i].b)) <= d.offset {
			behind += int64(len(arrivals[i].b))
			i++
		}
		last = d.at - arrivals[i].at
		if arrivals[i].at >= from {
			worst = max(worst, last)
		}
	}
	return worst, last
}

// TestPacedOutage: what is missing in a live stream for a while, though its clock goes on, is
// not waited for a second time.
func TestPacedOutage(t *testing.T) {
	for _, rate := range []int64{2_000_000, 20_000_000} {
		for _, length := range []time.Duration{300 * time.Millisecond, 3 * time.Second, 10 * time.Second} {
			const begin = 5 * time.Second
			s := &broadcast{rate: rate}
			all := live(s, begin, 10*time.Millisecond, 0)
			for _, a := range live(s, begin+length+5*time.Second, 10*time.Millisecond, 0)[len(all):] {
				if a.at >= begin+length {
					all = append(all, a)
				}
			}
			log, err := play(t, &pacer{}, all)
			if err != nil {
				t.Fatal(err)
			}
			if worst, _ := delays(log, all, 0); worst > 100*time.Millisecond {
				t.Errorf("%d bit/s, %v without data: delayed by %v", rate, length, worst)
			}
		}
	}
}

// TestPacedSwitch: where one clock ends and the next begins with hardly a byte between them,
// what follows is sent as fast as ever.
func TestPacedSwitch(t *testing.T) {
	for _, rate := range []int64{2_000_000, 40_000_000} {
		s := &broadcast{rate: rate}
		all := live(s, 5*time.Second, 10*time.Millisecond, 0)
		all = append(all, arrival{5 * time.Second, s.next()})
		s.ticks-- // the next packet tells the time, too
		s.jump = 100 * ts.ClockRate
		for _, a := range live(s, 10*time.Second, 10*time.Millisecond, 0) {
			if len(a.b) > 0 {
				all = append(all, a)
			}
		}
		log, err := play(t, &pacer{}, all)
		if err != nil {
			t.Fatal(err)
		}
		if worst, last := delays(log, all, 0); worst > 120*time.Millisecond || last > 60*time.Millisecond {
			t.Errorf("%d bit/s: delayed by %v, at the end by %v", rate, worst, last)
		}
	}
}

// TestOddBytes: what is no transport stream is sent in whatever pieces it comes; the packets
// of one that begins behind a pause are found.
func TestOddBytes(t *testing.T) {
	var all []arrival
	for i, size := range []int{1000, 1, 1000, 187, 5000, 3} {
		all = append(all, arrival{time.Duration(i) * time.Second, make([]byte, size)})
	}
	if _, err := play(t, &pacer{}, all); err != nil {
		t.Error(err)
	}
	s := &broadcast{rate: 4_000_000, mute: true}
	cut := s.next()
	all = []arrival{{0, cut[:100]}, {time.Second, cut[100:]}}
	s.mute = false
	for _, a := range live(s, 5*time.Second, 50*time.Millisecond, 0) {
		all = append(all, arrival{time.Second + a.at, a.b})
	}
	p := &pacer{}
	if _, err := play(t, p, all); err != nil || p.state != paced {
		t.Errorf("state %d, %v", p.state, err)
	}
}
