package logs

import (
	"context"
	"log/slog"
	"log/syslog"
)

// Syslog is the way to the log of the system, /dev/log or what stands there, in the
// facility daemon. Lines are written by a goroutine of its own, which connects again
// when syslogd has been started anew. Without a syslogd the lines are lost, and the log
// of the process says so, once until they arrive again.
type Syslog struct {
	network, address string // as syslog.Dial takes them
	tag              string
	log              *slog.Logger
	queue            *queue[sysLine]

	// The goroutine's.
	to      *syslog.Writer // nil while there is none
	silence bool           // it was said that there is none
}

// sysLine is one line for the system's log.
type sysLine struct {
	failed bool // priority err, else notice
	text   string
}

// NewSyslog writes as the program role; log hears when that does not work.
func NewSyslog(role string, log *slog.Logger) *Syslog { return newSyslog("", "", role, log) }

func newSyslog(network, address, role string, log *slog.Logger) *Syslog {
	s := &Syslog{network: network, address: address, tag: role, log: log}
	s.queue = newQueue(s.write, func(n int) {
		log.Warn("lines for the system's log lost: it takes them too slowly", "lines", n)
	})
	return s
}

// Say writes a line that is no failure. It never waits.
func (s *Syslog) Say(text string) { s.queue.put(sysLine{text: text}) }

// Fail writes the text of an error. It never waits.
func (s *Syslog) Fail(text string) { s.queue.put(sysLine{failed: true, text: text}) }

// Close writes what waits, for at most a second, and ends the writing.
func (s *Syslog) Close() {
	if s.queue.close() && s.to != nil {
		s.to.Close()
	}
}

func (s *Syslog) write(l sysLine) {
	err := s.send(l)
	if err != nil && !s.silence {
		s.log.Warn("the system's log cannot be reached", Reason, err)
	}
	s.silence = err != nil
}

func (s *Syslog) send(l sysLine) (err error) {
	if s.to == nil {
		if s.to, err = syslog.Dial(s.network, s.address, syslog.LOG_DAEMON|syslog.LOG_NOTICE, s.tag); err != nil {
			return err
		}
	}
	if l.failed {
		err = s.to.Err(l.text)
	} else {
		err = s.to.Notice(l.text)
	}
	if err != nil { // it has tried to connect once more
		s.to.Close()
		s.to = nil
	}
	return err
}

// Errors returns a logger that writes to log, and lines of level error and above to the
// system's log as well.
func (s *Syslog) Errors(log *slog.Logger) *slog.Logger {
	system := newHuman(sysErrors{s}, s.tag, slog.LevelError, TimeNone.Append)
	return slog.New(tee{log.Handler(), system})
}

// sysErrors is the writer of the lines of Errors.
type sysErrors struct{ s *Syslog }

func (w sysErrors) Write(line []byte) (int, error) {
	w.s.Fail(string(line))
	return len(line), nil
}

// tee hands a line to two handlers.
type tee struct{ first, second slog.Handler }

// Enabled implements slog.Handler.
func (t tee) Enabled(ctx context.Context, l slog.Level) bool {
	return t.first.Enabled(ctx, l) || t.second.Enabled(ctx, l)
}

// Handle implements slog.Handler. The error is that of the first.
func (t tee) Handle(ctx context.Context, r slog.Record) error {
	if t.second.Enabled(ctx, r.Level) {
		_ = t.second.Handle(ctx, r) // its queue has no errors
	}
	if !t.first.Enabled(ctx, r.Level) {
		return nil
	}
	return t.first.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (t tee) WithAttrs(attrs []slog.Attr) slog.Handler {
	return tee{t.first.WithAttrs(attrs), t.second.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (t tee) WithGroup(name string) slog.Handler {
	return tee{t.first.WithGroup(name), t.second.WithGroup(name)}
}
