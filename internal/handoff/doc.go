// Package handoff is the language that gws and its engines speak: who is there,
// whose socket is handed over, what became of it, what runs.
//
// The transport is a Unix socket of type SEQPACKET: reliable, in order, one message
// a datagram of at most [MaxMessage] bytes, and a client's socket travels with its
// Attach as SCM_RIGHTS. docs/handoff.md gives the bytes of every message.
//
//	engine                               gws
//	   │ Hello, Report(Query 0) ──────────▶ │   once
//	   │ ◀────────────────────────── Welcome │   or Bye
//	   │                                    │
//	   │ ◀──────────────── Attach + socket  │   for every client; with a target, without a socket
//	   │ Started or Refused ──────────────▶ │   exactly one
//	   │ ClientEnd ───────────────────────▶ │   after Started only
//	   │                                    │
//	   │ ◀────────────────────── Pin, Unpin │   for channels that are always received
//	   │ ◀───────────────────── Drop, Reset │   by order of the operator
//	   │ ChannelOpen, ChannelEnd ─────────▶ │   as it happens
//	   │ Rates ───────────────────────────▶ │   each second
//	   │ ◀─────────────────────────── Query │
//	   │ Report … Report(Last) ───────────▶ │
//
// [Encode] and [Decode] are pure; [Conn] adds the socket and the descriptors;
// [SplitReport] and [Gather] carry a report that is longer than one message.
package handoff
