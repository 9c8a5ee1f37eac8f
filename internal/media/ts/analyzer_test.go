package ts

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// analyze gives the stream in datagrams that arrive when their last PCR says,
// each later by delay of its number.
func analyze(b []byte, delay func(n int) time.Duration) Analysis {
	var a Analyzer
	var at time.Duration
	for n := 0; len(b) > 0; n++ {
		chunk := b[:min(7*PacketSize, len(b))]
		b = b[len(chunk):]
		for i := 0; i+PacketSize <= len(chunk); i += PacketSize {
			if chunk[i] != SyncByte {
				continue
			}
			if ticks, ok := Packet(chunk[i : i+PacketSize]).PCR(); ok {
				at = clockTime(ticks)
			}
		}
		a.Packets(chunk, at+delay(n))
	}
	return a.Report()
}

func onTime(int) time.Duration { return 0 }

// pictures is a stream of n small pictures, 25 a second, a key frame each second,
// tables each 120 ms.
func pictures(n int) []byte {
	var m mux
	for picture := range int64(n) {
		unit := join(avcAUD, avcP)
		if picture%25 == 0 {
			unit = join(avcAUD, avcSPS, avcPPS, avcIDR)
		}
		if picture%3 == 0 {
			m.tables(avcStream, aacStream)
		}
		m.pes(videoPID, 0xE0, frame{pts: 1 + picture*3600, pcr: 1 + picture*1_080_000}, join(unit, payload(4000)))
		m.pes(audioPID, 0xC0, frame{pts: 1 + picture*3600}, payload(600))
		m.null(1)
	}
	return m.out
}

func TestAnalyzeGoodStream(t *testing.T) {
	b := pictures(251)
	r := analyze(b, onTime)
	if !r.Valid || len(r.Problems)+len(r.Warnings) != 0 {
		t.Errorf("problems %q, warnings %q", r.Problems, r.Warnings)
	}
	if r.Bytes != uint64(len(b)) || r.Packets != uint64(len(b)/PacketSize) || r.NullPackets != 251 {
		t.Errorf("%d bytes, %d packets, %d null packets", r.Bytes, r.Packets, r.NullPackets)
	}
	if r.DurationMS != 10_000 || r.KeyFrames != 11 || r.KeyFrameMaxMS != 1000 || r.PATMaxMS != 120 || r.PMTMaxMS != 120 {
		t.Errorf("duration %v, %d key frames up to %v apart, PAT %v, PMT %v", r.DurationMS, r.KeyFrames, r.KeyFrameMaxMS, r.PATMaxMS, r.PMTMaxMS)
	}
	want := PCRAnalysis{PID: videoPID, Count: 251, IntervalAvgMS: 40, IntervalMaxMS: 40}
	if diff := cmp.Diff(want, r.PCR); diff != "" {
		t.Error(diff)
	}
	rate := uint64(len(b)) * 8 / 10
	for _, got := range []uint64{r.BitRate, r.ClockBitRate} {
		if got < rate*99/100 || got > rate {
			t.Errorf("bit rate %d, want about %d", got, rate)
		}
	}
	if *r.FirstPacketMS != 0 || *r.FirstStartMS != 0 {
		t.Errorf("first packet at %v, first key frame at %v", *r.FirstPacketMS, *r.FirstStartMS)
	}
	streams := []StreamAnalysis{
		{Type: 0x1B, Codec: "h264", PIDAnalysis: PIDAnalysis{PID: videoPID, Packets: count(b, videoPID)}},
		{Type: 0x0F, Codec: "aac", PIDAnalysis: PIDAnalysis{PID: audioPID, Packets: count(b, audioPID)}},
	}
	programs := []ProgramAnalysis{{Number: 1, PMTPID: pmtPID, PMT: true, PCRPID: videoPID, Streams: streams}}
	if diff := cmp.Diff(programs, r.Programs); diff != "" {
		t.Error(diff)
	}
	if n := len(r.PIDs); n != 5 {
		t.Errorf("%d PIDs, want PAT, PMT, video, audio and null", n)
	}
}

func count(b []byte, pid uint16) (n uint64) {
	for ; len(b) > 0; b = b[PacketSize:] {
		if Packet(b).PID() == pid {
			n++
		}
	}
	return n
}

func TestAnalyzeJitter(t *testing.T) {
	late := func(n int) time.Duration {
		if n >= 100 && n < 110 { // two of the clocks
			return 30 * time.Millisecond
		}
		return 0
	}
	if r := analyze(pictures(100), late); r.PCR.JitterMaxMS != 30 || !r.Valid {
		t.Errorf("jitter %v", r.PCR.JitterMaxMS)
	}
	each := func(n int) time.Duration { return time.Duration(n%2) * 7 * time.Millisecond }
	if r := analyze(pictures(100), each); r.PCR.JitterMaxMS != 7 || r.PCR.IntervalMaxMS != 40 {
		t.Errorf("jitter %v, interval %v", r.PCR.JitterMaxMS, r.PCR.IntervalMaxMS)
	}
}

// edit returns a copy of b after change was called with every packet; packets for
// which it returns false are left out.
func edit(b []byte, change func(n int, p Packet) bool) (out []byte) {
	for n := 0; n*PacketSize < len(b); n++ {
		p := Packet(bytes.Clone(b[n*PacketSize:][:PacketSize]))
		if change(n, p) {
			out = append(out, p...)
		}
	}
	return out
}

func TestAnalyzeFindsFaults(t *testing.T) {
	good := pictures(100)
	pcrs := 0
	for _, c := range []struct {
		name  string
		b     []byte
		words string // in one of the problems
		check func(Analysis) bool
	}{
		{
			"packets missing", edit(good, func(n int, _ Packet) bool { return n%500 != 499 }), "continuity errors",
			func(r Analysis) bool { return r.Continuity == 5 },
		},
		{
			"sync bytes wrong", edit(good, func(n int, p Packet) bool {
				if n%500 == 499 {
					p[0] = 0
				}
				return true
			}), "lost sync 5 times",
			func(r Analysis) bool { return r.SyncLosses == 5 && r.SkippedBytes == 5*PacketSize },
		},
		{
			"no PAT", edit(good, func(_ int, p Packet) bool { return p.PID() != 0 }), "no PAT",
			func(r Analysis) bool { return len(r.Programs) == 0 },
		},
		{
			"no PMT", edit(good, func(_ int, p Packet) bool { return p.PID() != pmtPID }), "no PMT",
			func(r Analysis) bool { return len(r.Programs) == 1 && !r.Programs[0].PMT },
		},
		{
			"damaged packets", edit(good, func(n int, p Packet) bool {
				if n == 70 {
					p[1] |= 0x80
				}
				return true
			}), "marked as damaged",
			func(r Analysis) bool { return r.TransportErrors == 1 },
		},
		{
			"damaged PMT", edit(good, func(n int, p Packet) bool {
				if p.PID() == pmtPID && n > 100 {
					p[20] ^= 1
				}
				return true
			}), "damaged PAT or PMT",
			func(r Analysis) bool { return r.BadTables == 32 },
		},
		{
			"clock steps back", edit(good, func(_ int, p Packet) bool {
				if ticks, ok := p.PCR(); ok {
					if pcrs++; pcrs == 50 {
						p.SetPCR(ticks - ClockRate/2)
					}
				}
				return true
			}), "1 jumps of the PCR",
			func(r Analysis) bool { return r.PCR.Discontinuities == 1 },
		},
		{
			"no clock", edit(good, func(_ int, p Packet) bool {
				if _, ok := p.PCR(); ok {
					p[5] &^= 0x10
				}
				return true
			}), "no PCR",
			func(r Analysis) bool { return r.PCR.Count == 0 },
		},
		{"nothing", nil, "nothing came", func(r Analysis) bool { return r.FirstPacketMS == nil }},
		{"no TS", payload(100_000), "no transport stream", func(r Analysis) bool { return r.Bytes == 100_000 && r.Packets == 0 }},
	} {
		r := analyze(c.b, onTime)
		found := slices.ContainsFunc(r.Problems, func(s string) bool { return strings.Contains(s, c.words) })
		if r.Valid || !found || !c.check(r) {
			t.Errorf("%s: valid %v, problems %q, analysis %+v", c.name, r.Valid, r.Problems, r)
		}
	}
}

func TestAnalyzeWarnings(t *testing.T) {
	good := pictures(100)
	pats := 0
	for _, c := range []struct {
		name  string
		b     []byte
		words string
	}{
		{"junk before", join(payload(100), good), "100 bytes before"},
		{"few tables", edit(good, func(_ int, p Packet) bool {
			if p.PID() == 0 {
				pats++
			}
			return p.PID() != 0 || pats <= 10 || pats > 26 // sixteen: the counter fits
		}), "PAT up to 2040 ms"},
		{"scrambled audio", edit(good, func(_ int, p Packet) bool {
			if p.PID() == audioPID {
				p[3] |= 0x80
			}
			return true
		}), "are scrambled"},
		{"an empty stream", edit(good, func(_ int, p Packet) bool { return p.PID() != audioPID }), "announced but empty"},
		{"no key frame", good[10*PacketSize : 400*PacketSize], "no key frame"},
		{"few PCRs", edit(good, func(_ int, p Packet) bool {
			if ticks, ok := p.PCR(); ok && ticks%(4*1_080_000) != 1 {
				p[5] &^= 0x10
			}
			return true
		}), "PCR up to 160 ms"},
	} {
		r := analyze(c.b, onTime)
		found := slices.ContainsFunc(r.Warnings, func(s string) bool { return strings.Contains(s, c.words) })
		if !r.Valid || !found {
			t.Errorf("%s: valid %v, problems %q, warnings %q", c.name, r.Valid, r.Problems, r.Warnings)
		}
	}
}

// TestAnalyzeSeamIsNoFault: a clock that wraps, or that jumps where the stream
// announces it, is no discontinuity.
func TestAnalyzeSeamIsNoFault(t *testing.T) {
	wrapping := edit(pictures(100), func(_ int, p Packet) bool {
		p.ShiftTimes(wrapPCR - 2*ClockRate)
		return true
	})
	var a Analyzer
	a.Packets(wrapping, 0)
	if r := a.Report(); r.PCR.Discontinuities != 0 || !r.Valid || r.PCR.IntervalMaxMS != 40 {
		t.Errorf("at the wrap: %+v", r.PCR)
	}
	n := 0
	jumping := edit(pictures(100), func(_ int, p Packet) bool {
		if _, ok := p.PCR(); ok {
			n++
			if n == 50 {
				p[5] |= 0x80
			}
		}
		if n >= 50 {
			p.ShiftTimes(3000 * ClockRate)
		}
		return true
	})
	a = Analyzer{}
	a.Packets(jumping, 0)
	if r := a.Report(); r.PCR.Discontinuities != 0 || !r.Valid {
		t.Errorf("announced: %+v", r.PCR)
	}
}

// TestAnalyzeClockOfAnotherProgram: the clock of the first program is followed once
// its PMT comes; that it differs from the other's is no fault.
func TestAnalyzeClockOfAnotherProgram(t *testing.T) {
	var m mux
	m.section(0, patSection(0, 1, 0x1001, 2, 0x1002))
	m.section(0x1002, pmtSection(2, 0, 0x200, es{pid: 0x200, streamType: 0x0F}))
	for n := range int64(20) {
		if n == 10 {
			m.section(0x1001, pmtSection(1, 0, 0x100, es{pid: 0x100, streamType: 0x0F}))
		}
		m.pes(0x200, 0xC0, frame{pts: 1, pcr: 1 + n*1_080_000}, payload(100))
		m.pes(0x100, 0xC0, frame{pts: 1, pcr: 900*ClockRate + n*1_080_000}, payload(100))
	}
	var a Analyzer
	a.Packets(m.out, 0)
	if r := a.Report(); !r.Valid || r.PCR.PID != 0x100 || r.PCR.Count != 20 || r.PCR.IntervalMaxMS != 40 {
		t.Errorf("problems %q, PCR %+v", r.Problems, r.PCR)
	}
}

func TestAnalysisJSON(t *testing.T) {
	b, err := json.Marshal(analyze(pictures(10), onTime))
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"valid", "problems", "bit_rate_bps", "continuity_errors", "first_start_ms", "pcr", "programs", "pids"} {
		if got[name] == nil {
			t.Errorf("no %q in %s", name, b)
		}
	}
	stream := got["programs"].([]any)[0].(map[string]any)["streams"].([]any)[0].(map[string]any)
	if stream["codec"] != "h264" || stream["pid"] != float64(videoPID) {
		t.Errorf("stream %v", stream)
	}
}
