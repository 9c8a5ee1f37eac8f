package admin

import "sluice/internal/report"

// trouble is a count that should be zero.
type trouble struct {
	Name   string
	Count  string
	Hint   string // what it means for the operator
	Mended bool   // clients do not notice it
}

// troubles are those of a list of counts that are above zero.
type troubles []trouble

func (t *troubles) add(name string, n uint64, hint string) {
	if n > 0 {
		*t = append(*t, trouble{Name: name, Count: number(n), Hint: hint})
	}
}

func (t *troubles) addMended(name string, n uint64, hint string) {
	if n > 0 {
		*t = append(*t, trouble{Name: name, Count: number(n), Hint: hint, Mended: true})
	}
}

// sourceTroubles are what a source met on its way here. What the stream itself has is
// left to the health of the channel when that counts it: on is whether it does.
func sourceTroubles(s report.Source, on *report.Health) troubles {
	var t troubles
	t.add("lost in RTP", s.RTPLost, "packets missing in the RTP sequence, on every leg: lost on the way here")
	t.add("late", s.Late, "packets that came after their place had passed and were dropped")
	t.add("sender restarts", s.Restarts, "times that the RTP sender began anew")
	if on == nil || s.State != "on air" {
		t.add("sync losses", s.SyncLost, syncHint)
		t.add("continuity errors", s.Continuity, continuityHint)
		t.add("transport errors", s.Transport, transportHint)
	}
	if s.Skipped > 0 {
		t = append(t, trouble{Name: "skipped", Count: size(s.Skipped), Hint: "dropped while the stream was no MPEG-TS"})
	}
	if len(s.Legs) == 1 {
		t = append(t, legTroubles(s.Legs[0])...)
	}
	t.addMended("reordered", s.Reordered, "packets that came behind a later one; they were put in their place")
	t.addMended("duplicates", s.Duplicates, "packets that came again on the same leg and were dropped")
	return t
}

// legTroubles are what one receiving socket met.
func legTroubles(l report.Leg) troubles {
	var t troubles
	t.addMended("missing", l.Lost, "packets that came on the other leg only, and were taken from there")
	t.add("lost by the kernel", l.KernelLost, "datagrams; the receive buffer is too small: raise net.core.rmem_max")
	t.add("malformed RTP", l.Malformed, "datagrams dropped: their RTP header does not hold")
	t.add("foreign datagrams", l.Foreign, "dropped: they came for another group or interface")
	t.add("truncated datagrams", l.Truncated, "dropped: longer than 64 KiB")
	return t
}

const (
	syncHint       = "times that the stream was no MPEG-TS in between"
	continuityHint = "MPEG-TS packets missing or repeated: lost on the way, or at the encoder"
	transportHint  = "packets that a receiver before us marked as broken"
)

// healthTroubles are the faults of the stream, each with its number in ETSI TR 101 290.
func healthTroubles(h report.Health) troubles {
	var t troubles
	t.add("sync losses", h.SyncLoss, "1.1: "+syncHint)
	t.add("PAT errors", h.PAT, "1.3: the list of programs is missing for too long, or is not one: players find nothing")
	t.add("continuity errors", h.Continuity, "1.4: "+continuityHint)
	t.add("PMT errors", h.PMT, "1.5: the list of streams of a program is missing for too long: players start late or not at all")
	t.add("transport errors", h.Transport, "2.1: "+transportHint)
	t.add("CRC errors", h.CRC, "2.2: tables that arrived damaged")
	t.add("PCR gaps", h.PCRInterval, "2.3a: the clock of the stream comes too rarely: players drift")
	t.add("PCR jumps", h.PCRJump, "2.3b: the clock of the stream jumps unannounced: a cut, or losses")
	t.add("PCR jitter", h.PCRJitter, "2.4: clock values that do not fit their place in the stream: a remultiplexer that does not correct them")
	t.add("PTS gaps", h.PTS, "2.5: a stream of the program has no time stamps for too long")
	return t
}
