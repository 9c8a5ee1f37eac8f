package logs

import (
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// The events of the access log.
const (
	ClientOpen  = "client_open"
	ClientClose = "client_close"
	ClientDeny  = "client_deny" // a request that was answered with an error or a redirection
	ChannelUp   = "channel_open"
	ChannelDown = "channel_close"
)

// AccessEntry is one event of a client or a channel. Nothing in it is secret: queries
// and credentials are left out by whoever fills it in.
type AccessEntry struct {
	Time  time.Time // if zero, now
	Event string

	Peer      string // the client's address, as it is believed; "" of a channel
	User      string // name of the token; "" = none
	Request   string // "GET /udp/239.1.1.1:5000 HTTP/1.1", a query as "?-"; "" = not known
	Status    int    // of HTTP; 0 = none was sent, or not known
	Bytes     uint64
	Referer   string
	UserAgent string

	Listener string // alias
	Channel  string // tag
	Client   string // tag
	Engine   string
	Duration time.Duration // of the client or the channel; only when it closes
	Reason   string        // why it closed or was denied
}

// Access is the access log. Entries are written by a goroutine of its own: Write never
// waits. Those that the queue has no room for are dropped, and so are those that the disk
// does not take; the log of the process says how many.
type Access struct {
	file  *RotatingFile
	queue *queue[[]byte]
	log   *slog.Logger
}

// OpenAccess opens the access log; log hears of entries that were lost. The time of
// FileConfig does not matter: entries have Apache's.
func OpenAccess(c FileConfig, log *slog.Logger) (*Access, error) {
	file, err := OpenFile(c)
	if err != nil {
		return nil, fmt.Errorf("access log: %w", err)
	}
	file.notice = nil // it would be no entry
	a := &Access{file: file, log: Limited(log)}
	a.queue = newQueue(a.write, func(n int) {
		a.log.Warn("access log entries lost: the disk takes them too slowly", "entries", n)
	})
	return a, nil
}

// Write logs one event. It never waits and never fails.
func (a *Access) Write(e AccessEntry) {
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	a.queue.put(appendEntry(nil, e))
}

func (a *Access) write(line []byte) {
	if _, err := a.file.Write(line); err != nil {
		a.log.Warn("access log entries lost", Error, err)
	}
}

// Rotate is RotatingFile.Rotate.
func (a *Access) Rotate() error { return a.file.Rotate() }

// Close writes what waits, for at most a second, and closes the file.
func (a *Access) Close() error {
	if !a.queue.close() {
		return errors.New("access log: entries were not written in time")
	}
	return a.file.Close()
}
