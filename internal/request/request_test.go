package request

import (
	"errors"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"sluice/internal/lineup"
)

func TestParse(t *testing.T) {
	for path, want := range map[string]string{
		"/udp/239.1.1.1:5000":                           "udp://239.1.1.1:5000",
		"/udp/239.1.1.1:5000/":                          "udp://239.1.1.1:5000",
		"/rtp/239.1.1.1:5000":                           "udp://239.1.1.1:5000",
		"/rtp/239.1.1.1:5000/":                          "udp://239.1.1.1:5000",
		"/udp/10.0.0.7@239.1.1.1:5000":                  "udp://10.0.0.7@239.1.1.1:5000",
		"/udp/10.0.0.7%40239.1.1.1%3A5000":              "udp://10.0.0.7@239.1.1.1:5000",
		"/udp/[ff15::1]:5000":                           "udp://[ff15::1]:5000",
		"/udp/%5Bff15::1%5D:5000":                       "udp://[ff15::1]:5000",
		"/udp/%5bff15%3a%3a1%5d%3a5000":                 "udp://[ff15::1]:5000",
		"/udp/[fd00::7]@[ff35::1]:5000":                 "udp://[fd00::7]@[ff35::1]:5000",
		"/udp/192.0.2.1:1":                              "udp://192.0.2.1:1",
		"/%75dp/239.1.1.1:5000":                         "udp://239.1.1.1:5000",
		"/udp/[FF15:0:0:0:0:0:0:1]:65535":               "udp://[ff15::1]:65535",
		"/udp/[::ffff:239.1.1.1]:5000":                  "udp://239.1.1.1:5000",
		"/udp/[fd00:0::7]@[ff35:0000::0001]:05000":      "udp://[fd00::7]@[ff35::1]:5000",
		"/udp/239.1.1.1:5000|239.2.1.1:5000":            "udp://239.1.1.1:5000|udp://239.2.1.1:5000",
		"/rtp/239.1.1.1:5000%7C239.2.1.1:5000/":         "udp://239.1.1.1:5000|udp://239.2.1.1:5000",
		"/rtp/239.1.1.1:5000%7c10.0.0.7@[ff3e::1]:5000": "",
		"/udp/[fd00::7]@[ff35::1]:5000|[ff35::2]:5000":  "udp://[fd00::7]@[ff35::1]:5000|udp://[ff35::2]:5000",
	} {
		got, err := Parse(path, "")
		if want == "" {
			if err == nil {
				t.Errorf("%s: %v, want an error", path, got)
			}
			continue
		}
		if err != nil || got.Source.String() != want || got.Name != "" || got.Start != nil || got.Slow != nil {
			t.Errorf("%s: %+v, %v; want %s", path, got, err, want)
		}
	}
}

func TestParseName(t *testing.T) {
	for path, want := range map[string]string{
		"/$news": "news", "/$news/": "news", "/%24news": "news", "/%24ne%77s/": "news", "/$News-1_b.x": "News-1_b.x", "/$.": ".",
	} {
		if got, err := Parse(path, "token=x"); err != nil || !reflect.DeepEqual(got, Request{Name: want}) {
			t.Errorf("%s: %+v, %v; want %s", path, got, err, want)
		}
	}
}

func TestParameters(t *testing.T) {
	back := &lineup.Start{Back: 30 * time.Second}
	key, live := &lineup.Start{}, &lineup.Start{Live: true}
	skip, disconnect := lineup.Skip, lineup.Disconnect
	for query, want := range map[string]Request{
		"":                                 {},
		"a=b":                              {},
		"&&=&;":                            {},
		"X-Plex-Token=abc&x=%20":           {},
		"token=/udp/1:2&bad=%zz&a=1&a=2":   {}, // not ours: not looked at
		"Start=x&starts=x&xstart=x&SLOW=x": {},
		"start=30s":                        {Start: back},
		"a=b&start=30s&c":                  {Start: back},
		"start=%330s":                      {Start: back},
		"start=key":                        {Start: key},
		"start=live&slow=disconnect":       {Start: live, Slow: &disconnect},
		"slow=skip":                        {Slow: &skip},
	} {
		for _, path := range []string{"/$news", "/udp/239.1.1.1:5000"} {
			got, err := Parse(path, query)
			got.Name, got.Source = "", nil
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s?%s: %+v, %v; want %+v", path, query, got, err, want)
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
		{"", "", 404, "/$NAME"},
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
		{"/udp/" + strings.Repeat("1", 300), "", 400, "300"},
		{"/udp/239.1.1.1:5000|239.1.1.1:5000", "", 400, "twice"},
		{"/udp/239.1.1.1:5000|239.1.1.2:5000|239.1.1.3:5000", "", 400, "3 legs"},
		{"/udp/239.1.1.1:5000|", "", 400, "bad address"},
		{"/udp/|", "", 400, "bad address"},
		{"/$", "", 400, "bad channel name"},
		{"/$/", "", 400, "bad channel name"},
		{"/$a%20b", "", 400, `"a b"`},
		{"/$a%0ab", "", 400, `\n`},
		{"/$" + strings.Repeat("a", 65), "", 400, "65"},
		{"/$news/x", "", 404, "followed by more"},
		{"/$news//", "", 404, "followed by more"},
		{"/udp/$news", "", 400, "bad address"},
		{"/$$news", "", 400, "bad channel name"},
		{"/$news", "start=", 400, "want live, key or"},
		{"/$news", "start", 400, "want live, key or"},
		{"/$news", "start=30", 400, "such as 30s"},
		{"/$news", "start=+30s", 400, "such as 30s"},
		{"/$news", "start=25h", 400, "at most 24h"},
		{"/$news", "start=%zz", 400, "%zz"},
		{"/$news", "start=" + strings.Repeat("0", 99) + "1s", 400, "101 characters"},
		{"/$news", "start=live&start=live", 400, "twice"},
		{"/$news", "slow=skip&a=b&slow=disconnect", 400, "twice"},
		{"/$news", "slow=wait", 400, "cannot wait"},
		{"/$news", "slow=fast", 400, "want skip or disconnect"},
		{"/udp/239.1.1.1:5000", "slow=fast", 400, "want skip or disconnect"},
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
		"/", "/udp/", "/udp/a%00b", "/udp/1:2:3", "/udp/[fe80::1%25eth0]:5000", "/udp/239.1.1.1:5000|239.1.1.2:5000", "/rtp/[ff15::1]:1%7C239.1.1.1:2",
		"/$news", "/%24news/", "/$a/b", "/$",
	} {
		f.Add(s, "a=b")
		f.Add(s, "token=x&start=1m30s&slow=disconnect")
	}
	for _, q := range []string{"start=live", "start=1ns", "slow=wait", "start=%330s&start=key", "start=+1s", "&=&slow"} {
		f.Add("/$news", q)
	}
	f.Fuzz(func(t *testing.T, path, query string) {
		r, err := Parse(path, query)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Status != http.StatusBadRequest && e.Status != http.StatusNotFound {
				t.Fatalf("%v is no answer", err)
			}
			if e.Text == "" || len(e.Text) > 8<<10 || strings.ContainsFunc(e.Text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
				t.Fatalf("%q is not one line", e.Text)
			}
			return
		}
		again, err := Parse(written(r))
		if err != nil || !reflect.DeepEqual(again, r) {
			t.Fatalf("%q is %+v, and that is %+v, %v", path, r, again, err)
		}
	})
}

// written is a request in one of its spellings.
func written(r Request) (path, query string) {
	if path = "/$" + r.Name; r.Name == "" {
		path = "/udp/" + url.PathEscape(strings.ReplaceAll(r.Source.String(), "udp://", ""))
	}
	if r.Start != nil {
		query += "&start=" + r.Start.String()
	}
	if r.Slow != nil {
		query += "&slow=" + r.Slow.String()
	}
	return path, query
}
