// Package tcp is the end for plain TCP connections: what is read from one, and what is
// written to one.
package tcp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"time"

	"sluice/internal/endpoint"
	"sluice/internal/endpoint/pipe"
	"sluice/internal/netx"
	"sluice/internal/uri"
)

// Opener opens TCP sources. The zero value opens only those of the operator.
type Opener struct {
	Allow []netip.Prefix // networks that a source may be in which is not trusted
}

// Open connects to the one end of want. The stream is over when the peer ends it in order;
// a connection that is reset is an error.
func (o *Opener) Open(ctx context.Context, want endpoint.Want) (endpoint.Source, error) {
	end := want.Source[0]
	conn, err := dial(ctx, netx.Dialer{Allow: o.Allow, Any: want.Trusted, NotLocal: want.NotLocal}, end, cmp.Or(want.Patience, endpoint.DefaultPatience))
	if err != nil {
		return nil, err
	}
	src, err := pipe.FromConn(pipe.Traits{Tag: end.Tag(), Patient: true}, conn)
	if err != nil {
		return nil, err
	}
	return src, nil
}

// Close frees nothing: a source is its socket.
func (o *Opener) Close() error { return nil }

// dial connects to end within patience; the error is a *endpoint.Refusal.
func dial(ctx context.Context, d netx.Dialer, end uri.End, patience time.Duration) (*net.TCPConn, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := d.DialTCP(ctx, end.Host)
	var late net.Error
	status := http.StatusServiceUnavailable
	switch {
	case err == nil:
		return conn, nil
	case errors.Is(err, netx.ErrForbidden):
		status = http.StatusForbidden
	case errors.As(err, &late) && late.Timeout():
		status, err = http.StatusGatewayTimeout, fmt.Errorf("no connection within %v: %w", patience, err)
	}
	return nil, &endpoint.Refusal{Status: status, Err: fmt.Errorf("%s: %w", end.Tag(), err)}
}
