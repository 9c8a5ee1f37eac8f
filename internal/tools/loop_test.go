package tools

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"sluice/internal/media/ts"
)

// The clip's length, of which demo/make-clip.sh tells the reasons: 9.6 s.
const clipTicks = 96 * ts.ClockRate / 10

func TestLoopPeriod(t *testing.T) {
	for _, c := range []struct {
		name string
		file *bytes.Reader
		want int64 // ticks of 27 MHz
	}{
		{"the clip", bytes.NewReader(Clip()), clipTicks},
		{"video before audio", file(
			pes(257, 0, 0xC0, 0), pes(256, 0, 0xE0, 1000), pes(256, 1, 0xE0, 4600),
			pes(257, 1, 0xC0, 1920), pes(256, 2, 0xE0, 8200), pes(257, 2, 0xC0, 99999)), 3 * 3600 * 300},
		{"a missing picture is missed", file(
			pes(256, 0, 0xE0, 0), pes(256, 1, 0xE0, 3600), pes(256, 2, 0xE0, 10800)), 4 * 3600 * 300},
		{"times that wrap", file(
			pes(256, 0, 0xE0, wrapDTS-3600), pes(256, 1, 0xE0, 0), pes(256, 2, 0xE0, 3600)), 3 * 3600 * 300},
		{"audio alone", file(
			pes(257, 0, 0xC1, 0), pes(258, 0, 0xC0, 5), pes(257, 1, 0xC1, 2160), pes(257, 2, 0xC1, 4320)), 3 * 2160 * 300},
		{"AC-3 alone", file(pes(257, 0, 0xBD, 0), pes(257, 1, 0xBD, 2880)), 2 * 2880 * 300},
		{"a clock alone", file(
			withPCR(packet(256, 0, nil), 0), withPCR(packet(256, 0, nil), 300_000), withPCR(packet(300, 0, nil), 5)), 600_000},
		{"one picture, and a clock", file(
			pes(256, 0, 0xE0, 0), withPCR(packet(256, 0, nil), 0), withPCR(packet(256, 0, nil), 600)), 1200},
		{"no times at all", file(packet(256, 0, []byte{1}), packet(256, 1, []byte{2})), 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSource(c.file, false)
			packets(t, s, 1<<20)
			if got := s.looper.period(); got != c.want {
				t.Errorf("period %d ticks, want %d", got, c.want)
			}
		})
	}
}

// TestIssue1 holds the sentences of issue 1 that need no other program.
func TestIssue1(t *testing.T) {
	t.Run("a loop has no seam", testLoopHasNoSeam)
	t.Run("each fault is made exactly", testFaultsAreExact)
	t.Run("probe counts what send has broken", testProbeCountsFaults)
}

// testLoopHasNoSeam sends three rounds and a bit of the demo clip.
func testLoopHasNoSeam(t *testing.T) {
	perRound := len(Clip()) / ts.PacketSize
	all, stats, err := play(t, bytes.NewReader(Clip()), SendOptions{To: udpEnd, Loop: true}, 3*perRound/perDatagram+100, nil)
	if err != nil {
		t.Fatal(err)
	}
	if stats.Rounds != 4 {
		t.Errorf("%d rounds begun, want 4", stats.Rounds)
	}
	a := analyze(all, 0)
	if !a.Valid || len(a.Warnings) > 0 {
		t.Errorf("problems %q, warnings %q", a.Problems, a.Warnings)
	}
	if a.PCR.Discontinuities != 0 || a.PCR.IntervalMaxMS > 41 || a.KeyFrameMaxMS > 1001 {
		t.Errorf("clock %+v, key frames at most %.1f ms apart", a.PCR, a.KeyFrameMaxMS)
	}
	// A datagram leaves with its first packet; the PCR may be in its last.
	if a.PCR.JitterMaxMS > 40 {
		t.Errorf("sent up to %.1f ms off the clock", a.PCR.JitterMaxMS)
	}
}

// TestLoopTimesGoOn compares the rounds packet by packet: only times and counters differ.
func TestLoopTimesGoOn(t *testing.T) {
	perRound := len(Clip()) / ts.PacketSize
	all := packets(t, newSource(bytes.NewReader(Clip()), true), 3*perRound)
	last := map[uint16]uint8{}
	for i, p := range all {
		if c, seen := last[p.PID()]; seen && p.HasPayload() && p.Continuity() != (c+1)&0x0F {
			t.Fatalf("packet %d, PID %d: continuity %d after %d", i, p.PID(), p.Continuity(), c)
		}
		last[p.PID()] = p.Continuity()
		if i < perRound {
			continue
		}
		before := bytes.Clone(all[i-perRound])
		ts.Packet(before).ShiftTimes(clipTicks)
		ts.Packet(before).SetContinuity(p.Continuity())
		if !bytes.Equal(before, p) {
			t.Fatalf("packet %d is not that of the round before, %d ticks later", i, clipTicks)
		}
	}
}

// A file's own breaks are kept, and a packet without payload does not count.
func TestLoopContinuity(t *testing.T) {
	src := newSource(file(
		packet(300, 7, nil),
		packet(300, 8, []byte{1}), packet(300, 8, []byte{1}), // sent twice: allowed
		packet(300, 11, []byte{2}), // two are missing
		packet(ts.NullPID, 3, []byte{0}),
	), true)
	want := []uint8{
		7, 8, 8, 11, 3,
		11, 12, 12, 15, 3,
		15, 0, 0, 3, 3,
	}
	for i, p := range packets(t, src, len(want)) {
		if p.Continuity() != want[i] {
			t.Errorf("packet %d of PID %d: continuity %d, want %d", i, p.PID(), p.Continuity(), want[i])
		}
	}
}

func TestSourceErrors(t *testing.T) {
	broken := errors.New("disk on fire")
	for _, c := range []struct {
		name string
		file io.ReadSeeker
		loop bool
		want error
	}{
		{"empty", bytes.NewReader(nil), false, ErrNotTS},
		{"empty, in a loop", bytes.NewReader(nil), true, ErrNotTS},
		{"text", bytes.NewReader(bytes.Repeat([]byte("sluice "), 5000)), true, ErrNotTS},
		{"read error", brokenReader{broken}, false, broken},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := newSource(c.file, c.loop).next(); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

type brokenReader struct{ err error }

func (b brokenReader) Read([]byte) (int, error)       { return 0, b.err }
func (b brokenReader) Seek(int64, int) (int64, error) { return 0, b.err }

// Junk before, within and after the packets is skipped and counted, round after round.
func TestSourceSkipsJunk(t *testing.T) {
	junk := bytes.Repeat([]byte{0xAA}, 100)
	b := append(bytes.Clone(junk), Clip()[:50*ts.PacketSize]...)
	b = append(b, Clip()[50*ts.PacketSize:50*ts.PacketSize+70]...) // cut
	s := newSource(bytes.NewReader(b), true)
	if n := len(packets(t, s, 101)); n != 101 || s.looper.round != 2 || s.skipped < 200 {
		t.Errorf("%d packets, %d rounds, %d bytes skipped", n, s.looper.round, s.skipped)
	}
}
