//go:build e2e

package e2e

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sluice/internal/media/ts"
	"sluice/internal/report"
	"sluice/internal/testkit"
)

// steady is a channel of a constant bit rate.
var steady = clip{"steady", h264.codecs, h264.video, h264.audio + " -muxrate 700k -pat_period 0.1"}

// pmtPID is where ffmpeg puts the PMT.
const pmtPID = 0x1000

// faulty is a stream with one fault, sent once from its beginning to its end to a channel
// that waits for it.
type faulty struct {
	name  string
	file  string
	fault []string // of sluice send
	made  string   // how send calls what it did
	want  func(made uint64) counted
	// lossy: packets are missing, and with them whatever stood in them. The client, which
	// misses the same, says what that is.
	lossy bool

	group  string
	asked  *asked
	sender *testkit.Proc
}

// counted is what the status counts.
type counted struct {
	Health report.Health
	Source report.Source
}

func healthy(uint64) counted { return counted{} }

// faults are all that send can break, and what each is to count.
func faults(t *testing.T) []*faulty {
	one, even := beginning(t, h264), beginning(t, steady)
	facts := factsOf(t, one)
	missing := uint64(facts.ticks-1) / (ts.ClockRate / 2) // tables that never come
	lastMoved := uint64(1 - factsOf(t, even).pcrs%2)
	return []*faulty{
		{name: "nothing", file: one, want: healthy},
		{name: "nothing, at a constant rate", file: even, want: healthy},

		{
			name: "drop", file: one, fault: []string{"--drop", "40"}, made: "dropped", lossy: true,
			want: func(n uint64) counted { return counted{Source: report.Source{RTPLost: n}} },
		},
		{
			name: "dup", file: one, fault: []string{"--dup", "20"}, made: "duplicated",
			want: func(n uint64) counted { return counted{Source: report.Source{Duplicates: n}} },
		},
		{
			name: "swap", file: one, fault: []string{"--swap", "20"}, made: "swapped",
			want: func(n uint64) counted { return counted{Source: report.Source{Reordered: n}} },
		},
		{ // each comes far later than packets are waited for, the last one too
			name: "late", file: one, fault: []string{"--late", "45"}, made: "late", lossy: true,
			want: func(n uint64) counted { return counted{Source: report.Source{RTPLost: n, Late: n}} },
		},
		{
			name: "rtp-ssrc", file: one, fault: []string{"--rtp-ssrc", "50"}, made: "new SSRCs",
			want: func(n uint64) counted { return counted{Source: report.Source{Restarts: n}} },
		},
		{
			name: "rtp-jump", file: one, fault: []string{"--rtp-jump", "50"}, made: "jumps of the RTP sequence",
			want: func(n uint64) counted { return counted{Source: report.Source{Restarts: n}} },
		},

		{
			name: "corrupt", file: one, fault: []string{"--corrupt", "40"}, made: "corrupted", lossy: true,
			want: func(n uint64) counted {
				return counted{report.Health{SyncLoss: n}, report.Source{SyncLost: n, Skipped: n * ts.PacketSize}}
			},
		},
		{
			name: "transport-error", file: one, fault: []string{"--transport-error", "100"}, made: "packets marked as damaged", lossy: true,
			want: func(n uint64) counted {
				return counted{report.Health{Transport: n}, report.Source{Transport: n}}
			},
		},
		{
			name: "continuity", file: one, fault: []string{"--continuity", "100"}, made: "continuity jumps",
			want: func(n uint64) counted { return counted{Health: report.Health{Continuity: n}} },
		},

		{
			name: "bad-crc", file: one, fault: []string{"--bad-crc", "10"}, made: "sections damaged",
			want: func(n uint64) counted { return counted{Health: report.Health{CRC: n}} },
		},
		{
			name: "no-pat", file: one, fault: []string{"--no-pat"}, made: "PAT packets blanked",
			want: func(uint64) counted { return counted{Health: report.Health{PAT: missing}} },
		},
		{
			name: "no-pmt", file: one, fault: []string{"--no-pmt"}, made: "PMT packets blanked",
			want: func(uint64) counted { return counted{Health: report.Health{PMT: missing}} },
		},
		{
			name: "pat-gap", file: one, fault: []string{"--pat-gap", "750ms"}, made: "gaps of the PAT",
			want: func(n uint64) counted { return counted{Health: report.Health{PAT: n}} },
		},
		{
			name: "pmt-gap", file: one, fault: []string{"--pmt-gap", "750ms"}, made: "gaps of PMTs",
			want: func(n uint64) counted { return counted{Health: report.Health{PMT: n}} },
		},
		{
			name: "a PMT names PIDs that do not come", file: lyingPMT(t, one, func(pmt []byte) { pmt[14] ^= 0x55 }),
			want: healthy,
		},
		{
			name: "a PMT names another codec", file: lyingPMT(t, one, func(pmt []byte) { pmt[12] = 0x24 }),
			want: healthy,
		},
		{
			name: "a PMT has lengths that lie", file: lyingPMT(t, one, func(pmt []byte) { pmt[16] = 0xFF }),
			want: func(uint64) counted { return counted{Health: report.Health{CRC: uint64(facts.pmts)}} },
		},

		{
			name: "pcr-gap", file: one, fault: []string{"--pcr-gap", "250ms"}, made: "gaps of the PCR",
			want: func(n uint64) counted { return counted{Health: report.Health{PCRInterval: n}} },
		},
		{
			name: "pts-gap", file: one, fault: []string{"--pts-gap", "800ms"}, made: "gaps of PTS",
			want: func(n uint64) counted { return counted{Health: report.Health{PTS: n}} },
		},
		{
			name: "pcr-jump", file: one, fault: []string{"--pcr-jump", "40"}, made: "PCR jumps",
			want: func(n uint64) counted { return counted{Health: report.Health{PCRJump: n}} },
		},
		{name: "pcr-splice", file: one, fault: []string{"--pcr-splice", "40"}, made: "PCR jumps announced", want: healthy},
		{name: "pcr-wrap", file: one, fault: []string{"--pcr-wrap", "3s"}, want: healthy},
		{ // one moved counts when another follows
			name: "pcr-jitter", file: even, fault: []string{"--pcr-jitter", "1ms"}, made: "PCRs moved",
			want: func(n uint64) counted { return counted{Health: report.Health{PCRJitter: n - lastMoved}} },
		},
	}
}

// sent reads the line with which send ends: "288 datagrams, …, 7 dropped". What it did
// not do is not in it.
func sent(line string) map[string]uint64 {
	counts := map[string]uint64{}
	for part := range strings.SplitSeq(line, ", ") {
		number, what, _ := strings.Cut(part, " ")
		if n, err := strconv.ParseUint(number, 10, 64); err == nil {
			counts[what] = n
		}
	}
	return counts
}

// testEveryFaultIsCounted sends all of these beside each other. Each raises its own count
// by exactly so many and no other, its client gets all there is, and a healthy channel
// notices nothing.
func testEveryFaultIsCounted(t *testing.T) {
	const unwatched = "239.78.0.3:5000"
	p := run(t, settings{engines: 2, config: fmt.Sprintf(`
no_data: 0s
channels:
  unwatched: {source: "udp://%s", health: false}
`, unwatched)})
	neighbour := startNeighbour(t, p)
	send(t, h264, "rtp", unwatched, "--bad-crc", "5")
	careless := watch(t, p.url("/$unwatched"))

	all := faults(t)
	for _, f := range all {
		f.group = newGroup()
		f.asked = ask(t, p.url("/udp/"+f.group))
	}
	for _, f := range all {
		joined(t, f.group)
		f.sender = testkit.Start(t, program(), append([]string{"send", f.file, "--to", "rtp://" + f.group}, f.fault...)...)
	}
	for _, f := range all {
		t.Run(f.name, func(t *testing.T) { f.judge(t, p) })
	}
	careless.more(10_000)
	if c := p.named("unwatched"); c.Health != nil || c.Sources[0].Continuity != 0 {
		t.Errorf("health of a channel where it is switched off: %+v", c.Health)
	}
	neighbour.unnoticed()
}

// judge waits for the end of the stream and compares the counts.
func (f *faulty) judge(t *testing.T, p *product) {
	v := f.asked.answered()
	if err := f.sender.Wait(); err != nil {
		t.Fatal(err)
	}
	line := f.sender.WaitLine(`^\d+ datagrams.*`)[0]
	did := sent(line)
	if f.made != "" && did[f.made] == 0 {
		t.Errorf("a test of nothing: %s", line)
	}
	want := f.want(did[f.made])
	ignored := cmpopts.IgnoreFields(report.Source{}, "Tag", "State", "Error", "Legs", "RTP", "Continuity")
	testkit.Eventually(t, func() error {
		st, err := p.tryStatus()
		if err != nil {
			return err
		}
		c, _, err := channel(st, f.group)
		if err != nil {
			return err
		}
		if c.State != "silent" || c.Health == nil || c.Sources[0].Legs[0].Datagrams != did["datagrams"] || v.received() != int64(c.Bytes) {
			return fmt.Errorf("not over: %s, health %v, %d bytes here, %+v", c.State, c.Health, v.received(), c)
		}
		expected := want
		if f.lossy {
			expected.Health = v.health()
			expected.Health.SyncLoss, expected.Health.Transport = want.Health.SyncLoss, want.Health.Transport
		}
		if diff := cmp.Diff(expected, counted{*c.Health, c.Sources[0]}, ignored); diff != "" {
			return fmt.Errorf("sent %s (-want +got):\n%s", line, diff)
		}
		return nil
	})
	if n := v.gaps(); !f.lossy && n != want.Health.Continuity || f.lossy && n == 0 {
		t.Errorf("the client met %d gaps", n)
	}
	if n := v.framer.Skipped(); n != 0 {
		t.Errorf("the client met %d bytes outside the packets", n)
	}
}

// health is what the viewer itself has counted.
func (v *viewer) health() report.Health {
	v.mu.Lock()
	defer v.mu.Unlock()
	h := v.tracker.Health()
	return report.Health{
		PAT: h.PAT, Continuity: h.Continuity, PMT: h.PMT, Transport: h.Transport, CRC: h.CRC,
		PCRInterval: h.PCRInterval, PCRJump: h.PCRJump, PCRJitter: h.PCRJitter, PTS: h.PTS,
	}
}

// beginning is a file with the first eight seconds of a clip.
func beginning(t *testing.T, c clip) string {
	t.Helper()
	b := []byte(readFile(t, c.file(t)))
	first := int64(-1)
	for at := 0; at < len(b); at += ts.PacketSize {
		pcr, ok := ts.Packet(b[at : at+ts.PacketSize]).PCR()
		if ok && first < 0 {
			first = pcr
		}
		if ok && pcr-first > 7.9*ts.ClockRate {
			return write(t, c.name+".ts", b[:at])
		}
	}
	t.Fatal("the clip is too short")
	return ""
}

func write(t *testing.T, name string, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// fileFacts is what stands in the packets of a file.
type fileFacts struct {
	pcrs  int
	ticks int64 // of 27 MHz from the first to the last
	pmts  int   // packets
}

func factsOf(t *testing.T, path string) (facts fileFacts) {
	t.Helper()
	b, first := []byte(readFile(t, path)), int64(0)
	for at := 0; at < len(b); at += ts.PacketSize {
		p := ts.Packet(b[at : at+ts.PacketSize])
		if p.PID() == pmtPID {
			facts.pmts++
		}
		if pcr, ok := p.PCR(); ok {
			if facts.pcrs == 0 {
				first = pcr
			}
			facts.pcrs++
			facts.ticks = pcr - first
		}
	}
	return facts
}

// lyingPMT is a copy of a file in which each PMT was changed. Its first stream, the
// video, stands at 12 of the section: stream_type, PID, length of its descriptors
// (ISO/IEC 13818-1, 2.4.4.8).
func lyingPMT(t *testing.T, path string, change func(section []byte)) string {
	t.Helper()
	b := []byte(readFile(t, path))
	for at := 0; at < len(b); at += ts.PacketSize {
		p := ts.Packet(b[at : at+ts.PacketSize])
		if p.PID() != pmtPID {
			continue
		}
		payload := p.Payload()
		section := payload[1+payload[0]:]
		section = section[:3+binary.BigEndian.Uint16(section[1:])&0x0FFF]
		change(section)
		body := section[:len(section)-4]
		binary.BigEndian.PutUint32(section[len(body):], crc32MPEG(body))
	}
	return write(t, "lie.ts", b)
}

// crc32MPEG is the CRC of sections (ISO/IEC 13818-1, annex A).
func crc32MPEG(b []byte) uint32 {
	crc := ^uint32(0)
	for _, c := range b {
		crc ^= uint32(c) << 24
		for range 8 {
			carry := crc >> 31
			crc = crc<<1 ^ carry*0x04C11DB7
		}
	}
	return crc
}
