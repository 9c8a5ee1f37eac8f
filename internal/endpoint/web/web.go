// Package web is the end for HTTP and HTTPS: an answer that is read as a stream, and a
// request that carries one.
//
// A request goes out as it was written, byte for byte; only characters beyond ASCII, and in a
// path that begins with two slashes others that no URL may have, are percent-encoded. It has
// no cookies, says nothing of where a redirect came from, and asks neither for
// compression nor for the titles of songs: what comes is the stream.
package web

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"

	"sluice/internal/endpoint"
	"sluice/internal/endpoint/pipe"
	"sluice/internal/netx"
	"sluice/internal/uri"
)

// chunk is how much of a request is moved at a time, in bytes.
const chunk = 64 << 10

// Opener opens sources of the web. The zero value opens only those of the operator.
type Opener struct {
	Allow   []netip.Prefix // networks that a source may be in which is not trusted, and all that it redirects to
	Version string         // of the program, for User-Agent
	Roots   *x509.CertPool // who may vouch for a server; if nil, the system's

	pumps pipe.Pumps
}

// Open asks for the one end of want. An answer that is complete has ended in order; one
// that breaks off before the length that it announced, or within a chunk, is an error: the
// former wraps endpoint.ErrCut.
func (o *Opener) Open(ctx context.Context, want endpoint.Want) (endpoint.Source, error) {
	end := want.Source[0]
	src, err := o.pumps.Answer(ctx, end.Tag(), want.Patience, func(asking context.Context) (io.ReadCloser, error) { return o.ask(asking, want) })
	if err != nil {
		return nil, refusal(end, err)
	}
	return src, nil
}

// Close waits for what the sources still do. They are to be closed before.
func (o *Opener) Close() error {
	o.pumps.Wait()
	return nil
}

// refusal says what a client is answered whose source cannot be had.
func refusal(end uri.End, err error) error {
	status := http.StatusServiceUnavailable
	var known *endpoint.Refusal
	switch {
	case errors.As(err, &known):
		status = known.Status
	case errors.Is(err, netx.ErrForbidden):
		status = http.StatusForbidden
	}
	return &endpoint.Refusal{Status: status, Err: fmt.Errorf("%s: %w", end.Tag(), err)}
}
