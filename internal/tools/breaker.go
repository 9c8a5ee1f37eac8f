package tools

import (
	"bytes"
	"encoding/binary"
	"time"

	"sluice/internal/media/ts"
)

// breaker carries faults out: packet breaks one before it is packed, datagram a whole
// one before it is sent.
type breaker struct {
	faults  Faults
	stats   FaultStats
	packets packetFaults

	seen   uint64 // datagrams
	held   []byte // waits for its successor
	copies int    // of held; 0 = nothing held
	late   []lateDatagram
	jump   uint16 // added to RTP sequence numbers
	ssrc   uint32 // added to the SSRC
}

// lateDatagram waits until something else is due.
type lateDatagram struct {
	due    time.Duration
	data   []byte
	copies int
}

// action is what happens to one datagram.
type action struct {
	drop, dup, swap, late, corrupt bool
}

// action decides on datagram n, counted from one.
func (f Faults) action(n uint64) action {
	if every(f.Drop, n) {
		return action{drop: true}
	}
	late := every(f.Late, n)
	return action{dup: every(f.Dup, n), swap: every(f.Swap, n) && !late, late: late, corrupt: every(f.Corrupt, n)}
}

// datagram breaks one datagram and gives what is left to send; its packets begin at
// the given offset, after an RTP header if there is one.
func (b *breaker) datagram(d []byte, due time.Duration, offset int, send func([]byte) error) error {
	b.seen++
	if err := b.overdue(due, send); err != nil {
		return err
	}
	a := b.faults.action(b.seen)
	if a.drop {
		b.stats.Dropped++
		return b.release(send)
	}
	if offset > 0 {
		b.rtp(d)
	}
	copies := 1
	if a.dup {
		copies = 2
		b.stats.Duplicated++
	}
	if a.corrupt {
		d[offset] = ^byte(ts.SyncByte)
		b.stats.Corrupted++
	}
	switch {
	case a.late:
		b.stats.Late++
		b.late = append(b.late, lateDatagram{due + lateBy, bytes.Clone(d), copies})
		return b.release(send)
	case a.swap:
		b.held, b.copies = append(b.held[:0], d...), copies
		return nil
	}
	if err := repeat(d, copies, send); err != nil {
		return err
	}
	if b.copies > 0 {
		b.stats.Swapped++
	}
	return b.release(send)
}

// rtp rewrites the header of one datagram (RFC 3550, 5.1).
func (b *breaker) rtp(d []byte) {
	if every(b.faults.RTPSSRC, b.seen) {
		b.ssrc++
		b.stats.RTPSSRCs++
	}
	if every(b.faults.RTPJump, b.seen) {
		b.jump += rtpJump
		b.stats.RTPJumps++
	}
	binary.BigEndian.PutUint16(d[2:], binary.BigEndian.Uint16(d[2:])+b.jump)
	binary.BigEndian.PutUint32(d[8:], binary.BigEndian.Uint32(d[8:])+b.ssrc)
}

// release sends what waits for a successor.
func (b *breaker) release(send func([]byte) error) error {
	copies := b.copies
	b.copies = 0
	return repeat(b.held, copies, send)
}

// overdue sends what waits until now.
func (b *breaker) overdue(now time.Duration, send func([]byte) error) error {
	for len(b.late) > 0 && b.late[0].due <= now {
		d := b.late[0]
		b.late = b.late[1:]
		if err := repeat(d.data, d.copies, send); err != nil {
			return err
		}
	}
	return nil
}

// flush sends all that waits: the stream has ended.
func (b *breaker) flush(send func([]byte) error) error {
	if err := b.release(send); err != nil {
		return err
	}
	return b.overdue(1<<63-1, send)
}

func repeat(d []byte, copies int, send func([]byte) error) error {
	for range copies {
		if err := send(d); err != nil {
			return err
		}
	}
	return nil
}
