package tools

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"sluice/internal/media/ts"
)

// WriteText writes the result for people: the verdict, what is wrong, then the figures.
func (r ProbeResult) WriteText(w io.Writer) error {
	var b bytes.Buffer
	r.writeVerdict(&b)
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	r.writeTransport(t)
	if r.Packets > 0 {
		r.writeStream(t)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, p := range r.Programs {
		if err := writeProgram(&b, p); err != nil {
			return err
		}
	}
	if err := r.writeOthers(&b); err != nil {
		return err
	}
	_, err := w.Write(b.Bytes())
	return err
}

func (r ProbeResult) writeVerdict(b *bytes.Buffer) {
	verdict := "valid"
	if !r.Valid {
		verdict = "NOT VALID"
	}
	fmt.Fprintf(b, "%s: %s\n", harmless(r.URL), verdict)
	for _, p := range r.Problems {
		fmt.Fprintf(b, "  problem: %s\n", p)
	}
	for _, p := range r.Warnings {
		fmt.Fprintf(b, "  warning: %s\n", p)
	}
	b.WriteByte('\n')
}

// writeTransport is about what carried the stream.
func (r ProbeResult) writeTransport(t io.Writer) {
	if h := r.HTTP; h != nil {
		row(t, "answer", "%d %s, %s", h.Status, h.Reason, h.Proto)
		if h.Location != "" {
			row(t, "redirected to", "%s", harmless(h.Location))
		}
		row(t, "type", "%s", orNone(h.ContentType))
		row(t, "server", "%s", orNone(h.Server))
		row(t, "connected", "%.1f ms, head %.1f ms", h.ConnectMS, h.HeadMS)
	}
	n := r.Network
	if n == nil {
		return
	}
	row(t, "datagrams", "%d, %.1f packets each, lost by this machine %d", n.Datagrams, n.PerPacket, n.HostLost)
	row(t, "sender", "%s", orNone(strings.Join(n.Senders, ", ")))
	if p := n.RTP; p != nil {
		row(t, "RTP", "%d lost, %d late, %d twice, %d restarts", p.Lost, p.Reordered, p.Duplicates, p.Restarts)
	}
}

func (r ProbeResult) writeStream(t io.Writer) {
	row(t, "first", "byte %s, packet %s, %s %s",
		at(r.FirstByteMS), at(r.FirstPacketMS), r.startName(), at(r.FirstStartMS))
	row(t, "received", "%s in %s, %s, by its clock %s",
		bytesText(r.Bytes), seconds(r.DurationMS), rateText(float64(r.BitRate)), rateText(float64(r.ClockBitRate)))
	row(t, "errors", "%d continuity, %d sync losses, %d transport, %d tables",
		r.Continuity, r.SyncLosses, r.TransportErrors, r.BadTables)
	h := r.Health
	row(t, "TR 101 290", "faults of PAT %d, PMT %d, PCR interval %d, jumps %d, jitter %d, PTS %d",
		h.PAT, h.PMT, h.PCRInterval, h.PCRJump, h.PCRJitter, h.PTS)
	row(t, "clock", "PID %d, PCR every %.1f ms, at most %.1f, jitter up to %.1f ms, %d jumps",
		r.PCR.PID, r.PCR.IntervalAvgMS, r.PCR.IntervalMaxMS, r.PCR.JitterMaxMS, r.PCR.Discontinuities)
	row(t, "tables", "PAT at most %.0f ms apart, PMT %.0f ms", r.PATMaxMS, r.PMTMaxMS)
	if r.KeyFrames > 0 {
		row(t, "key frames", "%d, at most %.0f ms apart", r.KeyFrames, r.KeyFrameMaxMS)
	}
	if r.NullPackets > 0 {
		row(t, "stuffing", "%.1f %% null packets", 100*float64(r.NullPackets)/float64(r.Packets))
	}
}

// startName is what the stream can be started at.
func (r ProbeResult) startName() string {
	if r.KeyFrames == 0 && r.FirstStartMS != nil {
		return "audio frame"
	}
	return "key frame"
}

func writeProgram(b *bytes.Buffer, p ts.ProgramAnalysis) error {
	fmt.Fprintf(b, "\nprogram %d, PMT on PID %d", p.Number, p.PMTPID)
	if !p.PMT {
		b.WriteString(", which did not come\n")
		return nil
	}
	fmt.Fprintf(b, ", clock on PID %d\n", p.PCRPID)
	t := newPIDTable(b)
	for _, s := range p.Streams {
		t.row(s.PIDAnalysis, s.Codec)
	}
	return t.Flush()
}

// writeOthers lists the PIDs that belong to no program's streams.
func (r ProbeResult) writeOthers(b *bytes.Buffer) error {
	names := map[uint16]string{0: "PAT", 1: "CAT", 16: "NIT", 17: "SDT", 18: "EIT", 20: "TDT", ts.NullPID: "null"}
	streams := map[uint16]bool{}
	for _, p := range r.Programs {
		names[p.PMTPID] = "PMT"
		for _, s := range p.Streams {
			streams[s.PID] = true
		}
	}
	others := slices.DeleteFunc(slices.Clone(r.PIDs), func(p ts.PIDAnalysis) bool { return streams[p.PID] })
	if len(others) == 0 {
		return nil
	}
	b.WriteString("\ntables and other PIDs\n")
	t := newPIDTable(b)
	for _, p := range others {
		name := names[p.PID]
		if name == "" {
			name = "not announced"
		}
		t.row(p, name)
	}
	return t.Flush()
}

// pidTable is the columns that all PIDs share.
type pidTable struct{ *tabwriter.Writer }

func newPIDTable(w io.Writer) pidTable {
	t := pidTable{tabwriter.NewWriter(w, 8, 0, 2, ' ', tabwriter.AlignRight)}
	fmt.Fprint(t, "PID\tkind\tpackets\terrors\tscrambled\t\n")
	return t
}

func (t pidTable) row(p ts.PIDAnalysis, kind string) {
	fmt.Fprintf(t, "%d\t%s\t%d\t%d\t%d\t\n", p.PID, kind, p.Packets, p.Continuity, p.ScrambledPackets)
}

func row(t io.Writer, name, format string, args ...any) {
	fmt.Fprintf(t, "  %s\t%s\n", name, fmt.Sprintf(format, args...))
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// at is a moment of the probe, in milliseconds, that may not have come.
func at(ms *float64) string {
	if ms == nil {
		return "never"
	}
	return fmt.Sprintf("%.0f ms", *ms)
}

func seconds(ms float64) string {
	return fmt.Sprintf("%.1f s", ms/1000)
}
