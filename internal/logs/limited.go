package logs

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// limitEvery is how often a repeated line is let through.
const limitEvery = time.Second

// limitLines bounds what one limited logger remembers. Messages are constants of
// the program, so it is not met; beyond it, lines pass unlimited.
const limitLines = 256

// Limited returns a logger that writes lines of the same level and message at most
// once a second. The next line that passes says under Repeated how many were held
// back. Attributes are not compared: a limited logger belongs to one thing (one
// channel, one client), and loggers derived from it by With count on their own.
func Limited(log *slog.Logger) *slog.Logger {
	return slog.New(newLimited(log.Handler()))
}

type limited struct {
	slog.Handler
	mu    sync.Mutex
	lines map[lineKey]*repeat
}

type lineKey struct {
	level   slog.Level
	message string
}

// repeat is what became of one line.
type repeat struct {
	passed time.Time // when it was last written
	held   int       // how many were held back since
}

func newLimited(h slog.Handler) *limited {
	return &limited{Handler: h, lines: make(map[lineKey]*repeat)}
}

// Handle implements slog.Handler. The record's own time decides.
func (l *limited) Handle(ctx context.Context, r slog.Record) error {
	held, pass := l.count(lineKey{r.Level, r.Message}, r.Time)
	if !pass {
		return nil
	}
	if held > 0 {
		r = r.Clone()
		r.AddAttrs(slog.Int(Repeated, held))
	}
	return l.Handler.Handle(ctx, r)
}

// count says whether a line passes at now, and how many were held back before it.
func (l *limited) count(k lineKey, now time.Time) (held int, pass bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	seen, known := l.lines[k]
	if !known {
		if len(l.lines) < limitLines {
			l.lines[k] = &repeat{passed: now}
		}
		return 0, true
	}
	if now.Sub(seen.passed) < limitEvery {
		seen.held++
		return 0, false
	}
	held, seen.held, seen.passed = seen.held, 0, now
	return held, true
}

// WithAttrs implements slog.Handler.
func (l *limited) WithAttrs(attrs []slog.Attr) slog.Handler {
	return newLimited(l.Handler.WithAttrs(attrs))
}

// WithGroup implements slog.Handler.
func (l *limited) WithGroup(name string) slog.Handler {
	return newLimited(l.Handler.WithGroup(name))
}
