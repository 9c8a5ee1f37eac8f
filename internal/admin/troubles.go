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

// addSome is add for a name that has a plural.
func (t *troubles) addSome(name string, n uint64, hint string) {
	if n != 1 {
		name = many(name)
	}
	t.add(name, n, hint)
}

// addMended is add for what clients do not notice.
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
	t.addSome("sender restart", s.Restarts, "times that the RTP sender began anew")
	if on == nil || s.State != "on air" {
		t.addSome("sync loss", s.SyncLost, syncHint)
		t.addSome("continuity error", s.Continuity, continuityHint)
		t.addSome("transport error", s.Transport, transportHint)
	}
	if s.Skipped > 0 {
		t = append(t, trouble{Name: "skipped", Count: size(s.Skipped), Hint: "dropped while the stream was no MPEG-TS"})
	}
	if len(s.Legs) == 1 {
		t = append(t, legTroubles(s.Legs[0])...)
	}
	t.addMended("reordered", s.Reordered, "packets that came behind a later one; they were put in their place")
	t.addMended("repeated", s.Duplicates, "packets that came again on the same leg and were dropped")
	return t
}

// legTroubles are what one receiving socket met.
func legTroubles(l report.Leg) troubles {
	var t troubles
	t.addMended("missing", l.Lost, "packets that came on the other leg only, and were taken from there")
	t.add("lost by the kernel", l.KernelLost, "datagrams; the receive buffer is too small: raise net.core.rmem_max")
	t.add("malformed RTP", l.Malformed, "datagrams dropped: their RTP header does not hold")
	t.addSome("foreign datagram", l.Foreign, "dropped: they came for another group or interface")
	t.addSome("truncated datagram", l.Truncated, "dropped: longer than 64 KiB")
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
	t.addSome("sync loss", h.SyncLoss, "1.1: "+syncHint)
	t.addSome("PAT error", h.PAT, "1.3: the list of programs is missing for too long, or is not one: players find nothing")
	t.addSome("continuity error", h.Continuity, "1.4: "+continuityHint)
	t.addSome("PMT error", h.PMT, "1.5: the list of streams of a program is missing for too long: players start late or not at all")
	t.addSome("transport error", h.Transport, "2.1: "+transportHint)
	t.addSome("CRC error", h.CRC, "2.2: tables that arrived damaged")
	t.addSome("PCR gap", h.PCRInterval, "2.3a: the clock of the stream comes too rarely: players drift")
	t.addSome("PCR jump", h.PCRJump, "2.3b: the clock of the stream jumps unannounced: a cut, or losses")
	t.add("PCR jitter", h.PCRJitter, "2.4: clock values that do not fit their place in the stream: a remultiplexer that does not correct them")
	t.addSome("PTS gap", h.PTS, "2.5: a stream of the program has no time stamps for too long")
	return t
}

// refusedTroubles are the requests that met a limit, by its key in the configuration.
func refusedTroubles(r report.Refused) troubles {
	var t troubles
	t.add("limits.clients", r.Clients, "as many clients as may be served in all")
	t.add("limits.per_address", r.PerAddress, "as many clients as one address may have")
	t.add("limits.pending", r.Pending, "as many clients as may wait for the first byte: sources that send nothing, or a rush")
	t.add("limits.channels", r.Channels, "as many channels as may be open")
	t.add("limits.egress", r.Egress, "the rate of one more client would have been too much for all together")
	t.add("max_clients", r.ChannelClients, "as many clients as the channel may have")
	t.add("max_egress", r.ChannelEgress, "the rate of one more client would have been too much for the channel")
	return t
}
