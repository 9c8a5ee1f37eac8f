package handoff

import "sluice/internal/report"

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
	c.string(&m.Source)
	c.string(&m.Peer)
	c.bytes(&m.Head)
}

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
}

func (m *Query) fields(c *coder) { c.uint(&m.ID) }

func (m *Report) fields(c *coder) {
	c.uint(&m.Query)
	c.bool(&m.Last)
	c.engine(&m.Engine)
}

// The shortest encodings of the things that come in lists, in bytes: a list cannot
// hold more of them than fit into what has arrived.
const (
	leastChannel = 20
	leastStream  = 3
	leastClient  = 9
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
	c.string(&ch.Tag)
	c.string(&ch.State)
	c.string(&ch.Format)
	c.time(&ch.Since)
	c.uint(&ch.Bytes)
	c.uint(&ch.Rate)
	c.uint(&ch.History)
	c.source(&ch.Source)
	list(c, &ch.Streams, leastStream, (*coder).stream)
	list(c, &ch.Clients, leastClient, (*coder).client)
}

func (c *coder) source(s *report.Source) {
	c.uint(&s.Datagrams)
	c.bool(&s.RTP)
	c.uint(&s.Foreign)
	c.uint(&s.Truncated)
	c.uint(&s.KernelLost)
	c.uint(&s.Malformed)
	c.uint(&s.RTPLost)
	c.uint(&s.SyncLost)
	c.uint(&s.Skipped)
	c.uint(&s.Continuity)
	c.uint(&s.Transport)
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
