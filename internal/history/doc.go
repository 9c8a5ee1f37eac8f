// Package history keeps a moving window of one channel's bytes: one writer, any
// number of cursors, and marks where a reader may begin.
//
// A cursor is nothing but a 64-bit offset that its reader keeps; offsets count the
// bytes of the channel from 0 and are never reused. History and live are one path: a
// reader starts at a mark and reads until it meets the head.
//
//	     tail            mark              mark   head
//	      ▼               ▼                 ▼      ▼
//	┌───────────┬───────────────┬──────────────────────────┐
//	│ segment   │ segment       │ open segment │ reserved  │
//	└───────────┴───────────────┴──────────────────────────┘
//	◄─ Retire ─┘                                └─ Reserve, Commit ─►
//
// The bytes stand in segments from a Pool. What lies below the head is
// never written again while it is in the window; Retire gives the oldest segment back,
// and its caller first moves the cursors that still point into it.
//
// A segment of a channel that many read is a file in memory too (memfd_create(2)), so
// that a send can take its pages where they stand. What was sent from a page may still
// be on its way when the last reader has left it: such a segment is never written
// again, and its memory goes back to the system when the last packet is acknowledged.
//
// The package knows neither sockets nor MPEG, takes no lock and starts no goroutine:
// the loop that owns a History is its only user.
package history
