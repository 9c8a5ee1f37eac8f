package relay

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"sluice/internal/flow"
	"sluice/internal/hello"
	"sluice/internal/proxyproto"
)

// Why clients are refused, in the session log.
var (
	errNotBelieved = errors.New("a PROXY header is wanted, and this address is not believed")
	errNoHeader    = errors.New("no PROXY header")
	errLate        = errors.New("not in time")
	errNoTLS       = errors.New("no TLS")
	errNoRoute     = errors.New("no route fits")
	errAll         = errors.New("limit of all sessions")
	errListener    = errors.New("limit of the listener")
	errSource      = errors.New("limit of the client's address")
)

// silentFor is how long a client may say nothing where that makes it one who speaks no
// TLS, or comes without a PROXY header: with many protocols the server speaks first, and
// their clients wait for so long. A ClientHello comes right behind the connection; this
// leaves time to repeat a lost packet.
const silentFor = time.Second

// silence waits for the first of what a client says; where nothing is an answer, too, for a
// short time only.
func (st *session) silence(answers bool, now time.Time) flow.Plan {
	p := st.more(now)
	if answers {
		p.Within = min(p.Within, silentFor)
	}
	return p
}

// Look implements flow.Desk.
func (k *desk) Look(s *flow.Session, head []byte, over bool) flow.Plan {
	st := s.Keep.(*session)
	if st.stage == stageHeader {
		return k.lookHeader(s, st, head, over)
	}
	return k.lookHello(s, st, head, over)
}

// more waits for more of what a client has begun to say.
func (st *session) more(now time.Time) flow.Plan {
	return flow.Plan{Step: flow.Look, Within: max(st.until.Sub(now), time.Millisecond)}
}

// header is what is expected of a client before all else.
type header uint8

const (
	headerNone header = iota
	headerMaybe
	headerNeeded
	headerDenied // one is needed, and the client would not be believed
)

// header decides it by who has connected. Those at UNIX sockets are believed: the mode of the
// file says who may connect.
func (d *door) header(peer flow.Addr) header {
	local := peer.Network == flow.Unix
	ip := bare(peer)
	listed := local || slices.ContainsFunc(d.conf.Proxies, func(p netip.Prefix) bool { return p.Contains(ip) })
	switch {
	case d.conf.Proxy == ProxyRequired && (listed || len(d.conf.Proxies) == 0):
		return headerNeeded
	case d.conf.Proxy == ProxyRequired:
		return headerDenied
	case d.conf.Proxy == ProxyAccepted && listed:
		return headerMaybe
	}
	return headerNone
}

// lookHeader reads the PROXY header.
func (k *desk) lookHeader(s *flow.Session, st *session, head []byte, over bool) flow.Plan {
	d, now := st.door, time.Now()
	needed := d.header(s.Peer) == headerNeeded
	h, n, err := proxyproto.Parse(head)
	switch {
	case errors.Is(err, proxyproto.ErrMore) && !over:
		return st.more(now)
	case errors.Is(err, proxyproto.ErrMore) && needed:
		return end(flow.CauseHeader, cutShort(head, err))
	case errors.Is(err, proxyproto.ErrMore):
		n = 0 // what has come stays as it is: it was no header after all
	case err != nil:
		return end(flow.CauseHeader, err)
	case n == 0 && needed:
		return end(flow.CauseHeader, errNoHeader)
	}
	if n > 0 && !h.Local && h.From.IsValid() {
		s.Client = flow.Addr{IP: netip.AddrPortFrom(h.From.Addr().Unmap(), h.From.Port())}
		st.known().to = h.To
	}
	if !permitted(d.conf.Rules, s.Client) {
		return end(flow.CauseDenied, nil)
	}
	p := k.letIn(s, st, now)
	if n == 0 && p.Step == flow.Look {
		return k.lookHello(s, st, head, over) // of what it has said already: more need not come
	}
	p.Skip = n
	return p
}

// cutShort says why there is no more of what a client has begun to say.
func cutShort(head []byte, err error) error {
	if len(head) == 0 {
		return errLate
	}
	return err
}

// lookHello reads the ClientHello, and finds the way by it.
func (k *desk) lookHello(s *flow.Session, st *session, head []byte, over bool) flow.Plan {
	d, now := st.door, time.Now()
	h, err := hello.Parse(head)
	switch {
	case err == nil:
		w := d.way(&h)
		if w.backend == nil {
			return end(flow.CauseHello, fmt.Errorf("%w server name %q", errNoRoute, h.Name))
		}
		if w.backend.outward.Load().proxy == ProxyV2 {
			st.known().hello = h
		}
		st.decrypt = d.tls != nil && !w.pass
		return k.start(s, st, w.backend, now)
	case errors.Is(err, hello.ErrMore) && !over:
		return st.more(now)
	case errors.Is(err, hello.ErrMore) && len(head) > 0, !errors.Is(err, hello.ErrMore) && !errors.Is(err, hello.ErrNotTLS):
		return end(flow.CauseHello, err)
	}
	w, ok := d.plainWay()
	switch {
	case !ok && len(head) == 0:
		return end(flow.CauseHello, errLate)
	case !ok:
		return end(flow.CauseHello, errNoTLS)
	case w.backend == nil:
		return end(flow.CauseHello, errNoRoute)
	}
	return k.start(s, st, w.backend, now)
}

// way is where clients are sent.
type way struct {
	backend *backend // nil = nowhere
	pass    bool
}

// way is the first route that fits the ClientHello, or the pool of the listener.
func (d *door) way(h *hello.Hello) way {
	for i, rt := range d.conf.Routes {
		if rt.fits(h) {
			return way{d.routes[i], rt.Pass}
		}
	}
	return way{d.backend, false}
}

// plainWay is where clients go that speak no TLS; not ok when TLS is wanted of all.
func (d *door) plainWay() (way, bool) {
	for i, rt := range d.conf.Routes {
		if rt.Plain {
			return way{d.routes[i], true}, true
		}
	}
	return way{d.backend, true}, d.tls == nil || d.conf.TLS.Auto
}

func (rt *Route) fits(h *hello.Hello) bool {
	if rt.Plain {
		return false
	}
	named := len(rt.Names) == 0 || slices.ContainsFunc(rt.Names, func(n string) bool { return nameFits(n, h.Name) })
	return named && (len(rt.Protocols) == 0 || slices.ContainsFunc(rt.Protocols, func(p string) bool { return slices.Contains(h.Protocols, p) }))
}

// nameFits says whether a name, in lower case, is the pattern, or ends with what is behind
// the star of *.example.com.
func nameFits(pattern, name string) bool {
	pattern = strings.ToLower(strings.TrimSuffix(pattern, "."))
	if suffix, ok := strings.CutPrefix(pattern, "*"); ok {
		return len(name) > len(suffix) && strings.HasSuffix(name, suffix)
	}
	return pattern == name
}
