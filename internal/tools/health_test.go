package tools

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/media/rtp"
	"sluice/internal/media/ts"
	"sluice/internal/uri"
)

// counted is what a receiver counts of a broken stream.
type counted struct {
	ts.Health
	SyncLosses uint64
	RTP        RTPResult // without Received
}

// TestHealthCountsWhatIsSent breaks streams in one way each and receives them: each
// fault raises its own count by exactly so many, and no other, unless the table says
// which and why.
func TestHealthCountsWhatIsSent(t *testing.T) {
	steady := constant(t, Clip())
	for _, c := range []struct {
		name   string
		stream []byte
		faults Faults
		least  uint64 // faults that must have been made
		want   func(s FaultStats, all []sent) (made uint64, want counted)
	}{
		{"nothing", Clip(), Faults{}, 0, func(FaultStats, []sent) (uint64, counted) { return 0, counted{} }},
		{"nothing, at a constant rate", steady, Faults{}, 0, func(FaultStats, []sent) (uint64, counted) { return 0, counted{} }},

		// What is missing, doubled or out of order breaks continuity too.
		{"drop", Clip(), Faults{Drop: 50}, 10, func(s FaultStats, all []sent) (uint64, counted) {
			return s.Dropped, counted{Health: ts.Health{Continuity: jumps(all)}, RTP: RTPResult{Lost: s.Dropped}}
		}},
		{"drop, at a constant rate", steady, Faults{Drop: 50}, 40, func(s FaultStats, all []sent) (uint64, counted) {
			return s.Dropped, counted{Health: ts.Health{Continuity: jumps(all)}, RTP: RTPResult{Lost: s.Dropped}}
		}},
		{"dup", Clip(), Faults{Dup: 50}, 10, func(s FaultStats, all []sent) (uint64, counted) {
			return s.Duplicated, counted{Health: ts.Health{Continuity: jumps(all)}, RTP: RTPResult{Duplicates: s.Duplicated}}
		}},
		{"swap", Clip(), Faults{Swap: 50}, 10, func(s FaultStats, all []sent) (uint64, counted) {
			return s.Swapped, counted{Health: ts.Health{Continuity: jumps(all), PCRJump: stepsBack(all)}, RTP: RTPResult{Reordered: s.Swapped}}
		}},
		// None of these has a PCR, which would step back.
		{"late", Clip(), Faults{Late: 78}, 6, func(s FaultStats, all []sent) (uint64, counted) {
			return s.Late, counted{Health: ts.Health{Continuity: jumps(all)}, RTP: RTPResult{Reordered: s.Late}}
		}},
		{"corrupt", Clip(), Faults{Corrupt: 50}, 10, func(s FaultStats, all []sent) (uint64, counted) {
			return s.Corrupted, counted{Health: ts.Health{Continuity: jumps(all)}, SyncLosses: s.Corrupted}
		}},

		{"rtp-ssrc", Clip(), Faults{RTPSSRC: 50}, 10, func(s FaultStats, _ []sent) (uint64, counted) {
			return s.RTPSSRCs, counted{RTP: RTPResult{Restarts: s.RTPSSRCs}}
		}},
		{"rtp-jump", Clip(), Faults{RTPJump: 50}, 10, func(s FaultStats, _ []sent) (uint64, counted) {
			return s.RTPJumps, counted{RTP: RTPResult{Restarts: s.RTPJumps}}
		}},

		// What is marked as damaged is not looked at, and so is missing.
		{"transport-error", Clip(), Faults{TransportError: 300}, 11, func(s FaultStats, all []sent) (uint64, counted) {
			return s.TransportErrors, counted{Health: ts.Health{Transport: s.TransportErrors, Continuity: jumps(all)}}
		}},
		{"transport-error on null packets", nulls(700), Faults{TransportError: 7}, 100, func(s FaultStats, _ []sent) (uint64, counted) {
			return s.TransportErrors, counted{Health: ts.Health{Transport: s.TransportErrors}}
		}},
		{"continuity", Clip(), Faults{Continuity: 200}, 15, func(s FaultStats, _ []sent) (uint64, counted) {
			return s.Continuity, counted{Health: ts.Health{Continuity: s.Continuity}}
		}},
		{"bad-crc", Clip(), Faults{BadCRC: 10}, 19, func(s FaultStats, _ []sent) (uint64, counted) {
			return s.BadCRCs, counted{Health: ts.Health{CRC: s.BadCRCs}}
		}},

		// From the first PCR to the last it is 9.56 s: 19 times 0.5.
		{"no-pat", Clip(), Faults{NoPAT: true}, 96, func(s FaultStats, _ []sent) (uint64, counted) {
			return s.NoPAT, counted{Health: ts.Health{PAT: 19}}
		}},
		{"no-pmt", Clip(), Faults{NoPMT: true}, 96, func(s FaultStats, _ []sent) (uint64, counted) {
			return s.NoPMT, counted{Health: ts.Health{PMT: 19}}
		}},
		{"pat-gap", Clip(), Faults{PATGap: 750 * time.Millisecond}, 5, func(s FaultStats, _ []sent) (uint64, counted) {
			return s.PATGaps, counted{Health: ts.Health{PAT: s.PATGaps}}
		}},
		{"pmt-gap", Clip(), Faults{PMTGap: 750 * time.Millisecond}, 5, func(s FaultStats, _ []sent) (uint64, counted) {
			return s.PMTGaps, counted{Health: ts.Health{PMT: s.PMTGaps}}
		}},
		{"pcr-gap", Clip(), Faults{PCRGap: 300 * time.Millisecond}, 7, func(s FaultStats, _ []sent) (uint64, counted) {
			return s.PCRGaps, counted{Health: ts.Health{PCRInterval: s.PCRGaps}}
		}},
		{"pts-gap", Clip(), Faults{PTSGap: 800 * time.Millisecond}, 10, func(s FaultStats, _ []sent) (uint64, counted) {
			return s.PTSGaps, counted{Health: ts.Health{PTS: s.PTSGaps}}
		}},

		{"pcr-jump", Clip(), Faults{PCRJump: 50}, 4, func(s FaultStats, _ []sent) (uint64, counted) {
			return s.PCRJumps, counted{Health: ts.Health{PCRJump: s.PCRJumps}}
		}},
		{"pcr-jump, at a constant rate", steady, Faults{PCRJump: 50}, 4, func(s FaultStats, _ []sent) (uint64, counted) {
			return s.PCRJumps, counted{Health: ts.Health{PCRJump: s.PCRJumps}}
		}},
		{"pcr-splice: announced", Clip(), Faults{PCRSplice: 50}, 4, func(s FaultStats, _ []sent) (uint64, counted) {
			return s.Splices, counted{}
		}},
		{"pcr-wrap", Clip(), Faults{PCRWrap: 5 * time.Second}, 0, func(FaultStats, []sent) (uint64, counted) { return 0, counted{} }},
		{"pcr-jump across the wrap", Clip(), Faults{PCRWrap: 5 * time.Second, PCRJump: 100}, 2, func(s FaultStats, _ []sent) (uint64, counted) {
			return s.PCRJumps, counted{Health: ts.Health{PCRJump: s.PCRJumps}}
		}},
		// The last PCR is moved, and nothing follows it.
		{"pcr-jitter", steady, Faults{PCRJitter: 5 * time.Millisecond}, 120, func(s FaultStats, _ []sent) (uint64, counted) {
			return s.MovedPCR, counted{Health: ts.Health{PCRJitter: s.MovedPCR - 1}}
		}},
		{"pcr-jitter beyond the next PCR is steps back", steady, Faults{PCRJitter: 45 * time.Millisecond}, 120, func(s FaultStats, _ []sent) (uint64, counted) {
			return s.MovedPCR, counted{Health: ts.Health{PCRJump: s.MovedPCR - 1}}
		}},
		// At a variable rate the PCRs say what the rate is.
		{"pcr-jitter at a variable rate", Clip(), Faults{PCRJitter: 5 * time.Millisecond}, 120, func(s FaultStats, _ []sent) (uint64, counted) {
			return s.MovedPCR, counted{}
		}},

		{"all at once", Clip(), Faults{Continuity: 500, BadCRC: 20, PATGap: 750 * time.Millisecond, PCRSplice: 70, RTPJump: 100}, 4, func(s FaultStats, _ []sent) (uint64, counted) {
			return min(s.Continuity, s.BadCRCs, s.PATGaps, s.Splices+1, s.RTPJumps), counted{
				Health: ts.Health{Continuity: s.Continuity, CRC: s.BadCRCs, PAT: s.PATGaps}, RTP: RTPResult{Restarts: s.RTPJumps},
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := SendOptions{To: uri.End{Scheme: uri.RTP}, Faults: c.faults}
			if len(c.stream) < 200*ts.PacketSize*7 {
				o.Bitrate = 1_000_000 // no clock
			}
			all, stats, err := play(t, bytes.NewReader(c.stream), o, 0, nil)
			if err != nil {
				t.Fatal(err)
			}
			made, want := c.want(stats.FaultStats, all)
			if made < c.least {
				t.Errorf("a test of nothing: %+v", stats.FaultStats)
			}
			r := received(all)
			got := counted{Health: r.Health, SyncLosses: r.SyncLosses, RTP: *r.Network.RTP}
			got.RTP.Received = 0
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// wirePackets are the packets as sent that a receiver can use.
func wirePackets(all []sent) (usable []ts.Packet) {
	for _, d := range all {
		for b := d.data[rtp.HeaderSize:]; len(b) > 0; b = b[ts.PacketSize:] {
			if p := ts.Packet(b[:ts.PacketSize]); p[0] == ts.SyncByte && !p.TransportError() {
				usable = append(usable, p)
			}
		}
	}
	return usable
}

// jumps counts the continuity counters that do not follow (ISO/IEC 13818-1, 2.4.3.3):
// the plain way, beside that of the Tracker.
func jumps(all []sent) (count uint64) {
	type state struct{ counter, repeats int }
	last := map[uint16]state{}
	for _, p := range wirePackets(all) {
		if p.PID() == ts.NullPID || !p.HasPayload() {
			continue
		}
		s, seen := last[p.PID()]
		c := int(p.Continuity())
		switch {
		case seen && c == s.counter && s.repeats == 0:
			s.repeats = 1
		case seen && c != (s.counter+1)%16:
			count++
			s = state{c, 0}
		default:
			s = state{c, 0}
		}
		last[p.PID()] = s
	}
	return count
}

// stepsBack counts the PCRs that are less than the one before.
func stepsBack(all []sent) (count uint64) {
	last := int64(-1)
	for _, p := range wirePackets(all) {
		if pcr, ok := p.PCR(); ok {
			if pcr < last {
				count++
			}
			last = pcr
		}
	}
	return count
}

// constant fills a stream up with null packets to 60 packets every 40 ms, and sets its
// PCRs to where they stand then.
func constant(t *testing.T, stream []byte) (out []byte) {
	t.Helper()
	const slot = ts.ClockRate / 25 / 60
	null := packet(ts.NullPID, 0, []byte{0})
	p, first := newPacker(newSource(bytes.NewReader(stream), false), SendOptions{To: udpEnd}), int64(-1)
	for {
		packet, due, err := p.packet()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		for int64(len(out)/ts.PacketSize)*slot < int64(due)*27/1000 {
			out = append(out, null...)
		}
		if pcr, ok := packet.PCR(); ok {
			now := int64(len(out)/ts.PacketSize) * slot
			if first < 0 {
				first = pcr - now
			}
			packet.SetPCR(first + now)
		}
		out = append(out, packet...)
	}
}

func nulls(n int) []byte { return bytes.Repeat(packet(ts.NullPID, 0, []byte{0}), n) }
