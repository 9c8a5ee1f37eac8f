// Package web is the end for HTTP and HTTPS: an answer that is read as a stream, and a
// request that carries one.
//
// A request goes out as it was written, byte for byte; only characters beyond ASCII, and in a
// path that begins with two slashes others that no URL may have, are percent-encoded. It has
// no cookies, says nothing of where a redirect came from, and asks neither for
// compression nor for the titles of songs: what comes is the stream.
package web

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"time"

	"sluice/internal/endpoint"
	"sluice/internal/endpoint/pipe"
	"sluice/internal/netx"
	"sluice/internal/uri"
)

// chunk is how much of an answer is moved at a time, in bytes.
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
	patience := cmp.Or(want.Patience, endpoint.DefaultPatience)
	asking, give := context.WithCancel(context.Background()) // outlives Open, with the answer
	clock := time.AfterFunc(patience, give)
	cancelled := context.AfterFunc(ctx, give)
	body, err := o.ask(asking, want)
	switch late, given := !clock.Stop(), !cancelled(); {
	case late:
		err = &endpoint.Refusal{Status: http.StatusGatewayTimeout, Err: fmt.Errorf("no answer within %v", patience)}
	case given:
		err = context.Cause(ctx)
	}
	if err != nil {
		give()
		if body != nil {
			_ = body.Close() // nobody reads it
		}
		return nil, refusal(end, err)
	}
	return o.read(end, body, give)
}

// read makes a source of an answer; give ends the request.
func (o *Opener) read(end uri.End, body io.ReadCloser, give context.CancelFunc) (endpoint.Source, error) {
	src, err := o.pumps.Open(pipe.Traits{Tag: end.Tag(), Patient: true}, func(ctx context.Context, w io.Writer) error {
		defer give()
		defer body.Close()
		defer context.AfterFunc(ctx, give)()
		_, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{body}, make([]byte, chunk))
		if err != nil {
			return fmt.Errorf("the answer broke off: %w", err)
		}
		return nil
	})
	if err != nil {
		give()
		_ = body.Close() // nobody reads it
		return nil, err
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
