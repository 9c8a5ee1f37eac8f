package gws

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"

	"sluice/internal/httpx"
	"sluice/internal/logs"
)

// Door is a listener for users.
type Door struct {
	net.Listener
	Alias string      // what authorization and the access log call it; "" = nothing
	TLS   *tls.Config // of a listener over TLS, whose ALPN offers h2 and http/1.1; nil = plain

	// Local doors are for the other processes of this sluice, by a UNIX socket and without TLS. They have asked already who
	// may watch: neither the list of clients nor the guard applies, and any source may be named as if it stood in the
	// configuration. X-Forwarded-For tells who watches, ADDRESS or ADDRESS:PORT; without it, it is this machine: 127.0.0.1.
	Local bool
}

// What the context of a request holds besides net/http's own.
type (
	doorKey struct{} // its Door
	connKey struct{} // the net.Conn that it came by; of HTTP/2 several requests have one
)

// newUserServer makes the server of all doors. The end of ctx ends the context of every
// request.
func (s *Server) newUserServer(ctx context.Context) *http.Server {
	c := s.config()
	server := httpx.NewServer(http.HandlerFunc(s.serveUser), httpx.Options{HeaderTimeout: c.Request, ReadTimeout: c.Request}, s.log)
	server.Protocols = new(http.Protocols)
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetHTTP2(true)
	// A pump judges its own stream, in time to say why it ends; this is for a connection that
	// takes nothing of any of its streams.
	server.HTTP2 = &http.HTTP2Config{WriteByteTimeout: 2 * c.Stall}
	server.BaseContext = func(l net.Listener) context.Context {
		return context.WithValue(ctx, doorKey{}, l.(*entrance).door)
	}
	server.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		return context.WithValue(ctx, connKey{}, c)
	}
	return server
}

// entrance is a Door as net/http serves it.
type entrance struct {
	net.Listener
	door Door
}

// serveDoor serves who comes by a door, until the server or the listener is closed. What a
// trusted proxy says of a connection comes before TLS.
func (s *Server) serveDoor(d Door, server *http.Server) error {
	l := &entrance{door: d}
	l.Listener = httpx.ProxyListener(d.Listener, func() []netip.Prefix { return s.config().Proxies }, func(err error) {
		s.turned.Info("connection closed", logs.Reason, err)
	})
	if d.TLS != nil {
		l.Listener = tls.NewListener(l.Listener, d.TLS)
	}
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve clients on %s: %w", d.Addr(), err)
	}
	return nil
}

// doorOf is the door that a request came by.
func doorOf(r *http.Request) Door {
	d, _ := r.Context().Value(doorKey{}).(Door)
	return d
}

// thisMachine is who asks by a local door, until X-Forwarded-For says otherwise; nobody else's word is believed there.
var thisMachine = netip.MustParseAddrPort("127.0.0.1:0")

// peerOf is who has sent a request, as far as that is believed.
func peerOf(conf *Config, r *http.Request) netip.AddrPort {
	if !doorOf(r).Local {
		return httpx.RealAddr(r, conf.Proxies)
	}
	told := *r
	told.RemoteAddr = thisMachine.String()
	return httpx.RealAddr(&told, []netip.Prefix{netip.PrefixFrom(thisMachine.Addr(), 32)})
}
