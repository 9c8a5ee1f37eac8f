package object

import (
	"io"
	"sort"
	"sync/atomic"
)

// Sizes of chunks: the first is as small as a part of a segment may be, and a large object
// wastes little.
const (
	minChunk = 1 << 10
	maxChunk = 256 << 10
)

// Budget is what memory is taken from, in bytes.
type Budget interface {
	// Take takes n bytes, or says why there are none.
	Take(n int64) error
	// Give gives n bytes back.
	Give(n int64)
}

// Memory is a Body in memory: chunks, so that growing copies nothing. What it takes of its
// Budget are the bytes of its chunks; it gives them back when it is closed.
type Memory struct {
	budget Budget
	expect int64 // what the writer has announced, in bytes; 0 = nothing
	size   int64 // of the writer only
	taken  int64 // of the writer, and of Close
	// The chunks, replaced with each one that is added; their bytes are written before readers
	// are told of them, and never again.
	chunks atomic.Pointer[[]chunk]
}

// chunk is the bytes of an object from at on.
type chunk struct {
	at    int64
	bytes []byte
}

// NewMemory makes a Memory. If the writer has announced how many bytes it will have, expect
// says it, and no more is taken than is needed; else it is negative.
func NewMemory(budget Budget, expect int64) *Memory {
	m := &Memory{budget: budget, expect: max(expect, 0)}
	m.chunks.Store(&[]chunk{})
	return m
}

// Write appends. It fails as Budget.Take does; what fitted is there.
func (m *Memory) Write(p []byte) (int, error) {
	written := 0
	for written < len(p) {
		space, err := m.space(len(p) - written)
		if err != nil {
			return written, err
		}
		n := copy(space, p[written:])
		m.size += int64(n)
		written += n
	}
	return written, nil
}

// space is where the next bytes go: the rest of the last chunk, or a new one.
func (m *Memory) space(want int) ([]byte, error) {
	chunks := *m.chunks.Load()
	if len(chunks) > 0 {
		last := chunks[len(chunks)-1]
		if rest := last.bytes[m.size-last.at:]; len(rest) > 0 {
			return rest, nil
		}
	}
	length := m.next(want)
	if err := m.budget.Take(length); err != nil {
		return nil, err
	}
	m.taken += length
	chunks = append(chunks, chunk{at: m.size, bytes: make([]byte, length)})
	m.chunks.Store(&chunks)
	return chunks[len(chunks)-1].bytes, nil
}

// next is the length of the next chunk: what was announced, else as much as there is already.
func (m *Memory) next(want int) int64 {
	if rest := m.expect - m.size; rest > 0 {
		return min(rest, maxChunk)
	}
	return min(max(m.size, int64(want), minChunk), maxChunk)
}

// WriteAt writes in place, and appends what is beyond the end; a gap is zero. It is for who has the
// Memory alone: no reader may see it yet.
func (m *Memory) WriteAt(p []byte, off int64) (int, error) {
	for m.size < off {
		var zero [minChunk]byte
		if _, err := m.Write(zero[:min(minChunk, off-m.size)]); err != nil {
			return 0, err
		}
	}
	n := 0
	for n < len(p) && off+int64(n) < m.size {
		at := off + int64(n)
		piece := m.piece(at)
		n += copy(piece[:min(int64(len(piece)), m.size-at)], p[n:])
	}
	more, err := m.Write(p[n:])
	return n + more, err
}

// Size is how many bytes were written. It is for the writer only.
func (m *Memory) Size() int64 { return m.size }

// ReadAt reads bytes that were written before.
func (m *Memory) ReadAt(p []byte, off int64) (int, error) {
	n := 0
	for n < len(p) {
		piece := m.piece(off + int64(n))
		if len(piece) == 0 {
			return n, io.EOF
		}
		n += copy(p[n:], piece)
	}
	return n, nil
}

// send writes to w without copying.
func (m *Memory) send(w io.Writer, from, to int64) (int64, error) {
	at := from
	for at < to {
		piece := m.piece(at)
		if len(piece) == 0 {
			return at - from, io.ErrUnexpectedEOF
		}
		n, err := w.Write(piece[:min(int64(len(piece)), to-at)])
		at += int64(n)
		if err != nil {
			return at - from, err
		}
	}
	return at - from, nil
}

// piece is the bytes from off to the end of the chunk that off is in; none beyond the last.
func (m *Memory) piece(off int64) []byte {
	chunks := *m.chunks.Load()
	i := sort.Search(len(chunks), func(i int) bool { return chunks[i].at > off }) - 1
	if i < 0 || off-chunks[i].at >= int64(len(chunks[i].bytes)) {
		return nil
	}
	return chunks[i].bytes[off-chunks[i].at:]
}

// Close gives the memory back.
func (m *Memory) Close() error {
	m.chunks.Store(&[]chunk{})
	m.budget.Give(m.taken)
	m.taken = 0
	return nil
}
