package logs

import (
	"fmt"
	"io"
	"log/slog"
)

// Lines is a log that is made of lines and nothing else, such as the access log. They are
// written by a goroutine of its own: Put never waits. Those that the queue has no room for
// are dropped, and so are those that cannot be written; the log of the process says how many.
type Lines struct {
	name  string // of the log, for people
	w     io.Writer
	file  *RotatingFile // w, if it is one
	queue *queue[[]byte]
	log   *slog.Logger
}

// NewLines writes to w, which stays the caller's; log hears of lines that were lost. name is
// what the log is called: "access log".
func NewLines(name string, w io.Writer, log *slog.Logger) *Lines {
	l := &Lines{name: name, w: w, log: Limited(log)}
	l.queue = newQueue(l.write, func(n int) {
		l.log.Warn(l.name+" entries lost: they come faster than they are written", "entries", n)
	})
	return l
}

// OpenLines writes to a file. The time of FileConfig does not matter: lines have their own.
func OpenLines(name string, c FileConfig, log *slog.Logger) (*Lines, error) {
	file, err := OpenFile(c)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	file.notice = nil // it would be none of the lines
	l := NewLines(name, file, log)
	l.file = file
	return l, nil
}

// Put writes one line, with its end, some time later. It is the log's from now on. Put
// never waits and never fails.
func (l *Lines) Put(line []byte) { l.queue.put(line) }

func (l *Lines) write(line []byte) {
	if _, err := l.w.Write(line); err != nil {
		l.log.Warn(l.name+" entries lost", Error, err)
	}
}

// Rotate is RotatingFile.Rotate; what is no file has nothing to rotate.
func (l *Lines) Rotate() error {
	if l.file == nil {
		return nil
	}
	return l.file.Rotate()
}

// Close writes what waits, for at most a second, and closes the file that OpenLines has opened.
func (l *Lines) Close() error {
	if !l.queue.close() {
		return fmt.Errorf("%s: entries were not written in time", l.name)
	}
	if l.file == nil {
		return nil
	}
	return l.file.Close()
}
