package handoff

import (
	"slices"
	"strings"

	"sluice/internal/report"
	"sluice/internal/uri"
)

// What a report may hold at most, so that every channel fits into a message. Real
// ones are far below: a PMT lists tens of streams, a name has tens of bytes.
const (
	maxTag     = uri.MaxLength + 32 // bytes of the tag of a channel or a client: orders name them, so it has to be whole
	maxText    = 1024               // bytes of a text of the engine, and of an address
	maxDetail  = 256                // bytes of any other text
	maxCodec   = 64                 // bytes of a codec's name
	maxSources = 8                  // sources of a channel
	maxLegs    = 2                  // legs of a source
	maxStreams = 400                // streams of a channel
	maxParts   = 1024               // parts of a report that Gather joins
)

// headroom is what a part keeps free of MaxMessage: type, query, last and the two
// counts, which grow while the part fills.
const headroom = 32

// SplitReport makes the messages that carry e as the answer to query: at least one,
// each within MaxMessage, the last marked Last. A channel with more clients than fit
// is repeated in the next part with the next clients. Of a channel, streams beyond 400
// and sources beyond 8 are cut off, and texts beyond 256 bytes (the name of a codec 64, an
// address and the engine's own 1 KiB, the tag of a channel or a client longer than any is).
// e is not changed; the parts share its memory.
func SplitReport(query uint64, e report.Engine) []Report {
	head := e
	head.Channels = nil
	head.ID, head.Version, head.Error = clip(e.ID, maxText), clip(e.Version, maxText), clip(e.Error, maxText)
	s := splitter{query: query, head: head, room: MaxMessage - headroom - size((*coder).engine, head)}
	s.next()
	for _, ch := range e.Channels {
		s.channel(ch)
	}
	s.parts[len(s.parts)-1].Last = true
	return s.parts
}

// splitter fills parts one after the other; used counts what the channels of the
// last part take of room, in bytes.
type splitter struct {
	query uint64
	head  report.Engine
	room  int
	parts []Report
	used  int
}

func (s *splitter) next() {
	s.parts = append(s.parts, Report{Query: s.query, Engine: s.head})
	s.used = 0
}

func (s *splitter) channel(ch report.Channel) {
	clients := ch.Clients
	ch = clipChannel(ch)
	s.open(ch)
	for i := range clients {
		cl := clients[i]
		cl.Tag, cl.Addr = clip(cl.Tag, maxTag), clip(cl.Addr, maxText)
		n := size((*coder).client, cl)
		if s.used+n > s.room {
			s.next()
			s.open(ch)
		}
		channels := s.parts[len(s.parts)-1].Engine.Channels
		last := &channels[len(channels)-1]
		last.Clients = append(last.Clients, cl)
		s.used += n
	}
}

// open puts a channel without clients into the last part, or into a new one.
func (s *splitter) open(ch report.Channel) {
	n := size((*coder).channel, ch) + 2 // the count of its clients grows by up to 2 bytes
	if s.used > 0 && s.used+n > s.room {
		s.next()
	}
	e := &s.parts[len(s.parts)-1].Engine
	e.Channels = append(e.Channels, ch)
	s.used += n
}

func clipChannel(ch report.Channel) report.Channel {
	ch.Name, ch.Tag = clip(ch.Name, maxDetail), clip(ch.Tag, maxTag)
	ch.State, ch.Format = clip(ch.State, maxDetail), clip(ch.Format, maxDetail)
	ch.Sources = clipSources(ch.Sources)
	ch.Clients = nil
	if len(ch.Streams) > maxStreams {
		ch.Streams = ch.Streams[:maxStreams]
	}
	for i, s := range ch.Streams {
		if len(s.Codec) > maxCodec {
			ch.Streams = append([]report.Stream(nil), ch.Streams...)
			ch.Streams[i].Codec = clip(s.Codec, maxCodec)
		}
	}
	return ch
}

func clipSources(all []report.Source) []report.Source {
	out := slices.Clone(all[:min(len(all), maxSources)])
	for i := range out {
		s := &out[i]
		s.Tag, s.State, s.Error = clip(s.Tag, maxDetail), clip(s.State, maxDetail), clip(s.Error, maxDetail)
		s.Legs = slices.Clone(s.Legs[:min(len(s.Legs), maxLegs)])
		for k := range s.Legs {
			l := &s.Legs[k]
			l.Tag, l.Dropped = clip(l.Tag, maxDetail), clip(l.Dropped, maxDetail)
		}
	}
	return out
}

// clip cuts s to n bytes and never leaves half a character.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}

// size is the number of bytes that a thing takes in a message.
func size[T any](item func(*coder, *T), v T) int {
	var c coder
	item(&c, &v)
	return len(c.b)
}

// Gather joins the parts that SplitReport made. The zero Gather is ready. It keeps at
// most 1024 parts of a report; of a longer one the rest is left out, and the Error of
// the whole says so.
type Gather struct {
	query uint64
	parts int
	whole report.Engine
}

// Add takes the next part. With the last it returns the whole and starts anew. A part
// with another Query than the parts before drops those: their last part is lost.
func (g *Gather) Add(r Report) (whole report.Engine, done bool) {
	if g.parts == 0 || r.Query != g.query {
		*g = Gather{query: r.Query, whole: r.Engine}
		g.whole.Channels = nil
	}
	g.parts++
	if g.parts <= maxParts {
		g.channels(r.Engine.Channels)
	} else if g.whole.Error == "" {
		g.whole.Error = "the report is too long: a part of it is not shown"
	}
	if !r.Last {
		return report.Engine{}, false
	}
	whole = g.whole
	*g = Gather{}
	return whole, true
}

func (g *Gather) channels(next []report.Channel) {
	if n := len(g.whole.Channels); n > 0 && len(next) > 0 && g.whole.Channels[n-1].Tag == next[0].Tag {
		last := &g.whole.Channels[n-1]
		last.Clients = append(last.Clients, next[0].Clients...)
		next = next[1:]
	}
	g.whole.Channels = append(g.whole.Channels, next...)
}
