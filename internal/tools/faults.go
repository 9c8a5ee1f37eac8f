package tools

import (
	"time"

	"sluice/internal/media/ts"
)

// Faults are what Send breaks on purpose, exactly and the same every time, so that what
// a receiver reports can be checked. Zero breaks nothing. Datagrams are counted from
// one; one that is dropped meets no other fault.
type Faults struct {
	Drop      int           // every Nth datagram is not sent; at least 2
	Dup       int           // every Nth datagram is sent twice
	Swap      int           // every Nth datagram is sent after its successor; at least 2
	Corrupt   int           // every Nth datagram has the sync byte of its first packet overwritten
	NoPAT     bool          // the packets of the PAT become null packets
	PCRJitter time.Duration // every second PCR of each PID is moved by so much
}

// FaultStats counts what was broken.
type FaultStats struct {
	Dropped    uint64 // datagrams
	Duplicated uint64
	Swapped    uint64 // those whose successor was sent before them
	Corrupted  uint64
	NoPAT      uint64 // packets
	MovedPCR   uint64 // packets
}

// action is what happens to one datagram.
type action struct {
	drop, dup, swap, corrupt bool
}

// action decides on datagram n, counted from one.
func (f Faults) action(n uint64) action {
	every := func(nth int) bool { return nth > 0 && n%uint64(nth) == 0 }
	if every(f.Drop) {
		return action{drop: true}
	}
	return action{dup: every(f.Dup), swap: every(f.Swap), corrupt: every(f.Corrupt)}
}

// breaker carries the faults out.
type breaker struct {
	faults Faults
	stats  FaultStats
	odd    map[uint16]bool // PIDs whose next PCR is moved
	seen   uint64          // datagrams
	held   []byte          // waits for its successor
	copies int             // of held; 0 = nothing held
}

// packet breaks one packet in place.
func (b *breaker) packet(p ts.Packet) {
	pid := p.PID()
	if b.faults.NoPAT && pid == 0 {
		p[1], p[2] = p[1]&0xE0|ts.NullPID>>8, ts.NullPID&0xFF
		b.stats.NoPAT++
		return
	}
	if b.faults.PCRJitter == 0 {
		return
	}
	pcr, ok := p.PCR()
	if !ok {
		return
	}
	if b.odd == nil {
		b.odd = map[uint16]bool{}
	}
	if b.odd[pid] {
		p.SetPCR(pcr + int64(b.faults.PCRJitter)*27/1000)
		b.stats.MovedPCR++
	}
	b.odd[pid] = !b.odd[pid]
}

// datagram breaks one datagram and gives what is left to send; its packets begin at
// the given offset.
func (b *breaker) datagram(d []byte, offset int, send func([]byte) error) error {
	b.seen++
	a := b.faults.action(b.seen)
	if a.drop {
		b.stats.Dropped++
		return b.flush(send)
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
	if a.swap {
		b.held, b.copies = append(b.held[:0], d...), copies
		return nil
	}
	if err := repeat(d, copies, send); err != nil {
		return err
	}
	if b.copies > 0 {
		b.stats.Swapped++
	}
	return b.flush(send)
}

// flush sends what waits for a successor.
func (b *breaker) flush(send func([]byte) error) error {
	copies := b.copies
	b.copies = 0
	return repeat(b.held, copies, send)
}

func repeat(d []byte, copies int, send func([]byte) error) error {
	for range copies {
		if err := send(d); err != nil {
			return err
		}
	}
	return nil
}
