// Package iothread carries sessions without TLS on a pool of I/O threads: each is a locked
// thread with an epoll set of its own and one buffer. A quiet session costs two
// descriptors and its record: no goroutine, no buffer, no pipe. On systems without epoll
// goroutines stand in (package duplex).
package iothread

import (
	"context"
	"log/slog"
	"os"

	"sluice/internal/flow"
)

// Config is what the threads are like. Zero fields mean what is said beside them.
type Config struct {
	Threads int   // 0 = 1
	Buffer  int   // bytes that a thread reads at once; 0 = 64 KiB
	Copy    bool  // never splice
	Pipes   int64 // bytes of the pipes of all threads together; 0 = 64 MiB
}

// Threads is the pool. All methods but Run may be called from any goroutine.
type Threads struct{ todo int }

// New makes the threads; nothing is accepted before Run.
func New(c Config, desk flow.Desk, log *slog.Logger) (*Threads, error) { panic("not built yet") }

// Run carries sessions until ctx ends: then it closes its listening sockets, resets what sessions are left
// (flow.CauseDrain) and returns when all of them were told to the Desk.
func (t *Threads) Run(ctx context.Context) error { panic("not built yet") }

// Listen accepts clients at a listening socket, which is the pool's from then on. Each
// session is carried by the thread whose turn it is.
func (t *Threads) Listen(l *flow.Listener, socket *os.File) error { panic("not built yet") }

// Change gives another Listener, of the same name, to a socket that is listened at:
// sessions that come from now on have it. Those that run keep theirs.
func (t *Threads) Change(l *flow.Listener) error { panic("not built yet") }

// Pause stops accepting at the sockets of a listener (clients wait in the kernel's queue), or goes on.
func (t *Threads) Pause(name string, on bool) { panic("not built yet") }

// Close closes the listening socket at addr of a listener; its sessions go on. It returns when the
// socket is closed.
func (t *Threads) Close(name string, addr flow.Addr) { panic("not built yet") }

// WakeSession implements flow.Waker.
func (t *Threads) WakeSession(s *flow.Session) { panic("not built yet") }

// Views implements flow.Core.
func (t *Threads) Views() []flow.View { panic("not built yet") }

// End implements flow.Core.
func (t *Threads) End(match func(flow.View) bool, why flow.Cause, reset bool) int {
	panic("not built yet")
}

// Count implements flow.Core.
func (t *Threads) Count() int { panic("not built yet") }

// Figures are what the threads have done, for metrics.
type Figures struct {
	Accepted, Spliced, Copied uint64 // sessions; bytes that went through a pipe; bytes that went through a buffer
	AcceptErrors              uint64 // accept(2) that failed for want of descriptors or memory
	Pipes                     int    // open at the moment
}

// Figures returns the sums over all threads.
func (t *Threads) Figures() Figures { panic("not built yet") }
