package gws

import (
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"time"

	"sluice/internal/logs"
	"sluice/internal/uri"
)

// visit is who asks for what, as logs tell of it: no query, no credentials.
type visit struct {
	peer      netip.AddrPort // as it is believed
	listener  string         // alias of the door
	local     bool           // by a door that is; see Door
	user      string         // name of the token; "" = none
	method    string
	path      string
	proto     string
	referer   string
	userAgent string
}

// What somebody sends is told no longer than this, in bytes.
const (
	maxMethod = 16
	maxTold   = 512
)

func newVisit(conf *Config, r *http.Request) *visit {
	return &visit{
		peer: peerOf(conf, r), listener: doorOf(r).Alias, local: doorOf(r).Local,
		method: cut(r.Method, maxMethod), path: cut(masked(target(r)), maxTold), proto: cut(r.Proto, maxMethod),
		referer: cut(masked(r.Referer()), maxTold), userAgent: cut(r.UserAgent(), maxTold),
	}
}

// cut is a copy: a visit lives as long as its stream, and is not to keep the whole head of a
// request alive.
func cut(s string, n int) string { return strings.Clone(s[:min(len(s), n)]) }

// Letters that end a secret, as they may be hidden: percent-encoded, once or several times.
var (
	hiddenQuery     = regexp.MustCompile(`\?|%(25)*3[fF]`)
	hiddenDelimiter = regexp.MustCompile("%(25)*(2[fF]|3[aA]|40)")
)

// masked is a URL, or the target of a request, without its secrets: a query shows as "?-",
// credentials as "-@". Percent-encoding hides neither, be it good or not. What stands before
// an @ stays if it can only be an address, as in udp://10.0.0.7@239.1.1.1:5000.
func masked(s string) string {
	query := hiddenQuery.FindStringIndex(s)
	if query != nil {
		s = s[:query[0]]
	}
	plain := hiddenDelimiter.ReplaceAllStringFunc(s, func(letter string) string {
		return map[string]string{"2f": "/", "3a": ":", "40": "@"}[strings.ToLower(letter[len(letter)-2:])]
	})
	switch {
	case !strings.Contains(plain, "@"): // it stays as it was written
	case strings.Contains(plain, "://"): // a slash may be part of a password
		s = uri.Mask(plain)
	default:
		segments := strings.Split(plain, "/")
		for i := range segments {
			segments[i] = maskedSegment(segments[i])
		}
		s = strings.Join(segments, "/")
	}
	if query != nil {
		s += "?-"
	}
	return uri.Printable(s)
}

// maskedSegment masks what is between two slashes.
func maskedSegment(s string) string {
	for leg := range strings.SplitSeq(s, "|") {
		before, _, found := strings.Cut(leg, "@")
		if _, err := netip.ParseAddr(strings.Trim(before, "[]")); found && err != nil {
			return "-" + s[strings.LastIndexByte(s, '@'):]
		}
	}
	return s
}

// entry is an event of the visit; v may be nil: nobody asked, or a gws before this one was
// asked.
func (v *visit) entry(event string) logs.AccessEntry {
	if v == nil {
		return logs.AccessEntry{Event: event}
	}
	return logs.AccessEntry{
		Event: event, Peer: addrText(v.peer.Addr()), User: v.user, Listener: v.listener,
		Request: v.method + " " + v.path + " " + v.proto, Referer: v.referer, UserAgent: v.userAgent,
	}
}

// addrText is the address; "" for none.
func addrText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// record writes an entry to the access log, if there is one.
func (s *Server) record(e logs.AccessEntry) {
	if a := s.config().Access; a != nil {
		a.Write(e)
	}
}

// recordDenied is for a request that was not served. code is 0 when it got no answer.
func (s *Server) recordDenied(v *visit, tag string, code int, reason string) {
	entry := v.entry(logs.ClientDeny)
	entry.Status, entry.Channel, entry.Reason = code, tag, reason
	s.record(entry)
}

// recordClientLocked is for a client that was started, or that has ended: then after so
// many bytes, and why. While Run ends there is nothing to tell: engines keep what they have.
func (s *Server) recordClientLocked(event string, e *engine, b belief, bytes uint64, reason string) {
	if s.stopping {
		return
	}
	entry := b.visit.entry(event)
	if b.visit != nil {
		entry.Status = http.StatusOK
	} else {
		entry.Peer = addrText(b.addr)
	}
	entry.Channel, entry.Client, entry.Engine = b.tag, b.client, e.hello.Engine
	entry.Bytes, entry.Reason = bytes, reason
	if event == logs.ClientClose {
		entry.Duration = time.Since(b.since)
	}
	s.record(entry)
}

// recordOpenLocked notes that e receives a channel from now on, and tells so once.
func (s *Server) recordOpenLocked(e *engine, tag string) {
	h := s.holdLocked(e, tag)
	if !h.since.IsZero() {
		return
	}
	h.since = time.Now()
	s.record(logs.AccessEntry{Event: logs.ChannelUp, Channel: tag, Engine: e.hello.Engine})
}

// recordEndLocked tells that e does not receive a channel any more; of one that was never
// open there is nothing to tell.
func (s *Server) recordEndLocked(e *engine, tag string, bytes uint64, reason string) {
	h := e.channels[tag]
	if h == nil || h.since.IsZero() || s.stopping {
		return
	}
	s.record(logs.AccessEntry{
		Event: logs.ChannelDown, Bytes: bytes, Channel: tag, Engine: e.hello.Engine, Duration: time.Since(h.since), Reason: reason,
	})
	h.since = time.Time{}
}

// startedNow is what is believed of a client that an engine has started.
func startedNow(c *client) belief {
	return belief{tag: c.tag, client: c.attach.Tag(), addr: c.addr, visit: c.visit, since: time.Now()}
}

// past is a time that an engine tells of something that has happened; now, if it makes no
// sense.
func past(t time.Time) time.Time {
	if now := time.Now(); t.IsZero() || t.After(now) {
		return now
	}
	return t
}
