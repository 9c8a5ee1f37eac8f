package serve

import (
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"regexp"
	"strings"
	"testing"
	"time"

	"sluice/internal/store"
)

func list(t *testing.T, method, where string, infos ...store.Info) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	List(w, httptest.NewRequest(method, "/", http.NoBody), where, infos, "sluice <1> & co")
	return w
}

// TestList holds line 15 of the list as far as it is of one page.
func TestList(t *testing.T) {
	when := time.Date(2026, 8, 6, 12, 0, 0, 0, time.UTC)
	w := list(t, "GET", "/live",
		store.Info{Name: "live/sub", Dir: true, Modified: when},
		store.Info{Name: "live/a.m4s", Size: 12345, Modified: when},
		store.Info{Name: "live/b.m4s", Size: 7, Growing: true, Modified: when},
		store.Info{Name: "live/.hidden", Size: 99})
	for _, want := range []string{
		"<!DOCTYPE html>", "<title>Index of /live</title>",
		`<tr><td><a href="/">..</a></td><td></td><td></td></tr>`,
		`<tr><td><a href="/live/sub/">sub/</a></td><td>2026-08-06 12:00:00</td><td></td></tr>`,
		`<tr><td><a href="/live/a.m4s">a.m4s</a></td><td>2026-08-06 12:00:00</td><td>12345</td></tr>`,
		`<tr><td><a href="/live/b.m4s">b.m4s</a></td><td>2026-08-06 12:00:00</td><td>7, growing</td></tr>`,
		"<footer>sluice &lt;1&gt; &amp; co</footer>",
	} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("%q is not in\n%s", want, w.Body)
		}
	}
	if strings.Contains(w.Body.String(), "hidden") {
		t.Error("a hidden name is shown")
	}
	has(t, w.Result(), "Content-Type: text/html; charset=utf-8", "X-Content-Type-Options: nosniff", "Cache-Control: no-cache")
	if policy := w.Header().Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none'; style-src 'sha256-") {
		t.Error(policy)
	}
	head := list(t, "HEAD", "/live")
	if head.Code != 200 || head.Body.Len() > 0 {
		t.Errorf("HEAD: %d, %d bytes", head.Code, head.Body.Len())
	}
	if root := list(t, "GET", "/").Body.String(); strings.Contains(root, "<a ") {
		t.Errorf("the root has a way up:\n%s", root)
	}
}

var (
	anchor = regexp.MustCompile(`<a href="([^"]*)">([^<]*)</a>`)
	tags   = regexp.MustCompile(`<[^>]*>`)
)

// FuzzList: whatever a name or a path is, a browser sees it as text, and its link leads to it.
func FuzzList(f *testing.F) {
	for _, name := range []string{`"><script>alert(1)</script>`, `' onclick='x`, "a b%2e?c#d", "ä&amp;", "javascript:alert(1)", "//evil.example", `\`, "\xff"} {
		f.Add("/live", name)
		f.Add(name, "a")
	}
	f.Fuzz(func(t *testing.T, where, name string) {
		base := path.Base(name)
		text := list(t, "GET", where, store.Info{Name: name}).Body.String()
		links := anchor.FindAllStringSubmatch(text, -1)
		plain := list(t, "GET", "/", store.Info{Name: "x"}).Body.String()
		up := path.Clean("/"+where) != "/"
		if want := len(tags.FindAllString(plain, -1)); !strings.HasPrefix(base, ".") && base != "/" {
			if up {
				want += len(tags.FindAllString(`<tr><td><a href="/">..</a></td><td></td><td></td></tr>`, -1))
			}
			if got := len(tags.FindAllString(text, -1)); got != want || len(links) == 0 {
				t.Fatalf("%d tags, want %d; %d links:\n%s", got, want, len(links), text)
			}
			last := links[len(links)-1]
			u, err := url.Parse(html.UnescapeString(last[1]))
			if err != nil || u.Host != "" || u.Scheme != "" || u.RawQuery != "" || u.Fragment != "" {
				t.Fatalf("%q: %v, %v", last[1], u, err)
			}
			if want := path.Join(path.Clean("/"+where), base); u.Path != want {
				t.Errorf("leads to %q, want %q", u.Path, want)
			}
			if html.UnescapeString(last[2]) != base {
				t.Errorf("shown as %q, want %q", last[2], base)
			}
		}
	})
}
