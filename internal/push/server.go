package push

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"sluice/internal/logs"
)

const (
	dialTime  = 10 * time.Second // for a connection
	drainTime = 2 * time.Second  // for the body of an answer
	drainSize = 64 << 10         // of it, in bytes: then the connection can be used again
	maxHeader = 64 << 10         // of the head of an answer
	idleTime  = 90 * time.Second // of a connection that waits for the next object
	pingTime  = 15 * time.Second // of a connection of HTTP/2 that says nothing, and of the answer to a ping
)

// server is one that is uploaded to. It may be used from any goroutine.
type server struct {
	conf      *Config
	to        address
	transport *http.Transport
	log       *slog.Logger
	bytes     atomic.Uint64
	waiting   atomic.Int64 // tasks

	mu     sync.Mutex // guards what is below
	report Report
}

func newServer(c *Config, to string, log *slog.Logger) (*server, error) {
	a, err := parseAddress(to)
	if err != nil {
		return nil, err
	}
	security := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.TLS != nil {
		security = c.TLS.Clone()
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	return &server{
		conf: c, to: a, log: logs.Limited(log.With(logs.To, a.String())), report: Report{To: a.String()},
		transport: &http.Transport{
			DialContext:            (&net.Dialer{Timeout: dialTime}).DialContext,
			TLSClientConfig:        security,
			TLSHandshakeTimeout:    dialTime,
			Protocols:              protocols,
			HTTP2:                  &http.HTTP2Config{SendPingTimeout: pingTime, PingTimeout: pingTime},
			MaxIdleConnsPerHost:    maxLanes + 1,
			IdleConnTimeout:        idleTime,
			DisableCompression:     true,
			MaxResponseHeaderBytes: maxHeader,
		},
	}, nil
}

// upload sends an object until the server has it, or it is given up. open opens it anew for each try.
func (s *server) upload(ctx context.Context, name string, open func(context.Context) (opened, error)) error {
	method := http.MethodPut
	if s.conf.Post {
		method = http.MethodPost
	}
	return s.persist(ctx, func() error { return s.send(ctx, method, name, open) })
}

// remove removes an object there.
func (s *server) remove(ctx context.Context, name string) error {
	return s.persist(ctx, func() error { return s.send(ctx, http.MethodDelete, name, nil) })
}

// persist tries until it succeeds, another try is in vain, or ctx ends.
func (s *server) persist(ctx context.Context, try func() error) error {
	var t trouble
	for {
		began := time.Now()
		err := try()
		if err == nil || ctx.Err() != nil || errors.Is(err, errOurs) || errors.Is(err, errLater) {
			return err
		}
		if errors.Is(err, errBroken) && time.Since(began) > steady {
			t.since = time.Now() // of what was sent for hours this is another failure
		}
		delay, more := t.again(s.conf, err, time.Now(), rand.Float64())
		if !more {
			return err
		}
		s.retries(err, delay)
		if err := sleep(ctx, delay); err != nil {
			return err
		}
	}
}

// send makes one request, and returns nil when the server has said that it has done what it was to do. What is opened is
// closed when it returns.
func (s *server) send(ctx context.Context, method, name string, open func(context.Context) (opened, error)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	request := s.request(ctx, method, name)
	patience := newPatience(s.conf.Timeout, func() { cancel(errStalled) })
	defer patience.off()
	var sent *body
	if open != nil {
		var err error
		if sent, err = s.attach(ctx, request, patience, open); err != nil {
			return err
		}
	}
	patience.on()
	answer, err := s.transport.RoundTrip(request)
	patience.off()
	if err == nil {
		drain(answer, cancel)
		err = verdict(answer, method)
	} else if cause := context.Cause(ctx); errors.Is(cause, errStalled) {
		err = fmt.Errorf("%w for %v", errStalled, s.conf.Timeout)
	}
	if sent == nil {
		return err
	}
	cancel(nil)
	all, ours := sent.outcome()
	switch {
	case ours != nil:
		return fmt.Errorf("%w: %w", errOurs, ours)
	case err == nil && !all:
		return errEarly
	case answer == nil && err != nil && sent.what.size < 0 && sent.sent > 0: // nobody reads it any more
		return &broken{err}
	}
	return err
}

// attach opens what a request is to send.
func (s *server) attach(ctx context.Context, r *http.Request, p *patience, open func(context.Context) (opened, error)) (*body, error) {
	b := newBody(ctx, p, &s.bytes)
	if err := b.open(open); err != nil {
		return nil, err
	}
	what := b.what
	r.Body, r.ContentLength = b, what.size
	if what.size == 0 { // else net/http takes it for an unknown length
		r.Body = http.NoBody
		_ = b.Close() // nothing was read
	}
	if what.kind != "" && r.Header.Get("Content-Type") == "" {
		r.Header.Set("Content-Type", what.kind)
	}
	return b, nil
}

// request is a request without a body.
func (s *server) request(ctx context.Context, method, name string) *http.Request {
	u := s.to.of(name)
	r := (&http.Request{Method: method, URL: u, Header: s.conf.Header.Clone(), Host: s.conf.Header.Get("Host")}).WithContext(ctx)
	if r.Header == nil {
		r.Header = http.Header{}
	}
	r.Header.Del("Host")
	if r.Header.Get("User-Agent") == "" {
		r.Header.Set("User-Agent", s.conf.Agent)
	}
	if s.to.authorization != "" && r.Header.Get("Authorization") == "" {
		r.Header.Set("Authorization", s.to.authorization)
	}
	return r
}

// drain reads the body of an answer, which says the same as the status, so that the connection can be used again. Where its
// end is the end of the connection there is nothing to wait for.
func drain(answer *http.Response, cancel context.CancelCauseFunc) {
	if answer.ContentLength >= 0 || len(answer.TransferEncoding) > 0 || answer.ProtoMajor > 1 {
		timer := time.AfterFunc(drainTime, func() { cancel(nil) })
		defer timer.Stop()
		_, _ = io.CopyN(io.Discard, answer.Body, drainSize)
	}
	_ = answer.Body.Close() // the status has said all
}

// sleep waits, or fails when ctx ends first.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// retries takes note of a failure after which it is tried again.
func (s *server) retries(err error, delay time.Duration) {
	s.mu.Lock()
	s.report.Retries++
	s.report.Error = err.Error()
	s.mu.Unlock()
	s.log.Warn("the server of a push fails, it is tried again", logs.Error, err, logs.Delay, delay)
}

// succeeded takes note that the server has got something; objects of it count.
func (s *server) succeeded(objects uint64) {
	s.mu.Lock()
	again := s.report.Error != ""
	s.report.Objects += objects
	s.report.Error = ""
	s.mu.Unlock()
	if again {
		s.log.Info("the server of a push is well again")
	}
}

// lost takes note of an object that was given up. What is missing here is not the server's error.
func (s *server) lost(name string, err error) {
	s.mu.Lock()
	s.report.Failed++
	if !errors.Is(err, fs.ErrNotExist) {
		s.report.Error = err.Error()
	}
	s.mu.Unlock()
	s.log.Warn("object is not pushed", logs.File, name, logs.Error, err)
}

// reported is what it has done so far.
func (s *server) reported() Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.report
	r.Bytes, r.Queue = s.bytes.Load(), int(s.waiting.Load())
	return r
}
