package script

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice/internal/logs"
	"sluice/internal/testkit"
)

// said is what a script prints.
type said chan string

func (s said) Enabled(context.Context, slog.Level) bool { return true }
func (s said) WithAttrs([]slog.Attr) slog.Handler       { return s }
func (s said) WithGroup(string) slog.Handler            { return s }

func (s said) Handle(_ context.Context, r slog.Record) error {
	line := r.Level.String() + " " + r.Message
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case logs.Reason, logs.Error, logs.Repeated:
			line += " " + a.Value.String()
		}
		return true
	})
	s <- strings.TrimPrefix(line, "INFO the script says ")
	return nil
}

// next is the next line.
func (s said) next(t *testing.T) string {
	t.Helper()
	select {
	case line := <-s:
		return line
	case <-time.After(testkit.Patience):
		t.Fatal("the script says nothing")
		return ""
	}
}

// load makes a hook of a script, which is closed at the end of the test.
func load(t *testing.T, text string, c Config) (*Hook, said) {
	t.Helper()
	lines := make(said, 1000)
	c.File, c.Log = scriptFile(t, text), slog.New(lines)
	if c.Limit == 0 {
		c.Limit = testkit.Patience // a busy machine is no endless loop
	}
	h, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return h, lines
}

func scriptFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hook.js")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// ask asks about a GET.
func ask(t *testing.T, h *Hook, url string) (*Exchange, error) {
	t.Helper()
	return h.Ask(t.Context(), Request{HTTP: httptest.NewRequest("GET", url, nil), AuthCode: 200})
}

// status is that of an error of Ask.
func status(err error) int {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Status
	}
	return 0
}

// serving answers as the origin does: with what the script decides, and where it leaves it to the origin with "origin", or the file.
func serving(t *testing.T, h *Hook) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x, err := h.Ask(r.Context(), Request{HTTP: r, AuthCode: 200})
		if err != nil {
			http.Error(w, err.Error(), status(err))
			return
		}
		code := -1
		defer func() { x.End(code) }()
		for _, line := range x.Answer.Headers {
			w.Header().Add(line[0], line[1])
		}
		serveAnswer(w, r, x)
		code = 1
	}))
	t.Cleanup(server.Close)
	return server
}

func serveAnswer(w http.ResponseWriter, r *http.Request, x *Exchange) {
	a := x.Answer
	switch {
	case a.Streamed:
		err := x.Serve(w, r)
		if _, unanswered := errors.AsType[*Error](err); unanswered {
			http.Error(w, err.Error(), status(err))
		} else if err != nil {
			panic(http.ErrAbortHandler)
		}
	case a.Status != 0:
		w.WriteHeader(a.Status)
		_, _ = io.WriteString(w, a.Body)
	case a.File != "":
		if a.Throttle {
			w = x.Writer(w, 0)
		}
		http.ServeFile(w, r, a.File)
	default:
		_, _ = io.WriteString(w, "origin")
	}
}

// reply is an answer with its body.
type reply struct {
	*http.Response
	body string
}

func do(t *testing.T, method, url string, body io.Reader) (reply, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return reply{}, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return reply{answer, string(text)}, err
}
