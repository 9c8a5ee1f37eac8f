package app

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"time"

	"sluice/internal/httpx"
	"sluice/internal/logs"
)

// elsewhere passes requests of user ports on to the origin of this sluice, through its UNIX socket, and the answers back as
// they come. proxies are whose word on the address of a client is believed: the origin is told what it comes to.
func elsewhere(socket string, proxies func() []netip.Prefix, log *slog.Logger) http.Handler {
	limited := logs.Limited(log)
	return &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL.Scheme, p.Out.URL.Host = "http", "origin"
			p.Out.Host = p.In.Host
			p.Out.URL.RawQuery = p.In.URL.RawQuery // all of it: ReverseProxy leaves out what has a semicolon
			if a := httpx.RealAddr(p.In, proxies()); a.IsValid() {
				p.Out.Header.Set("X-Forwarded-For", a.String())
			}
			if p.In.TLS != nil {
				p.Out.Header.Set("X-Forwarded-Proto", "https")
			}
		},
		Transport:     originTransport(socket),
		FlushInterval: -1,
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if r.Context().Err() != nil { // the client has gone
				panic(http.ErrAbortHandler)
			}
			limited.Warn("the origin does not answer", logs.Error, err)
			httpx.Error(w, http.StatusBadGateway, "the origin does not answer; try again")
		},
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// originTransport keeps connections to the origin for the next requests.
func originTransport(socket string) *http.Transport {
	return &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
		DisableCompression:    true, // what the client wants and the origin says is theirs
		MaxIdleConnsPerHost:   64,
		IdleConnTimeout:       10 * time.Second, // before the origin's
		ExpectContinueTimeout: 5 * time.Second,
	}
}
