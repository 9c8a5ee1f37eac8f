// Package upload is the end of uploads that are channels: an HTTP PUT or POST that the origin of this sluice takes, fetched
// from it through a UNIX socket by the name of its path.
package upload

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"

	"sluice/internal/endpoint"
	"sluice/internal/endpoint/pipe"
	"sluice/internal/uri"
)

// Opener opens uploads as sources; whoever may watch may watch each of them.
type Opener struct {
	Socket string // path of the UNIX socket of the origin; "" = nothing is taken here

	pumps pipe.Pumps
}

// Open asks the origin for the upload of want, and waits for one to begin. An upload that is over has ended in order; one that is
// aborted is an error. Each source has a connection of its own.
func (o *Opener) Open(ctx context.Context, want endpoint.Want) (endpoint.Source, error) {
	end := want.Source[0]
	if o.Socket == "" {
		return nil, refusal(end, http.StatusNotFound, errors.New("no origin takes uploads here: the configuration has none, or none with sources"))
	}
	src, err := o.pumps.Answer(ctx, end.Tag(), want.Patience, func(asking context.Context) (io.ReadCloser, error) { return o.ask(asking, end) })
	var known *endpoint.Refusal
	switch {
	case err == nil:
		return src, nil
	case errors.As(err, &known) && known.Status == http.StatusGatewayTimeout:
		return nil, refusal(end, known.Status, fmt.Errorf("nothing is uploaded by this path: %w", err))
	case errors.As(err, &known):
		return nil, refusal(end, known.Status, err)
	}
	return nil, refusal(end, http.StatusServiceUnavailable, err)
}

// Close waits for what the sources still do. They are to be closed before.
func (o *Opener) Close() error {
	o.pumps.Wait()
	return nil
}

// maxHeader bounds the head of an answer, in bytes.
const maxHeader = 16 << 10

// ask sends the request and returns the stream in the answer. Its errors name no path of this machine.
func (o *Opener) ask(ctx context.Context, end uri.End) (io.ReadCloser, error) {
	to := url.URL{Scheme: "http", Host: "origin", Path: end.Path}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, to.String(), nil)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", o.Socket)
		},
		DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: maxHeader,
	}
	answer, err := transport.RoundTrip(request)
	if err != nil {
		return nil, unreachable(err)
	}
	if answer.StatusCode == http.StatusOK {
		return answer.Body, nil
	}
	_ = answer.Body.Close() // it says the same as the head, in prose
	switch answer.StatusCode {
	case http.StatusNotFound:
		err = errors.New("no such upload")
	case http.StatusGatewayTimeout:
		err = errors.New("none began in time")
	default:
		return nil, fmt.Errorf("the origin answered %d", answer.StatusCode)
	}
	return nil, &endpoint.Refusal{Status: answer.StatusCode, Err: err}
}

// unreachable is why there is no answer, without the path of the socket.
func unreachable(err error) error {
	var dial *net.OpError
	if errors.As(err, &dial) {
		err = dial.Err
	}
	return fmt.Errorf("the origin does not answer: %w", err)
}

// refusal says what a client is answered whose upload cannot be had.
func refusal(end uri.End, status int, err error) error {
	return &endpoint.Refusal{Status: status, Err: fmt.Errorf("%s: %w", end.Tag(), err)}
}
