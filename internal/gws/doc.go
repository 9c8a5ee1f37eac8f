// Package gws is the web service: it takes the clients' requests, decides, and has the
// client carried to an engine.
//
//	request ─► admit (who, what) ─► enter (is there room) ─► pick an engine ─► hand over ─┬─ Started: the engine's
//	 user.go        user.go               limits.go              pick.go       attach.go   ├─ Refused: answer the code
//	                                                                                       └─ engine gone: the next one
//
// # How a client is carried
//
// A plain TCP connection is handed over, and no byte of its stream passes gws. What cannot
// be handed over (TLS, HTTP/2) is pumped: the engine writes into a pair of sockets, gws
// copies from there in the goroutine of the request. A session whose bytes go elsewhere has
// nothing to hand over: the engine opens its target, the client gets a line. These three
// are carriers (carrier.go); who is asked, and how often, is the same for all (attach.go).
//
// # The origin
//
// The origin of this sluice is a process beside gws, and each is a client of the other. It
// asks for channels by a local door (doors.go): for its own viewers, whom it has asked already
// what gws asks others. Its connection is handed over as any is, but what an engine has
// written to a UNIX socket cannot be asked of the system: when the engine dies before its
// answer the connection is closed, and the origin asks again. And what is asked for at a user
// port that is no request for a stream goes to Config.Elsewhere (elsewhere.go), which leads to
// the origin.
//
// # One answer
//
// A client gets one answer or a closed connection, never two heads. From Attach until
// Started or Refused only the engine writes to the client's socket; gws holds a copy
// and looks on. When the engine's process ends in between, the count of bytes ever
// written to the socket tells whether it had begun to answer: if not, another engine
// is asked, each at most once; else the connection is closed. An engine whose
// connection gws itself closes (it talked nonsense, did not read, did not answer) may be
// alive and about to write: its waiting clients are cut off. Where gws answers itself, what
// an engine has written reaches nobody before Started: there the next engine can be asked
// always, and who is cut off is told why.
//
// # Belief
//
// What an engine carries is known from its messages alone: a Report after Hello, then
// events, and each second Rates. So a gws that starts again learns it from the engines
// that attach again. The belief decides which engine gets a client (the one that has the
// channel), whether there is room for one more, and what is logged; the figures of the
// status are always asked for fresh.
//
// # Room
//
// A client is counted from the moment it is let in (tally.go), before any engine hears of
// it: who is above a limit is refused at once, and costs those who watch nothing. What it
// will take of the uplink is what its channel delivers now, as the engines tell; a
// channel that nobody has received yet counts as nothing until it does.
//
// # Channels of one's own
//
// Everybody who asks for a file by its path gets all of it, so such a channel is not shared:
// its number makes it another one (session.go).
//
// # Pinned channels and routes
//
// Each pinned channel of the lineup is at one engine (pins.go): at the one that has it,
// or at one that is picked when engines have neither come nor gone for a moment. Where a
// second engine turns out to have it, or the lineup has it no more, the pin is taken back.
// Routes (routes.go) are sessions of the configuration and are kept likewise; in a report
// they are the clients that nobody has asked for.
//
// # Configuration
//
// What holds can be exchanged at any time (reload.go), as a whole; a request looks once
// (Server.config) and holds on to it.
package gws
