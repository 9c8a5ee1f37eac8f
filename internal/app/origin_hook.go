package app

import (
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"

	"sluice/internal/auth"
	"sluice/internal/config"
	"sluice/internal/origin"
	"sluice/internal/uri"
)

// originHook asks the hook of a configuration about requests of the origin; it is nil when there is none. The hook is asked as
// that of gws is (docs/auth.md): the source is what was asked for, the listener origin, or origin-write of one who uploads or removes.
func originHook(c *config.Config, log *slog.Logger) (origin.Authorizer, error) {
	conf := c.OriginAuth()
	if conf.Hook == "" {
		return nil, nil
	}
	guard, err := auth.New(conf, log)
	if err != nil {
		return nil, err
	}
	return asker{guard}, nil
}

// asker is an origin.Authorizer. Its guard has no helpers, so nothing of it runs.
type asker struct{ guard *auth.Guard }

// Ask implements origin.Authorizer.
func (a asker) Ask(r *http.Request, peer netip.AddrPort, _ string, write bool) (status int, reason string) {
	q := auth.Question{Peer: peer, Source: askedOf(r), Listener: doorOrigin, Path: r.URL.EscapedPath(), Query: r.URL.Query()}
	if write {
		q.Listener = doorOrigin + "-write"
	}
	answer := a.guard.Ask(r.Context(), q)
	return answer.Code, answer.Reason
}

// askedOf is the path and the query of a request. A path has one spelling, so that nobody is let in who writes it otherwise.
func askedOf(r *http.Request) string {
	asked := (&url.URL{Path: r.URL.Path}).EscapedPath()
	if r.URL.RawQuery != "" {
		asked += "?" + uri.Printable(r.URL.RawQuery)
	}
	return asked
}
