package gws

import (
	"crypto/tls"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestElsewhere(t *testing.T) {
	proxies := prefixes("10.0.0.0/8")
	for _, c := range []struct {
		what, setting, target, host string
		want                        string
	}{
		{"no setting", "", "/$news", "h", ""},
		{"one URL", "http://b.example/off.ts", "/$news?token=x", "h", "http://b.example/off.ts"},
		{"the same there", "http://b.example:4046/", "/udp/239.1.1.1:5000?a=b&c", "h", "http://b.example:4046/udp/239.1.1.1:5000?a=b&c"},
		{"below a path", "https://b.example/tv/", "/$news", "h", "https://b.example/tv/$news"},
		{"as a proxy is asked", "https://b.example/tv/", "http://h/$news?x=y", "h", "https://b.example/tv/$news?x=y"},
		{"more than ASCII", "http://b.example/", "/$новости?x=\x80\"", "h", "http://b.example/$%D0%BD%D0%BE%D0%B2%D0%BE%D1%81%D1%82%D0%B8?x=%80\""},
		{"what looks like a line", "http://b.example/", "/$news?x=%0d%0aSet-Cookie:%20a", "h", "http://b.example/$news?x=%0d%0aSet-Cookie:%20a"},
		{"here", "http://h/", "/$news?x=y", "h", ""},
		{"here, by its port", "http://h:80/", "/$news", "H", ""},
		{"here, by the URL", "http://h:4046/$news", "/$news", "h:4046", ""},
		{"here, encoded", "http://h:4046/%24news", "/$news", "h:4046", ""},
		{"here with other words", "http://h:4046/$news", "/$news?x=y", "h:4046", "http://h:4046/$news"},
		{"another port", "http://h:4047/", "/$news", "h:4046", "http://h:4047/$news"},
		{"another scheme", "https://h/", "/$news", "h", "https://h/$news"},
		{"no host to compare with", "http://b.example/", "/$news", "a/b", "http://b.example/$news"},
	} {
		u, err := url.ParseRequestURI(c.target)
		if err != nil {
			t.Fatal(err)
		}
		r := &http.Request{RequestURI: c.target, URL: u, Host: c.host, RemoteAddr: "192.0.2.7:1"}
		got := elsewhere(r, proxies, c.setting)
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.what, got, c.want)
		}
		if strings.ContainsFunc(got, func(r rune) bool { return r <= ' ' || r > '~' }) {
			t.Errorf("%s: %q breaks a header", c.what, got)
		}
	}
	r := &http.Request{RequestURI: "/$news", Host: "tv.example", RemoteAddr: "192.0.2.7:1", TLS: new(tls.ConnectionState)}
	if got := elsewhere(r, proxies, "https://tv.example/"); got != "" {
		t.Errorf("over TLS it leads back: %s", got)
	}
	r = &http.Request{RequestURI: "/$news", Host: "inner", RemoteAddr: "10.0.0.1:1", Header: http.Header{
		"X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"tv.example"},
	}}
	if got := elsewhere(r, proxies, "https://tv.example/"); got != "" {
		t.Errorf("behind a proxy it leads back: %s", got)
	}
}
