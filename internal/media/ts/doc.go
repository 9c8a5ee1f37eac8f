// Package ts reads MPEG transport streams (ISO/IEC 13818-1): it finds packets in
// bytes, follows tables and continuity, and finds the places where a decoder can
// start. It decodes nothing, opens nothing and starts no goroutine.
//
// Bytes become whole packets in a Framer, which is skipped when a datagram holds
// whole packets already; a Tracker reads the packets and says where to start:
//
//	var (
//		framer  ts.Framer
//		tracker ts.Tracker
//	)
//	if !framer.Pass(chunk) {
//		chunk = framer.Append(scratch[:0], chunk)
//	}
//	for _, s := range tracker.Scan(chunk, offset) {
//		index = append(index, s) // a client gets s.Tables, then the stream from s.Offset on
//	}
//	offset += int64(len(chunk))
//
// A Tracker with CheckHealth also counts the faults of the stream (Health), by the
// stream's own clock.
//
// Packet reads and changes single packets. An Analyzer does all of this for a
// stream under test and judges it.
//
// Everything in a stream is the sender's word: lengths that lie are counted and
// skipped, what is kept is bounded, and nothing panics.
package ts
