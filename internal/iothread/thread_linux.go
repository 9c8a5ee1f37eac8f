package iothread

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	eventKey  = -1          // of the eventfd in the epoll set; doors have -2 minus their id, sockets of sessions 2·slot+side
	rawWait   = 2           // ms that a wait may keep the scheduler waiting; a longer one tells it
	shortRow  = 32          // and only after so many short rounds in a row: meanwhile the runtime's monitor wakes every 20 µs
	visitStep = 512         // sessions that a visit sees before others have their turn
	longSleep = time.Minute // at most
)

// thread carries sessions. Only its own goroutine, locked to a thread of the system,
// touches it, apart from the inbox and the figures.
type thread struct {
	pool   *Threads
	number int
	inbox  inbox
	epoll  int

	started time.Time
	now     int64 // since started, in nanoseconds, once a round
	short   int   // rounds in a row that took no longer than rawWait, up to shortRow
	events  [256]unix.EpollEvent
	buf     []byte
	addr    sockaddr
	letter  letter

	slots   []*session // nil where there is none
	unused  []int32    // slots
	tag     int32      // of the last socket that was watched
	ready   []*session // those whose turn comes; each once
	turning []*session // those that have it, in this round
	wheel   wheel
	pipes   pipes
	visits  []*visit
	acceptor

	// What became of it so far, and what others see of that.
	clients, spliced, copied, acceptErrors uint64
	figures                                struct{ accepted, spliced, copied, acceptErrors, pipes atomic.Uint64 }
}

func newThread(p *Threads, number int) *thread {
	return &thread{
		pool: p, number: number, epoll: -1, inbox: inbox{event: -1},
		buf: make([]byte, p.config.Buffer), pipes: pipes{left: &p.pipes}, started: time.Now(),
		acceptor: acceptor{doors: make(map[int32]*door), burst: 1},
	}
}

// open opens what the thread waits in.
func (t *thread) open() (err error) {
	if t.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err == nil {
		if t.inbox.event, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err == nil {
			// By edges: nobody need ever read it.
			if errno := watch(t.epoll, unix.EPOLL_CTL_ADD, t.inbox.event, unix.EPOLLIN|unix.EPOLLET, eventKey, 0); errno != 0 {
				err = errno
			}
		}
	}
	if err != nil {
		t.close()
		return fmt.Errorf("set up epoll: %w", err)
	}
	t.inbox.mu.Lock()
	t.inbox.open = true
	t.inbox.mu.Unlock()
	return nil
}

func (t *thread) close() {
	for _, fd := range []int{t.epoll, t.inbox.event} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
	t.epoll, t.inbox.event = -1, -1
}

// run is the life of the thread.
func (t *thread) run() error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer t.endAll()
	t.syncDoors()
	for {
		n, err := t.wait()
		if err != nil {
			return err
		}
		t.wakeUp(int64(time.Since(t.started)))
		t.rounds++
		for i := range t.events[:n] {
			t.note(&t.events[i])
		}
		if t.readInbox(); t.letter.stop {
			return nil
		}
		t.giveTurns()
		t.wheel.advance(t.now/int64(tick), t.expire)
		t.resumeDoors()
		t.pipes.trim(t.now)
		t.publish()
	}
}

// wait sleeps until there is something to do.
func (t *thread) wait() (int, error) {
	ms, raw := t.patience(), 0
	if t.short == shortRow {
		raw = min(ms, rawWait)
	}
	var (
		n     int
		errno unix.Errno
	)
	if ms == 0 || raw > 0 {
		n, errno = epollWait(t.epoll, t.events[:], raw, false)
	}
	if n == 0 && errno == 0 && ms > raw {
		n, errno = epollWait(t.epoll, t.events[:], ms-raw, true)
	}
	if errno != 0 {
		return 0, fmt.Errorf("epoll_wait: %w", errno)
	}
	return n, nil
}

// wakeUp begins a round at now, and notes whether the one before it was short.
func (t *thread) wakeUp(now int64) {
	if now-t.now > rawWait*int64(time.Millisecond) {
		t.short = 0
	} else {
		t.short = min(t.short+1, shortRow)
	}
	t.now = now
}

// patience is how many milliseconds the thread may sleep.
func (t *thread) patience() int {
	if len(t.ready) > 0 || len(t.visits) > 0 {
		return 0
	}
	until := t.now + int64(longSleep)
	if at, ok := t.wheel.upcoming(); ok {
		until = min(until, at*int64(tick))
	}
	if len(t.pipes.free) > 0 {
		until = min(until, t.pipes.trimAt)
	}
	if t.resumeAt != 0 {
		until = min(until, t.resumeAt)
	}
	return max(0, int((until-t.now+int64(time.Millisecond)-1)/int64(time.Millisecond)))
}

// note takes down what an event says. Sessions act on it in their turn.
func (t *thread) note(e *unix.EpollEvent) {
	if e.Fd < 0 {
		if e.Fd < eventKey {
			t.accept(t.doors[eventKey-1-e.Fd])
		}
		return
	}
	s := t.slots[e.Fd/2]
	if s == nil || s.ends[e.Fd%2].tag != e.Pad {
		return // of a socket that was closed in this round
	}
	s.ends[e.Fd%2].note(e.Events)
	t.enqueue(s)
}

// enqueue gives s a turn.
func (t *thread) enqueue(s *session) {
	if !s.queued {
		s.queued = true
		t.ready = append(t.ready, s)
	}
}

// giveTurns gives a turn to each session that is ready; those that want another one
// get it in the next round.
func (t *thread) giveTurns() {
	t.turning, t.ready = t.ready, t.turning[:0]
	for i, s := range t.turning {
		t.turning[i] = nil
		s.queued = false
		t.turn(s)
	}
}

// readInbox does what others have asked for.
func (t *thread) readInbox() {
	if t.inbox.rung.Swap(false) {
		t.inbox.take(&t.letter)
		if t.letter.doors {
			t.syncDoors()
		}
		for _, a := range t.letter.arrivals {
			t.begin(a)
		}
		for _, s := range t.letter.woken {
			s.woken.Store(false)
			t.again(s, false)
		}
		t.visits = append(t.visits, t.letter.visits...)
	}
	t.goVisiting()
}

// goVisiting does a piece of each visit.
func (t *thread) goVisiting() {
	left := t.visits[:0]
	for _, v := range t.visits {
		end := min(v.next+visitStep, len(t.slots))
		if v.see != nil {
			for _, s := range t.slots[min(v.next, end):end] {
				if s != nil {
					v.see(s)
				}
			}
		}
		if v.next = end; v.see == nil || end == len(t.slots) {
			close(v.done)
		} else {
			left = append(left, v)
		}
	}
	clear(t.visits[len(left):])
	t.visits = left
}

// publish shows the figures to others.
func (t *thread) publish() {
	f := &t.figures
	for _, p := range [...]struct {
		seen *atomic.Uint64
		is   uint64
	}{
		{&f.accepted, t.clients},
		{&f.spliced, t.spliced},
		{&f.copied, t.copied},
		{&f.acceptErrors, t.acceptErrors},
		{&f.pipes, uint64(t.pipes.open)},
	} {
		if p.seen.Load() != p.is {
			p.seen.Store(p.is)
		}
	}
}
