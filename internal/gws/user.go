package gws

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"sluice/internal/endpoint"
	"sluice/internal/handoff"
	"sluice/internal/httpx"
	"sluice/internal/lineup"
	"sluice/internal/logs"
	"sluice/internal/request"
)

// serveUser answers a request of the user port: with an error, with the headers alone
// (HEAD), or by having the client carried to an engine.
func (s *Server) serveUser(w http.ResponseWriter, r *http.Request) {
	conf := s.config()
	v := newVisit(conf, r)
	if no := s.serve(conf, w, r, v); no != nil {
		s.deny(w, v, no)
	}
}

// serve answers a request, or says why not.
func (s *Server) serve(conf *Config, w http.ResponseWriter, r *http.Request, v *visit) *refusal {
	if !v.local && !contains(conf.Allow, v.peer.Addr()) {
		return &refusal{
			code: http.StatusForbidden, text: "this address may not watch here",
			hint: "the address is in no network of the setting allow",
		}
	}
	page := pageOf(conf, r)
	switch {
	case page == nil && conf.Elsewhere != nil && !v.local && !request.Ours(r.RequestURI):
		return serveElsewhere(conf, w, r)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		return &refusal{
			code: http.StatusMethodNotAllowed, text: "want GET or HEAD", header: [][2]string{{"Allow", "GET, HEAD"}},
		}
	case page != nil:
		return page(s, conf, w, r, v)
	}
	stays := r.Method != http.MethodHead
	c, no := s.admit(conf, r, v)
	if no == nil {
		no = s.enter(c, stays)
	}
	switch {
	case no != nil:
		return no
	case stays:
		s.stream(w, r, c)
	default:
		answered{w: w, r: r}.announce(c.header)
	}
	return nil
}

// refusal is a request that ends without an engine.
type refusal struct {
	code   int
	text   string      // for the client
	hint   string      // for the log, in place of text
	header [][2]string // what the answer has besides
}

// reason is what logs say.
func (no *refusal) reason() string { return cmp.Or(no.hint, no.text) }

// refusalOf is what a client gets that an engine has refused, or that none was found for.
// A source that cannot be had is the reason to send it elsewhere.
func (s *Server) refusalOf(c *client, out outcome) *refusal {
	if out.bySource && c.elsewhere != "" {
		return redirect(c.elsewhere, out.reason)
	}
	return &refusal{code: out.code, text: out.reason}
}

// admit decides whether a request may go to an engine, as far as it is about who asks
// for what.
func (s *Server) admit(conf *Config, r *http.Request, v *visit) (*client, *refusal) {
	req, err := request.Parse(r.RequestURI)
	var bad *request.Error
	switch {
	case errors.As(err, &bad):
		return nil, &refusal{code: bad.Status, text: bad.Text, hint: bad.Logged}
	case err != nil:
		return nil, &refusal{code: http.StatusInternalServerError, text: err.Error()}
	}
	ch, no := find(conf, req, v.local)
	if no != nil {
		return nil, no
	}
	if no := permitTarget(conf, req.Target); no != nil {
		return nil, no
	}
	if no := authorize(conf, r, v, questionOf(r, v, req)); no != nil {
		return nil, no
	}
	if !s.enough(conf) {
		return nil, &refusal{code: http.StatusServiceUnavailable, text: noEngine}
	}
	return newClient(conf, r, v, req, ch), nil
}

const noEngine = "no engine is there, please try again"

func newClient(conf *Config, r *http.Request, v *visit, req request.Request, ch lineup.Channel) *client {
	c := &client{
		conf: conf, proto: r.Proto, tag: ch.Tag(), addr: v.peer.Addr(), header: header(conf, ch, req.Target),
		visit: v, elsewhere: elsewhere(r, conf.Proxies, ch.Redirect),
		attach: handoff.Attach{Channel: ch, Start: ch.Start, Slow: ch.Slow, Peer: v.peer.String(), Target: withoutOwn(req.Target)},
	}
	if req.Start != nil {
		c.attach.Start = *req.Start
	}
	if req.Slow != nil {
		c.attach.Slow = *req.Slow
	}
	c.patience = patienceOf(conf, c.attach)
	return c
}

// retryAfter is what a client that meets a limit is asked to wait, in seconds: so long
// that those who wait do not take up the server, and not so long that a place stays
// free. One that only has to wait for an engine is asked to come sooner
// (httpx.RetryAfter).
const retryAfter = 5

// enter lets a client in unless a limit or the end of Run is in the way. One that stays
// is counted, and must be given to stream.
func (s *Server) enter(c *client, stays bool) *refusal {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return &refusal{code: http.StatusServiceUnavailable, text: noEngine}
	}
	s.ownLocked(c)
	which, value := c.conf.Limits.exceeded(s.tally.load(c.tag, c.addr), c.attach.Channel.Settings)
	if which != noLimit {
		s.refused[which]++
		return &refusal{
			code: http.StatusServiceUnavailable, text: "this server is full, please try again",
			hint:   fmt.Sprintf("%v is %d, and reached", which, value),
			header: [][2]string{{"Retry-After", strconv.Itoa(retryAfter)}},
		}
	}
	if no := s.troubleLocked(c, stays); no != nil {
		return no
	}
	if stays {
		s.tally.enter(c.tag, c.addr)
		s.tally.pending++
		s.mostPending = max(s.mostPending, s.tally.pending)
		s.group.Add(1) // net/http no longer waits for a request whose socket is taken
	}
	return nil
}

// decided counts a client as no longer pending, and out unless it was started.
func (s *Server) decided(c *client, v verdict) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tally.pending--
	if v != started { // else it is counted out when its engine says that it ended
		s.tally.leave(c.tag, c.addr)
	}
}

// troubleLocked keeps a client from an engine while its channel is unavailable. Where there is
// no other place for it, an engine is asked all the same; for a HEAD none ever is.
func (s *Server) troubleLocked(c *client, stays bool) *refusal {
	switch {
	case !s.failures.lately(c.tag, time.Now(), c.conf.Unavailable):
		return nil
	case c.elsewhere != "":
		return redirect(c.elsewhere, "the channel has failed lately")
	case !stays:
		return &refusal{code: http.StatusServiceUnavailable, text: "the channel is unavailable, please try again"}
	}
	return nil
}

// deny answers a refusal, and tells of it. Whoever scans the port does not fill the log.
func (s *Server) deny(w http.ResponseWriter, v *visit, no *refusal) {
	s.turned.Info("client refused", logs.Client, clientTag(v.peer.String()), logs.Code, no.code, logs.Reason, no.reason(), "path", cut(v.path, maxPath))
	s.recordDenied(v, "", no.code, no.reason())
	no.answer(w)
}

// maxPath is how much of a path the log has, in bytes.
const maxPath = 128

// clientTag is the name of a client that asked at the user port, in logs and reports.
func clientTag(addr string) string { return "TCP://" + addr }

// header is what a stream is announced with, or the word that one has begun that goes to
// target. There is no length and no chunking: the stream ends when the connection does.
// Players in browsers may read streams from wherever their page is: what the URL permits,
// no cookie does.
func header(conf *Config, ch lineup.Channel, target *endpoint.Target) [][2]string {
	server := "sluice"
	if conf.Build != "" {
		server += "/" + conf.Build
	}
	h := [][2]string{
		{"Server", server},
		{"Date", time.Now().UTC().Format(http.TimeFormat)},
		{"Cache-Control", "no-cache, no-store"},
		{"Connection", "close"},
	}
	if target != nil {
		return append(h, [2]string{"Content-Type", "text/plain; charset=utf-8"}, [2]string{"X-Content-Type-Options", "nosniff"})
	}
	return append(h, [2]string{"Content-Type", cmp.Or(ch.ContentType, "video/mp2t")}, [2]string{"Access-Control-Allow-Origin", "*"})
}

// head is the whole head of a stream, for a request of that version of HTTP.
func head(proto string, header [][2]string) []byte {
	var b strings.Builder
	b.WriteString(httpx.Proto(proto) + " 200 OK\r\n")
	for _, line := range header {
		b.WriteString(line[0] + ": " + line[1] + "\r\n")
	}
	b.WriteString("\r\n")
	return []byte(b.String())
}
