package origin

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"sluice/internal/httpx"
	"sluice/internal/logs"
)

// connKey is that of the *conn a request came by, in its context.
type connKey struct{}

// silent are the connections that have not begun a request yet. net/http would wait seconds for them when it ends.
type silent struct {
	mu    sync.Mutex // guards conns
	conns map[net.Conn]bool
}

func newSilent() *silent { return &silent{conns: make(map[net.Conn]bool)} }

// note is http.Server.ConnState.
func (s *silent) note(c net.Conn, state http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if state == http.StateNew {
		s.conns[rawOf(c)] = true
	} else {
		delete(s.conns, rawOf(c))
	}
}

func (s *silent) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.Close()
	}
}

// rawOf is the connection below TLS.
func rawOf(c net.Conn) net.Conn {
	if t, ok := c.(*tls.Conn); ok {
		return t.NetConn()
	}
	return c
}

// pingAfter is how long an HTTP/2 connection may say nothing before it is asked whether it still lives.
const pingAfter = time.Minute

// newServer makes a server. Times for bodies and answers are not its business: uploads and live channels last as long as they move.
func (o *Origin) newServer(ctx context.Context, h http.Handler) *http.Server {
	s := httpx.NewServer(h, httpx.Options{}, o.log)
	s.ReadTimeout, s.WriteTimeout, s.IdleTimeout = 0, 0, o.idle
	s.Protocols = new(http.Protocols)
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetHTTP2(true)
	s.Protocols.SetUnencryptedHTTP2(true)
	s.HTTP2 = &http.HTTP2Config{SendPingTimeout: pingAfter}
	s.BaseContext = func(net.Listener) context.Context { return ctx }
	s.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		return context.WithValue(ctx, connKey{}, rawOf(c))
	}
	s.ConnState = o.silent.note
	return s
}

// Run serves until stop ends: then no request is taken, those that are being answered have until kill. It returns why it ended before that;
// nil after stop, and when Config.Quit has ended it. Once only.
func (o *Origin) Run(stop, kill context.Context) error {
	life, cancel := context.WithCancel(kill)
	defer cancel()
	clients, engines := o.newServer(life, o), o.newServer(life, o.uploads)
	o.begin()
	ended := make(chan error, len(o.opts.Doors)+1)
	for _, d := range o.opts.Doors {
		o.group.Go(func() { ended <- o.serveDoor(d, clients) })
	}
	if o.opts.Uploads.Listener != nil {
		d := o.opts.Uploads
		d.Local = true
		o.group.Go(func() { ended <- o.serveDoor(d, engines) })
	}
	var err error
	select {
	case <-stop.Done():
	case <-kill.Done():
	case <-o.over:
	case err = <-ended:
		cancel()
	}
	o.end()
	o.shutDown(life, clients)
	cancel()
	o.shutDown(life, engines) // whoever watches an upload has its end by now
	<-o.lastRequest()
	o.group.Wait()
	o.site.Load().close(nil)
	return err
}

// begin starts the jobs. Pushes are to miss nothing of what the first client uploads.
func (o *Origin) begin() {
	o.mu.Lock()
	o.begun = true
	s := o.site.Load()
	o.exchangeJobsLocked(s)
	o.mu.Unlock()
	for i, p := range s.pushers {
		if s.conf.Pushes[i].Channel == "" {
			<-p.Watching()
		}
	}
}

// serveDoor serves who comes by a door, until the server or the listener is closed.
func (o *Origin) serveDoor(d Door, server *http.Server) error {
	var l net.Listener = o.newGate(d)
	if d.TLS != nil {
		l = tls.NewListener(l, d.TLS)
	}
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve on %s: %w", d.Addr(), err)
	}
	return nil
}

// shutDown ends a server: in good order as long as life lasts.
func (o *Origin) shutDown(life context.Context, server *http.Server) {
	for _, d := range o.opts.Doors {
		d.Close() // Serve may not have begun, then Shutdown does not know it
	}
	o.silent.close()
	if server.Shutdown(life) != nil {
		server.Close()
	}
}

// lastRequest is closed when no request is being answered.
func (o *Origin) lastRequest() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	done := make(chan struct{})
	if o.active == 0 {
		close(done)
	} else {
		o.empty = done
	}
	return done
}

// tellBroken tells of a connection that a proxy has begun badly.
func (o *Origin) tellBroken(err error) {
	o.limited.Info("connection closed", logs.Reason, slog.AnyValue(err))
}

// tellRefused tells of a connection beyond a limit: many an encoder says no more of it than that its pipe is broken.
func (o *Origin) tellRefused(from net.Addr, beyond string, conf *Config) {
	text := fmt.Sprintf("there are as many as maxc permits, %d", conf.MaxConns)
	if beyond == "maxp" {
		text = fmt.Sprintf("there are as many of its address as maxp permits, %d", conf.MaxPerPeer)
	}
	o.limited.Warn("connection refused", logs.Client, from.String(), logs.Reason, text)
}
