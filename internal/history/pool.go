package history

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// SegmentSize is the size of every segment, in bytes: at most one send of a client
// (256 KiB), and little enough that a slow channel does not hold much more than its
// depth.
const SegmentSize = 256 << 10

// keepFree is how many unused segments a Pool holds ready (4 MiB); more go back to
// the system.
const keepFree = 16

// Pool makes and keeps segments for the histories of one loop. The memory is mapped
// outside the Go heap, so that the collector neither scans it nor doubles it.
// It is not safe for concurrent use.
type Pool struct {
	limit int64
	used  int64 // bytes handed out
	free  [][]byte
}

// NewPool makes a pool for at most limit bytes over all histories; 0 means no limit.
// The limit is kept by their owner, who retires segments while the pool is Over.
func NewPool(limit int64) *Pool { return &Pool{limit: limit} }

// Used is the number of bytes handed out.
func (p *Pool) Used() int64 { return p.used }

// Over says that more is handed out than the limit allows.
func (p *Pool) Over() bool { return p.limit > 0 && p.used > p.limit }

// Close gives the unused segments back to the system. Segments that are still handed
// out stay valid and are freed when they are put back.
func (p *Pool) Close() {
	for _, b := range p.free {
		unmap(b)
	}
	p.free = nil
	p.limit = -1
}

func (p *Pool) get() []byte {
	p.used += SegmentSize
	if n := len(p.free); n > 0 {
		b := p.free[n-1]
		p.free = p.free[:n-1]
		return b
	}
	b, err := unix.Mmap(-1, 0, SegmentSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		// As when the Go heap cannot grow: there is no stream without memory.
		panic(fmt.Sprintf("history: no memory for a segment: %v", err))
	}
	return b
}

func (p *Pool) put(b []byte) {
	p.used -= SegmentSize
	if len(p.free) < keepFree && p.limit >= 0 {
		p.free = append(p.free, b)
		return
	}
	unmap(b)
}

func unmap(b []byte) {
	if err := unix.Munmap(b); err != nil {
		panic(fmt.Sprintf("history: a segment was unmapped twice: %v", err))
	}
}
