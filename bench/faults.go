package main

// What the soak does to the datagrams of its sources. The fate of a datagram is a function
// of its channel and number, so that a viewer who misses it can ask whether it was sent.

// fate is what happens to one datagram.
type fate uint8

const (
	fateSent    fate = iota // once, in its place
	fateDropped             // not sent
	fateDoubled             // sent twice
	fateDelayed             // sent behind the next faultDelay ones
)

const (
	faultEvery = 1000 // each of the three befalls one datagram in so many
	faultDelay = 3    // datagrams; 8 ms at 4 Mbit/s
)

// fateOf is the fate of the n-th datagram of a channel.
func fateOf(channel int, n uint64) fate {
	switch mix(uint64(channel)<<48^n) % faultEvery {
	case 0:
		return fateDropped
	case 1:
		return fateDoubled
	case 2:
		return fateDelayed
	}
	return fateSent
}

// mix scatters a number over 64 bits (splitmix64: Steele, Lea and Flood, OOPSLA 2014).
func mix(x uint64) uint64 {
	x += 0x9E3779B97F4A7C15
	x = (x ^ x>>30) * 0xBF58476D1CE4E5B9
	x = (x ^ x>>27) * 0x94D049BB133111EB
	return x ^ x>>31
}

// datagramOf is the datagram that a packet is sent in.
func datagramOf(seq uint64) uint64 { return seq / packetsPerDatagram }

// faultQueue carries the fates of one channel's datagrams out.
type faultQueue struct {
	held [][]byte // the delayed ones
	wait []int    // how many are to be sent before each
}

// pass gives the datagram d, whose fate is f, and those whose delay is over to send. It
// keeps no reference to d.
func (q *faultQueue) pass(d []byte, f fate, send func([]byte)) {
	switch f {
	case fateDropped:
	case fateDelayed:
		q.held = append(q.held, append([]byte(nil), d...))
		q.wait = append(q.wait, faultDelay+1)
	case fateDoubled:
		send(d)
		send(d)
	default:
		send(d)
	}
	for i := range q.wait {
		q.wait[i]--
	}
	for len(q.wait) > 0 && q.wait[0] <= 0 {
		send(q.held[0])
		q.held, q.wait = q.held[1:], q.wait[1:]
	}
}

// flush gives all delayed ones to send.
func (q *faultQueue) flush(send func([]byte)) {
	for _, d := range q.held {
		send(d)
	}
	q.held, q.wait = nil, nil
}
