package history

import (
	"fmt"

	"golang.org/x/sys/unix"
)

const (
	// SegmentSize is the size of a segment, in bytes: enough for a batch of datagrams,
	// and little enough that a channel does not hold much more than its depth.
	SegmentSize = 128 << 10
	// sharedSize is that of a segment that is a file, longer so that fewer sends end at
	// the end of one (see docs/decisions/005).
	sharedSize = 1 << 20
)

// A Pool holds unused segments ready: a sixteenth of what it has handed out, since
// channels that were opened together give theirs back together, and at least keepFree
// (2 MiB). More go back to the system, which is slow at making new ones: it clears them.
const keepFree = 16

// block is the memory of one segment.
type block struct {
	mem  []byte
	file int // descriptor of the file that mem is mapped from, or noFile
}

// noFile marks a block that is memory alone.
const noFile = -1

// Pool makes and keeps segments for the histories of one loop. The memory is mapped
// outside the Go heap, so that the collector neither scans it nor doubles it.
// It is not safe for concurrent use.
type Pool struct {
	limit int64
	used  int64    // bytes handed out
	free  [][]byte // of blocks that are no files
}

// NewPool makes a pool for at most limit bytes over all histories; 0 means no limit.
// The limit is kept by their owner, who retires segments while the pool is Over.
func NewPool(limit int64) *Pool { return &Pool{limit: limit} }

// SetLimit has another limit hold from now on.
func (p *Pool) SetLimit(limit int64) { p.limit = limit }

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

// get hands out a block, one with a file if shared and the system has it.
func (p *Pool) get(shared bool) block {
	if shared {
		if b, ok := newShared(); ok {
			p.used += sharedSize
			return b
		}
	}
	p.used += SegmentSize
	if n := len(p.free); n > 0 {
		b := p.free[n-1]
		p.free = p.free[:n-1]
		return block{mem: b, file: noFile}
	}
	b, err := unix.Mmap(-1, 0, SegmentSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		// As when the Go heap cannot grow: there is no stream without memory.
		panic(fmt.Sprintf("history: no memory for a segment: %v", err))
	}
	return block{mem: b, file: noFile}
}

func (p *Pool) put(b block) {
	p.used -= int64(len(b.mem))
	switch {
	case b.file != noFile: // its pages may be on their way to a client still: never again
		unix.Close(b.file)
	case len(p.free) < max(keepFree, int(p.used/SegmentSize/16)) && p.limit >= 0:
		p.free = append(p.free, b.mem)
		return
	}
	unmap(b.mem)
}

func unmap(b []byte) {
	if err := unix.Munmap(b); err != nil {
		panic(fmt.Sprintf("history: a segment was unmapped twice: %v", err))
	}
}
