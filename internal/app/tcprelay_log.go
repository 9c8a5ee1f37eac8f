package app

import (
	"cmp"
	"context"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"

	"sluice/internal/config"
	"sluice/internal/logs"
)

// tcprelayLog says where tcprelay and its worker log.
type tcprelayLog struct {
	Ident, Facility, Severity string
	Debug, Stderr             bool // more lines; to standard error as well
}

// logOf is where a file has its program log. A terminal gets the lines as well.
func (t *tcprelayCall) logOf(made *config.Tcprelay) tcprelayLog {
	return tcprelayLog{
		Ident:    cmp.Or(made.Ident, t.name),
		Facility: cmp.Or(made.Facility, "UUCP"),
		Severity: cmp.Or(made.Severity, "INFO"),
		Debug:    t.debug || made.Config.Log.Level <= slog.LevelDebug,
		Stderr:   t.toStderr || logs.IsTerminal(os.Stderr),
	}
}

// args are what fromArgs reads.
func (l tcprelayLog) args() []string {
	word := func(yes bool, word string) string {
		if yes {
			return word
		}
		return "-"
	}
	return []string{l.Ident, l.Facility, l.Severity, word(l.Debug, "debug"), word(l.Stderr, "stderr")}
}

// logFromArgs reads five words.
func logFromArgs(args []string) tcprelayLog {
	return tcprelayLog{args[0], args[1], args[2], args[3] != "-", args[4] != "-"}
}

// open begins to log; close ends it. The level is that of lines without Debug.
func (l tcprelayLog) open(level *slog.LevelVar) (log *slog.Logger, close func(), err error) {
	facility, err := logs.ParseFacility(l.Facility)
	if err != nil {
		return nil, nil, err
	}
	severity, err := logs.ParseSeverity(l.Severity)
	if err != nil {
		return nil, nil, err
	}
	level.Set(severity)
	if l.Debug {
		level.Set(slog.LevelDebug)
	}
	c := logs.SyslogConfig{Ident: l.Ident, Facility: facility}
	if !l.Stderr {
		log, close = logs.NewSystem(c, level, os.Stderr)
		return log, close, nil
	}
	system, endSystem := logs.NewSystem(c, level, io.Discard) // standard error has the lines already
	plain, endPlain := logs.NewQueued(os.Stderr, l.Ident, level)
	return logs.Both(plain, system), func() { endSystem(); endPlain() }, nil
}

// pollMechanism is the variable by which tcprelay is told how to wait for events.
const pollMechanism = "IO_POLL_MECHANISM"

// tellTcprelay logs what is odd about a file, and sets its environment.
func tellTcprelay(log *slog.Logger, made *config.Tcprelay) {
	for _, w := range made.Warnings {
		log.Warn("configuration", logs.Reason, w.Short())
	}
	for _, line := range made.Env {
		key, value, _ := strings.Cut(line, "=")
		os.Setenv(key, value)
	}
	inFile := slices.ContainsFunc(made.Warnings, func(w *config.Error) bool { return strings.Contains(w.Reason, pollMechanism) })
	if os.Getenv(pollMechanism) != "" && !inFile {
		log.Warn(pollMechanism + " is without effect: there is one way only")
	}
	if made.Single {
		log.Log(context.Background(), slog.LevelWarn, "Warning: Running in degraded mode. There is a single process: limits of users and retiring are inactive.")
	}
}
