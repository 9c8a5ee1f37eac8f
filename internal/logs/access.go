package logs

import (
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

// Access is the access log. Write never waits: see Lines.
type Access struct{ *Lines }

// OpenAccess opens the access log; log hears of entries that were lost. The time of
// FileConfig does not matter: entries have Apache's.
func OpenAccess(c FileConfig, log *slog.Logger) (*Access, error) {
	lines, err := OpenLines("access log", c, log)
	if err != nil {
		return nil, err
	}
	return &Access{lines}, nil
}

// Write logs one event. It never waits and never fails.
func (a *Access) Write(e AccessEntry) {
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	a.Put(appendEntry(nil, e))
}
