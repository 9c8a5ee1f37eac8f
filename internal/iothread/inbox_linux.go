package iothread

import (
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"sluice/internal/flow"
)

// maxArrivals is how many clients wait in an inbox, at most. When it is full the thread
// that has accepted carries the next one itself.
const maxArrivals = 1024

// arrival is a client that was accepted.
type arrival struct {
	fd       int
	door     *door
	listener *flow.Listener // of the door, when it was accepted
	inherits bool           // the socket has its options
	peer     flow.Addr
}

// visit asks something of every session of a thread, or nothing but that the thread has
// come so far. A thread with many sessions does it in pieces.
type visit struct {
	see  func(s *session) // nil: none
	next int              // the first slot that was not visited
	done chan struct{}    // closed when all were, or the thread has ended
}

// inbox is what others want of a thread.
type inbox struct {
	event int         // eventfd that ends the wait of the thread
	rung  atomic.Bool // it was written to since the thread looked

	mu       sync.Mutex // guards what follows
	open     bool
	arrivals []arrival
	woken    []*session // each one once at most
	visits   []*visit   // whoever asks waits, so they are few
	doors    bool       // the doors of the pool have changed
	stop     bool
}

// post changes the inbox and wakes the thread; it says whether that still reads.
func (b *inbox) post(change func() bool) bool {
	b.mu.Lock()
	defer b.mu.Unlock() // also while it writes: once the inbox is shut, event is closed
	posted := b.open && change()
	if posted && !b.rung.Swap(true) {
		_, _ = unix.Write(b.event, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	}
	return posted
}

func (b *inbox) arrive(a arrival) bool {
	return b.post(func() bool {
		if len(b.arrivals) >= maxArrivals {
			return false
		}
		b.arrivals = append(b.arrivals, a)
		return true
	})
}

func (b *inbox) wake(s *session) {
	b.post(func() bool { b.woken = append(b.woken, s); return true })
}

func (b *inbox) doorsChanged() { b.post(func() bool { b.doors = true; return true }) }

func (b *inbox) end() { b.post(func() bool { b.stop = true; return true }) }

// ask has a thread visit its sessions; await returns when it has.
func (b *inbox) ask(v *visit) {
	if !b.post(func() bool { b.visits = append(b.visits, v); b.doors = true; return true }) {
		close(v.done)
	}
}

// letter is what was in an inbox.
type letter struct {
	arrivals []arrival
	woken    []*session
	visits   []*visit
	doors    bool
	stop     bool
}

// take empties the inbox into l, whose memory the inbox has next.
func (b *inbox) take(l *letter) {
	clear(l.arrivals)
	clear(l.woken)
	clear(l.visits)
	b.mu.Lock()
	b.arrivals, l.arrivals = l.arrivals[:0], b.arrivals
	b.woken, l.woken = l.woken[:0], b.woken
	b.visits, l.visits = l.visits[:0], b.visits
	l.doors, l.stop = b.doors, b.stop
	b.doors = false
	b.mu.Unlock()
}

// shut takes the last letter; from then on nothing can be posted.
func (b *inbox) shut(l *letter) {
	b.mu.Lock()
	b.open = false
	b.mu.Unlock()
	b.take(l)
}
