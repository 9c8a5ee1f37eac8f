package live

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"

	"sluice/internal/httpx"
	"sluice/internal/logs"
)

// Sink is a channel under a path.
type Sink struct {
	Channel string
	Type    string        // Content-Type; "" = of ICY what the first frames say, else that of the channel
	Ends    bool          // the channel has an end (a file): once it was sent, the path is no longer available unless Reopen
	Reopen  bool          // then the next client has the channel begin anew
	Buffer  int64         // max_async_buf: a client that lets more bytes wait, after its burst, is disconnected; 0 = the channel's policy acts
	ICE     bool          // headers of ICY, and titles in the stream for whom wants them
	Name    string        // icy-name; "" = none
	Bitrate int           // icy-br, in kbit/s; 0 = that of the first frames, if it is MPEG audio or AAC
	Headers [][2]string   // more of them, such as ice-*: as they are
	Title   func() string // StreamTitle of in-band metadata; nil = Name. It is asked before each block, by many goroutines
}

// Player serves a Sink to any number of clients, each by a Watch of its own.
type Player struct {
	sink     Sink
	channels Channels
	stall    time.Duration
	log      *slog.Logger
	buffers  sync.Pool // of *[]byte, bufferSize long
	rings    sync.Pool // of *[]byte, sink.Buffer long

	mu      sync.Mutex
	clients int   // guarded by mu
	told    *told // guarded by mu; what the last client was told, nil = there was none
	over    bool  // guarded by mu; Ends, and it has
}

// bufferSize is how much is taken from a channel and given to its client at once, in bytes.
const bufferSize = 64 << 10

// maxBacklog bounds Sink.Buffer, in bytes.
const maxBacklog = 1 << 30

// told is what a client is told of a stream before its first byte.
type told struct {
	mediaType string
	sound     sound
}

// NewPlayer makes a Player. A client that takes nothing for stall is ended; 0 = never.
func NewPlayer(s Sink, c Channels, stall time.Duration, log *slog.Logger) *Player {
	p := &Player{sink: s, channels: c, stall: stall, log: logs.Limited(log)}
	p.buffers.New = func() any { return buffer(bufferSize) }
	p.rings.New = func() any { return buffer(int(min(s.Buffer, maxBacklog))) }
	if s.Type != "" && !s.ICE {
		p.told = &told{mediaType: s.Type}
	}
	return p
}

func buffer(size int) *[]byte {
	b := make([]byte, size)
	return &b
}

// Clients is how many there are.
func (p *Player) Clients() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.clients
}

// Over reports that the channel has ended, and that there is nothing here for clients any more.
func (p *Player) Over() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.over
}

// ServeHTTP answers a GET or HEAD; ranges and conditions are for what has a size. The client's address is RemoteAddr. A HEAD asks for the channel only when
// nobody has yet and the answer depends on it. ServeHTTP panics with http.ErrAbortHandler when the stream does not end in order.
func (p *Player) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !httpx.Permit(w, r, http.MethodGet, http.MethodHead) {
		return
	}
	known := p.known()
	switch {
	case p.Over():
		httpx.Error(w, http.StatusNotFound, r.URL.Path+" is no longer available")
		return
	case r.Method == http.MethodHead && known != nil:
		p.announce(w, r, *known)
		return
	}
	stream, err := p.channels.Watch(r.Context(), Query{Channel: p.sink.Channel, Client: clientOf(r), Agent: r.UserAgent()})
	if err != nil {
		p.refuse(w, r, err)
		return
	}
	defer stream.Close()
	if err := p.serve(w, r, stream); err != nil {
		p.tell(r, err)
		panic(http.ErrAbortHandler)
	}
}

// clientOf is the client of a request; "" when it has no address.
func clientOf(r *http.Request) string {
	if at := httpx.ClientAddr(r); at.IsValid() {
		return at.String()
	}
	return ""
}

// known is what can be told of the channel without asking for it; nil if nothing.
func (p *Player) known() *told {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.told
}

// refuse answers that there is no stream.
func (p *Player) refuse(w http.ResponseWriter, r *http.Request, err error) {
	var no *Unavailable
	switch {
	case errors.As(err, &no):
		if no.Retry != "" {
			w.Header().Set("Retry-After", no.Retry)
		}
		httpx.Error(w, no.Status, no.Reason)
	case r.Context().Err() != nil: // the client has left
		panic(http.ErrAbortHandler)
	default:
		p.log.Warn("channel not available", logs.Channel, p.sink.Channel, logs.Error, err)
		httpx.Error(w, http.StatusBadGateway, "the channel cannot be had, please try again")
	}
}

// serve answers with a stream. It returns nil when that has ended in order and the client has got all of it.
func (p *Player) serve(w http.ResponseWriter, r *http.Request, s *Stream) error {
	defer context.AfterFunc(r.Context(), func() { _ = s.Close() })() // a channel may be silent without end
	first, now := p.beginning(s)
	p.meet(now)
	p.announce(w, r, now)
	if r.Method == http.MethodHead {
		return nil
	}
	p.count(+1)
	defer p.count(-1)
	c, err := p.newClient(w, r)
	if err != nil {
		return err
	}
	err = c.copy(first, s)
	if err == nil && p.sink.Ends && !p.sink.Reopen {
		p.end()
	}
	return err
}

// beginning is what can be told of a stream, and the bytes that were read to know it.
func (p *Player) beginning(s *Stream) (first []byte, t told) {
	t.mediaType = cmp.Or(p.sink.Type, s.Type, "application/octet-stream")
	if !p.sink.ICE {
		return nil, t
	}
	b := make([]byte, soundSize)
	n := 0
	for n < len(b) && t.sound.frames < soundFrames {
		got, err := s.Read(b[n:])
		n += got
		t.sound = listen(b[:n])
		if err != nil {
			break // the next Read says so, too
		}
	}
	t.mediaType = cmp.Or(p.sink.Type, t.sound.mediaType(), t.mediaType)
	return b[:n], t
}

// announce writes the head of the answer.
func (p *Player) announce(w http.ResponseWriter, r *http.Request, t told) {
	h := w.Header()
	h.Set("Content-Type", t.mediaType)
	h.Set("Cache-Control", "no-cache, no-store")
	if p.sink.ICE {
		icyHeader(h, p.sink, t.sound)
		if wantsTitles(r) {
			h["icy-metaint"] = []string{strconv.Itoa(titleInterval)}
		}
	}
	w.WriteHeader(http.StatusOK)
}

// title is what is on now.
func (p *Player) title() string {
	if p.sink.Title == nil {
		return p.sink.Name
	}
	return p.sink.Title()
}

func (p *Player) meet(t told) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.told = &t
}

func (p *Player) count(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clients += n
}

func (p *Player) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
}

// tell logs why a client got no whole stream; that it has left is its own business.
func (p *Player) tell(r *http.Request, err error) {
	var late *lateError
	switch {
	case errors.As(err, &late):
		p.log.Info("client disconnected", logs.Client, clientOf(r), logs.Channel, p.sink.Channel, logs.Reason, late.reason)
	case errors.Is(err, errBroken) && r.Context().Err() == nil:
		p.log.Warn("channel broke off", logs.Channel, p.sink.Channel, logs.Error, err)
	}
}

// errBroken marks what a channel ended with instead of io.EOF.
var errBroken = errors.New("the channel broke off")

// lateError is a client that is too slow.
type lateError struct{ reason string }

func (e *lateError) Error() string { return "the client was too slow: " + e.reason }

// broken is the error of a stream's Read: nil at its end.
func broken(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return nil
	}
	return fmt.Errorf("%w: %w", errBroken, err)
}
