// Package logs makes the loggers of all roles, so that every line of sluice looks
// the same and can be searched by the same keys.
//
// A line is an event with fixed keys, written through log/slog:
//
//	log.Info("client started", logs.Client, client, logs.Channel, tag)
//
// On a terminal it reads
//
//	12:03:04.512 INFO  gws: client started client=TCP://192.0.2.7:50905 channel=UDP://239.1.1.1:5000
//
// and anywhere else (a file, the journal, a pipe) it is slog's text form with the
// full time:
//
//	time=2026-03-01T12:03:04.512+01:00 level=INFO msg="client started" role=gws client=…
//
// In a RotatingFile it reads as on a terminal, with the time as the file's settings say. Several
// processes may write to one file, which is put aside when it is full (rotated).
//
// A process that streams depend on writes through NewQueued: its log may be slow. Who
// comes and goes is told to Access as well, and the system's own log hears through
// Syslog of start, end and errors.
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
	"sync"
	"time"
)

// The keys of a line. A value that has a key here is logged under no other.
const (
	Role      = "role"      // run, gws, gng, relay: which process writes
	Channel   = "channel"   // tag of the channel: UDP://239.1.1.1:5000
	Client    = "client"    // tag of the client: TCP://192.0.2.7:50905, or its target
	Engine    = "engine"    // id of the engine: 1, 2, …
	Process   = "process"   // name of a supervised process: gws, gng 1
	PID       = "pid"       // process id
	Reason    = "reason"    // why it happened, for people
	Code      = "code"      // HTTP status
	Error     = "error"     // an error's text
	Delay     = "delay"     // how long until it is tried again
	File      = "file"      // path of a file
	Repeated  = "repeated"  // lines like this one that Limited held back
	Listen    = "listen"    // user port, or address of a listener
	Admin     = "admin"     // admin port
	Interface = "interface" // network interface of the sources
	Listener  = "listener"  // name of a listener of the relay
	Pool      = "pool"      // name of a pool of the relay
	Remote    = "remote"    // name of a remote of the pool
	Session   = "session"   // id of a session of the relay
	Push      = "push"      // name of a push of the origin
	To        = "to"        // the server that it goes to, without credentials
)

// New returns the logger of one process. Lines below level, which may change, are dropped. When w is a
// terminal or a *RotatingFile the lines are made for people, else for machines and people.
func New(w io.Writer, role string, level slog.Leveler) *slog.Logger {
	if f, ok := beneath(w).(*RotatingFile); ok {
		return slog.New(newHuman(w, role, level, f.conf.Time.Append))
	}
	if IsTerminal(w) {
		return slog.New(newHuman(w, role, level, clock))
	}
	h := slog.NewTextHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: nameLevel})
	return slog.New(h).With(Role, role)
}

// beneath is what a queue writes to, or w itself.
func beneath(w io.Writer) io.Writer {
	if q, ok := w.(*lineQueue); ok {
		return q.w
	}
	return w
}

// IsTerminal says whether people look at w. It takes every character device for a terminal: the other one that is
// used as a log, /dev/null, does not mind.
func IsTerminal(w io.Writer) bool {
	f, ok := beneath(w).(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// human writes "TIME LEVEL role: message key=value…"; the keys and values are slog's
// text form. Without a role it leaves out the level as well: the log that the line is for
// knows both.
type human struct {
	role string
	time func(b []byte, t time.Time) []byte
	text slog.Handler // writes the attributes into line.buf
	line *line
}

// line is where one line is put together; all handlers of one logger share it.
type line struct {
	mu      sync.Mutex
	w       io.Writer
	leveled leveled // w, if it is one
	buf     bytes.Buffer
	head    []byte
}

// leveled is a writer that wants to know of what level a line is.
type leveled interface {
	writeLevel(level slog.Level, line []byte)
}

func newHuman(w io.Writer, role string, level slog.Leveler, stamp func([]byte, time.Time) []byte) *human {
	l := &line{w: w}
	l.leveled, _ = w.(leveled)
	text := slog.NewTextHandler(&l.buf, &slog.HandlerOptions{Level: level, ReplaceAttr: dropBuiltIn})
	return &human{role: role, time: stamp, text: text, line: l}
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
	head := h.time(h.line.head[:0], r.Time)
	if len(head) > 0 {
		head = append(head, ' ')
	}
	if h.role != "" {
		head = fmt.Appendf(head, "%-5s %s: ", levelName(r.Level), h.role)
	}
	h.line.head = append(append(head, r.Message...), ' ')
	b := &h.line.buf
	b.Reset()
	b.Write(h.line.head)
	if err := h.text.Handle(ctx, r); err != nil {
		return err
	}
	out := append(bytes.TrimRight(b.Bytes(), " \n"), '\n')
	if h.line.leveled != nil {
		h.line.leveled.writeLevel(r.Level, out)
		return nil
	}
	_, err := h.line.w.Write(out)
	return err
}

// WithAttrs implements slog.Handler.
func (h *human) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &human{role: h.role, time: h.time, text: h.text.WithAttrs(attrs), line: h.line}
}

// WithGroup implements slog.Handler.
func (h *human) WithGroup(name string) slog.Handler {
	return &human{role: h.role, time: h.time, text: h.text.WithGroup(name), line: h.line}
}
