package channel

import (
	"time"

	"sluice/internal/media/ts"
)

// hold keeps the newest bytes of a source on trial, about holdBytes/2 or more of them: a
// start is known only when some of its access unit has passed. It takes no memory until
// it is used.
type hold struct {
	start int64 // offset of buf in the stream of the source
	buf   []byte
}

const holdBytes = 1 << 20

// Head is the offset behind the newest byte.
func (h *hold) Head() int64 { return h.start + int64(len(h.buf)) }

// Reserve returns free space behind the head, at least n bytes (n at most holdBytes/2).
func (h *hold) Reserve(n int) []byte {
	if h.buf == nil {
		h.buf = make([]byte, 0, holdBytes)
	}
	if cap(h.buf)-len(h.buf) < n {
		forget := len(h.buf) - holdBytes/2
		forget += (ts.PacketSize - forget%ts.PacketSize) % ts.PacketSize // whole packets stay whole
		h.start += int64(forget)
		h.buf = h.buf[:copy(h.buf, h.buf[forget:])]
	}
	return h.buf[len(h.buf):cap(h.buf)]
}

// Commit takes the first n bytes of what Reserve returned last.
func (h *hold) Commit(n int, _ time.Duration) { h.buf = h.buf[:len(h.buf)+n] }

// Write takes a copy of b.
func (h *hold) Write(b []byte, now time.Duration) {
	for len(b) > 0 {
		n := copy(h.Reserve(1), b)
		h.Commit(n, now)
		b = b[n:]
	}
}

// from returns what is held from off on, none of which is forgotten.
func (h *hold) from(off int64) []byte { return h.buf[off-h.start:] }
