package logs

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"log/syslog"
	"os"
	"strings"
)

// SyslogConfig says as what lines are written to the log of the system.
type SyslogConfig struct {
	Ident    string          // the program
	Facility syslog.Priority // LOG_DAEMON, LOG_UUCP, …
}

// facilities are the names that ParseFacility reads, as syslog.conf(5) has them.
var facilities = [...]string{
	"kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "", "", "", "",
	"local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
}

// ParseFacility reads the name of a facility, in letters of any case: UUCP, local0.
func ParseFacility(name string) (syslog.Priority, error) {
	for i, known := range facilities {
		if known != "" && strings.EqualFold(name, known) {
			return syslog.Priority(i << 3), nil
		}
	}
	return 0, fmt.Errorf("unknown facility %q: want daemon, uucp, local0 to local7 or another one of syslog.conf(5)", name)
}

// ParseSeverity reads the name of a severity, in letters of any case, from DEBUG to EMERG. It
// is the level of the lines that are at least so severe.
func ParseSeverity(name string) (slog.Level, error) {
	levels := map[string]slog.Level{
		"DEBUG": slog.LevelDebug, "INFO": slog.LevelInfo, "NOTICE": Norm, "WARNING": slog.LevelWarn, "ERR": slog.LevelError,
		"CRIT": Crit, "ALERT": Crit, "EMERG": Crit, // nothing of ours is worse
	}
	if level, ok := levels[strings.ToUpper(name)]; ok {
		return level, nil
	}
	return 0, fmt.Errorf("unknown severity %q: want DEBUG, INFO, NOTICE, WARNING, ERR, CRIT, ALERT or EMERG", name)
}

// Syslog is the way to the log of the system, /dev/log or what stands there. Lines are
// written by a goroutine of its own, which connects again when syslogd has been started
// anew. Without a syslogd the log of the process says so, once until lines arrive again.
type Syslog struct {
	network, address string // as syslog.Dial takes them
	conf             SyslogConfig
	log              *slog.Logger
	missed           io.Writer // gets the lines that do not arrive; nil = they are lost
	queue            *queue[sysLine]

	// The goroutine's.
	to      *syslog.Writer // nil while there is none
	silence bool           // it was said that there is none
}

// sysLine is one line for the system's log.
type sysLine struct {
	level slog.Level // gives its severity
	text  string
}

// NewSyslog writes as a daemon of this name; log hears when that does not work.
func NewSyslog(role string, log *slog.Logger) *Syslog {
	return newSyslog("", "", SyslogConfig{Ident: role, Facility: syslog.LOG_DAEMON}, log)
}

func newSyslog(network, address string, c SyslogConfig, log *slog.Logger) *Syslog {
	s := &Syslog{network: network, address: address, conf: c, log: log}
	s.queue = newQueue(s.write, func(n int) {
		log.Warn("lines for the system's log lost: it takes them too slowly", "lines", n)
	})
	return s
}

// NewSystem returns a logger whose lines go to the system's log, those of a level and above,
// each with its severity. missed gets those that do not arrive there. Like NewQueued it
// never waits; close writes what waits, for at most a second.
func NewSystem(c SyslogConfig, level slog.Leveler, missed io.Writer) (log *slog.Logger, close func()) {
	return newSystem("", "", c, level, missed)
}

func newSystem(network, address string, c SyslogConfig, level slog.Leveler, missed io.Writer) (log *slog.Logger, close func()) {
	s := newSyslog(network, address, c, New(missed, c.Ident, slog.LevelWarn))
	s.missed = missed
	return slog.New(newHuman(sysWriter{s}, "", level, TimeNone.Append)), s.Close
}

// Say writes a line that is no failure. It never waits.
func (s *Syslog) Say(text string) { s.queue.put(sysLine{Norm, text}) }

// Fail writes the text of an error. It never waits.
func (s *Syslog) Fail(text string) { s.queue.put(sysLine{slog.LevelError, text}) }

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
	if err != nil && s.missed != nil {
		fmt.Fprintf(s.missed, "%s[%d]: %s\n", s.conf.Ident, os.Getpid(), strings.TrimSuffix(l.text, "\n"))
	}
}

func (s *Syslog) send(l sysLine) (err error) {
	if s.to == nil {
		if s.to, err = syslog.Dial(s.network, s.address, s.conf.Facility|syslog.LOG_NOTICE, s.conf.Ident); err != nil {
			return err
		}
	}
	if err = severity(s.to, l.level)(l.text); err != nil { // it has tried to connect once more
		s.to.Close()
		s.to = nil
	}
	return err
}

// severity is the way for lines of a level.
func severity(w *syslog.Writer, level slog.Level) func(string) error {
	switch {
	case level >= Crit:
		return w.Crit
	case level >= slog.LevelError:
		return w.Err
	case level >= slog.LevelWarn:
		return w.Warning
	case level >= Norm:
		return w.Notice
	case level >= slog.LevelInfo:
		return w.Info
	}
	return w.Debug
}

// Errors returns a logger that writes to log, and lines of level error and above to the
// system's log as well.
func (s *Syslog) Errors(log *slog.Logger) *slog.Logger {
	system := newHuman(sysWriter{s}, s.conf.Ident, slog.LevelError, TimeNone.Append)
	return Both(log, slog.New(system))
}

// sysWriter takes the lines of a logger.
type sysWriter struct{ s *Syslog }

// Write implements io.Writer; lines come by writeLevel.
func (w sysWriter) Write(line []byte) (int, error) {
	w.writeLevel(Norm, line)
	return len(line), nil
}

// writeLevel implements leveled.
func (w sysWriter) writeLevel(level slog.Level, line []byte) {
	w.s.queue.put(sysLine{level, string(line)})
}

// Both returns a logger whose lines go to both.
func Both(first, second *slog.Logger) *slog.Logger {
	return slog.New(tee{first.Handler(), second.Handler()})
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
