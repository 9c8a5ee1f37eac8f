package logs

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// The levels beside those of slog.
const (
	// Norm is of the lines that an operator must see in normal times: start, stop, what
	// attaches and leaves. See Normal.
	Norm = slog.LevelInfo + 2
	// Crit is of a line that says why a process ends that should not.
	Crit = slog.LevelError + 4
)

// Normal logs a line of level Norm.
func Normal(log *slog.Logger, message string, args ...any) {
	log.Log(context.Background(), Norm, message, args...)
}

// levelName is what a level is called in a line.
func levelName(l slog.Level) string {
	switch l {
	case Norm:
		return "NORM"
	case Crit:
		return "CRIT"
	}
	return l.String()
}

// LevelName returns the word for a level that ParseLevel reads.
func LevelName(l slog.Level) string { return strings.ToLower(levelName(l)) }

// ParseLevel reads debug, info, norm, warn, error (or err) and crit, from the most lines
// to the fewest.
func ParseLevel(s string) (slog.Level, error) {
	if strings.EqualFold(s, "err") {
		return slog.LevelError, nil
	}
	for _, l := range []slog.Level{slog.LevelDebug, slog.LevelInfo, Norm, slog.LevelWarn, slog.LevelError, Crit} {
		if strings.EqualFold(s, levelName(l)) {
			return l, nil
		}
	}
	return 0, fmt.Errorf("unknown level %q: want debug, info, norm, warn, error or crit", s)
}

// nameLevel puts our names of levels into slog's text form.
func nameLevel(groups []string, a slog.Attr) slog.Attr {
	if level, ok := a.Value.Any().(slog.Level); ok && len(groups) == 0 && a.Key == slog.LevelKey {
		a.Value = slog.StringValue(levelName(level))
	}
	return a
}

// clock is the time of a line as people want it at a terminal.
func clock(b []byte, t time.Time) []byte { return t.AppendFormat(b, "15:04:05.000") }
