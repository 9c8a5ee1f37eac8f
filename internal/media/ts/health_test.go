package ts

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// checked is a Tracker that counted the faults of a stream, 7 packets at a time.
func checked(b []byte) *Tracker {
	tracker := &Tracker{CheckHealth: true}
	scan(tracker, b, 7)
	return tracker
}

func wantHealth(t *testing.T, b []byte, want Health) {
	t.Helper()
	if diff := cmp.Diff(want, checked(b).Health()); diff != "" {
		t.Error(diff)
	}
}

// steady is n slots of a constant rate: 40 ms and ten packets each, the first with a
// PCR, then pictures, tables in every third, and null packets.
func steady(n int) []byte {
	var m mux
	for i := range int64(n) {
		m.slot(i, 1_080_000*i)
	}
	return m.out
}

func (m *mux) slot(i, pcr int64) {
	begin := len(m.out)
	if i == 0 {
		m.tables(avcStream, aacStream)
		begin = len(m.out)
	}
	m.pes(videoPID, 0xE0, frame{pts: 1 + i*3600, pcr: 1 + pcr}, payload(200))
	m.pes(audioPID, 0xC0, frame{pts: 1 + i*3600}, payload(300))
	if i%3 == 2 {
		m.tables(avcStream, aacStream)
	}
	m.null(10 - (len(m.out)-begin)/PacketSize)
}

// without leaves out the packets of a PID that begin something in the pictures from
// one to before another, of a stream in which each picture has a PCR.
func without(b []byte, pid uint16, from, to int) []byte {
	picture := -1
	return edit(b, func(_ int, p Packet) bool {
		if _, ok := p.PCR(); ok {
			picture++
		}
		return p.PID() != pid || !p.PayloadStart() || picture < from || picture >= to
	})
}

// clocks changes the nth PCR packet of a stream.
func clocks(b []byte, change func(n int, p Packet, pcr int64)) []byte {
	n := 0
	return edit(b, func(_ int, p Packet) bool {
		if pcr, ok := p.PCR(); ok {
			change(n, p, pcr)
			n++
		}
		return true
	})
}

func TestHealthyStreams(t *testing.T) {
	for name, b := range map[string][]byte{"variable rate": pictures(251), "constant rate": steady(251), "nothing": nil} {
		t.Run(name, func(t *testing.T) { wantHealth(t, b, Health{}) })
	}
	if line := checked(steady(251)).health.clocks[0].line; !line.known {
		t.Error("the constant rate is not seen")
	}
	if line := checked(pictures(251)).health.clocks[0].line; line.known {
		t.Error("a constant rate is seen where there is none")
	}
	var off Tracker
	scan(&off, without(steady(100), 0, 0, 100), 7)
	if got := off.Health(); got != (Health{}) {
		t.Errorf("switched off: %+v", got)
	}
}

// TestHealthOfTables leaves out tables. In steady they come with slots 0 (before the
// PCR), 2, 5, 8 …, all in the same place: 120 ms apart.
func TestHealthOfTables(t *testing.T) {
	b := steady(251)
	for _, c := range []struct {
		name     string
		from, to int
		want     uint64
	}{
		{"480 ms", 3, 12, 0},
		{"600 ms", 3, 15, 1},
		{"960 ms", 3, 24, 1},
		{"1080 ms", 3, 27, 2},
		{"1.56 s", 3, 39, 3},
		{"to the end", 3, 251, 19}, // the last is 80 ms and some packets after the first PCR, the end 10 s
	} {
		t.Run(c.name, func(t *testing.T) {
			wantHealth(t, dropTables(b, 0, c.from, c.to), Health{PAT: c.want})
			wantHealth(t, dropTables(b, pmtPID, c.from, c.to), Health{PMT: c.want})
		})
	}
	t.Run("none at all", func(t *testing.T) {
		wantHealth(t, dropTables(b, 0, -1, 251), Health{PAT: 19})
		wantHealth(t, dropTables(b, pmtPID, -1, 251), Health{PMT: 19})
	})
}

// dropTables turns tables into null packets, which keeps the rate, and counts the
// counters of those left anew.
func dropTables(b []byte, pid uint16, from, to int) []byte {
	slot, counter := -1, uint8(0)
	return edit(b, func(_ int, p Packet) bool {
		if _, ok := p.PCR(); ok {
			slot++
		}
		switch {
		case p.PID() != pid:
		case slot >= from && slot < to:
			p[1], p[2] = NullPID>>8, NullPID&0xFF
		default:
			p.SetContinuity(counter)
			counter++
		}
		return true
	})
}

// TestHealthIsInterpolated: half a second is exact to the packet, though the PCRs are
// 90 ms apart, and wherever the bytes are cut.
func TestHealthIsInterpolated(t *testing.T) {
	const tick = ClockRate / 100 // 10 ms a packet
	for packets, want := range map[int]uint64{49: 0, 50: 0, 51: 1, 100: 1, 101: 2} {
		var m mux
		for i := range 300 {
			switch {
			case i%9 == 0:
				m.packet(videoPID, false, frame{pcr: 1 + int64(i)*tick}.adaptation(), nil)
			case i == 20 || i == 20+packets || i > 20+packets && i%9 == 1:
				m.section(0, patSection(0, 1, pmtPID))
			case i > 20 && i%9 == 2:
				m.section(pmtPID, pmtSection(1, 0, videoPID))
			default:
				m.null(1)
			}
		}
		for _, chunk := range []int{1, 7, 300} {
			tracker := Tracker{CheckHealth: true}
			scan(&tracker, m.out, chunk)
			if got := tracker.Health(); got != (Health{PAT: want}) {
				t.Errorf("%d0 ms in chunks of %d: %+v, want %d", packets, chunk, got, want)
			}
		}
	}
}

func TestHealthOfTablePackets(t *testing.T) {
	three := func(pid uint16, change func(p Packet)) []byte {
		tables := 0
		return edit(pictures(100), func(_ int, p Packet) bool {
			if p.PID() == pid {
				if tables++; tables >= 10 && tables < 13 {
					change(p)
				}
			}
			return true
		})
	}
	m := mux{counters: map[uint16]uint8{0: 1, pmtPID: 1}}
	m.section(0, newSection(tablePMT, 1, 0, 0, 0, payload(20)))
	m.section(pmtPID, newSection(0xC0, 1, 0, 0, 0, payload(20)))
	foreign := slices.Concat(pictures(1), m.out)
	for _, c := range []struct {
		name string
		b    []byte
		want Health
	}{
		{"PAT scrambled", three(0, func(p Packet) { p[3] |= 0x80 }), Health{PAT: 3}},
		{"PMT scrambled", three(pmtPID, func(p Packet) { p[3] |= 0x80 }), Health{PMT: 3}},
		{"PAT damaged", three(0, func(p Packet) { p[8] ^= 1 }), Health{CRC: 3}},
		{"PMT damaged", three(pmtPID, func(p Packet) { p[8] ^= 1 }), Health{CRC: 3}},
		{"another table on the PIDs of both", foreign, Health{PAT: 1}}, // for that of the PAT
	} {
		t.Run(c.name, func(t *testing.T) { wantHealth(t, c.b, c.want) })
	}
}

func TestHealthOfPackets(t *testing.T) {
	b := pictures(100)
	damaged := edit(b, func(n int, p Packet) bool {
		if n%100 == 50 {
			p[1] |= 0x80
		}
		return true
	})
	// What is marked as damaged is not looked at, so it is missing too.
	var want Health
	last := map[uint16]bool{}
	for n := 0; n*PacketSize < len(damaged); n++ {
		p := Packet(damaged[n*PacketSize:])
		switch {
		case p.TransportError():
			want.Transport++
			last[p.PID()] = p.PID() != NullPID
		case last[p.PID()]:
			want.Continuity++
			last[p.PID()] = false
		}
	}
	if want.Transport < 20 || want.Continuity < 10 {
		t.Fatalf("a test of nothing: %+v", want)
	}
	wantHealth(t, damaged, want)
}

func TestHealthOfTheClock(t *testing.T) {
	const second = ClockRate
	shift := func(from int, by int64, announced bool) []byte {
		n := 0
		return edit(pictures(100), func(_ int, p Packet) bool {
			if _, ok := p.PCR(); ok {
				if n++; n == from && announced {
					p[5] |= 0x80
				}
			}
			if n >= from {
				p.ShiftTimes(by)
			}
			return true
		})
	}
	gap := func(missing int) []byte {
		return clocks(pictures(100), func(n int, p Packet, _ int64) {
			if n >= 50 && n < 50+missing {
				p.RemovePCR()
			}
		})
	}
	early := clocks(shift(50, -second, false), func(n int, p Packet, _ int64) {
		if n == 48 { // announces it, but its own PCR is removed
			p[5] |= 0x80
			p.RemovePCR()
		}
	})
	for _, c := range []struct {
		name string
		b    []byte
		want Health
	}{
		{"80 ms apart", gap(1), Health{}},
		{"120 ms apart", gap(2), Health{PCRInterval: 1}},
		{"1 s apart", gap(24), Health{PCRInterval: 1}},
		{"more is a jump", gap(25), Health{PCRJump: 1}},
		{"a step ahead", shift(50, 10*second, false), Health{PCRJump: 1}},
		{"a small step ahead", shift(50, second/4, false), Health{PCRInterval: 1}},
		{"a step back", shift(50, -10*second, false), Health{PCRJump: 1}},
		{"a small step back", shift(50, -second/20, false), Health{PCRJump: 1}},
		{"a step announced", shift(50, 10*second, true), Health{}},
		{"a step back announced", shift(50, -second, true), Health{}},
		{"announced before", early, Health{}},
		{"the wrap", shift(1, wrapPCR-2*second, false), Health{}},
		{"jitter in a stream of variable rate", clocks(pictures(100), func(n int, p Packet, pcr int64) {
			if n%5 == 4 {
				p.SetPCR(pcr + second/100)
			}
		}), Health{}},
	} {
		t.Run(c.name, func(t *testing.T) { wantHealth(t, c.b, c.want) })
	}
	t.Run("between two PCRs the stream is late by what is missing", func(t *testing.T) {
		// 10 s stand still: the tables are as near as before.
		wantHealth(t, without(shift(50, 10*second, false), 0, 49, 52), Health{PCRJump: 1, Continuity: 1})
	})
}

func TestHealthOfTheSecondProgram(t *testing.T) {
	var m mux
	for i := range int64(100) {
		if i%3 == 0 {
			m.section(0, patSection(0, 1, pmtPID, 2, pmtPID+1))
			m.section(pmtPID, pmtSection(1, 0, videoPID, avcStream))
			m.section(pmtPID+1, pmtSection(2, 0, 0x200, es{pid: 0x200, streamType: 0x1B}))
		}
		m.pes(videoPID, 0xE0, frame{pts: 1 + i*3600, pcr: 1 + i*1_080_000}, payload(500))
		jump := int64(0)
		if i >= 50 {
			jump = 77 * ClockRate
		}
		m.pes(0x200, 0xE0, frame{pts: 1 + i*3600, pcr: 1 + i*1_080_000 + jump}, payload(500))
	}
	wantHealth(t, m.out, Health{PCRJump: 1})
}

// TestHealthOfTheRate moves PCRs of a constant rate.
func TestHealthOfTheRate(t *testing.T) {
	const n = 201
	move := func(by int64, which func(n int) bool) []byte {
		return clocks(steady(n), func(i int, p Packet, pcr int64) {
			if which(i) {
				p.SetPCR(pcr + by)
			}
		})
	}
	every := func(nth, rest int) func(int) bool { return func(i int) bool { return i%nth == rest } }
	random := rand.New(rand.NewPCG(1, 2))
	for _, c := range []struct {
		name string
		b    []byte
		want Health
	}{
		{"within 500 ns", clocks(steady(n), func(_ int, p Packet, pcr int64) { p.SetPCR(pcr + random.Int64N(27) - 13) }), Health{}},
		{"1 µs", move(27, every(7, 3)), Health{}},
		{"more than 1 µs", move(29, every(7, 3)), Health{PCRJitter: 29}},
		{"early", move(-2700, every(7, 3)), Health{PCRJitter: 29}},
		{"every second", move(270_000, every(2, 1)), Health{PCRJitter: 100}},
		{"one", move(270_000, func(i int) bool { return i == 100 }), Health{PCRJitter: 1}},
		{"sixteen are a new rate", move(270_000, func(i int) bool { return i >= 100 && i < 116 }), Health{}},
		{"fifteen are not", move(270_000, func(i int) bool { return i >= 100 && i < 115 }), Health{PCRJitter: 15}},
		{"the last, which nothing follows", move(270_000, func(i int) bool { return i == n-1 }), Health{}},
		{"a jump", move(-20*ClockRate, func(i int) bool { return i >= 100 }), Health{PCRJump: 1}},
	} {
		t.Run(c.name, func(t *testing.T) { wantHealth(t, c.b, c.want) })
	}
	t.Run("a new rate", func(t *testing.T) {
		var m mux
		for i := range int64(100) {
			m.slot(i, 1_080_000*i)
		}
		for i := int64(100); i < 200; i++ {
			m.slot(i, 1_080_000*100+540_000*(i-100))
		}
		wantHealth(t, m.out, Health{})
	})
	t.Run("loss and repetition shift the line", func(t *testing.T) {
		b := move(270_000, every(7, 3))
		lost := edit(b, func(n int, _ Packet) bool { return n != 1035 }) // an audio packet of slot 103
		wantHealth(t, lost, Health{PCRJitter: 29, Continuity: 1})
		at := 1035 * PacketSize
		twice := slices.Concat(b[:at+PacketSize], b[at:])
		wantHealth(t, twice, Health{PCRJitter: 29})
	})
}

func TestHealthOfTimes(t *testing.T) {
	quiet := func(pid uint16, from, to int) []byte {
		picture := -1
		return edit(pictures(101), func(_ int, p Packet) bool {
			if _, ok := p.PCR(); ok {
				picture++
			}
			if p.PID() == pid && picture >= from && picture < to {
				p.RemovePESTimes()
			}
			return true
		})
	}
	for _, c := range []struct {
		name string
		b    []byte
		want uint64
	}{
		{"video, 680 ms", quiet(videoPID, 10, 26), 0},
		{"video, 720 ms", quiet(videoPID, 10, 27), 1},
		{"video, 1.44 s", quiet(videoPID, 10, 45), 2},
		{"audio, 760 ms", quiet(audioPID, 10, 28), 1},
		{"audio, to the end", quiet(audioPID, 50, 101), 2}, // 1.96 s, and the last segment has no end
		{"audio, never", quiet(audioPID, 0, 101), 0},
		{"audio, scrambled", edit(pictures(101), func(n int, p Packet) bool {
			if p.PID() == audioPID && n > 500 {
				p[3] |= 0xC0
			}
			return true
		}), 0},
	} {
		t.Run(c.name, func(t *testing.T) { wantHealth(t, c.b, Health{PTS: c.want}) })
	}
}

// TestTablesThatLie: what tables claim neither panics nor grows what is kept, and
// faults of the rest count as before.
func TestTablesThatLie(t *testing.T) {
	programs := func(n int) (pairs []uint16) {
		for i := range uint16(n) {
			pairs = append(pairs, i+1, 0x300+i)
		}
		return pairs
	}
	streams := func(n int) (all []es) {
		for i := range uint16(n) {
			all = append(all, es{pid: 0x400 + i, streamType: 0x1B})
		}
		return all
	}
	for _, c := range []struct {
		name string
		pat  section
		pmt  section
		want Health // in ten seconds
	}{
		{"64 programs of which one has a PMT", patSection(0, append([]uint16{9, pmtPID}, programs(63)...)...), pmtSection(9, 0, videoPID, avcStream), Health{PMT: 31 * 20}},
		{"the PMT on PID 0", patSection(0, 1, 0), pmtSection(1, 0, videoPID, avcStream), Health{}},
		{"the PMT on the null PID", patSection(0, 1, NullPID), pmtSection(1, 0, videoPID, avcStream), Health{}},
		{"all programs on one PID", patSection(0, 1, pmtPID, 2, pmtPID, 3, pmtPID), pmtSection(2, 0, videoPID, avcStream), Health{}},
		{"a program twice", patSection(0, 1, pmtPID, 1, pmtPID), pmtSection(1, 0, videoPID, avcStream), Health{}},
		{"a stream on PID 0", patSection(0, 1, pmtPID), pmtSection(1, 0, videoPID, es{pid: 0, streamType: 0x1B}), Health{}},
		{"a stream on the PMT's PID", patSection(0, 1, pmtPID), pmtSection(1, 0, videoPID, es{pid: pmtPID, streamType: 0x1B}), Health{}},
		{"a stream on the null PID", patSection(0, 1, pmtPID), pmtSection(1, 0, NullPID, es{pid: NullPID, streamType: 0x1B}), Health{}},
		{"180 streams, and none of them comes", patSection(0, 1, pmtPID), pmtSection(1, 0, videoPID, streams(180)...), Health{}},
		{"a clock that does not come", patSection(0, 1, pmtPID), pmtSection(1, 0, 0x1234, avcStream), Health{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var m mux
			for i := range int64(252) {
				if i%3 == 0 {
					m.section(0, c.pat)
					m.section(pmtPID, c.pmt)
				}
				m.pes(videoPID, 0xE0, frame{pts: 1 + i*3600, pcr: 1 + i*1_080_000}, payload(1000))
			}
			tracker := checked(m.out)
			if diff := cmp.Diff(c.want, tracker.Health()); diff != "" {
				t.Error(diff)
			}
			if h := &tracker.health; len(h.timed) > maxTimed || len(h.clocks) > maxPrograms || len(tracker.pmts) > maxPrograms {
				t.Errorf("%d streams, %d clocks, %d PMTs are kept", len(h.timed), len(h.clocks), len(tracker.pmts))
			}
		})
	}
}

func TestHealthAllocatesNothing(t *testing.T) {
	b := steady(300)
	tracker := checked(b)
	offset := int64(len(b))
	if n := testing.AllocsPerRun(10, func() {
		tracker.Scan(b, offset)
		offset += int64(len(b))
	}); n > 0 {
		t.Errorf("%v allocations in %d packets", n, len(b)/PacketSize)
	}
}

// FuzzHealth: nothing panics, counts only grow, Health changes nothing that the Tracker
// finds, and it does not depend on how the stream is cut.
func FuzzHealth(f *testing.F) {
	f.Add(pictures(1), uint8(7))
	f.Add(steady(4), uint8(1))
	f.Add(clocks(steady(4), func(n int, p Packet, pcr int64) { p.SetPCR(pcr * int64(n)) }), uint8(3))
	f.Fuzz(func(t *testing.T, b []byte, packets uint8) {
		b = bytes.Clone(b[:len(b)/PacketSize*PacketSize])
		for i := 0; i < len(b); i += PacketSize {
			b[i] = SyncByte
		}
		sealTables(b)
		whole, parts, plain := Tracker{CheckHealth: true}, Tracker{CheckHealth: true}, Tracker{}
		starts := fmt.Sprint(scan(&whole, b, 1))
		if got := fmt.Sprint(scan(&plain, b, 1)); got != starts || plain.Stats() != whole.Stats() {
			t.Errorf("with Health %s, %+v; without %s, %+v", starts, whole.Stats(), got, plain.Stats())
		}
		var last Health
		size := (int(packets) + 1) * PacketSize
		for i := 0; i < len(b); i += size {
			parts.Scan(b[i:min(i+size, len(b))], int64(i))
			got := parts.Health()
			for k, v := range got.all() {
				if v < last.all()[k] {
					t.Fatalf("%+v after %+v", got, last)
				}
			}
			last = got
		}
		if last != whole.Health() {
			t.Errorf("in parts %+v, packet by packet %+v", last, whole.Health())
		}
	})
}

func (h Health) all() [9]uint64 {
	return [9]uint64{h.PAT, h.Continuity, h.PMT, h.Transport, h.CRC, h.PCRInterval, h.PCRJump, h.PCRJitter, h.PTS}
}
