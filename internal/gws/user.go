package gws

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"sluice/internal/handoff"
	"sluice/internal/httpx"
	"sluice/internal/lineup"
	"sluice/internal/logs"
	"sluice/internal/request"
)

// serveUser answers a request of the user port: with an error, with the headers alone
// (HEAD), or by handing the socket over.
func (s *Server) serveUser(w http.ResponseWriter, r *http.Request) {
	conf, peer := s.config(), httpx.ClientAddr(r)
	stays := r.Method != http.MethodHead
	c, no := s.admit(conf, r, peer)
	if no == nil {
		no = s.enter(c, stays)
	}
	switch {
	case no != nil:
		s.logRefusal(r, peer, no)
		no.answer(w)
	case stays:
		s.stream(w, r, c)
	default:
		for _, line := range header(conf) {
			w.Header().Set(line[0], line[1])
		}
		w.WriteHeader(http.StatusOK)
	}
}

// refusal is a request that ends without an engine.
type refusal struct {
	code   int
	text   string      // for the client
	hint   string      // for the log, in place of text
	header [][2]string // what the answer has besides
}

// refusalOf is what a client gets that an engine has refused, or that none was found for.
func (s *Server) refusalOf(_ *client, out outcome) *refusal {
	return &refusal{code: out.code, text: out.reason}
}

// admit decides whether a request may go to an engine, as far as it is about who asks
// for what.
func (s *Server) admit(conf *Config, r *http.Request, peer netip.AddrPort) (*client, *refusal) {
	if !contains(conf.Allow, peer.Addr()) {
		return nil, &refusal{
			code: http.StatusForbidden, text: "this address may not watch here",
			hint: "the address is in no network of the setting allow",
		}
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return nil, &refusal{
			code: http.StatusMethodNotAllowed, text: "want GET or HEAD", header: [][2]string{{"Allow", "GET, HEAD"}},
		}
	}
	req, err := request.Parse(r.RequestURI)
	var bad *request.Error
	switch {
	case errors.As(err, &bad):
		return nil, &refusal{code: bad.Status, text: bad.Text}
	case err != nil:
		return nil, &refusal{code: http.StatusInternalServerError, text: err.Error()}
	}
	ch, no := find(conf, req)
	if no != nil {
		return nil, no
	}
	if !s.enough(conf) {
		return nil, &refusal{code: http.StatusServiceUnavailable, text: noEngine}
	}
	return newClient(conf, r.Proto, peer, req, ch), nil
}

const noEngine = "no engine is there, please try again"

// find is the channel that is asked for. What may be asked for by its address is a
// setting; what stands in the configuration may be watched.
func find(conf *Config, req request.Request) (lineup.Channel, *refusal) {
	if req.Source == nil {
		ch, ok := conf.Lineup.Named(req.Name)
		if !ok {
			return ch, &refusal{code: http.StatusNotFound, text: "no channel has this name"}
		}
		return ch, nil
	}
	ch := conf.Lineup.From(req.Source)
	if ch.Name != "" {
		return ch, nil
	}
	for _, end := range req.Source {
		if !contains(conf.Sources, end.Addr.Addr()) {
			return ch, &refusal{
				code: http.StatusForbidden, text: "this source is not served here",
				hint: end.Tag() + " is in no network of the setting sources",
			}
		}
	}
	return ch, nil
}

func newClient(conf *Config, proto string, peer netip.AddrPort, req request.Request, ch lineup.Channel) *client {
	c := &client{conf: conf, proto: proto, tag: ch.Tag(), addr: peer.Addr(), header: header(conf), attach: handoff.Attach{
		Channel: ch, Start: ch.Start, Slow: ch.Slow, Peer: peer.String(), Target: req.Target,
	}}
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

// logRefusal names the path but never the query, which may hold a token. Whoever scans
// the port does not fill the log.
func (s *Server) logRefusal(r *http.Request, peer netip.AddrPort, no *refusal) {
	reason := no.hint
	if reason == "" {
		reason = no.text
	}
	path := r.URL.EscapedPath()
	if len(path) > 128 {
		path = path[:128]
	}
	s.turned.Info("client refused", logs.Client, clientTag(peer.String()), logs.Code, no.code, logs.Reason, reason, "path", path)
}

// clientTag is the name of a client that asked at the user port, in logs and reports.
func clientTag(addr string) string { return "TCP://" + addr }

// header is what a stream is announced with. There is no length and no chunking: the
// stream ends when the connection does.
func header(conf *Config) [][2]string {
	server := "sluice"
	if conf.Build != "" {
		server += "/" + conf.Build
	}
	return [][2]string{
		{"Server", server},
		{"Content-Type", "video/mp2t"},
		{"Date", time.Now().UTC().Format(http.TimeFormat)},
		{"Cache-Control", "no-cache, no-store"},
		{"Connection", "close"},
	}
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
