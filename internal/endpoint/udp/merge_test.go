package udp_test

import (
	"bytes"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sluice/internal/endpoint"
	"sluice/internal/endpoint/endtest"
	"sluice/internal/endpoint/udp"
	"sluice/internal/media/rtp"
	"sluice/internal/report"
	"sluice/internal/uri"
)

// bench is a source with a sender for each leg, and a clock of its own.
type bench struct {
	t    *testing.T
	src  endpoint.Source
	w    endtest.Window
	legs []*net.UDPConn
	sent int
	now  time.Duration
}

func newBench(t *testing.T, from uri.Source, opener *udp.Opener) *bench {
	b := &bench{t: t, w: endtest.NewWindow(t)}
	b.src = endtest.Open(t, endtest.End{Opener: opener, Source: from})
	for _, end := range from {
		b.legs = append(b.legs, sender(t, end))
	}
	return b
}

// run sends what the words say: "a7" is RTP packet 7 on the first leg, "b7" on the second,
// "ab7" on both; "a1..9" all from 1 to 9; "a7/3" has SSRC 3 instead of 1, "a7!" another
// content, "a7*" no RTP header. "+20" takes all that was sent and lets 20 ms pass.
func (b *bench) run(script string) {
	b.t.Helper()
	for word := range strings.FieldsSeq(script) {
		if ms, ok := strings.CutPrefix(word, "+"); ok {
			b.pass(time.Duration(b.number(ms)) * time.Millisecond)
			continue
		}
		legs := strings.TrimRight(word, "0123456789./!*")
		word, foreign := strings.CutSuffix(word[len(legs):], "!")
		word, plain := strings.CutSuffix(word, "*")
		numbers, ssrc, given := strings.Cut(word, "/")
		if !given {
			ssrc = "1"
		}
		from, to, span := strings.Cut(numbers, "..")
		if !span {
			to = from
		}
		for seq := b.number(from); seq <= b.number(to); seq++ {
			head := rtp.Header{PayloadType: rtp.PayloadTypeMP2T, Sequence: uint16(seq), SSRC: uint32(b.number(ssrc))}.Append(nil)
			if plain {
				head = nil
			}
			for _, leg := range legs {
				send(b.t, b.legs[leg-'a'], append(head, content(seq, foreign)...))
				b.sent++
			}
		}
	}
	b.pass(0)
}

// pass takes all that was sent, and is d later.
func (b *bench) pass(d time.Duration) {
	b.t.Helper()
	endtest.CollectUnits(b.t, b.src, b.w, b.sent, b.now)
	b.now += d
	if err := b.src.Drain(b.now, b.w); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) number(s string) int {
	b.t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		b.t.Fatal(err)
	}
	return n
}

// content is the transport packets of datagram n, one to seven of them.
func content(n int, foreign bool) []byte {
	text := fmt.Sprintf("%d %v", n, foreign)
	p := append([]byte{0x47}, bytes.Repeat([]byte{0xFF}, 187)...)
	copy(p[4:], text)
	return bytes.Repeat(p, 1+n%7)
}

// came compares what is in the window with the numbers in a script such as "1..3 7".
func (b *bench) came(script string) {
	b.t.Helper()
	var want []byte
	for word := range strings.FieldsSeq(script) {
		word, foreign := strings.CutSuffix(word, "!")
		from, to, span := strings.Cut(word, "..")
		if !span {
			to = from
		}
		for n := b.number(from); n <= b.number(to); n++ {
			want = append(want, content(n, foreign)...)
		}
	}
	if got := b.w.All(); !bytes.Equal(got, want) {
		b.t.Errorf("came: %s; want %s", inside(got), inside(want))
	}
}

// inside names the packets in b, each once.
func inside(b []byte) string {
	var names []string
	for ; len(b) >= 188; b = b[188:] {
		name := string(bytes.TrimRight(b[4:20], "\xFF"))
		if len(names) == 0 || names[len(names)-1] != name {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

const (
	oneLeg  = "udp://239.5.1.1:5000"
	twoLegs = "udp://239.5.1.1:5000|udp://239.5.1.2:5000"
)

// TestFaults: what the network does to RTP packets is undone, and counted exactly.
func TestFaults(t *testing.T) {
	for _, c := range []struct {
		name, from, in, out string
		want                report.Source
		legs                []report.Leg
	}{
		{"in order, over the wrap", oneLeg, "a65530..65535 a0..100", "65530..65535 0..100", report.Source{}, []report.Leg{{}}},
		{"swapped", oneLeg, "a1 a3 a2 a4..9 a11 a10 a12", "1..12", report.Source{Reordered: 2}, []report.Leg{{}}},
		{"turned round over more than a batch", oneLeg, "a1 a3..200 a2 a201", "1..201", report.Source{Reordered: 1}, []report.Leg{{}}},
		{"twice", oneLeg, "a1 a1 a2 a3 a2 a4", "1..4", report.Source{Duplicates: 2}, []report.Leg{{}}},
		{"dropped", oneLeg, "a1 a2 a4 +50 a5 a8 +50 a9", "1 2 4 5 8 9", report.Source{RTPLost: 3}, []report.Leg{{}}},
		{"dropped, held for less", oneLeg, "a1 a2 a4 +49 a5 a3", "1..5", report.Source{Reordered: 1}, []report.Leg{{}}},
		{"late", oneLeg, "a1 a3 +50 a2 a4", "1 3 4", report.Source{RTPLost: 1, Late: 1}, []report.Leg{{}}},
		{"a new sender", oneLeg, "a1..9 a500/2 a501/2 a502/2", "1..9 500..502", report.Source{Restarts: 1}, []report.Leg{{}}},
		{"a jump", oneLeg, "a1..9 a40000..40009", "1..9 40000..40009", report.Source{Restarts: 1}, []report.Leg{{}}},
		{"a stray packet", oneLeg, "a1..9 a40000 a10 a11", "1..11", report.Source{}, []report.Leg{{Malformed: 1}}},

		{"the same on both", twoLegs, "ab1..50", "1..50", report.Source{}, []report.Leg{{}, {}}},
		{"each loses what the other has", twoLegs, "ab1 a2 a3 b4 a5 a6 b7 a8 a9 b10 ab11", "1..11", report.Source{Reordered: 3}, []report.Leg{{Lost: 3}, {Lost: 6}}},
		{"the first stops", twoLegs, "ab1..20 +0 b21..40", "1..40", report.Source{}, []report.Leg{{}, {}}},
		{"the second stops, the first loses", twoLegs, "ab1..20 +0 a21 a23 +50", "1..21 23", report.Source{RTPLost: 1}, []report.Leg{{}, {}}},
		{"lost on both", twoLegs, "ab1..5 ab7..9 +50", "1..5 7..9", report.Source{RTPLost: 1}, []report.Leg{{}, {}}},
		{"twice on one", twoLegs, "ab1 b1 ab2", "1 2", report.Source{Duplicates: 1}, []report.Leg{{}, {}}},
		{"the sender begins anew", twoLegs, "ab1..9 +0 ab500..509/2", "1..9 500..509", report.Source{Restarts: 1}, []report.Leg{{}, {}}},
		{"a stray on one", twoLegs, "ab1..9 a500/2 ab10 b11", "1..11", report.Source{}, []report.Leg{{Malformed: 1, Lost: 0}, {}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, source(t, c.from), &udp.Opener{Interface: "lo"})
			b.run(c.in)
			b.came(c.out)
			got := b.src.Counters()
			c.want.RTP, c.want.Tag = true, source(t, c.from).Tag()
			if diff := cmp.Diff(c.want, got, cmpopts.IgnoreFields(report.Source{}, "Legs")); diff != "" {
				t.Errorf("source (-want): %s", diff)
			}
			if diff := cmp.Diff(c.legs, got.Legs, cmpopts.IgnoreFields(report.Leg{}, "Tag", "Datagrams")); diff != "" {
				t.Errorf("legs (-want): %s", diff)
			}
			if b.src.Holding() {
				t.Error("holds something")
			}
		})
	}
}

// TestHolding: a gap is held without a word from the network, and given up in time.
func TestHolding(t *testing.T) {
	b := newBench(t, source(t, oneLeg), &udp.Opener{Interface: "lo", Hold: 20 * time.Millisecond})
	b.run("a1 a3 +19")
	if !b.src.Holding() {
		t.Error("does not hold what stands behind a gap")
	}
	b.came("1")
	b.pass(time.Millisecond)
	b.came("1 3")
	if b.src.Holding() {
		t.Error("holds something still")
	}
}

// TestForeignLegs: legs that do not carry the same stream are not mixed; one is dropped
// for a reason and from then on only counted.
func TestForeignLegs(t *testing.T) {
	for _, c := range []struct {
		name, in, out, reason string
	}{
		{"other content", "a1..9 b1..9! +0 a10..20 b10..20!", "1..20", "packets of one RTP number differ"},
		{"other numbers", "a1..100 b30001..30100! +1000 a101..201 b30101..30201! +0 a202..210", "1..210", "numbers do not meet"},
		{"no RTP on both", "a1..9* b1..9*! +0 a10..20* b10..20*!", "1..20", "no RTP"},
		{"no RTP on the second", "a1..9 b1..9*! +0 a10..20 b10..20*!", "1..20", "no RTP"},
		{"no RTP on the first", "a1..9* b1..9! +0 a10..20* b10..20!", "1..20", "no RTP"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, source(t, twoLegs), &udp.Opener{Interface: "lo"})
			b.run(c.in)
			b.came(c.out)
			legs := b.src.Counters().Legs
			if legs[0].Dropped != "" || !strings.Contains(legs[1].Dropped, c.reason) {
				t.Errorf("dropped: %q, %q; want only the second, for %q", legs[0].Dropped, legs[1].Dropped, c.reason)
			}
			if legs[1].Datagrams+legs[0].Datagrams != uint64(b.sent) {
				t.Errorf("%d and %d datagrams counted of %d", legs[0].Datagrams, legs[1].Datagrams, b.sent)
			}
		})
	}
}

// TestSecondLegAlone: without RTP the second leg serves as long as the first is silent.
func TestSecondLegAlone(t *testing.T) {
	b := newBench(t, source(t, twoLegs), &udp.Opener{Interface: "lo"})
	b.run("b1..20*")
	b.came("1..20")
	b.run("a21* b21..22*!")
	b.came("1..21")
	if d := b.src.Counters().Legs[1].Dropped; d == "" {
		t.Error("the second leg is not dropped")
	}
}
