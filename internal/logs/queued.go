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
// dropped.
func NewQueued(w io.Writer, role string, level slog.Level) (log *slog.Logger, close func()) {
	q := &queue{w: w, plain: New(w, role, slog.LevelWarn), lines: make(chan []byte, queueLines), done: make(chan struct{})}
	go q.run()
	return New(q, role, level), q.close
}

// queue is the writer of NewQueued.
type queue struct {
	w     io.Writer
	plain *slog.Logger // to w, past the queue
	lines chan []byte
	done  chan struct{} // closed when run has ended

	mu     sync.Mutex // guards the following, and is held for sending to lines
	lost   int        // since it was told last
	closed bool
}

// Write implements io.Writer for slog, which writes a line at a time. It never waits and
// never fails.
func (q *queue) Write(line []byte) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return len(line), nil
	}
	select {
	case q.lines <- append([]byte(nil), line...):
	default:
		q.lost++
	}
	return len(line), nil
}

// run writes until the queue is closed and empty.
func (q *queue) run() {
	defer close(q.done)
	for line := range q.lines {
		_, _ = q.w.Write(line) // there is nowhere to tell of it
		if n := q.takeLost(); n > 0 {
			q.plain.Warn("log lines lost: the log takes them too slowly", "lines", n)
		}
	}
}

func (q *queue) takeLost() (n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n, q.lost = q.lost, 0
	return n
}

func (q *queue) close() {
	q.mu.Lock()
	if !q.closed {
		q.closed = true
		close(q.lines)
	}
	q.mu.Unlock()
	late := time.NewTimer(closeTime)
	defer late.Stop()
	select {
	case <-q.done:
	case <-late.C: // run ends with the process
	}
}
