package handoff

import (
	"errors"
	"fmt"
	"math"
	"net/http"

	"sluice/internal/endpoint"
	"sluice/internal/lineup"
	"sluice/internal/report"
	"sluice/internal/uri"
)

// The fields of every message in the order in which they travel. One list serves
// both ways: the coder writes the fields or fills them in.

func (m *Hello) fields(c *coder) {
	c.uint(&m.Version)
	c.string(&m.Engine)
	c.int(&m.PID)
	c.string(&m.Build)
	c.time(&m.Started)
}

func (m *Welcome) fields(c *coder) {
	c.uint(&m.Version)
	c.int(&m.PID)
}

func (m *Bye) fields(c *coder) { c.string(&m.Reason) }

func (m *Attach) fields(c *coder) {
	c.uint(&m.ID)
	c.lineup(&m.Channel)
	c.start(&m.Start)
	c.slow(&m.Slow)
	c.string(&m.Peer)
	c.bytes(&m.Head)
	c.target(&m.Target)
	if m.Target != nil && len(m.Head) > 0 {
		c.fail(errors.New("head for a target"))
	}
}

func (m *Drop) fields(c *coder) {
	c.string(&m.Channel)
	c.string(&m.Client)
}

func (m *Reset) fields(*coder) {}

func (m *Started) fields(c *coder) { c.uint(&m.ID) }

func (m *Refused) fields(c *coder) {
	c.uint(&m.ID)
	c.int(&m.Code)
	c.string(&m.Reason)
}

func (m *ClientEnd) fields(c *coder) {
	c.uint(&m.ID)
	c.uint(&m.Bytes)
	c.string(&m.Reason)
}

func (m *ChannelOpen) fields(c *coder) { c.string(&m.Tag) }

func (m *ChannelEnd) fields(c *coder) {
	c.string(&m.Tag)
	c.string(&m.Reason)
	c.bool(&m.Failed)
	c.uint(&m.Bytes)
}

func (m *Query) fields(c *coder) { c.uint(&m.ID) }

func (m *Report) fields(c *coder) {
	c.uint(&m.Query)
	c.bool(&m.Last)
	c.engine(&m.Engine)
}

func (m *Pin) fields(c *coder) { c.lineup(&m.Channel) }

func (m *Unpin) fields(c *coder) { c.string(&m.Tag) }

func (m *Rates) fields(c *coder) {
	list(c, &m.Channels, leastRate, (*coder).rate)
	c.bool(&m.More)
}

func (c *coder) rate(r *Rate) {
	c.string(&r.Tag)
	c.uint(&r.Bps)
}

// lineup is a channel as it is asked for.
func (c *coder) lineup(ch *lineup.Channel) {
	c.string(&ch.Name)
	list(c, &ch.Sources, leastText, (*coder).uri)
	if n := len(ch.Sources); c.err == nil && (n == 0 || n > lineup.MaxSources) {
		c.fail(fmt.Errorf("channel of %d sources", n))
	}
	copies := uint64(ch.Copy)
	ch.Copy = uint32(c.limited(copies, math.MaxUint32))
	c.bool(&ch.Trusted)
	c.bool(&ch.NotLocal)
	c.duration(&ch.NoData)
	c.duration(&ch.Linger)
	c.bool(&ch.Pinned)
	c.duration(&ch.History.Depth)
	c.int64(&ch.History.Bytes)
	c.start(&ch.Start)
	c.slow(&ch.Slow)
	c.bool(&ch.Health)
	c.duration(&ch.Growth)
	c.pace(&ch.Pace)
	c.bool(&ch.Repeat)
	c.int(&ch.MaxClients)
	c.int64(&ch.MaxEgress)
}

// uri is a source as a URL, in the spelling of uri.Source.String.
func (c *coder) uri(s *uri.Source) {
	text := s.String()
	c.string(&text)
	if c.err != nil {
		return
	}
	source, err := uri.ParseSource(text)
	if c.spelled(err, text, source.String(), source.Tag()) && c.reading {
		*s = source
	}
}

// spelled checks a URL that was just read, or written: what the other side could not read
// is not sent. One with a longer tag than maxTag could not be told in a report.
func (c *coder) spelled(err error, text, spelling, tag string) bool {
	switch {
	case err != nil:
		c.fail(err)
	case text != spelling:
		c.fail(fmt.Errorf("%s is not spelled as it is to be", tag))
	case len(tag) > maxTag:
		c.fail(fmt.Errorf("tag of %d bytes, want at most %d", len(tag), maxTag))
	}
	return c.err == nil
}

// target is a bool and, if it is true, the far end.
func (c *coder) target(t **endpoint.Target) {
	is := *t != nil
	c.bool(&is)
	if !is || c.err != nil {
		return
	}
	if c.reading {
		*t = &endpoint.Target{}
	}
	c.end(&(*t).End)
	(*t).Write = endpoint.Write(c.limited(uint64((*t).Write), uint64(endpoint.WriteTruncate)))
	c.method(&(*t).Method)
	c.int64(&(*t).Bitrate)
	c.bool(&(*t).Trusted)
}

// end is a URL, in the spelling of uri.End.String.
func (c *coder) end(e *uri.End) {
	text := e.String()
	c.string(&text)
	if c.err != nil {
		return
	}
	end, err := uri.Parse(text)
	if c.spelled(err, text, end.String(), end.Tag()) && c.reading {
		*e = end
	}
}

// method is that of a request which sends a stream.
func (c *coder) method(m *string) {
	c.string(m)
	if c.err == nil && *m != "" && *m != http.MethodPut && *m != http.MethodPost {
		c.fail(errors.New("method that is neither PUT nor POST"))
	}
}

func (c *coder) start(s *lineup.Start) {
	c.bool(&s.Live)
	c.duration(&s.Back)
}

func (c *coder) slow(s *lineup.Slow) {
	*s = lineup.Slow(c.limited(uint64(*s), uint64(lineup.Disconnect)))
}

func (c *coder) pace(p *lineup.Pace) {
	p.Clock = lineup.Clock(c.limited(uint64(p.Clock), uint64(lineup.NoClock)))
	c.int64(&p.Bitrate)
}

// The shortest encodings of the things that come in lists, in bytes: a list cannot
// hold more of them than fit into what has arrived.
const (
	leastText    = 1
	leastChannel = 14
	leastSource  = 14
	leastLeg     = 8
	leastStream  = 3
	leastClient  = 9
	leastRate    = 2
)

func (c *coder) engine(e *report.Engine) {
	c.string(&e.ID)
	c.int(&e.PID)
	c.string(&e.Version)
	c.time(&e.Started)
	c.string(&e.Error)
	list(c, &e.Channels, leastChannel, (*coder).channel)
}

func (c *coder) channel(ch *report.Channel) {
	c.string(&ch.Name)
	c.string(&ch.Tag)
	c.string(&ch.State)
	c.bool(&ch.Pinned)
	c.string(&ch.Format)
	c.time(&ch.Since)
	c.uint(&ch.Bytes)
	c.uint(&ch.Rate)
	c.uint(&ch.History)
	c.uint(&ch.Switches)
	list(c, &ch.Sources, leastSource, (*coder).source)
	c.health(&ch.Health)
	list(c, &ch.Streams, leastStream, (*coder).stream)
	list(c, &ch.Clients, leastClient, (*coder).client)
}

func (c *coder) source(s *report.Source) {
	c.string(&s.Tag)
	c.string(&s.State)
	c.string(&s.Error)
	list(c, &s.Legs, leastLeg, (*coder).leg)
	c.bool(&s.RTP)
	c.uint(&s.RTPLost)
	c.uint(&s.Reordered)
	c.uint(&s.Late)
	c.uint(&s.Duplicates)
	c.uint(&s.Restarts)
	c.uint(&s.SyncLost)
	c.uint(&s.Skipped)
	c.uint(&s.Continuity)
	c.uint(&s.Transport)
}

func (c *coder) leg(l *report.Leg) {
	c.string(&l.Tag)
	c.uint(&l.Datagrams)
	c.uint(&l.Foreign)
	c.uint(&l.Truncated)
	c.uint(&l.KernelLost)
	c.uint(&l.Malformed)
	c.uint(&l.Lost)
	c.string(&l.Dropped)
}

// health is a bool and, if it is true, the counts.
func (c *coder) health(h **report.Health) {
	is := *h != nil
	c.bool(&is)
	if !is || c.err != nil {
		return
	}
	if c.reading {
		*h = &report.Health{}
	}
	for _, n := range []*uint64{
		&(*h).SyncLoss, &(*h).PAT, &(*h).Continuity, &(*h).PMT, &(*h).Transport,
		&(*h).CRC, &(*h).PCRInterval, &(*h).PCRJump, &(*h).PCRJitter, &(*h).PTS,
	} {
		c.uint(n)
	}
}

func (c *coder) stream(s *report.Stream) {
	c.uint16(&s.Program)
	c.uint16(&s.PID)
	c.string(&s.Codec)
}

func (c *coder) client(cl *report.Client) {
	c.uint(&cl.ID)
	c.string(&cl.Tag)
	c.string(&cl.Addr)
	c.time(&cl.Since)
	c.uint(&cl.Bytes)
	c.uint(&cl.Rate)
	c.uint(&cl.Lag)
	c.uint(&cl.Skips)
	c.uint(&cl.Skipped)
}
