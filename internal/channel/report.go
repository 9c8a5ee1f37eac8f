package channel

import (
	"time"

	"sluice/internal/report"
)

// counts are what is counted of the stream inside a source, since its opening.
type counts struct {
	syncLost, skipped, continuity, transport uint64
}

func (f *Feed) counts() counts {
	stats := f.in.tracker.Stats()
	return counts{
		syncLost: f.in.framer.SyncLosses(), skipped: f.in.framer.Skipped(),
		continuity: stats.Continuity, transport: stats.TransportErrors,
	}
}

// Report fills in what the channel knows of itself at now. counters returns what the open
// source i has counted, and the zero Source when it is not open.
func (c *Channel) Report(now time.Duration, counters func(i int) report.Source) report.Channel {
	r := report.Channel{
		Name: c.Name, Tag: c.Tag(), Pinned: c.Pinned, State: c.State(now).String(), Format: c.format.String(),
		Bytes: uint64(c.hist.Head()), History: uint64(c.hist.Held()), Switches: c.switches,
		Sources: make([]report.Source, 0, len(c.sources)),
		Streams: []report.Stream{}, Clients: []report.Client{},
	}
	for i := range c.sources {
		r.Sources = append(r.Sources, c.reportSource(i, counters(i)))
	}
	faults := c.faults
	if c.air != none {
		f := c.sources[c.air].feed
		faults = faultsOnAir(faults, f)
		for _, s := range f.in.tracker.Streams() {
			r.Streams = append(r.Streams, report.Stream{Program: s.Program, PID: s.PID, Codec: s.Codec})
		}
	}
	if c.Health {
		r.Health = &faults
	}
	return r
}

// faults are those of the stream inside the source, since its opening.
func (f *Feed) faults() report.Health {
	h := f.in.tracker.Health()
	return report.Health{
		SyncLoss: f.in.framer.SyncLosses(),
		PAT:      h.PAT, Continuity: h.Continuity, PMT: h.PMT, Transport: h.Transport, CRC: h.CRC,
		PCRInterval: h.PCRInterval, PCRJump: h.PCRJump, PCRJitter: h.PCRJitter, PTS: h.PTS,
	}
}

// faultsOnAir adds what f, which is on air, has counted there.
func faultsOnAir(sum report.Health, f *Feed) report.Health {
	all, before := f.faults(), f.before
	sum.SyncLoss += all.SyncLoss - before.SyncLoss
	sum.PAT += all.PAT - before.PAT
	sum.Continuity += all.Continuity - before.Continuity
	sum.PMT += all.PMT - before.PMT
	sum.Transport += all.Transport - before.Transport
	sum.CRC += all.CRC - before.CRC
	sum.PCRInterval += all.PCRInterval - before.PCRInterval
	sum.PCRJump += all.PCRJump - before.PCRJump
	sum.PCRJitter += all.PCRJitter - before.PCRJitter
	sum.PTS += all.PTS - before.PTS
	return sum
}

func (c *Channel) reportSource(i int, r report.Source) report.Source {
	s := &c.sources[i]
	r.Tag, r.State = c.Sources[i].Tag(), "standby"
	seen := s.closed
	switch {
	case i == c.air:
		r.State = "on air"
	case s.feed != nil:
		r.State = "trial"
	case s.err != nil:
		r.State, r.Error = "failed", s.err.Error()
	}
	if s.feed != nil {
		seen = s.feed.counts()
	}
	r.SyncLost, r.Skipped = seen.syncLost, seen.skipped
	r.Continuity, r.Transport = seen.continuity, seen.transport
	if r.Legs == nil {
		r.Legs = []report.Leg{}
	}
	return r
}
