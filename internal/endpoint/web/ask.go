package web

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"

	"sluice/internal/endpoint"
	"sluice/internal/netx"
	"sluice/internal/uri"
)

const (
	// maxRedirects is how often a server may send us elsewhere.
	maxRedirects = 5
	// maxHeader bounds the head of an answer, in bytes.
	maxHeader = 64 << 10
)

// ask sends the request, follows where it is sent, and returns the stream in the answer.
// Its errors name no address.
func (o *Opener) ask(ctx context.Context, want endpoint.Want) (io.ReadCloser, error) {
	c := &caller{opener: o, trusted: want.Trusted, dialer: netx.Dialer{Allow: o.Allow, Any: want.Trusted, NotLocal: want.NotLocal}}
	at := address(want.Source[0])
	for range maxRedirects + 1 {
		answer, err := c.get(ctx, at)
		if err != nil {
			return nil, err
		}
		next, err := elsewhere(answer, at)
		if next == nil && err == nil {
			return stream(answer)
		}
		_ = answer.Body.Close() // it says the same as the head, in prose
		if err != nil {
			return nil, err
		}
		at = next
	}
	return nil, fmt.Errorf("the upstream redirected more than %d times", maxRedirects)
}

// address is the URL of an end. Its Opaque part keeps the path as it is written.
func address(e uri.End) *url.URL {
	path, _ := url.PathUnescape(e.Path) // uri has looked at it
	u := &url.URL{Scheme: string(e.Scheme), Host: e.Host, Path: path, RawPath: e.Path, RawQuery: e.Query}
	if !strings.HasPrefix(e.Path, "//") { // net/http takes that for a host
		u.Opaque = e.Path
	}
	if e.User != "" {
		name, password, _ := strings.Cut(e.User, ":")
		name, _ = url.PathUnescape(name)
		password, _ = url.PathUnescape(password)
		u.User = url.UserPassword(name, password)
	}
	return u
}

// elsewhere is where an answer sends us; nil when it does not. The credentials stay with
// the server that they were given for.
func elsewhere(answer *http.Response, from *url.URL) (*url.URL, error) {
	switch answer.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
	default:
		return nil, nil
	}
	base := *from
	base.Opaque = ""
	location := answer.Header.Get("Location")
	to, err := base.Parse(location)
	if err != nil || location == "" || to.Hostname() == "" || to.Scheme != string(uri.HTTP) && to.Scheme != string(uri.HTTPS) {
		return nil, fmt.Errorf("the upstream answered %d without a usable address", answer.StatusCode)
	}
	if to.User == nil && to.Host == from.Host && to.Scheme == from.Scheme {
		to.User = from.User
	}
	return to, nil
}

// stream is the body of an answer, if that is a stream.
func stream(answer *http.Response) (io.ReadCloser, error) {
	if answer.StatusCode != http.StatusOK && answer.StatusCode != http.StatusPartialContent {
		_ = answer.Body.Close() // prose
		return nil, fmt.Errorf("the upstream answered %d", answer.StatusCode)
	}
	body := answer.Body
	if answer.ContentLength >= 0 {
		body = whole{body}
	}
	return withoutTitles(body, answer.Header.Get("Icy-Metaint")), nil
}

// whole is a body of known length.
type whole struct{ io.ReadCloser }

// Read implements io.Reader.
func (w whole) Read(b []byte) (int, error) {
	n, err := w.ReadCloser.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("%w: %w", endpoint.ErrCut, err)
	}
	return n, err
}

// caller makes the requests of one source.
type caller struct {
	opener  *Opener
	trusted bool
	dialer  netx.Dialer
}

// get makes one request, on a connection of its own.
func (c *caller) get(ctx context.Context, u *url.URL) (*http.Response, error) {
	request, err := newRequest(ctx, http.MethodGet, u, c.opener.Version)
	if err != nil {
		return nil, err
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	transport := &http.Transport{
		DialContext:            func(ctx context.Context, _, address string) (net.Conn, error) { return c.dial(ctx, address, u.Scheme) },
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: c.opener.Roots},
		Protocols:              protocols,
		DisableKeepAlives:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxHeader,
	}
	var begun atomic.Bool // the answer
	trace := &httptrace.ClientTrace{GotFirstResponseByte: func() { begun.Store(true) }}
	answer, err := transport.RoundTrip(request.WithContext(httptrace.WithClientTrace(ctx, trace)))
	switch {
	case err == nil:
		return answer, nil
	case ctx.Err() != nil:
		return nil, errors.New("the request was given up")
	}
	return nil, noAnswer(err, begun.Load())
}

// noAnswer says why there is no answer. One that is not understood is not repeated: whoever
// may name sources would read in our words what services say that are none.
func noAnswer(err error, begun bool) error {
	var network net.Error
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the upstream closed the connection without an answer")
	case begun && !errors.As(err, &network):
		return fmt.Errorf("the upstream answered something that is not HTTP, or with a head of more than %d KiB", maxHeader>>10)
	}
	return err
}

// newRequest makes a request for u, with its credentials.
func newRequest(ctx context.Context, method string, u *url.URL, version string) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, method, "http://host/", nil)
	if err != nil {
		return nil, err
	}
	to := *u
	to.User = nil
	request.URL, request.Host = &to, hostOf(u)
	request.Header.Set("User-Agent", "sluice/"+version)
	request.Header.Set("Accept", "*/*")
	if u.User != nil {
		password, _ := u.User.Password()
		request.SetBasicAuth(u.User.Username(), password)
	}
	return request, nil
}

// hostOf is the Host of a request: without the port that its scheme has anyway.
func hostOf(u *url.URL) string {
	if u.Scheme == string(uri.HTTP) {
		return strings.TrimSuffix(u.Host, ":80")
	}
	return strings.TrimSuffix(u.Host, ":443")
}

// dial connects to a server.
func (c *caller) dial(ctx context.Context, address, scheme string) (net.Conn, error) {
	conn, err := c.dialer.DialTCP(ctx, address)
	if err != nil {
		return nil, err
	}
	if at, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
		c.reached(at.AddrPort().Addr())
	}
	if scheme == string(uri.HTTP) {
		return &oldConn{Conn: conn}, nil
	}
	return conn, nil
}

// reached takes note of where a server is. One of the operator's that is not of this machine
// or this link cannot send us there: services listen there that trust whoever reaches them.
func (c *caller) reached(at netip.Addr) {
	if c.trusted && !netx.Local(at) {
		c.dialer.NotLocal = true
	}
}
