// Package loop is the engine's one loop: it owns every channel and every client of an
// engine, and moves all their bytes in one goroutine.
//
// The way of the data, and the order of the functions in step.go:
//
//  1. listen    which sources have something; those that cannot wait are drained
//  2. greet     clients that waited for the first byte of a channel are started
//  3. send      a share of the clients gets what it has not had yet, after the sources
//     of its channel were drained
//  4. retire    segments that are due go; clients that still stand in them skip
//  5. housekeep a few times a second: silence, linger, stuck clients, rates
//
// Time is cut into slots of SlotTime. Every slot serves only a share of the clients, so
// that each is served once a round; Round says how long that is for a given number of
// clients and channels: few clients, low delay; many clients, large sends, which is what
// decides the cost. A channel that many watch stands in files, and is sent from there
// without a copy (sendfile). When nothing has come for a while the loop sleeps until a
// source is readable.
//
// The loop never blocks on anything but its own wait. What takes time (opening a
// source) is done in a goroutine that posts its result; what others want of the loop
// is posted to it as well and done between two steps. step takes the time as a
// parameter, so that the loop is tested without a clock.
package loop
