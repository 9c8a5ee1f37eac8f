package httpx

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"
)

// serve runs a server on loopback until the test ends.
func serve(t *testing.T, h http.HandlerFunc, o Options, log io.Writer) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := NewServer(h, o, slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Close()
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

// ask sends raw bytes and returns the answer with its whole body.
func ask(t *testing.T, addr, request string) (*http.Response, string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	// A server that has seen enough may stop reading: the answer is what counts.
	go io.WriteString(c, request)
	method, _, _ := strings.Cut(request, " ")
	r, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r, string(body)
}

func TestError(t *testing.T) {
	addr := serve(t, func(w http.ResponseWriter, r *http.Request) {
		status, err := strconv.Atoi(r.URL.Path[1:])
		if err != nil {
			t.Error(err)
		}
		Error(w, status, "first\r\nsecond <b>\xff")
	}, Options{}, io.Discard)
	for _, status := range []int{400, 404, 503} {
		path := "/" + strconv.Itoa(status)
		r, body := ask(t, addr, "GET "+path+" HTTP/1.1\r\nHost: h\r\n\r\n")
		want := strconv.Itoa(status) + " " + http.StatusText(status) + ": first  second <b>\uFFFD\n"
		if r.StatusCode != status || body != want {
			t.Errorf("%d %q, want %d %q", r.StatusCode, body, status, want)
		}
		if r.Header.Get("Content-Type") != "text/plain; charset=utf-8" || r.Header.Get("X-Content-Type-Options") != "nosniff" || r.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("header %v", r.Header)
		}
		if retry := r.Header.Get("Retry-After"); (retry == "1") != (status == 503) {
			t.Errorf("%d: Retry-After %q", status, retry)
		}
		head, none := ask(t, addr, "HEAD "+path+" HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
		if none != "" || head.ContentLength != int64(len(want)) {
			t.Errorf("HEAD: body %q, length %d", none, head.ContentLength)
		}
	}
}

func TestWriteError(t *testing.T) {
	for proto, want := range map[string]string{"HTTP/1.0": "HTTP/1.0", "HTTP/1.1": "HTTP/1.1", "HTTP/2.0": "HTTP/1.1"} {
		var b bytes.Buffer
		if err := WriteError(&b, proto, 503, "no engine\nis there"); err != nil {
			t.Fatal(err)
		}
		r, err := http.ReadResponse(bufio.NewReader(&b), nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		if r.Proto != want || r.StatusCode != 503 || string(body) != "503 Service Unavailable: no engine is there\n" || b.Len() > 0 {
			t.Errorf("%s: %s %d %q, %d bytes left", proto, r.Proto, r.StatusCode, body, b.Len())
		}
		if !r.Close || r.ContentLength != int64(len(body)) || r.Header.Get("Retry-After") != "1" || r.Header.Get("Date") == "" {
			t.Errorf("%s: close %v, length %d, %v", proto, r.Close, r.ContentLength, r.Header)
		}
	}
	c, other := net.Pipe()
	c.Close()
	other.Close()
	if err := WriteError(c, "HTTP/1.1", 503, ""); err == nil {
		t.Error("written to a closed connection")
	}
}

func TestPermit(t *testing.T) {
	addr := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if Permit(w, r, http.MethodGet, http.MethodHead) {
			io.WriteString(w, "served")
		}
	}, Options{}, io.Discard)
	for method, status := range map[string]int{"GET": 200, "POST": 405, "DELETE": 405, "OPTIONS": 405, "BREW": 405} {
		r, body := ask(t, addr, method+" / HTTP/1.1\r\nHost: h\r\n\r\n")
		allow := r.Header.Get("Allow")
		if r.StatusCode != status || (status == 405) != (allow == "GET, HEAD") {
			t.Errorf("%s: %d %q, Allow %q", method, r.StatusCode, body, allow)
		}
	}
}

// A long head has an answer, not a reset.
func TestLongHeads(t *testing.T) {
	addr := serve(t, func(w http.ResponseWriter, r *http.Request) { Error(w, 404, "") }, Options{}, io.Discard)
	for _, c := range []struct{ length, status int }{{8 << 10, 404}, {100 << 10, 431}} {
		line := "GET /" + strings.Repeat("x", c.length) + " HTTP/1.1\r\nHost: h\r\n\r\n"
		if r, _ := ask(t, addr, line); r.StatusCode != c.status {
			t.Errorf("a URL of %d bytes: %d, want %d", c.length, r.StatusCode, c.status)
		}
		field := "GET / HTTP/1.1\r\nHost: h\r\nX: " + strings.Repeat("x", c.length) + "\r\n\r\n"
		if r, _ := ask(t, addr, field); r.StatusCode != c.status {
			t.Errorf("a field of %d bytes: %d, want %d", c.length, r.StatusCode, c.status)
		}
	}
}

func TestGarbageIsAnswered(t *testing.T) {
	addr := serve(t, func(w http.ResponseWriter, r *http.Request) { Error(w, 404, "") }, Options{}, io.Discard)
	for _, garbage := range []string{"nonsense\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", "GET  /  HTTP/1.1\r\n\r\n", "GET /\x00 HTTP/1.1\r\n\r\n"} {
		if r, _ := ask(t, addr, garbage); r.StatusCode != 400 {
			t.Errorf("%q: %d, want 400", garbage, r.StatusCode)
		}
	}
}

// Who opens a connection and does not finish a request loses it.
func TestSlowHead(t *testing.T) {
	addr := serve(t, func(http.ResponseWriter, *http.Request) {}, Options{HeaderTimeout: time.Millisecond}, io.Discard)
	untilLost(t, addr, "GET / HTTP/1.1\r\nHo")
}

// Who announces a body and does not send it loses the connection, whatever the answer.
func TestSlowBody(t *testing.T) {
	addr := serve(t, func(w http.ResponseWriter, _ *http.Request) { Error(w, 403, "no") }, Options{ReadTimeout: time.Millisecond}, io.Discard)
	untilLost(t, addr, "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
}

// untilLost says what it has to say and waits until the server ends the connection: in
// order, or by a reset when the time was over before all was said.
func untilLost(t *testing.T, addr, say string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, err = io.WriteString(c, say)
	for err == nil {
		_, err = c.Read(make([]byte, 1024))
	}
}

// Who does not take the answers to its requests loses the connection.
func TestAnswersNotTaken(t *testing.T) {
	big := strings.Repeat("x", 1<<20)
	addr := serve(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, big) }, Options{WriteTimeout: 10 * time.Millisecond}, io.Discard)
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for err == nil { // until the server has given up: it reads no more, and resets
		_, err = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	}
}

func TestComplaintsAreDebug(t *testing.T) {
	var log bytes.Buffer
	s := NewServer(nil, Options{}, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	s.ErrorLog.Print("http: panic serving")
	if !strings.Contains(log.String(), "level=DEBUG") || !strings.Contains(log.String(), "panic serving") {
		t.Errorf("log %q", log.String())
	}
}

func TestClientAddr(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.7:50905":          "192.0.2.7:50905",
		"[::ffff:192.0.2.7]:50905": "192.0.2.7:50905",
		"[fd00::7]:1":              "[fd00::7]:1",
		"[fe80::1%eth0]:1":         "[fe80::1]:1",
	} {
		if got := ClientAddr(&http.Request{RemoteAddr: in}); got.String() != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
	for _, in := range []string{"", "@", "name:1"} {
		if got := ClientAddr(&http.Request{RemoteAddr: in}); got.IsValid() {
			t.Errorf("%q: %s", in, got)
		}
	}
}

// TestErrorKeepsTheCallersRetryAfter: a caller that knows better says so.
func TestErrorKeepsTheCallersRetryAfter(t *testing.T) {
	for own, want := range map[string]string{"": strconv.Itoa(RetryAfter), "5": "5"} {
		w := httptest.NewRecorder()
		if own != "" {
			w.Header().Set("Retry-After", own)
		}
		Error(w, http.StatusServiceUnavailable, "full")
		if got := w.Header().Values("Retry-After"); len(got) != 1 || got[0] != want {
			t.Errorf("with %q: Retry-After %q, want %q", own, got, want)
		}
	}
}
