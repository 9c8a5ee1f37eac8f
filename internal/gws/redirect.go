package gws

import (
	"cmp"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"sluice/internal/httpx"
	"sluice/internal/request"
	"sluice/internal/uri"
)

// elsewhere is where a client goes that has asked for an unavailable channel with that
// setting: "" = nowhere. It is never the URL that the client has asked for; who leads it
// back here on another way is not found out.
func elsewhere(r *http.Request, proxies []netip.Prefix, setting string) string {
	if setting == "" {
		return ""
	}
	asked := target(r)
	to := setting
	if strings.HasSuffix(setting, "/") {
		to += strings.TrimPrefix(asked, "/")
	}
	to = uri.Printable(to)
	if origin, err := httpx.Origin(r, proxies); err == nil && sameURL(to, origin+uri.Printable(asked)) {
		return ""
	}
	return to
}

// redirect is the answer that leads a client to another URL, for now. Players in browsers
// follow it only if it is for everybody.
func redirect(to, why string) *refusal {
	return &refusal{
		code: http.StatusFound, text: "this channel is elsewhere for the moment", hint: why,
		header: [][2]string{{"Location", to}, {"Access-Control-Allow-Origin", "*"}},
	}
}

// target is what was asked for, path and query as they were sent, also by a client that
// believes to speak to a proxy and sends a whole URL.
func target(r *http.Request) string { return request.OriginForm(r.RequestURI) }

// sameURL reports whether two URLs of HTTP ask the same server for the same, as far as that
// can be seen without asking.
func sameURL(a, b string) bool {
	u, errU := url.Parse(a)
	v, errV := url.Parse(b)
	if errU != nil || errV != nil {
		return a == b
	}
	return strings.EqualFold(u.Scheme, v.Scheme) && authority(u) == authority(v) &&
		cmp.Or(u.Path, "/") == cmp.Or(v.Path, "/") && u.RawQuery == v.RawQuery
}

// authority is host and port, the port also where it is the scheme's own.
func authority(u *url.URL) string {
	port := "80"
	if strings.EqualFold(u.Scheme, "https") {
		port = "443"
	}
	return strings.ToLower(u.Hostname()) + ":" + cmp.Or(u.Port(), port)
}
