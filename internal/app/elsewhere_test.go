package app

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"sluice/internal/logs"
)

// passing is a server that passes on to h, behind a UNIX socket; the proxies are believed.
func passing(t *testing.T, h http.HandlerFunc, proxies ...string) *httptest.Server {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	behind := &httptest.Server{Listener: l, Config: &http.Server{Handler: h}}
	behind.Start()
	t.Cleanup(behind.Close)
	var believed []netip.Prefix
	for _, p := range proxies {
		believed = append(believed, netip.MustParsePrefix(p))
	}
	pass := elsewhere(path, func() []netip.Prefix { return believed }, slog.New(slog.DiscardHandler))
	front := httptest.NewServer(pass)
	t.Cleanup(front.Close)
	return front
}

// The origin gets the request as it was: method, path in its spelling, query, host; and of who has asked
// nothing but what is believed.
func TestElsewhereRequest(t *testing.T) {
	said := func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s %s %s %q %q", r.Method, r.RequestURI, r.Host, r.Header.Get("X-Other"), r.Header["X-Forwarded-For"], r.Header["Forwarded"])
	}
	for _, tt := range []struct{ proxy, header, want string }{
		{"", "192.0.2.9", "127.0.0.1:"},
		{"127.0.0.0/8", "192.0.2.9", "192.0.2.9:"},
		{"127.0.0.0/8", "10.0.0.1, 192.0.2.9", "192.0.2.9:"},
	} {
		var proxies []string
		if tt.proxy != "" {
			proxies = []string{tt.proxy}
		}
		front := passing(t, said, proxies...)
		r, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, front.URL+"/a%2Fb/%2e%2e//c?d=%20&e=1;f", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = "tv.example"
		for name, value := range map[string]string{"X-Forwarded-For": tt.header, "X-Other": "kept", "Forwarded": "for=198.51.100.1"} {
			r.Header.Set(name, value)
		}
		answer, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		want := `DELETE /a%2Fb/%2e%2e//c?d=%20&e=1;f tv.example kept ["` + tt.want
		if err != nil || !strings.HasPrefix(string(text), want) || !strings.HasSuffix(string(text), `"] []`) {
			t.Errorf("%s said by a proxy in %q:\n got %s, %v\nwant %s…", tt.header, tt.proxy, text, err, want)
		}
	}
}

// Bytes pass as they come: each next piece is written only when the one before has arrived.
func TestElsewhereStreams(t *testing.T) {
	arrived := make(chan string)
	front := passing(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			for word := range arrived {
				_, _ = io.WriteString(w, word)
				_ = http.NewResponseController(w).Flush()
			}
			return
		}
		in := bufio.NewReader(r.Body)
		for line, err := in.ReadString('\n'); err == nil; line, err = in.ReadString('\n') {
			arrived <- line
		}
	})
	words, pen := io.Pipe()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, front.URL+"/a", words)
	if err != nil {
		t.Fatal(err)
	}
	put := make(chan error, 1)
	go func() {
		answer, err := http.DefaultTransport.RoundTrip(r)
		if err == nil {
			answer.Body.Close()
		}
		put <- err
	}()
	for _, word := range []string{"one\n", "two\n"} {
		if _, err := io.WriteString(pen, word); err != nil {
			t.Fatal(err)
		}
		if got := <-arrived; got != word {
			t.Fatalf("%q arrived, want %q", got, word)
		}
	}
	pen.Close()
	if err := <-put; err != nil {
		t.Fatal(err)
	}
	go func() { arrived <- "three\n" }()
	answer, err := http.Get(front.URL + "/a")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	back := bufio.NewReader(answer.Body)
	for _, next := range []string{"four\n", ""} {
		if line, err := back.ReadString('\n'); err != nil {
			t.Fatalf("%q, %v", line, err)
		}
		if next != "" {
			arrived <- next
		}
	}
	close(arrived)
	if _, err := back.ReadString('\n'); err != io.EOF {
		t.Errorf("the end is %v", err)
	}
}

// An answer that breaks off breaks off for the client, too; an origin that is not there is 502, said once.
func TestElsewhereFails(t *testing.T) {
	front := passing(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	answer, err := http.Get(front.URL)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(answer.Body)
	answer.Body.Close()
	if string(text) != "half" || err == nil {
		t.Errorf("got %q and %v, want half of it and an error", text, err)
	}
	var lines bytes.Buffer
	none := elsewhere(filepath.Join(t.TempDir(), "none"), func() []netip.Prefix { return nil }, logs.New(&lines, "gws", slog.LevelInfo))
	for range 3 {
		w := httptest.NewRecorder()
		none.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/a", nil))
		if w.Code != http.StatusBadGateway {
			t.Errorf("status %d", w.Code)
		}
	}
	if n := strings.Count(lines.String(), "the origin does not answer"); n != 1 {
		t.Errorf("told %d times:\n%s", n, lines.String())
	}
}
