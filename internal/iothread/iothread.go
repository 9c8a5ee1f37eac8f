// Package iothread carries sessions without TLS on a pool of I/O threads: each is a locked
// thread with an epoll set of its own and one buffer. A quiet session costs two
// descriptors and its record: no goroutine, no buffer, no pipe. On systems without epoll
// goroutines stand in (package duplex).
//
//	listening sockets ── accept ── hand over in turn ─► inbox of a thread
//	                                                       │
//	thread: wait (epoll) ─► mark what is ready ─► inbox ─► turns of the ready sessions ─► time-outs
//
// A session moves bytes in its turn only, and only so many; then it is the next one's.
// What a thread knows, only that thread touches; others put what they want into its inbox.
package iothread

import (
	"errors"
	"fmt"
)

// Config is what the threads are like. Zero fields mean what is said beside them.
type Config struct {
	Threads int   // 0 = 1
	Buffer  int   // bytes that a thread reads at once; 0 = 64 KiB
	Copy    bool  // never splice
	Pipes   int64 // bytes of the pipes of all threads together; 0 = 64 MiB
}

// The defaults of Config.
const (
	defaultBuffer = 64 << 10
	defaultPipes  = 64 << 20
)

// complete fills in what is zero, and refuses what makes no sense.
func (c Config) complete() (Config, error) {
	if c.Threads < 0 || c.Buffer < 0 || c.Pipes < 0 {
		return c, fmt.Errorf("%d I/O threads with buffers of %d bytes and pipes of %d: want no negative number", c.Threads, c.Buffer, c.Pipes)
	}
	if c.Threads == 0 {
		c.Threads = 1
	}
	if c.Buffer == 0 {
		c.Buffer = defaultBuffer
	}
	if c.Pipes == 0 {
		c.Pipes = defaultPipes
	}
	return c, nil
}

// Figures are what the threads have done, for metrics.
type Figures struct {
	Accepted, Spliced, Copied uint64 // sessions; bytes that went through a pipe; bytes that went through a buffer
	AcceptErrors              uint64 // accept(2) that failed for want of descriptors or memory
	Pipes                     int    // open at the moment
}

// errEnded is what a pool that has ended answers.
var errEnded = errors.New("the I/O threads have ended")
