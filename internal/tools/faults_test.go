package tools

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"sluice/internal/media/rtp"
	"sluice/internal/media/ts"
	"sluice/internal/uri"
)

// testFaultsAreExact breaks ten numbered datagrams and looks at what is left.
func testFaultsAreExact(t *testing.T) {
	for _, c := range []struct {
		name   string
		faults Faults
		want   []int // numbers of the datagrams in the order sent; corrupted ones negative
		stats  FaultStats
	}{
		{"nothing", Faults{}, []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, FaultStats{}},
		{"drop", Faults{Drop: 3}, []int{1, 2, 4, 5, 7, 8, 10}, FaultStats{Dropped: 3}},
		{"dup", Faults{Dup: 4}, []int{1, 2, 3, 4, 4, 5, 6, 7, 8, 8, 9, 10}, FaultStats{Duplicated: 2}},
		{"dup all", Faults{Dup: 1}, []int{1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10}, FaultStats{Duplicated: 10}},
		{"swap", Faults{Swap: 4}, []int{1, 2, 3, 5, 4, 6, 7, 9, 8, 10}, FaultStats{Swapped: 2}},
		{"swap without a successor", Faults{Swap: 5}, []int{1, 2, 3, 4, 6, 5, 7, 8, 9, 10}, FaultStats{Swapped: 1}},
		{"late", Faults{Late: 3}, []int{1, 2, 4, 5, 3, 7, 8, 6, 10, 9}, FaultStats{Late: 3}},
		{"corrupt", Faults{Corrupt: 5}, []int{1, 2, 3, 4, -5, 6, 7, 8, 9, -10}, FaultStats{Corrupted: 2}},
		{"dropped datagrams meet no other fault", Faults{Drop: 2, Dup: 2, Swap: 2, Corrupt: 2}, []int{1, 3, 5, 7, 9}, FaultStats{Dropped: 5}},
		{"a swap whose successor is dropped", Faults{Drop: 5, Swap: 4}, []int{1, 2, 3, 4, 6, 7, 9, 8}, FaultStats{Dropped: 2, Swapped: 1}},
		{"all of a datagram's faults", Faults{Dup: 9, Swap: 9, Corrupt: 9}, []int{1, 2, 3, 4, 5, 6, 7, 8, 10, -9, -9}, FaultStats{Duplicated: 1, Swapped: 1, Corrupted: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []int
			b := breaker{faults: c.faults}
			send := func(d []byte) error {
				n := int(d[1])
				if d[rtp.HeaderSize] != ts.SyncByte {
					n = -n
				}
				got = append(got, n)
				return nil
			}
			for n := range 10 {
				d := make([]byte, rtp.HeaderSize+1)
				d[1], d[rtp.HeaderSize] = byte(n+1), ts.SyncByte
				if err := b.datagram(d, time.Duration(n)*300*time.Millisecond, rtp.HeaderSize, send); err != nil {
					t.Fatal(err)
				}
			}
			if err := b.flush(send); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, c.want) || b.stats != c.stats {
				t.Errorf("sent %v, want %v; counted %+v, want %+v", got, c.want, b.stats, c.stats)
			}
		})
	}
}

func TestPacketFaults(t *testing.T) {
	b := breaker{faults: Faults{NoPAT: true, PCRJitter: time.Millisecond}}
	pat := packet(0, 3, []byte{1})
	b.packet(pat, 0)
	if pat.PID() != ts.NullPID || b.stats.NoPAT != 1 {
		t.Errorf("PAT on PID %d, %d counted", pat.PID(), b.stats.NoPAT)
	}
	var got []int64
	for i := range 3 { // each PID has its own turn
		for _, pid := range []uint16{100, 200} {
			p := withPCR(packet(pid, 0, nil), int64(i)*1000)
			b.packet(p, 0)
			pcr, _ := p.PCR()
			got = append(got, pcr)
		}
	}
	if want := []int64{0, 0, 28000, 28000, 2000, 2000}; !slices.Equal(got, want) || b.stats.MovedPCR != 2 {
		t.Errorf("PCRs %v, want %v; %d counted", got, want, b.stats.MovedPCR)
	}
}

// testProbeCountsFaults breaks the demo clip and gives what was sent to the receiver
// of a probe: it must count what was broken.
func testProbeCountsFaults(t *testing.T) {
	for _, c := range []struct {
		name   string
		faults Faults
		check  func(t *testing.T, s SendStats, r ProbeResult)
	}{
		{"nothing", Faults{}, func(t *testing.T, _ SendStats, r ProbeResult) {
			if !r.Valid || len(r.Warnings) > 0 {
				t.Errorf("not clean: %q, %q", r.Problems, r.Warnings)
			}
		}},
		{"drop", Faults{Drop: 50}, func(t *testing.T, s SendStats, r ProbeResult) {
			equal(t, "gaps", gaps(t, Faults{Drop: 50}), r.Continuity)
			if r.Network.RTP != nil {
				equal(t, "lost", s.Dropped, r.Network.RTP.Lost)
			}
		}},
		{"dup", Faults{Dup: 50}, func(t *testing.T, s SendStats, r ProbeResult) {
			equal(t, "datagrams", s.Datagrams, r.Network.Datagrams)
			if r.Network.RTP != nil {
				equal(t, "duplicates", s.Duplicated, r.Network.RTP.Duplicates)
			}
		}},
		{"swap", Faults{Swap: 50}, func(t *testing.T, s SendStats, r ProbeResult) {
			if r.Continuity < s.Swapped {
				t.Errorf("%d continuity errors of %d swaps", r.Continuity, s.Swapped)
			}
			if r.Network.RTP != nil {
				equal(t, "reordered", s.Swapped, r.Network.RTP.Reordered)
				equal(t, "lost", 0, r.Network.RTP.Lost)
			}
		}},
		{"corrupt", Faults{Corrupt: 50}, func(t *testing.T, s SendStats, r ProbeResult) {
			equal(t, "sync losses", s.Corrupted, r.SyncLosses)
			equal(t, "bytes skipped", s.Corrupted*ts.PacketSize, r.SkippedBytes)
		}},
		{"no PAT", Faults{NoPAT: true}, func(t *testing.T, s SendStats, r ProbeResult) {
			equal(t, "null packets", s.NoPAT, r.NullPackets)
			equal(t, "programs", 0, uint64(len(r.Programs)))
		}},
		{"PCR jitter", Faults{PCRJitter: 80 * time.Millisecond}, func(t *testing.T, s SendStats, r ProbeResult) {
			// Moved PCRs overtake their successors, 40 ms apart: each is a step back but the
			// last of the clip's 240, which has none.
			equal(t, "moved", 120, s.MovedPCR)
			equal(t, "steps back", s.MovedPCR-1, r.PCR.Discontinuities)
		}},
	} {
		for _, scheme := range []uri.Scheme{uri.UDP, uri.RTP} {
			t.Run(c.name+"/"+string(scheme), func(t *testing.T) {
				all, stats, err := play(t, bytes.NewReader(Clip()), SendOptions{To: uri.End{Scheme: scheme}, Faults: c.faults}, 0, nil)
				if err != nil {
					t.Fatal(err)
				}
				r := received(all)
				if clean := c.faults == (Faults{}); r.Valid != clean {
					t.Errorf("valid: %v, problems %q", r.Valid, r.Problems)
				}
				if (r.Network.RTP != nil) != (scheme == uri.RTP) {
					t.Errorf("RTP: %+v", r.Network.RTP)
				}
				c.check(t, stats, r)
			})
		}
	}
}

func equal(t *testing.T, what string, want, got uint64) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %d, want %d", what, got, want)
	}
}

// gaps counts the PIDs that miss packets after each dropped datagram of the clip.
func gaps(t *testing.T, f Faults) (count uint64) {
	missing := map[uint16]bool{}
	for i, p := range packets(t, newSource(bytes.NewReader(Clip()), false), 1<<20) {
		switch {
		case f.action(uint64(i/perDatagram) + 1).drop:
			missing[p.PID()] = missing[p.PID()] || p.HasPayload()
		case missing[p.PID()]:
			count++
			missing[p.PID()] = false
		}
	}
	return count
}
