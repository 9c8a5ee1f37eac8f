// Package logs makes the loggers of all roles, so that every line of sluice looks
// the same and can be searched by the same keys.
//
// A line is an event with fixed keys, written through log/slog:
//
//	log.Info("client started", logs.Client, peer, logs.Channel, tag)
//
// On a terminal it reads
//
//	12:03:04.512 INFO  gws: client started client=192.0.2.7:50905 channel=UDP://239.1.1.1:5000
//
// and anywhere else (a file, the journal, a pipe) it is slog's text form with the
// full time:
//
//	time=2026-03-01T12:03:04.512+01:00 level=INFO msg="client started" role=gws client=…
//
// A process that streams depend on writes through NewQueued: its log may be slow.
//
// Lines that may repeat without end go through Limited. Nothing is logged per
// packet, and queries of URLs (they carry tokens) are not logged at all.
package logs

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
)

// The keys of a line. A value that has a key here is logged under no other.
const (
	Role      = "role"      // run, gws, gng: which process writes
	Channel   = "channel"   // tag of the channel: UDP://239.1.1.1:5000
	Client    = "client"    // address and port of the client
	Engine    = "engine"    // id of the engine: 1, 2, …
	Process   = "process"   // name of a supervised process: gws, gng 1
	PID       = "pid"       // process id
	Reason    = "reason"    // why it happened, for people
	Code      = "code"      // HTTP status
	Error     = "error"     // an error's text
	Delay     = "delay"     // how long until it is tried again
	File      = "file"      // path of a file
	Repeated  = "repeated"  // lines like this one that Limited held back
	Listen    = "listen"    // user port
	Admin     = "admin"     // admin port
	Interface = "interface" // network interface of the sources
)

// ParseLevel reads debug, info, warn or error.
func ParseLevel(s string) (slog.Level, error) {
	for _, l := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
		if strings.EqualFold(s, l.String()) {
			return l, nil
		}
	}
	return 0, fmt.Errorf("unknown level %q: want debug, info, warn or error", s)
}

// New returns the logger of one process. Lines below level are dropped. When w is
// a terminal the lines are made for people, else for machines and people.
func New(w io.Writer, role string, level slog.Level) *slog.Logger {
	if IsTerminal(w) {
		return slog.New(newHuman(w, role, level))
	}
	h := slog.NewTextHandler(w, &slog.HandlerOptions{Level: level})
	return slog.New(h).With(Role, role)
}

// IsTerminal says whether people look at w. It takes every character device for a terminal: the other one that is
// used as a log, /dev/null, does not mind.
func IsTerminal(w io.Writer) bool {
	if q, ok := w.(*queue); ok {
		w = q.w
	}
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// human writes "time LEVEL role: message key=value…"; the keys and values are
// slog's text form.
type human struct {
	role string
	text slog.Handler // writes the attributes into line.buf
	line *line
}

// line is where one line is put together; all handlers of one logger share it.
type line struct {
	mu  sync.Mutex
	w   io.Writer
	buf bytes.Buffer
}

func newHuman(w io.Writer, role string, level slog.Level) *human {
	l := &line{w: w}
	text := slog.NewTextHandler(&l.buf, &slog.HandlerOptions{Level: level, ReplaceAttr: dropBuiltIn})
	return &human{role: role, text: text, line: l}
}

// dropBuiltIn leaves out what the head of the line has said already.
func dropBuiltIn(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey || a.Key == slog.MessageKey) {
		return slog.Attr{}
	}
	return a
}

// Enabled implements slog.Handler.
func (h *human) Enabled(ctx context.Context, level slog.Level) bool {
	return h.text.Enabled(ctx, level)
}

// Handle implements slog.Handler: one line, one write.
func (h *human) Handle(ctx context.Context, r slog.Record) error {
	h.line.mu.Lock()
	defer h.line.mu.Unlock()
	b := &h.line.buf
	b.Reset()
	fmt.Fprintf(b, "%s %-5s %s: %s ", r.Time.Format("15:04:05.000"), r.Level, h.role, r.Message)
	if err := h.text.Handle(ctx, r); err != nil {
		return err
	}
	out := append(bytes.TrimRight(b.Bytes(), " \n"), '\n')
	_, err := h.line.w.Write(out)
	return err
}

// WithAttrs implements slog.Handler.
func (h *human) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &human{role: h.role, text: h.text.WithAttrs(attrs), line: h.line}
}

// WithGroup implements slog.Handler.
func (h *human) WithGroup(name string) slog.Handler {
	return &human{role: h.role, text: h.text.WithGroup(name), line: h.line}
}
