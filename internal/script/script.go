// Package script is the JavaScript hook of the origin, with the object model of GPAC's httpout: a script
// sees each request, and answers it, changes what is answered, or lets it go on.
//
//	httpout.on_request = function(req) { if (req.method == "DELETE") { req.reply = 403; req.body = "no"; } req.send(); }
//
// Each worker has a VM of its own, in a goroutine of its own; a request stays with its worker. A script that
// runs longer than its limit at one go is interrupted, its request answered with 500.
package script

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"
)

// Config is a script and its limits.
type Config struct {
	File    string                  // of the script
	Workers int                     // VMs; if zero one a core, 4 at most
	Limit   time.Duration           // one call of a function of the script; if zero 1 s
	Park    time.Duration           // how long a request may wait for send(); if zero 30 s
	Queue   int                     // requests that wait for a worker; beyond that 503. If zero 1024
	Files   func(path string) error // whether the script may name this file as the body of an answer; nil = never
	Log     *slog.Logger
}

// Hook is a loaded script.
type Hook struct{}

// New loads the script; its error names file and line.
func New(c Config) (*Hook, error) { return nil, errors.New("not built yet") }

// Request is what a script sees.
type Request struct {
	HTTP     *http.Request
	AuthCode int // 200, 401, 403: what the rules have said
}

// Answer is what the script has decided. Exactly one of File, Body and Read is used when Status is not 0; Headers are set in either case.
type Answer struct {
	Status   int    // 0 = the origin answers as it would (File: with that file)
	File     string // reply 0 and body: a path of the disk
	Body     string
	Headers  [][2]string
	Streamed bool // the script reads and writes by itself: Serve it
	Throttle bool
}

// Ask has the script decide. The error is answered with 500 (an exception), 503 (no worker) or 504 (no send() in time).
func (h *Hook) Ask(ctx context.Context, q Request) (*Exchange, error) { panic("not built yet") }

// Exchange is one request at a script. End must be called, once, when it is over.
type Exchange struct{ Answer Answer }

// Serve answers with what the script reads, or gives it the body of an upload (Answer.Streamed).
func (x *Exchange) Serve(w http.ResponseWriter, r *http.Request) error { panic("not built yet") }

// Writer is w slowed down as the script wants it (Answer.Throttle): throttle(done, total) says how many milliseconds to wait.
func (x *Exchange) Writer(w http.ResponseWriter, total int64) http.ResponseWriter {
	panic("not built yet")
}

// End calls close(code) of the script exactly once: 0 done, 1 request over and connection kept, negative: broken off.
func (x *Exchange) End(code int) { panic("not built yet") }

// Close ends the workers; requests that wait get 503.
func (h *Hook) Close() { panic("not built yet") }
