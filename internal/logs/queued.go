package logs

import (
	"io"
	"log/slog"
	"sync"
	"time"
)

const (
	// queueLines is how many lines wait for a log that takes them slowly.
	queueLines = 1024
	// closeTime is how long the end waits for such a log.
	closeTime = time.Second
)

// NewQueued is New for a process that must not wait for its log: a pipe that nobody
// reads, or a terminal that was stopped, holds up no stream. Lines wait in a queue; those
// that it has no room for are dropped, and the next one that is written tells how many.
// close writes what waits, for at most a second, and ends the writing; lines after it are
// dropped. It does not close w.
func NewQueued(w io.Writer, role string, level slog.Leveler) (log *slog.Logger, close func()) {
	plain := New(w, role, slog.LevelWarn) // past the queue
	q := &lineQueue{w: w}
	q.queue = newQueue(
		func(line []byte) { _, _ = w.Write(line) }, // there is nowhere to tell of an error
		func(n int) { plain.Warn("log lines lost: the log takes them too slowly", "lines", n) })
	return New(q, role, level), func() { q.close() }
}

// lineQueue is the writer of NewQueued.
type lineQueue struct {
	w io.Writer
	*queue[[]byte]
}

// Write implements io.Writer for slog, which writes a line at a time. It never waits and
// never fails.
func (q *lineQueue) Write(line []byte) (int, error) {
	q.put(append([]byte(nil), line...))
	return len(line), nil
}

// queue hands items to a goroutine that may wait for its log. What it has no room for
// is dropped.
type queue[T any] struct {
	write func(T)     // called by the goroutine alone, as lost is
	lost  func(n int) // tells of items that were dropped
	items chan T
	done  chan struct{} // closed when run has ended

	mu      sync.Mutex // guards the following, and is held for sending to items
	dropped int        // since it was told last
	closed  bool
}

func newQueue[T any](write func(T), lost func(n int)) *queue[T] {
	q := &queue[T]{write: write, lost: lost, items: make(chan T, queueLines), done: make(chan struct{})}
	go q.run()
	return q
}

// put never waits.
func (q *queue[T]) put(item T) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return
	}
	select {
	case q.items <- item:
	default:
		q.dropped++
	}
}

// run writes until the queue is closed and empty.
func (q *queue[T]) run() {
	defer close(q.done)
	for item := range q.items {
		q.write(item)
		if n := q.takeDropped(); n > 0 {
			q.lost(n)
		}
	}
}

func (q *queue[T]) takeDropped() (n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n, q.dropped = q.dropped, 0
	return n
}

// close waits for what is in the queue to be written, but not for ever: it reports
// whether the goroutine has ended.
func (q *queue[T]) close() (ended bool) {
	q.mu.Lock()
	if !q.closed {
		q.closed = true
		close(q.items)
	}
	q.mu.Unlock()
	late := time.NewTimer(closeTime)
	defer late.Stop()
	select {
	case <-q.done:
		return true
	case <-late.C: // run ends with the process
		return false
	}
}
