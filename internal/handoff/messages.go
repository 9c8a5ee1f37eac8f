package handoff

import (
	"time"

	"sluice/internal/endpoint"
	"sluice/internal/lineup"
	"sluice/internal/report"
)

// Version of the wire format. A gws and an engine that differ refuse each other
// with a Bye that names both, so that a half-done upgrade is seen and not guessed at.
const Version = 4

// Message is one of the types below; each travels as one SEQPACKET datagram of at
// most MaxMessage bytes.
type Message interface{ kind() byte }

// Hello is the first message on a connection, engine to gws. A Report with Query 0
// follows it: what the engine carries already.
type Hello struct {
	Version uint64
	Engine  string // unique among the engines of one gws: "1", "2", …
	PID     int
	Build   string // version of the program
	Started time.Time
}

// Welcome accepts a Hello, gws to engine.
type Welcome struct {
	Version uint64
	PID     int // of gws
}

// Bye says why the sender is about to close the connection, either way.
type Bye struct{ Reason string }

// Attach hands a client's socket over, gws to engine; the descriptor travels with
// it as SCM_RIGHTS. The engine answers with exactly one Started or Refused of the
// same ID, or closes the socket and then the connection. Of a repeated ID the engine
// closes the socket and says nothing: the first one has its own answer.
//
// With a Target the stream goes there, no descriptor travels, and Head is empty: the
// engine opens the target itself, and Started means that its first bytes are written.
type Attach struct {
	ID      uint64
	Channel lineup.Channel // opened as it says here when it is not open yet
	Start   lineup.Start   // where this client begins, whatever the channel says
	Slow    lineup.Slow    // likewise
	Peer    string         // the address and port of who asked; "" for a route of the configuration
	Head    []byte         // what the engine writes before the first byte of the stream
	Target  *endpoint.Target
}

// Tag is the name of the client in reports, logs and orders: that of its target, or
// TCP:// and the address of who asked.
func (a Attach) Tag() string {
	if a.Target != nil {
		return a.Target.End.Tag()
	}
	return "TCP://" + a.Peer
}

// Drop ends clients of a channel, gws to engine: the one with the tag Client, or with
// Client "" all of them and the channel. There is no answer; ClientEnd and ChannelEnd tell.
type Drop struct{ Channel, Client string }

// Reset ends all channels and clients of an engine, gws to engine; the engine stays.
type Reset struct{}

// Pin asks for a channel to be received whether there are clients or not, gws to
// engine. A channel that is there already is pinned from then on, so a repetition does
// no harm. There is no answer: ChannelOpen, ChannelEnd and reports tell what became of
// it.
type Pin struct{ Channel lineup.Channel }

// Unpin takes a Pin back, gws to engine: from now on the channel is received as one that
// clients asked for. One that is not there, or not pinned, stays as it is.
type Unpin struct{ Tag string }

// Rates tells how much each channel of an engine delivers, about once a second while it
// has any, engine to gws. What is not in it delivers nothing. What does not fit into one
// message goes on in the next: a thousand channels may be too many.
type Rates struct {
	Channels []Rate
	More     bool // the next Rates goes on with this one
}

// Rate is one channel's bit rate.
type Rate struct {
	Tag string
	Bps uint64 // bits a second over the last second
}

// Started says that data flows: the head is written and the socket is the
// engine's alone, engine to gws. gws closes its copy.
type Started struct{ ID uint64 }

// Refused says that nothing was written and that the engine has closed its copy,
// engine to gws. Code is the HTTP status that gws answers with.
type Refused struct {
	ID     uint64
	Code   int
	Reason string
}

// ClientEnd says that a started client is gone, engine to gws.
type ClientEnd struct {
	ID     uint64
	Bytes  uint64 // of the stream that it was sent, without the head of the answer
	Reason string
}

// ChannelOpen says that a channel's source was opened, engine to gws.
type ChannelOpen struct{ Tag string }

// ChannelEnd says that a channel was closed or could not be opened, engine to gws: it
// is not there any more, pinned or not.
type ChannelEnd struct {
	Tag    string
	Reason string
	Failed bool   // it could not be had, or broke: its sources failed or were silent
	Bytes  uint64 // that were received
}

// Query asks for a Report, gws to engine. Query IDs start at 1.
type Query struct{ ID uint64 }

// Report is all an engine carries, or a part of it: parts follow each other, a
// channel whose clients do not fit is repeated with the next ones, Last ends them.
// With Query 0 it was not asked for: it replaces what gws believed (after Hello, and
// when events were lost because gws did not read).
type Report struct {
	Query  uint64
	Last   bool
	Engine report.Engine
}
