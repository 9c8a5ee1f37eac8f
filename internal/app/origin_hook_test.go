package app

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sluice/internal/config"
)

// asking has the hook of an origin asked about requests, and returns what it was asked.
func asking(t *testing.T, requests ...*http.Request) (questions []string) {
	t.Helper()
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		questions = append(questions, strings.TrimSpace(string(body)))
	}))
	t.Cleanup(hook.Close)
	c := config.Default()
	c.Origin.AuthHook = hook.URL
	a, err := originHook(&c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range requests {
		write := r.Method != http.MethodGet
		if status, reason := a.Ask(r, netip.MustParseAddrPort("192.0.2.7:50905"), "", write); status != 0 {
			t.Errorf("%s %s: %d %s", r.Method, r.URL, status, reason)
		}
	}
	return questions
}

// TestManualHasTheQuestion: what docs/origin-users.md shows is what the hook is asked.
func TestManualHasTheQuestion(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "origin-users.md"))
	if err != nil {
		t.Fatal(err)
	}
	asked := asking(t, httptest.NewRequest(http.MethodGet, "/live/tv.mpd?pass=9b74c989", nil))
	if len(asked) != 1 || !strings.Contains(string(text), "\n```json origin\n"+asked[0]+"\n```\n") {
		t.Errorf("docs/origin-users.md does not show %q", asked)
	}
}

// However a path is spelled, the hook hears of one.
func TestHookHearsOnePath(t *testing.T) {
	for path, want := range map[string]string{
		"/secret/a": "/secret/a", "/%73ecret/a": "/secret/a", "/a%3Fb?c=%2F d": "/a%3Fb?c=%2F%20d", "/%C3%A4%0A": "/%C3%A4%0A",
	} {
		r := httptest.NewRequest(http.MethodPut, "/", nil)
		file, query, _ := strings.Cut(path, "?")
		u, err := r.URL.Parse(file)
		if err != nil {
			t.Fatal(err)
		}
		r.URL = u
		r.URL.RawQuery = query
		asked := asking(t, r)
		if len(asked) != 1 || !strings.Contains(asked[0], `"source":"`+want+`"`) || !strings.Contains(asked[0], `"listener":"origin-write"`) {
			t.Errorf("%s: the hook is asked %q, want %s", path, asked, want)
		}
	}
}
