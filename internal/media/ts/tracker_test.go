package ts

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// scan gives a stream to a fresh tracker, some packets at a time.
func scan(tracker *Tracker, b []byte, packets int) (all []Start) {
	for offset := 0; offset < len(b); {
		n := min(packets*PacketSize, len(b)-offset)
		all = append(all, tracker.Scan(b[offset:offset+n], int64(offset))...)
		offset += n
	}
	return all
}

var (
	avcStream  = es{pid: videoPID, streamType: 0x1B}
	hevcStream = es{pid: videoPID, streamType: 0x24}
	mpegStream = es{pid: videoPID, streamType: 0x02}
	aacStream  = es{pid: audioPID, streamType: 0x0F}
)

func TestKeyFrames(t *testing.T) {
	cases := []struct {
		name   string
		stream es
		frame  frame
		unit   []byte
		want   bool
	}{
		{"h264 IDR", avcStream, frame{}, join(avcAUD, avcSPS, avcPPS, avcIDR), true},
		{"h264 IDR without SPS", avcStream, frame{}, join(avcAUD, avcIDR), false},
		{"h264 all I", avcStream, frame{}, join(avcAUD, avcSPS, avcPPS, avcTiming, avcI), true},
		{"h264 I", avcStream, frame{}, join(avcAUD, avcSPS, avcPPS, avcI2), true},
		{"h264 SI", avcStream, frame{}, join(avcAUD, avcSPS, avcPPS, avcSI), true},
		{"h264 I without SPS", avcStream, frame{}, join(avcAUD, avcI), false},
		{"h264 P", avcStream, frame{}, join(avcAUD, avcP), false},
		{"h264 P with SPS", avcStream, frame{}, join(avcAUD, avcSPS, avcPPS, avcTiming, avcP), false},
		{"h264 B with SPS", avcStream, frame{}, join(avcAUD, avcSPS, avcPPS, avcB), false},
		{"h264 P then IDR", avcStream, frame{}, join(avcAUD, avcSPS, avcPPS, avcP, avcIDR), false},
		{"h264 recovery point", avcStream, frame{}, join(avcAUD, avcSPS, avcPPS, avcRecovery, avcP), true},
		{"h264 recovery point without SPS", avcStream, frame{}, join(avcAUD, avcRecovery, avcP), false},
		{"h264 long SEI", avcStream, frame{}, join(avcAUD, avcSPS, avcPPS, []byte{0, 0, 1, 6, 5, 255, 255, 90}, payload(600), avcIDR), true},
		{"h264 nothing but stuffing", avcStream, frame{}, join(avcAUD, avcSPS, payload(20_000), avcIDR), false},
		{"h264 random access says nothing", avcStream, frame{rai: true}, join(avcAUD, avcP), false},
		{"h265 IDR", hevcStream, frame{}, join(hevcVPS, hevcSPS, hevcIDR), true},
		{"h265 CRA", hevcStream, frame{}, join(hevcSPS, hevcCRA), true},
		{"h265 IDR without SPS", hevcStream, frame{}, hevcIDR, false},
		{"h265 trailing", hevcStream, frame{}, join(hevcVPS, hevcSPS, hevcTrail), false},
		{"mpeg2 I", mpegStream, frame{}, join(mpegSeq, mpegGOP, mpegI, mpegSlice), true},
		{"mpeg2 I without sequence", mpegStream, frame{}, join(mpegGOP, mpegI, mpegSlice), false},
		{"mpeg2 P", mpegStream, frame{}, join(mpegSeq, mpegP, mpegSlice), false},
		{"mpeg2 slice first", mpegStream, frame{}, join(mpegSeq, mpegSlice, mpegI), false},
		{"mpeg1 I", es{pid: videoPID, streamType: 0x01}, frame{}, join(mpegSeq, mpegGOP, mpegI), true},
		{"av1 random access", es{pid: videoPID, streamType: 0x06, descriptors: []byte("\x05\x04AV01")}, frame{rai: true}, payload(30), true},
		{"av1 other", es{pid: videoPID, streamType: 0x06, descriptors: []byte("\x05\x04AV01")}, frame{}, payload(30), false},
		{"vvc random access", es{pid: videoPID, streamType: 0x33}, frame{rai: true}, payload(30), true},
		{"scrambled random access", avcStream, frame{rai: true, scrambled: true}, payload(300), true},
		{"scrambled other", avcStream, frame{scrambled: true}, join(avcSPS, avcIDR), false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			// More and more stuffing in the first packet moves every start code
			// over the end of it.
			for stuffing := 0; stuffing < 168; stuffing++ {
				var m mux
				m.tables(c.stream, aacStream)
				m.pes(audioPID, 0xC0, frame{pts: 1}, payload(100))
				at := m.offset()
				c.frame.pts, c.frame.stuffing = 90_000, stuffing
				m.pes(videoPID, 0xE0, c.frame, join(c.unit, payload(500)))
				m.pes(audioPID, 0xC0, frame{pts: 2}, payload(100))
				var tracker Tracker
				got := scan(&tracker, m.out, 7)
				var want []Start
				if c.want {
					want = []Start{{Offset: at, Tables: m.out[:2*PacketSize], Kind: KeyFrame}}
				}
				if !cmp.Equal(got, want) {
					t.Fatalf("stuffing %d: %s", stuffing, cmp.Diff(want, got))
				}
			}
		})
	}
}

func TestKeyFrameAfterLoss(t *testing.T) {
	key := join(avcAUD, avcSPS, payload(600), avcPPS, avcIDR, payload(500))
	var m mux
	m.tables(avcStream)
	first := m.offset()
	m.pes(videoPID, 0xE0, frame{pts: 1}, key)
	second := m.offset()
	m.pes(videoPID, 0xE0, frame{pts: 2}, key)
	damaged := slices.Delete(bytes.Clone(m.out), int(first)+PacketSize, int(first)+2*PacketSize)
	var tracker Tracker
	got := scan(&tracker, damaged, 7)
	if len(got) != 1 || got[0].Offset != second-PacketSize {
		t.Errorf("with its second packet missing a key frame counts: %+v", got)
	}
	if n := tracker.Stats().Continuity; n != 1 {
		t.Errorf("%d continuity errors", n)
	}
	doubled := slices.Insert(bytes.Clone(m.out), int(first)+PacketSize, m.out[first:first+PacketSize]...)
	tracker = Tracker{}
	if got := scan(&tracker, doubled, 7); len(got) != 2 || tracker.Stats().Continuity != 0 {
		t.Errorf("with a packet twice: %d starts, %d errors", len(got), tracker.Stats().Continuity)
	}
}

func TestNoKeyFrameBeforeTheTables(t *testing.T) {
	key := join(avcSPS, avcIDR, payload(300))
	var m mux
	m.pes(videoPID, 0xE0, frame{pts: 1}, key)
	m.section(0, patSection(0, 1, pmtPID))
	m.pes(videoPID, 0xE0, frame{pts: 2}, key)
	m.section(pmtPID, pmtSection(1, 0, videoPID, avcStream))
	at := m.offset()
	m.pes(videoPID, 0xE0, frame{pts: 3}, key)
	var tracker Tracker
	if got := scan(&tracker, m.out, 1); len(got) != 1 || got[0].Offset != at {
		t.Errorf("starts %+v, want one at %d", got, at)
	}
}

// TestTablesFitWhatFollows: Tables, then the stream from Offset on, is a stream
// without a continuity error in its tables that a tracker finds the same start in.
func TestTablesFitWhatFollows(t *testing.T) {
	many := make([]uint16, 0, 2*200)
	for n := uint16(1); n <= 200; n++ {
		many = append(many, n, pmtPID) // programs beyond maxPrograms
	}
	contents := patContents(many...)
	pat0 := newSection(tablePAT, 1, 0, 0, 1, contents[:600]) // four packets
	pat1 := newSection(tablePAT, 1, 0, 1, 1, contents[600:])
	private := newSection(0xC0, 9, 0, 0, 0, payload(500))
	key := join(avcSPS, avcIDR, payload(300))

	var m mux
	for range 40 { // 32 programs on one PID, tables and key frames in changing order
		m.section(0, pat0)
		m.pes(videoPID, 0xE0, frame{pts: 1}, key)
		m.section(0, pat1)
		for n := uint16(1); n <= 32; n++ {
			m.section(pmtPID, pmtSection(n, 0, videoPID, avcStream))
			if n%10 == 0 {
				m.pes(videoPID, 0xE0, frame{pts: 1}, key)
			}
		}
		m.section(pmtPID, private)
	}
	var tracker Tracker
	starts := scan(&tracker, m.out, 7)
	if len(starts) < 100 {
		t.Fatalf("%d starts", len(starts))
	}
	for _, s := range starts {
		if !Aligned(s.Tables) || Packet(s.Tables).PID() != 0 {
			t.Fatalf("at %d: tables of %d bytes, PID %d first", s.Offset, len(s.Tables), Packet(s.Tables).PID())
		}
		joined := append(bytes.Clone(s.Tables), m.out[s.Offset:]...)
		var again Tracker
		got := scan(&again, joined, 100)
		if len(got) == 0 || got[0].Offset != int64(len(s.Tables)) {
			t.Fatalf("at %d: what a client gets does not start with a key frame", s.Offset)
		}
		if n := again.Stats().Continuity; n != 0 {
			t.Fatalf("at %d: a client meets %d continuity errors", s.Offset, n)
		}
	}
}

// TestTablesAreFromBeforeTheStart: tables that come between the start of the
// picture and the slice that tells what it is are part of what follows.
func TestTablesAreFromBeforeTheStart(t *testing.T) {
	var m mux
	m.tables(avcStream)
	before := bytes.Clone(m.out)
	at := m.offset()
	var key mux
	key.pes(videoPID, 0xE0, frame{pts: 1}, join(avcSPS, payload(300), avcIDR, payload(300)))
	m.out = append(m.out, key.out[:PacketSize]...)
	m.tables(avcStream)
	m.out = append(m.out, key.out[PacketSize:]...)
	want := []Start{{Offset: at, Tables: before, Kind: KeyFrame}}
	for packets := 1; packets < 9; packets++ {
		var tracker Tracker
		if got := scan(&tracker, m.out, packets); !cmp.Equal(got, want) {
			t.Errorf("%d packets at a time: %s", packets, cmp.Diff(want, got))
		}
	}
}

func TestSectionsBackToBackAndAcrossPackets(t *testing.T) {
	// Both PMTs in one run of bytes over two packets. The first ends in the first
	// packet, or in the second, which then has a pointer to the other's start.
	for _, length := range []int{120, 170} {
		descriptor := append([]byte{0x0A, byte(length)}, payload(length)...)
		one := pmtSection(1, 0, videoPID, es{pid: audioPID, streamType: 0x0F, descriptors: descriptor})
		two := pmtSection(2, 0, videoPID, es{pid: videoPID, streamType: 0x1B, descriptors: descriptor})
		run := join(one, two)
		var m mux
		m.section(0, patSection(0, 1, pmtPID, 2, pmtPID))
		m.packet(pmtPID, true, nil, append([]byte{0}, run[:183]...))
		var rest []byte
		if len(one) > 183 {
			rest = []byte{byte(len(one) - 183)}
		}
		rest = append(rest, run[183:]...)
		for start := len(one) > 183; len(rest) > 0; start = false {
			rest = m.packet(pmtPID, start, nil, append(rest, fill(max(0, 184-len(rest)))...))
		}
		var tracker Tracker
		scan(&tracker, m.out, 1)
		want := []Stream{
			{Program: 1, PID: audioPID, Type: 0x0F, Codec: "aac"},
			{Program: 2, PID: videoPID, Type: 0x1B, Codec: "h264"},
		}
		if got := tracker.Streams(); !cmp.Equal(got, want) {
			t.Errorf("first section of %d bytes: %s", len(one), cmp.Diff(want, got))
		}
	}
}

func TestFirstProgramWithVideoIsFollowed(t *testing.T) {
	key := join(avcSPS, avcIDR, payload(300))
	var m mux
	m.section(0, patSection(0, 0, 0x10, 1, 0x1001, 2, 0x1002, 3, 0x1003))
	m.section(0x1003, pmtSection(3, 0, 0x300, es{pid: 0x300, streamType: 0x1B}))
	m.pes(0x300, 0xE0, frame{pts: 1}, key) // the PMTs before it may still come
	m.section(0x1002, pmtSection(2, 0, 0x200, es{pid: 0x201, streamType: 0x0F}, es{pid: 0x200, streamType: 0x1B}))
	m.section(0x1001, pmtSection(1, 0, 0x101, es{pid: 0x101, streamType: 0x0F}))
	m.pes(0x300, 0xE0, frame{pts: 1}, key)
	at := m.offset()
	m.pes(0x200, 0xE0, frame{pts: 1}, key)
	var tracker Tracker
	got := scan(&tracker, m.out, 7)
	if len(got) != 1 || got[0].Offset != at {
		t.Fatalf("starts %+v, want one at %d", got, at)
	}
	if n := len(got[0].Tables) / PacketSize; n != 4 {
		t.Errorf("tables of %d packets, want PAT and three PMTs", n)
	}
	if pid, ok := tracker.ClockPID(); !ok || pid != 0x101 {
		t.Errorf("clock on PID %#x, %v", pid, ok)
	}
}

func TestMissingPMTIsNotWaitedForForever(t *testing.T) {
	key := join(avcSPS, avcIDR, payload(300))
	var m mux
	m.section(0, patSection(0, 1, 0x1001, 2, 0x1002))
	m.section(0x1002, pmtSection(2, 0, 0x200, es{pid: 0x200, streamType: 0x1B}))
	m.pes(0x200, 0xE0, frame{pts: 1}, key)
	m.null(tableWait/PacketSize + 7)
	at := m.offset()
	m.pes(0x200, 0xE0, frame{pts: 1}, key)
	var tracker Tracker
	if got := scan(&tracker, m.out, 7); len(got) != 1 || got[0].Offset != at || got[0].Kind != KeyFrame {
		t.Errorf("starts %+v, want one at %d", got, at)
	}
}

func TestTablesThatChange(t *testing.T) {
	var m mux
	var tracker Tracker
	offset := 0
	feed := func() []Stream {
		tracker.Scan(m.out[offset:], int64(offset))
		offset = len(m.out)
		return tracker.Streams()
	}
	versions := []uint64{tracker.Version()}
	check := func(step string, changed bool, want ...Stream) {
		t.Helper()
		if got := feed(); !cmp.Equal(got, want) {
			t.Errorf("%s: %s", step, cmp.Diff(want, got))
		}
		if v := tracker.Version(); (v != versions[len(versions)-1]) != changed {
			t.Errorf("%s: version %d after %v", step, v, versions)
		}
		versions = append(versions, tracker.Version())
	}
	m.tables(avcStream)
	check("first", true, Stream{1, videoPID, 0x1B, "h264"})
	m.tables(avcStream)
	check("again", false, Stream{1, videoPID, 0x1B, "h264"})
	m.section(pmtPID, pmtSection(1, 1, videoPID, hevcStream))
	check("new PMT", true, Stream{1, videoPID, 0x24, "h265"})
	next := pmtSection(1, 2, videoPID, mpegStream)
	next[5] &^= 1 // applies later
	seal(next)
	m.section(pmtPID, next)
	check("a PMT not yet valid", false, Stream{1, videoPID, 0x24, "h265"})
	m.section(0, patSection(1, 2, 0x1002))
	check("new PAT", true)
	m.section(pmtPID, pmtSection(1, 3, videoPID, avcStream))
	check("the PMT of a program that is gone", false)
	m.section(0, newSection(tablePAT, 1, 2, 0, 1, patContents(3, 0x1003)))
	check("half a PAT", false)
	m.section(0, newSection(tablePAT, 1, 2, 1, 1, patContents(2, 0x1002)))
	check("the other half", true)
	m.section(0, patSection(3, 2, 0x1002))
	check("a PAT of one section again", true)
	m.section(0x1002, pmtSection(2, 0, audioPID, aacStream))
	check("the PMT of the new program", true, Stream{2, audioPID, 0x0F, "aac"})
	if n := tracker.Stats().BadTables; n != 0 {
		t.Errorf("%d bad tables", n)
	}
}

func TestBadTablesAreCountedAndIgnored(t *testing.T) {
	good := pmtSection(1, 0, videoPID, avcStream)
	wrongCRC := slices.Clone(good)
	wrongCRC[13] ^= 1
	lyingInfo := newSection(tablePMT, 1, 0, 0, 0, []byte{0xE1, 0, 0xF0, 200, 0x1B, 0xE1, 0, 0xF0, 0})
	lyingStream := newSection(tablePMT, 1, 0, 0, 0, []byte{0xE1, 0, 0xF0, 0, 0x1B, 0xE1, 0, 0xF0, 9})
	cutStream := newSection(tablePMT, 1, 0, 0, 0, []byte{0xE1, 0, 0xF0, 0, 0x1B, 0xE1, 0})
	empty := newSection(tablePMT, 1, 0, 0, 0, nil)
	number := newSection(tablePMT, 1, 0, 1, 0, good.contents())
	tooLong := slices.Clone(good)
	tooLong[1], tooLong[2] = 0xBF, 0xFF
	short := section{tablePMT, 0xB0, 5, 0, 1, 0xC1, 0, 0}
	for name, s := range map[string]section{
		"CRC": wrongCRC, "program_info_length": lyingInfo, "ES_info_length": lyingStream,
		"half an entry": cutStream, "no contents": empty, "section_number": number, "section_length": tooLong, "too short": short,
	} {
		var m mux
		m.section(0, patSection(0, 1, pmtPID))
		m.section(pmtPID, s)
		var tracker Tracker
		scan(&tracker, m.out, 7)
		if n := tracker.Stats().BadTables; n != 1 || len(tracker.Streams()) != 0 {
			t.Errorf("%s: %d bad tables, streams %v", name, n, tracker.Streams())
		}
	}
	var m mux
	m.section(0, patSection(0, 1, pmtPID))
	m.packet(pmtPID, true, nil, append([]byte{183}, fill(100)...)) // the pointer leads past the end
	m.out[len(m.out)-PacketSize+4] = 100
	m.packet(pmtPID, true, []byte{0}, append([]byte{200}, fill(181)...))
	var tracker Tracker
	scan(&tracker, m.out, 7)
	if n := tracker.Stats().BadTables; n == 0 {
		t.Error("a pointer past the end is not counted")
	}
}

func TestTablesWithMissingOrScrambledPackets(t *testing.T) {
	long := es{pid: videoPID, streamType: 0x1B, descriptors: append([]byte{0x0A, 250}, payload(250)...)}
	section := pmtSection(1, 0, videoPID, long, long) // three packets
	var m mux
	m.section(0, patSection(0, 1, pmtPID))
	at := m.offset()
	m.section(pmtPID, section)
	missing := slices.Delete(bytes.Clone(m.out), int(at)+PacketSize, int(at)+2*PacketSize)
	var tracker Tracker
	scan(&tracker, missing, 7)
	if got, want := tracker.Stats(), (Stats{Packets: 3, Continuity: 1}); got != want || len(tracker.Streams()) != 0 {
		t.Errorf("a packet missing: %+v, want %+v", got, want)
	}
	again := m.offset()
	m.section(pmtPID, section)
	missing = slices.Delete(bytes.Clone(m.out), int(again)-PacketSize, int(again)+PacketSize)
	tracker = Tracker{}
	scan(&tracker, missing, 7)
	if got, want := tracker.Stats(), (Stats{Packets: 5, Continuity: 1}); got != want || len(tracker.Streams()) != 0 {
		t.Errorf("the end of one and the start of the next missing: %+v, want %+v", got, want)
	}
	m.out = m.out[:again]
	m.counters[pmtPID] = 3
	for i := int(at); i < len(m.out); i += PacketSize {
		m.out[i+3] |= 0x80
		m.out[i+20] ^= 0xFF
	}
	m.section(pmtPID, section)
	tracker = Tracker{}
	scan(&tracker, m.out, 7)
	if got, want := tracker.Stats(), (Stats{Packets: 7}); got != want || len(tracker.Streams()) != 2 {
		t.Errorf("scrambled, then clear: %+v, want %+v", got, want)
	}
}

// TestTablesOfProgramsThatAreGone are not kept: they never come again.
func TestTablesOfProgramsThatAreGone(t *testing.T) {
	var m mux
	m.section(0, patSection(0, 1, pmtPID, 2, pmtPID))
	m.section(pmtPID, pmtSection(1, 0, audioPID, aacStream))
	m.section(0, patSection(1, 2, pmtPID))
	for range 2 * maxTablePackets {
		m.section(pmtPID, pmtSection(2, 0, videoPID, avcStream))
	}
	m.pes(videoPID, 0xE0, frame{pts: 1}, join(avcSPS, avcIDR, payload(300)))
	var tracker Tracker
	if got := scan(&tracker, m.out, 7); len(got) != 1 || len(got[0].Tables) != 2*PacketSize {
		t.Errorf("starts %+v, want one with PAT and PMT", got)
	}
}

// TestTablesOutOfReach: when more than can be kept follows a PMT on its PID, there
// are no tables to start with until it comes again.
func TestTablesOutOfReach(t *testing.T) {
	key := join(avcSPS, avcIDR, payload(300))
	private := newSection(0xC0, 9, 0, 0, 0, payload(100))
	var m mux
	m.tables(avcStream)
	for range maxTablePackets {
		m.section(pmtPID, private)
	}
	m.pes(videoPID, 0xE0, frame{pts: 1}, key)
	m.tables(avcStream)
	at := m.offset()
	m.pes(videoPID, 0xE0, frame{pts: 1}, key)
	var tracker Tracker
	if got := scan(&tracker, m.out, 7); len(got) != 1 || got[0].Offset != at || len(got[0].Tables) != 2*PacketSize {
		t.Errorf("starts %+v, want one at %d", got, at)
	}
}

func TestContinuity(t *testing.T) {
	const (
		ok      = uint64(0)
		anError = uint64(1)
	)
	packet := func(counter, control, flags byte) []byte {
		p := append([]byte{SyncByte, 0x01, 0x00, control | counter, 1, flags}, fill(182)...)
		return p
	}
	const payloadOnly, both, fieldOnly = 0x10, 0x30, 0x20
	for _, c := range []struct {
		name    string
		packets [][]byte
		want    uint64
	}{
		{"in order", [][]byte{packet(14, payloadOnly, 0), packet(15, both, 0), packet(0, payloadOnly, 0)}, ok},
		{"one missing", [][]byte{packet(3, payloadOnly, 0), packet(5, payloadOnly, 0), packet(6, payloadOnly, 0)}, anError},
		{"one twice", [][]byte{packet(3, payloadOnly, 0), packet(3, payloadOnly, 0), packet(4, payloadOnly, 0)}, ok},
		{"three times", [][]byte{packet(3, payloadOnly, 0), packet(3, payloadOnly, 0), packet(3, payloadOnly, 0), packet(4, payloadOnly, 0)}, anError},
		{"swapped", [][]byte{packet(3, payloadOnly, 0), packet(5, payloadOnly, 0), packet(4, payloadOnly, 0), packet(6, payloadOnly, 0)}, 3},
		{"no payload, no step", [][]byte{packet(3, payloadOnly, 0), packet(3, fieldOnly, 0), packet(3, fieldOnly, 0), packet(4, payloadOnly, 0)}, ok},
		{"no payload, but a step", [][]byte{packet(3, payloadOnly, 0), packet(4, fieldOnly, 0), packet(5, payloadOnly, 0)}, anError},
		{"announced", [][]byte{packet(3, payloadOnly, 0), packet(9, both, 0x80), packet(10, payloadOnly, 0)}, ok},
		{"announced without payload", [][]byte{packet(3, payloadOnly, 0), packet(9, fieldOnly, 0x80), packet(10, payloadOnly, 0)}, ok},
		{"reserved", [][]byte{packet(3, payloadOnly, 0), packet(9, 0, 0), packet(4, payloadOnly, 0)}, ok},
	} {
		var tracker Tracker
		scan(&tracker, slices.Concat(c.packets...), 7)
		if got := tracker.Stats().Continuity; got != c.want {
			t.Errorf("%s: %d errors, want %d", c.name, got, c.want)
		}
	}
	var m mux
	m.null(1)
	m.null(1)
	m.out[3] = 0x15
	damaged := packet(9, payloadOnly, 0)
	damaged[1] |= 0x80
	var tracker Tracker
	scan(&tracker, slices.Concat(m.out, packet(3, payloadOnly, 0), damaged, packet(4, payloadOnly, 0)), 7)
	if got, want := tracker.Stats(), (Stats{Packets: 5, TransportErrors: 1}); got != want {
		t.Errorf("null packets and a damaged one: %+v, want %+v", got, want)
	}
}

func TestAudioStartsAreSpaced(t *testing.T) {
	// 24 ms of audio a packet for ten seconds: a start each half second.
	var m mux
	for n := range int64(416) {
		if n%4 == 0 {
			m.tables(aacStream)
		}
		m.pes(audioPID, 0xC0, frame{pts: 1 + n*2160}, payload(120))
	}
	var tracker Tracker
	got := scan(&tracker, m.out, 7)
	if len(got) < 19 || len(got) > 20 {
		t.Errorf("%d starts in ten seconds", len(got))
	}
	for _, s := range got {
		p := Packet(m.out[s.Offset:][:PacketSize])
		if s.Kind != AudioFrame || p.PID() != audioPID || !p.PayloadStart() || len(s.Tables) != 2*PacketSize {
			t.Fatalf("start %+v is no start of audio", s)
		}
	}
	// Without times 64 KiB are between them.
	m = mux{}
	m.tables(es{pid: audioPID, streamType: 0x06, descriptors: []byte{0x6A, 0}})
	for range 3 * spacing / PacketSize {
		m.pes(audioPID, 0xBD, frame{scrambled: true}, payload(120))
	}
	tracker = Tracker{}
	if got := scan(&tracker, m.out, 7); len(got) != 3 {
		t.Errorf("%d starts in three times the spacing", len(got))
	}
}

func TestAnyPacketWhereNothingIsKnown(t *testing.T) {
	var m mux
	for range (tableWait + 3*spacing) / PacketSize {
		m.packet(0x55, false, nil, payload(184))
	}
	var tracker Tracker
	got := scan(&tracker, m.out, 7)
	if len(got) != 3 && len(got) != 4 {
		t.Errorf("%d starts after the wait, want one each 64 KiB", len(got))
	}
	for _, s := range got {
		if s.Kind != AnyPacket || s.Tables != nil || s.Offset < tableWait-7*PacketSize {
			t.Errorf("start %+v", s)
		}
	}
	// Late tables are taken all the same.
	at := m.offset()
	m.tables(avcStream)
	key := m.offset()
	m.pes(videoPID, 0xE0, frame{pts: 1}, join(avcSPS, avcIDR, payload(300)))
	if got := tracker.Scan(m.out[at:], at); len(got) != 1 || got[0].Kind != KeyFrame || got[0].Offset != key {
		t.Errorf("after late tables: %+v", got)
	}
	// Tables that name neither video nor audio.
	m = mux{}
	m.tables(es{pid: 0x55, streamType: 0x06})
	m.null(2 * spacing / PacketSize)
	tracker = Tracker{}
	if got := scan(&tracker, m.out, 7); len(got) != 2 || got[0].Kind != AnyPacket || len(got[0].Tables) != 2*PacketSize {
		t.Errorf("with data only: %+v", got)
	}
}

func TestStartsOutliveTheirScan(t *testing.T) {
	var m mux
	for n := range uint16(50) {
		m.section(0, patSection(0, 1, pmtPID))
		m.section(pmtPID, pmtSection(1, uint8(n%32), videoPID, avcStream))
		m.pes(videoPID, 0xE0, frame{pts: 1}, join(avcSPS, avcIDR, payload(300)))
	}
	var tracker Tracker
	var starts []Start
	var copies [][]byte
	for offset := int64(0); offset < m.offset(); offset += PacketSize {
		for _, s := range tracker.Scan(m.out[offset:offset+PacketSize], offset) {
			starts, copies = append(starts, s), append(copies, bytes.Clone(s.Tables))
		}
	}
	if len(starts) != 50 {
		t.Fatalf("%d starts", len(starts))
	}
	for i, s := range starts {
		if !bytes.Equal(s.Tables, copies[i]) {
			t.Fatalf("the tables of start %d were changed later", i)
		}
	}
}

func TestCodecNames(t *testing.T) {
	for _, c := range []struct {
		streamType  uint8
		descriptors string
		want        string
	}{
		{0x01, "", "mpeg1video"},
		{0x02, "", "mpeg2video"},
		{0x03, "", "mpegaudio"},
		{0x0F, "", "aac"},
		{0x10, "", "mpeg4video"},
		{0x11, "", "aac_latm"},
		{0x1B, "", "h264"},
		{0x24, "", "h265"},
		{0x33, "", "vvc"},
		{0x81, "", "ac3"},
		{0x86, "", "scte35"},
		{0x87, "", "eac3"},
		{0x06, "\x6A\x01\x00", "ac3"},
		{0x06, "\x0A\x04eng\x00\x7A\x01\x00", "eac3"},
		{0x06, "\x7B\x00", "dts"},
		{0x06, "\x7F\x02\x80\x02", "opus"},
		{0x06, "\x05\x04Opus\x7F\x02\x80\x02", "opus"},
		{0x06, "\x05\x04HEVC", "h265"},
		{0x06, "\x05\x04KLVA", "klv"},
		{0x06, "\x59\x00", "dvbsub"},
		{0x06, "\x56\x00", "teletext"},
		{0x15, "\x05\x04ID3 ", "id3"},
		{0x06, "", "type 0x06"},
		{0x06, "\x6A", "type 0x06"},
		{0x06, "\x05\x02AC", "type 0x06"},
		{0x06, "\x59\x7Fab", "type 0x06"},
		{0xB0, "", "type 0xB0"},
	} {
		if got, _ := classify(c.streamType, []byte(c.descriptors)); got != c.want {
			t.Errorf("stream type 0x%02X with %q: %s, want %s", c.streamType, c.descriptors, got, c.want)
		}
	}
}

// videoStream is a broadcast of about n bytes: 25 pictures a second of 40 kB,
// tables and audio between them, a key frame each second.
func videoStream(n int) []byte {
	var m mux
	for picture := int64(0); len(m.out) < n; picture++ {
		unit := join(avcAUD, avcTiming, avcP)
		if picture%25 == 0 {
			unit = join(avcAUD, avcSPS, avcPPS, avcTiming, avcIDR)
		}
		if picture%3 == 0 {
			m.tables(avcStream, aacStream)
		}
		m.pes(videoPID, 0xE0, frame{pts: 1 + picture*3600, pcr: 1 + picture*1_080_000}, join(unit, payload(40_000)))
		m.pes(audioPID, 0xC0, frame{pts: 1 + picture*3600}, payload(1000))
	}
	return m.out
}

func TestScanAllocatesNothing(t *testing.T) {
	b := videoStream(2 << 20)
	var tracker Tracker
	scan(&tracker, b, 7)
	offset := int64(len(b))
	starts := 0
	if n := testing.AllocsPerRun(10, func() {
		for i := 0; i < len(b); i += 7 * PacketSize {
			starts += len(tracker.Scan(b[i:min(i+7*PacketSize, len(b))], offset))
			offset += 7 * PacketSize
		}
	}); n > float64(starts)/11 {
		t.Errorf("%v allocations for %d starts: at most one for each may be", n, starts/11)
	}
	if starts == 0 {
		t.Error("no start in the whole stream")
	}
}

// FuzzTracker: nothing panics, what is kept is bounded, and every start is a
// packet of the stream with whole packets as tables.
func FuzzTracker(f *testing.F) {
	f.Add(videoStream(20_000), uint8(7))
	f.Add(videoStream(20_000), uint8(1))
	for _, s := range [][]byte{join(hevcVPS, hevcSPS, hevcCRA), join(mpegSeq, mpegI), join(avcSPS, avcRecovery, avcP)} {
		for _, video := range []es{avcStream, hevcStream, mpegStream} {
			var m mux
			m.tables(video, aacStream)
			m.pes(videoPID, 0xE0, frame{pts: 1, stuffing: 150}, join(s, payload(500)))
			f.Add(m.out, uint8(2))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, packets uint8) {
		b = b[:len(b)/PacketSize*PacketSize]
		for i := 0; i < len(b); i += PacketSize {
			b[i] = SyncByte
		}
		sealTables(b)
		var tracker Tracker
		last := int64(-1)
		for _, s := range scan(&tracker, b, int(packets)+1) {
			if s.Offset <= last || s.Offset >= int64(len(b)) || s.Offset%PacketSize != 0 {
				t.Fatalf("start at %d after one at %d in %d bytes", s.Offset, last, len(b))
			}
			last = s.Offset
			if len(s.Tables) > 0 && (!Aligned(s.Tables) || Packet(s.Tables).PID() != 0) {
				t.Fatalf("tables of %d bytes do not begin with a PAT", len(s.Tables))
			}
			if s.Kind != AnyPacket && len(s.Tables) == 0 {
				t.Fatalf("%+v has no tables", s)
			}
		}
		if got := tracker.Stats().Packets; got != uint64(len(b)/PacketSize) {
			t.Errorf("%d packets of %d", got, len(b)/PacketSize)
		}
		for _, table := range append(tracker.pmts, &tracker.pat) {
			if len(table.packets) > maxTablePackets*PacketSize || len(table.building) > 4096+PacketSize {
				t.Errorf("PID %d keeps %d and %d bytes", table.pid, len(table.packets), len(table.building))
			}
		}
		if len(tracker.unit.pes) > maxAccessUnit+PacketSize {
			t.Errorf("%d bytes of an access unit", len(tracker.unit.pes))
		}
		for i := 0; i < len(b); i += PacketSize { // accessors and setters neither
			p := Packet(b[i : i+PacketSize])
			p.ShiftTimes(27_000_000)
			p.SetPCR(1)
			p.RemovePESTimes()
			if _, _, ok := p.PESTimes(); ok {
				t.Error("PES times that were removed are there")
			}
			p.RemovePCR()
			if _, ok := p.PCR(); ok {
				t.Error("a PCR that was removed is there")
			}
		}
	})
}

// sealTables writes correct CRCs into the sections that start a packet, so that
// a fuzzer's changes get past them.
func sealTables(b []byte) {
	for i := 0; i < len(b); i += PacketSize {
		p := Packet(b[i : i+PacketSize])
		s := p.Payload()
		if !p.PayloadStart() || len(s) < 4 || 1+int(s[0])+3 > len(s) {
			continue
		}
		s = s[1+int(s[0]):]
		if length := sectionLength(s); s[0] <= tablePMT && length >= sectionHeader+sectionCRC && length <= len(s) {
			seal(s[:length])
		}
	}
}

// BenchmarkScan is the cost of following a stream of 8 Mbit/s, with and without Health.
func BenchmarkScan(b *testing.B) {
	in := videoStream(4 << 20)
	for _, packets := range []int{7, 350} {
		for _, health := range []bool{false, true} {
			b.Run(fmt.Sprintf("packets=%d/health=%v", packets, health), func(b *testing.B) {
				tracker := Tracker{CheckHealth: health}
				offset := int64(0)
				b.SetBytes(int64(len(in)))
				b.ReportAllocs()
				for b.Loop() {
					for i := 0; i < len(in); i += packets * PacketSize {
						chunk := in[i:min(i+packets*PacketSize, len(in))]
						tracker.Scan(chunk, offset)
						offset += int64(len(chunk))
					}
				}
			})
		}
	}
}
