// Package script is the JavaScript hook of the origin, with the object model of GPAC's httpout: a script
// sees each request, and answers it, changes what is answered, or lets it go on.
//
//	httpout.on_request = function(req) { if (req.method == "DELETE") { req.reply = 403; req.body = "no"; } req.send(); }
//
// What a request says (read only):
//
//	method               GET, PUT, …
//	url                  the path, decoded once, and the query as it was sent
//	auth_code            200, 401 or 403: what the rules say of who asks
//	headers_in           [{name, value}, …], Host too
//	tls                  whether it came encrypted
//	IP, port             of the client
//	netid                null
//
// What the script says:
//
//	reply                0 (so it is at first): the origin answers as it would; 200 to 599: the script answers
//	body                 reply 0: the path of a file of the disk to answer with; else the text of the answer
//	headers_out          [{name, value}, …] that the answer has besides; Content-Length, Transfer-Encoding, Connection
//	                     and what else is of a connection are left out, but for the Content-Length of what read gives
//	send()               now all this holds; once. It may be called later, when another request calls on_request
//	throttle(done,total) called before each 16 KiB of a body: wait so many milliseconds first
//	read(ArrayBuffer)    gives the body of the answer: how many bytes it has put there, 0 at the end, less when
//	                     there are none yet (it is asked again after 20 ms)
//	write(ArrayBuffer)   takes the body of a PUT or POST; null at its end. It has to be there when such a one is
//	                     answered with 2xx
//	close(code)          called once, at the very end: 0 done, 1 done and the connection is kept, -1 broken off
//
// print, and what console has, go to the log. A number in front of print's text is a level: GF_LOG_ERROR,
// GF_LOG_WARNING, GF_LOG_INFO or GF_LOG_DEBUG.
//
// Each worker has a VM of its own, in a goroutine of its own; a request stays with its worker, and what a script
// remembers is its worker's. A script that keeps something for all requests wants one worker.
//
// A script has no files, no network, no timers, no modules and no code that is made of text (eval). One that runs longer
// than its limit at one go is interrupted, its request answered with 500; what it had changed by then stays. Calls are nested
// 4096 deep at most. The memory that a script takes has no limit, and a single long operation of the language (a regular expression,
// a join of a huge array) cannot be interrupted: the script is the operator's and is trusted, clients are not.
package script

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime"
	"sync"
	"time"

	"github.com/dop251/goja"

	"sluice/internal/logs"
)

// Config is a script and its limits.
type Config struct {
	File    string                  // of the script
	Workers int                     // VMs; if zero one a core, 4 at most
	Limit   time.Duration           // one call of a function of the script; if zero 1 s
	Park    time.Duration           // how long a request may wait for send(), or for a byte of read(); if zero 30 s
	Queue   int                     // requests that wait for a worker; beyond that 503. If zero 1024
	Files   func(path string) error // whether the script may name this file as the body of an answer; nil = never
	Log     *slog.Logger            // if nil nothing is logged
}

func (c Config) withDefaults() Config {
	if c.Workers == 0 {
		c.Workers = min(runtime.GOMAXPROCS(0), 4)
	}
	if c.Limit == 0 {
		c.Limit = time.Second
	}
	if c.Park == 0 {
		c.Park = 30 * time.Second
	}
	if c.Queue == 0 {
		c.Queue = 1024
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	c.Log = c.Log.With(logs.File, c.File)
	return c
}

// Error is why there is no answer of the script; nothing has been written yet.
type Error struct {
	Status int   // what the client gets: 400, 408, 413, 499 (it is gone), 500, 503 or 504
	Err    error // for the log: one line, no secret
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// statusGone is of a request whose client has gone: nobody reads it.
const statusGone = 499

var (
	errBusy   = &Error{http.StatusServiceUnavailable, errors.New("too many requests wait for the script")}
	errClosed = &Error{http.StatusServiceUnavailable, errors.New("the script is being ended")}
	errStuck  = &Error{http.StatusGatewayTimeout, errors.New("the script has not answered in time")}
	errGone   = &Error{statusGone, errors.New("the client has gone")}
)

// Hook is a loaded script.
type Hook struct {
	conf    Config
	program *goja.Program
	limited *slog.Logger // of what clients can cause
	asks    chan *Exchange
	quit    chan struct{} // closed by Close
	once    sync.Once
	workers sync.WaitGroup
}

// New loads the script into each worker; its error names file and line. Close ends it.
func New(c Config) (*Hook, error) {
	c = c.withDefaults()
	program, err := compile(c.File)
	if err != nil {
		return nil, err
	}
	h := &Hook{conf: c, program: program, limited: logs.Limited(c.Log), asks: make(chan *Exchange, c.Queue), quit: make(chan struct{})}
	workers := make([]*worker, c.Workers)
	for i := range workers {
		if workers[i], err = newWorker(h); err != nil {
			return nil, fmt.Errorf("%s: %w", c.File, err)
		}
	}
	for _, w := range workers {
		h.workers.Go(w.run)
	}
	return h, nil
}

// Close ends the workers: what runs is interrupted, requests that wait get 503, and those that have ended get their close(code), others do
// not. A hook that another follows is closed when its requests have ended. Twice is once.
func (h *Hook) Close() {
	h.once.Do(func() { close(h.quit) })
	h.workers.Wait()
}

// Request is what a script sees.
type Request struct {
	HTTP     *http.Request
	AuthCode int            // 200, 401, 403: what the rules have said
	Peer     netip.AddrPort // the client; if invalid the other end of the connection
}

// Answer is what the script has decided. Exactly one of File, Body and Streamed is used, of Body and Streamed when Status is
// not 0; Headers are set in either case, and are fit to be.
type Answer struct {
	Status   int    // 0 = the origin answers as it would (File: with that file)
	File     string // reply 0 and body: a path of the disk
	Body     string
	Headers  [][2]string
	Streamed bool // the script reads and writes by itself: Serve it
	Throttle bool // the script says how fast: Writer
	length   int64
}

// Ask has the script decide. The error is an *Error: its Status is 500 (an exception, an answer that is none), 503 (too many
// wait), 504 (no send() in time).
func (h *Hook) Ask(ctx context.Context, q Request) (*Exchange, error) {
	x := newExchange(h, q)
	select {
	case <-h.quit:
		return nil, errClosed
	case h.asks <- x:
	default:
		return nil, errBusy
	}
	park := time.NewTimer(h.conf.Park)
	defer park.Stop()
	var why *Error
	select {
	case <-x.decided:
		return x.outcome()
	case <-ctx.Done():
		why = errGone
	case <-park.C:
		why = errStuck
	case <-h.quit:
		why = errClosed
	}
	x.settle(why) // unless it is decided since
	return x.outcome()
}
