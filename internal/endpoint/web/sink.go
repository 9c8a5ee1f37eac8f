package web

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"syscall"
	"time"

	"sluice/internal/endpoint"
	"sluice/internal/endpoint/pipe"
	"sluice/internal/netx"
	"sluice/internal/uri"
)

// SinkOpener opens targets of the web: requests that carry a stream to a server. The zero
// value opens only those of the operator.
type SinkOpener struct {
	Allow   []netip.Prefix // networks that a target may be in which is not trusted
	Version string         // of the program, for User-Agent
	Roots   *x509.CertPool // who may vouch for a server; if nil, the system's
}

// OpenSink connects to the server; the request (PUT or POST, in chunks, as video/mp2t) goes
// out with the first byte of the stream. An answer of 2xx is good whenever it comes: some
// servers give it at once, and go on taking the stream. Any other ends the session; that the
// stream is to be sent elsewhere is such a one.
func (o *SinkOpener) OpenSink(ctx context.Context, to endpoint.Target) (endpoint.Sink, error) {
	asking, cancel := context.WithTimeout(ctx, endpoint.DefaultPatience)
	defer cancel()
	conn, err := o.connect(asking, to)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		err = &endpoint.Refusal{Status: http.StatusGatewayTimeout, Err: fmt.Errorf("no connection within %v", endpoint.DefaultPatience)}
	}
	if err != nil {
		return nil, refusal(to.End, err)
	}
	request, err := newRequest(context.Background(), cmp.Or(to.Method, http.MethodPut), address(to.End), o.Version)
	if err != nil {
		_ = conn.Close()
		return nil, refusal(to.End, err)
	}
	request.Header.Set("Content-Type", "video/mp2t")
	request.ContentLength, request.Close = -1, true
	sink, err := pipe.NewSink(func(ctx context.Context, from *net.UnixConn) error {
		defer conn.Close()
		defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
		if err := upload(conn, request, from); err != nil {
			return fmt.Errorf("%s: %w", to.End.Tag(), err)
		}
		return nil
	})
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("%s: %w", to.End.Tag(), err)
	}
	return sink, nil
}

// connect makes the connection, with TLS where the scheme wants it.
func (o *SinkOpener) connect(ctx context.Context, to endpoint.Target) (net.Conn, error) {
	conn, err := netx.Dialer{Allow: o.Allow, Any: to.Trusted}.DialTCP(ctx, to.End.Host)
	if err != nil {
		return nil, err
	}
	if to.End.Scheme != uri.HTTPS {
		return conn, nil
	}
	name, _, err := net.SplitHostPort(to.End.Host)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	secure := tls.Client(conn, &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: o.Roots, ServerName: name, NextProtos: []string{"http/1.1"}})
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return secure, nil
}

// upload sends what comes from the loop as the body of the request.
func upload(conn net.Conn, request *http.Request, from *net.UnixConn) error {
	first := make([]byte, chunk)
	n, err := from.Read(first)
	if n == 0 {
		if errors.Is(err, io.EOF) {
			return nil // there is nothing to be sent
		}
		return err
	}
	a := &answer{said: make(chan error, 1), over: make(chan struct{})}
	go a.read(conn, request, from)
	request.Body = io.NopCloser(io.MultiReader(bytes.NewReader(first[:n]), from))
	out := bufio.NewWriterSize(conn, chunk) // is flushed behind each chunk
	sent := request.Write(out)
	if sent == nil {
		sent = out.Flush()
	}
	if sent != nil { // the server may have said why
		_ = conn.SetReadDeadline(time.Now().Add(answerPatience))
	}
	said := <-a.said
	_ = conn.SetReadDeadline(time.Now().Add(answerPatience))
	<-a.over
	return outcome(sent, said)
}

// outcome is what became of a request: what went wrong with sending it, and with the answer.
func outcome(sent, said error) error {
	var errno syscall.Errno
	switch {
	case sent == nil, errors.Is(said, errAnswer):
		return said
	case errors.Is(sent, os.ErrDeadlineExceeded): // it was ended because of the answer
		return said
	case errors.As(sent, &errno):
		sent = errno // the tag says where
	}
	return fmt.Errorf("send: %w", sent)
}

// answerPatience is how long a server may take to end a connection that is over.
const answerPatience = 2 * time.Second

// errAnswer marks what a server answered.
var errAnswer = errors.New("the server answered")

// answer is what comes back on a connection.
type answer struct {
	said chan error    // gets nil for a good answer, else what was wrong
	over chan struct{} // closed when nothing comes any more
}

// read reads the answer, and then away what is behind it: input that nobody has read would
// turn the end of the connection into a reset. One that is not good ends the request.
func (a *answer) read(conn net.Conn, request *http.Request, from *net.UnixConn) {
	defer close(a.over)
	err := status(bufio.NewReader(io.LimitReader(conn, maxHeader)), request)
	a.said <- err
	if err != nil {
		_ = from.SetReadDeadline(time.Unix(0, 1))
		_ = conn.SetWriteDeadline(time.Unix(0, 1))
		return
	}
	_, _ = io.Copy(io.Discard, conn) // how it ends is of no interest
}

// status says what is wrong with the answer; those before the final one are passed over.
func status(in *bufio.Reader, request *http.Request) error {
	for {
		res, err := http.ReadResponse(in, request) //nolint:bodyclose // that would read it to its end; the connection is closed
		var broken net.Error
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return errors.New("the server closed the connection without an answer")
		case errors.As(err, &broken):
			return fmt.Errorf("no answer: %w", err)
		case err != nil: // not to be repeated: it has the server's words
			return errors.New("the server answered something that is not HTTP")
		case res.StatusCode >= 200 && res.StatusCode < 300:
			return nil
		case res.StatusCode >= 300 || res.StatusCode == http.StatusSwitchingProtocols:
			return fmt.Errorf("%w %d", errAnswer, res.StatusCode)
		}
	}
}
