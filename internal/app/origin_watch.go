package app

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"sluice/internal/httpx"
	"sluice/internal/live"
	"sluice/internal/uri"
)

// channels gives an origin the channels of its gws: it asks as a client does, through the UNIX socket, and what an
// engine writes is then the stream. It is a live.Channels.
type channels struct{ socket string }

// maxReason bounds what is read of an answer that is no stream, in bytes.
const maxReason = 512

// Watch implements live.Channels. A connection that is closed before its answer is tried once more: the engine that had
// it may have ended.
func (c channels) Watch(ctx context.Context, q live.Query) (*live.Stream, error) {
	s, err := c.ask(ctx, q)
	if errors.Is(err, errNoAnswer) && ctx.Err() == nil {
		s, err = c.ask(ctx, q)
	}
	switch {
	case err == nil:
		return s, nil
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case errors.As(err, new(*live.Unavailable)):
		return nil, err
	}
	return nil, &live.Unavailable{Status: http.StatusServiceUnavailable, Reason: err.Error(), Retry: strconv.Itoa(httpx.RetryAfter)}
}

var errNoAnswer = errors.New("the connection was closed without an answer")

func (c channels) ask(ctx context.Context, q live.Query) (*live.Stream, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", c.socket)
	if err != nil {
		return nil, fmt.Errorf("ask gws for the channel %s: %w", uri.Mask(q.Channel), err)
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	s, err := talk(conn, q)
	if err != nil {
		stop()
		conn.Close()
		return nil, err
	}
	s.ReadCloser = &watched{ReadCloser: s.ReadCloser, stop: stop}
	return s, nil
}

// watched is a stream that the end of a context closes, until it is closed.
type watched struct {
	io.ReadCloser
	stop func() bool
}

// Close implements io.Closer.
func (w *watched) Close() error {
	w.stop()
	return w.ReadCloser.Close()
}

// talk asks and reads the head of the answer.
func talk(conn net.Conn, q live.Query) (*live.Stream, error) {
	r, err := watchRequest(q)
	if err != nil {
		return nil, err
	}
	if err := r.Write(conn); err != nil {
		return nil, errNoAnswer
	}
	in := bufio.NewReader(conn)
	answer, err := http.ReadResponse(in, r)
	if err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = errNoAnswer
		}
		return nil, err
	}
	if answer.StatusCode == http.StatusOK {
		return live.NewStream(conn, in, answer.Header.Get("Content-Type")), nil
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(answer.Body, maxReason)) // what of it has come will do
	line, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
	line = strings.TrimPrefix(line, answer.Status+": ") // it is said again
	return nil, &live.Unavailable{Status: refusalStatus(answer.StatusCode), Reason: line, Retry: answer.Header.Get("Retry-After")}
}

// refusalStatus is what the viewer is answered: a redirection is gws's, to a place that has streams and not this path.
func refusalStatus(code int) int {
	if code < http.StatusBadRequest {
		return http.StatusServiceUnavailable
	}
	return code
}

// watchRequest is the request for a channel.
func watchRequest(q live.Query) (*http.Request, error) {
	path, query, _ := strings.Cut(q.Channel, "?")
	r := &http.Request{
		Method: http.MethodGet, URL: &url.URL{Scheme: "http", Host: "gws", Opaque: "/" + uri.Printable(path), RawQuery: uri.Printable(query)},
		Host: "gws", Header: http.Header{"Connection": {"close"}, "User-Agent": {uri.Printable(q.Agent)}},
	}
	if q.Client != "" {
		if !plainAddress(q.Client) {
			return nil, fmt.Errorf("bad address of a viewer %q", q.Client)
		}
		r.Header.Set("X-Forwarded-For", q.Client)
	}
	return r, nil
}

// plainAddress says that a text can be nothing but an address, with or without a port.
func plainAddress(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return !strings.ContainsRune("0123456789abcdefABCDEF.:[]", r) })
}
