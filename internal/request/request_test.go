package request

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for path, want := range map[string]string{
		"/udp/239.1.1.1:5000":                      "udp://239.1.1.1:5000",
		"/udp/239.1.1.1:5000/":                     "udp://239.1.1.1:5000",
		"/rtp/239.1.1.1:5000":                      "udp://239.1.1.1:5000",
		"/rtp/239.1.1.1:5000/":                     "udp://239.1.1.1:5000",
		"/udp/10.0.0.7@239.1.1.1:5000":             "udp://10.0.0.7@239.1.1.1:5000",
		"/udp/10.0.0.7%40239.1.1.1%3A5000":         "udp://10.0.0.7@239.1.1.1:5000",
		"/udp/[ff15::1]:5000":                      "udp://[ff15::1]:5000",
		"/udp/%5Bff15::1%5D:5000":                  "udp://[ff15::1]:5000",
		"/udp/%5bff15%3a%3a1%5d%3a5000":            "udp://[ff15::1]:5000",
		"/udp/[fd00::7]@[ff35::1]:5000":            "udp://[fd00::7]@[ff35::1]:5000",
		"/udp/192.0.2.1:1":                         "udp://192.0.2.1:1",
		"/%75dp/239.1.1.1:5000":                    "udp://239.1.1.1:5000",
		"/udp/[FF15:0:0:0:0:0:0:1]:65535":          "udp://[ff15::1]:65535",
		"/udp/[::ffff:239.1.1.1]:5000":             "udp://239.1.1.1:5000",
		"/udp/[fd00:0::7]@[ff35:0000::0001]:05000": "udp://[fd00::7]@[ff35::1]:5000",
	} {
		for _, query := range []string{"", "a=b", "X-Plex-Token=abc&x=%20", "token=/udp/1:2"} {
			got, err := Parse(path, query)
			if err != nil || got.Source.String() != want || got.Query != query {
				t.Errorf("%s?%s: %v, %v; want %s", path, query, got, err, want)
			}
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, c := range []struct {
		path, query string
		status      int
		text        string // part of it
	}{
		{"", "", 404, "/udp/GROUP:PORT"},
		{"/", "", 404, "/udp/GROUP:PORT"},
		{"*", "", 404, ""},
		{"/favicon.ico", "", 404, ""},
		{"/status", "", 404, ""},
		{"/UDP/239.1.1.1:5000", "", 404, ""},
		{"/udpx/239.1.1.1:5000", "", 404, ""},
		{"//udp/239.1.1.1:5000", "", 404, ""},
		{"/../udp/239.1.1.1:5000", "", 404, ""},
		{"/%zz/239.1.1.1:5000", "", 404, ""},
		{"/udp/239.1.1.1:5000/x", "", 404, "followed by more"},
		{"/udp/239.1.1.1:5000//", "", 404, ""},
		{"/udp%2F239.1.1.1:5000", "", 404, ""},
		{"/udp", "", 400, "no address"},
		{"/udp/", "", 400, "no address"},
		{"/udp/239.1.1.1", "", 400, `"239.1.1.1"`},
		{"/udp/239.1.1.1:0", "", 400, "port 0"},
		{"/udp/239.1.1.1:65536", "", 400, "65536"},
		{"/udp/239.1.1.1:-1", "", 400, ""},
		{"/udp/239.1.1:5000", "", 400, ""},
		{"/udp/239.1.1.256:5000", "", 400, ""},
		{"/udp/10.0.0.7:239.1.1.1:5000", "", 400, "SOURCE@GROUP:PORT"},
		{"/udp/fd00::1:5000", "", 400, "[ADDRESS]:PORT"},
		{"/udp/example.org:5000", "", 400, ""},
		{"/udp/fd00::7@239.1.1.1:5000", "", 400, "IP versions"},
		{"/udp/10.0.0.7@10.0.0.8:5000", "", 400, "no multicast group"},
		{"/udp/@239.1.1.1:5000", "", 400, "source"},
		{"/udp/[fe80::1%25eth0]:5000", "", 400, "zone"},
		{"/udp/239.1.1.1:5000%2F", "", 400, "bad character"},
		{"/udp/239.1.1.1%00:5000", "", 400, "bad character"},
		{"/udp/239.1.1.1:5000%0d%0aSet-Cookie:x", "", 400, `\r\n`},
		{"/udp/%20239.1.1.1:5000", "", 400, "bad character"},
		{"/udp/٢٣٩.1.1.1:5000", "", 400, "bad character"},
		{"/udp/239.1.1.1%zz:5000", "", 400, "%zz"},
		{"/udp/239.1.1.1:5000%", "", 400, ""},
		{"/udp/" + strings.Repeat("1", 8000), "", 400, "8000"},
		{"/udp/239.1.1.1:5000", "a=\x00", 400, "query"},
		{"/udp/239.1.1.1:5000", "a=b c", 400, "query"},
	} {
		got, err := Parse(c.path, c.query)
		var e *Error
		if !errors.As(err, &e) || e.Status != c.status || !strings.Contains(e.Text, c.text) {
			t.Errorf("%q ? %q: %v, %v; want %d and %q", c.path, c.query, got, err, c.status, c.text)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"/udp/239.1.1.1:5000", "/rtp/[ff15::1]:5000/", "/udp/10.0.0.7@239.1.1.1:5000", "/udp/%5Bfd00::7%5D%40%5Bff35::1%5D%3A5000",
		"/", "/udp/", "/udp/a%00b", "/udp/1:2:3", "/udp/[fe80::1%25eth0]:5000",
	} {
		f.Add(s, "a=b")
	}
	f.Fuzz(func(t *testing.T, path, query string) {
		r, err := Parse(path, query)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Status != http.StatusBadRequest && e.Status != http.StatusNotFound {
				t.Fatalf("%v is no answer", err)
			}
			if len(e.Text) == 0 || strings.ContainsFunc(e.Text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
				t.Fatalf("%q is not one line", e.Text)
			}
			return
		}
		again, err := Parse("/udp/"+url.PathEscape(strings.TrimPrefix(r.Source.String(), "udp://")), query)
		if err != nil || again != r {
			t.Fatalf("%q is %v, and that is %v, %v", path, r, again, err)
		}
	})
}
