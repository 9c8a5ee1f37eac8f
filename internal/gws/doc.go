// Package gws is the web service: it takes the clients' requests, decides, and hands
// the client's socket to an engine. No byte of a stream passes it.
//
//	request ─► admit (who, what) ─► pick an engine ─► hand over ─┬─ Started: the engine's
//	 user.go         user.go            pick.go         attach.go   ├─ Refused: answer the code
//	                                                                └─ engine gone: the next one
//
// # One answer
//
// A client gets one answer or a closed connection, never two heads. From Attach until
// Started or Refused only the engine writes to the client's socket; gws holds a copy
// and looks on. When the engine's process ends in between, the count of bytes ever
// written to the socket tells whether it had begun to answer: if not, another engine
// is asked, each at most once; else the connection is closed. An engine whose
// connection gws itself closes (it talked nonsense, did not read) may be alive and
// about to write: its waiting clients are cut off.
//
// # Belief
//
// What an engine carries is known from its messages alone: a Report after Hello, then
// events. So a gws that starts again learns it from the engines that attach again. The
// belief decides which engine gets a client (the one that has the channel) and what is
// logged; figures are always asked for fresh (Status).
package gws
