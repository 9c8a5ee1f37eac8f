package origin

import (
	"log/slog"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"sluice/internal/creds"
	"sluice/internal/httpx"
	"sluice/internal/logs"
	"sluice/internal/receive"
)

// visit is one request.
type visit struct {
	origin *Origin
	site   *site
	conn   *conn
	w      *reply
	r      *http.Request
	peer   netip.AddrPort
	id     uint64
	began  time.Time

	slow     func(w http.ResponseWriter, size int64) http.ResponseWriter // the script's; nil = none
	started  bool                                                        // the log has its beginning
	received int64                                                       // of an upload, bytes
	whole    bool                                                        // it was answered to its end
}

// refusal is an answer that says no.
type refusal struct {
	status int
	text   string // for the client
	hint   string // for the log: what is not the client's business
	header [][2]string
}

// ServeHTTP implements http.Handler.
func (o *Origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s := o.enter()
	defer o.leave(s)
	v := o.newVisit(s, w, r)
	defer v.end()
	s.addHeaders(w.Header(), r, v.began)
	if no := v.serve(); no != nil {
		v.refuse(no)
	}
	v.whole = true
}

// newVisit counts a request, and finds out who asks. r is told, too.
func (o *Origin) newVisit(s *site, w http.ResponseWriter, r *http.Request) *visit {
	c, _ := r.Context().Value(connKey{}).(*conn)
	v := &visit{origin: o, site: s, conn: c, r: r, peer: s.peerOf(c, r), id: o.counts.requests.Add(1), began: time.Now()}
	r.RemoteAddr = v.peer.String()
	v.w = &reply{ResponseWriter: w, head: v.head, bodily: r.Method != http.MethodHead, total: &o.counts.sent}
	if r.Body != http.NoBody {
		r.Body = &counted{ReadCloser: r.Body, total: &o.counts.received}
	}
	switch {
	case r.ProtoMajor == 2:
		v.w.take = s.conf.Take
	case r.TLS == nil:
		v.w.plain = c
	}
	if isUpload(r) {
		v.tellStart(isChunked(r))
		if c != nil {
			c.hurry()
		}
	}
	return v
}

func isUpload(r *http.Request) bool { return r.Method == http.MethodPut || r.Method == http.MethodPost }

func isChunked(r *http.Request) bool { return len(r.TransferEncoding) > 0 }

// here is the address of gws: it comes by a socket that has none.
var here = netip.MustParsePrefix("127.0.0.1/32")

// peerOf is who asks. What gws says is believed, and of others what Config.Proxies permit.
func (s *site) peerOf(c *conn, r *http.Request) netip.AddrPort {
	if c != nil && c.gate.local {
		r.RemoteAddr = netip.AddrPortFrom(here.Addr(), 0).String()
		return httpx.RealAddr(r, []netip.Prefix{here})
	}
	return httpx.RealAddr(r, s.conf.Proxies)
}

// serve answers a request, or says why not.
func (v *visit) serve() *refusal {
	switch {
	case v.conn.late():
		v.w.Header().Set("Connection", "close")
		v.w.Header().Del("Keep-Alive")
		return &refusal{status: http.StatusServiceUnavailable, text: "there are too many connections, please try again"}
	case v.r.Method == http.MethodOptions:
		v.options()
		return nil
	}
	switch v.r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPut, http.MethodPost, http.MethodDelete:
		if v.site.conf.Time != "" && v.r.URL.Path == v.site.conf.Time {
			return v.clock()
		}
		return v.route()
	}
	return &refusal{status: http.StatusNotImplemented, text: "this method is not known here"}
}

// late says whether a connection is beyond a limit.
func (c *conn) late() bool { return c != nil && c.pass == late }

// timeFormat is xs:dateTime, in milliseconds of UTC.
const timeFormat = "2006-01-02T15:04:05.000Z"

// clock tells the time: urn:mpeg:dash:utc:http-iso:2014 and http-xsdate by its body, http-head by Date (ISO/IEC 23009-1, 5.8.5.7).
func (v *visit) clock() *refusal {
	if v.r.Method != http.MethodGet && v.r.Method != http.MethodHead {
		return &refusal{status: http.StatusMethodNotAllowed, text: "the clock is only read", header: [][2]string{{"Allow", allowRead}}}
	}
	text := time.Now().UTC().Format(timeFormat)
	h := v.w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(len(text)))
	_, _ = v.w.Write([]byte(text)) // the client may be gone
	return nil
}

// route answers a request for a thing: if its rule, the hook and the script permit.
func (v *visit) route() *refusal {
	to, no := v.target()
	if no != nil {
		return no
	}
	no, code := v.judge(to)
	if v.site.hook != nil {
		return v.askScript(to, no, code)
	}
	if no != nil {
		return no
	}
	return v.answer(to)
}

// judge says whether who asks may, and as a status what the rule has said.
func (v *visit) judge(to target) (no *refusal, code int) {
	var verdict creds.Verdict
	want := creds.Read
	if to.write {
		want = creds.Write
	}
	if rule, ok := v.site.ruleOf(to.place); ok {
		verdict = v.site.users.Judge(v.r, rule, want, v.site.wrong())
	}
	switch verdict.Status {
	case 0:
	case http.StatusUnauthorized:
		return &refusal{
			status: verdict.Status, text: "who are you? This wants a name and a password", hint: verdict.Reason,
			header: [][2]string{{"WWW-Authenticate", "Basic realm=" + strconv.Quote(v.site.realm) + `, charset="UTF-8"`}},
		}, verdict.Status
	case http.StatusForbidden:
		return &refusal{status: verdict.Status, text: "this is not for you", hint: verdict.Reason}, verdict.Status
	case http.StatusServiceUnavailable:
		return &refusal{status: verdict.Status, text: "too many ask at once, please try again", hint: verdict.Reason}, http.StatusUnauthorized
	default:
		return &refusal{status: verdict.Status, text: "these credentials cannot be read", hint: verdict.Reason}, http.StatusUnauthorized
	}
	if v.site.conf.Hook == nil {
		return nil, http.StatusOK
	}
	if status, reason := v.site.conf.Hook.Ask(v.r, v.peer, verdict.User, to.write); status != 0 {
		return &refusal{status: status, text: http.StatusText(status), hint: reason}, http.StatusForbidden
	}
	return nil, http.StatusOK
}

// refuse answers with a refusal.
func (v *visit) refuse(no *refusal) {
	for _, line := range no.header {
		v.w.Header().Set(line[0], line[1])
	}
	if no.hint != "" {
		level := slog.LevelInfo
		if no.status == http.StatusUnauthorized && v.r.Header.Get("Authorization") == "" {
			level = slog.LevelDebug // many a client tries without at first: what else is wrong would be held back as a repetition
		}
		v.origin.limited.Log(v.r.Context(), level, "request turned away", logs.Client, v.peer.String(), logs.Code, no.status,
			logs.Reason, no.hint, logs.File, printable(v.r.URL.EscapedPath(), maxLoggedPath))
	}
	receive.Deny(v.w, v.r, no.status, no.text)
}

// head is called before the head of the answer goes out.
func (v *visit) head(status int) {
	v.countErrors(status)
	h := v.w.Header()
	if body, ok := v.r.Body.(*counted); ok && !body.begun.Load() && v.r.ProtoMajor == 1 && v.r.Header.Get("Expect") != "" {
		h.Set("Connection", "close") // nobody has told the client to go on, and net/http would wait for what he has
	}
	bodily := v.w.bodily && status != http.StatusNoContent && status != http.StatusNotModified
	v.tellStart(bodily && v.r.ProtoMajor == 1 && h.Get("Content-Length") == "")
}

// countErrors closes a connection whose client has asked for nothing but errors for a while.
func (v *visit) countErrors(status int) {
	if v.conn == nil || v.r.ProtoMajor != 1 {
		return
	}
	if status < http.StatusBadRequest {
		v.conn.errors = 0
		return
	}
	v.conn.errors++
	if most := v.site.conf.MaxErrors; most > 0 && v.conn.errors >= most {
		h := v.w.Header()
		h.Set("Connection", "close")
		h.Del("Keep-Alive")
	}
}

// tellStart tells the request log that a request has begun, once.
func (v *visit) tellStart(chunked bool) {
	if !v.started && v.site.conf.Log.wants(v.r.Method) {
		v.origin.tell(startLine(v.id, v.peer.Addr().String(), v.r, chunked))
	}
	v.started = true
}

// end counts a request that is over, and tells the log.
func (v *visit) end() {
	v.w.leave()
	how := finished
	switch {
	case v.r.Context().Err() != nil && v.origin.ending.Err() == nil && !v.whole:
		how = canceled
	case !v.whole:
		how = aborted
	}
	if !v.whole && v.conn != nil {
		httpx.Reset(v.conn.Conn, v.r)
	}
	o := v.origin
	o.counts.answered(v.w.status)
	if log := v.site.conf.Log; log.wants(v.r.Method) && !log.NoEnd {
		v.tellStart(false)
		bytes := v.w.sent
		if isUpload(v.r) {
			bytes = v.received
		}
		o.tell(endLine(v.id, v.r, how, v.w.status, bytes, time.Since(v.began)))
	}
}
