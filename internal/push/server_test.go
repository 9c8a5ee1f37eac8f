package push

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sluice/internal/object"
	"sluice/internal/store"
	"sluice/internal/testkit"
)

// Acceptance 50: what fails in passing is tried again, from the first byte of the object.
func TestTriedAgain(t *testing.T) {
	s := serve(t, func(n int, w http.ResponseWriter, r *http.Request) bool {
		answerAtOnce(w)
		switch n {
		case 0:
			w.WriteHeader(http.StatusServiceUnavailable)
		case 1:
			_, _ = io.ReadFull(r.Body, make([]byte, 3))
			hangUp(w)
		case 2:
			w.WriteHeader(http.StatusTooManyRequests)
		case 3:
			w.WriteHeader(http.StatusRequestTimeout)
		default:
			return false
		}
		return true
	})
	st := memory(t, 5)
	p := pushStore(t, st, Config{To: []string{s.URL}, Keep: true})
	u := create(t, st, "seg-1.ts", store.Create{})
	text := "first"
	write(t, u, text)
	p.reports(t, func(r Report) bool { // who has hung up is noticed when there is more for him
		write(t, u, ".")
		text += "."
		return r.Retries == 4
	})
	end(t, u)
	s.holds(t, "/seg-1.ts", text)
	r := p.reports(t, func(r Report) bool { return r.Objects == 1 })
	if r.Failed != 0 || r.Retries != 4 || r.Error != "" {
		t.Errorf("report %+v", r)
	}
}

// A server that comes late gets what is still there.
func TestServerComesLate(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := l.Addr().String()
	l.Close()
	st := memory(t, 5)
	p := pushStore(t, st, Config{To: []string{"http://" + at}, Keep: true})
	put(t, st, "seg-1.ts", "x")
	if r := p.reports(t, func(r Report) bool { return r.Retries > 0 }); !strings.Contains(r.Error, "refused") {
		t.Errorf("report %+v", r)
	}
	s := newSite(nil)
	s.Listener.Close()
	if s.Listener, err = net.Listen("tcp", at); err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(s.Close)
	s.holds(t, "/seg-1.ts", "x")
}

// What will not become better is not tried again: the next one goes on, or the push ends.
func TestRefused(t *testing.T) {
	for status, hint := range map[int]string{
		http.StatusUnauthorized: "user and password go into the URL", http.StatusLengthRequired: "cte: false",
		http.StatusMethodNotAllowed: "post: true", http.StatusForbidden: "answered 403", http.StatusFound: "not followed",
	} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			refuse := func(n int, w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path == "/seg-1.ts" {
					_, _ = io.Copy(io.Discard, r.Body)
					w.Header().Set("Location", "http://user:pw0rd@elsewhere.example/there?token=secret")
					w.WriteHeader(status)
					return true
				}
				return false
			}
			s := serve(t, refuse)
			st := memory(t, 5)
			var log lines
			p := pushStore(t, st, Config{To: []string{s.URL}, Keep: true, Log: log.logger()})
			put(t, st, "seg-1.ts", "x")
			put(t, st, "seg-2.ts", "y")
			s.holds(t, "/seg-2.ts", "y")
			if r := p.reports(t, func(r Report) bool { return r.Objects == 1 }); r.Failed != 1 || r.Retries != 0 {
				t.Errorf("report %+v", r)
			}
			if text := log.String(); !strings.Contains(text, hint) || !strings.Contains(text, "seg-1.ts") || strings.Contains(text, "secret") || strings.Contains(text, "pw0rd") {
				t.Errorf("the log says %s", text)
			}

			q := pushStore(t, st, Config{Name: "cdn", To: []string{s.URL}})
			put(t, st, "seg-1.ts", "x")
			has(t, next(t, q.err), "seg-1.ts", s.URL, hint)
		})
	}
}

// What is tried again is given up after so many tries, and an answer before its time is a failure.
func TestGivenUp(t *testing.T) {
	s := serve(t, func(_ int, w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/seg-1.ts" {
			return false
		}
		answerAtOnce(w)
		w.WriteHeader(http.StatusCreated)
		return true
	})
	st := memory(t, 5)
	p := pushStore(t, st, Config{To: []string{s.URL}, Keep: true, Tries: 2})
	u := create(t, st, "seg-1.ts", store.Create{})
	write(t, u, "x")
	r := p.reports(t, func(r Report) bool { return r.Failed == 1 })
	if r.Retries != 1 || r.Error != errEarly.Error() {
		t.Errorf("report %+v", r)
	}
	end(t, u)
	put(t, st, "seg-2.ts", "y")
	s.holds(t, "/seg-2.ts", "y")
}

// A server that takes nothing, and one that takes all and never answers, have failed after the time-out; an upload that
// waits for its writer has all the time.
func TestStalled(t *testing.T) {
	for name, read := range map[string]bool{"takes nothing": false, "does not answer": true} {
		t.Run(name, func(t *testing.T) {
			released := make(chan struct{})
			defer close(released)
			s := serve(t, func(_ int, w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path != "/seg-1.ts" {
					return false
				}
				if read {
					_, _ = io.Copy(io.Discard, r.Body)
				}
				select {
				case <-released:
				case <-r.Context().Done():
				}
				return true
			})
			st := memory(t, 5)
			p := pushStore(t, st, Config{To: []string{s.URL}, Keep: true, Timeout: time.Second}) // the others take less
			slow := create(t, st, "cam.ts", store.Create{})
			write(t, slow, "one ")
			put(t, st, "seg-1.ts", strings.Repeat("x", 16<<20))
			put(t, st, "seg-2.ts", "y")
			s.holds(t, "/seg-2.ts", "y")
			r := p.reports(t, func(r Report) bool { return r.Failed == 1 })
			if r.Retries != 0 {
				t.Errorf("report %+v", r)
			}
			write(t, slow, "two")
			end(t, slow)
			s.holds(t, "/cam.ts", "one two")
		})
	}
}

// Some servers (GPAC) answer without saying where the answer ends, and keep the connection.
func TestAnswersWithoutEnd(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	paths := make(chan string, 10)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			defer c.Close()
			r, err := http.ReadRequest(bufio.NewReader(c))
			if err != nil {
				continue
			}
			_, _ = io.Copy(io.Discard, r.Body)
			paths <- r.URL.Path
			_, _ = io.WriteString(c, "HTTP/1.1 201 Created\r\nConnection: keep-alive\r\n\r\n")
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-ended
	})
	st := memory(t, 5)
	p := pushStore(t, st, Config{To: []string{"http://" + l.Addr().String()}, Keep: true, Timeout: -1})
	for n := range 3 {
		name := fmt.Sprintf("seg-%d.ts", n)
		put(t, st, name, "x")
		if got := next(t, paths); got != "/"+name {
			t.Errorf("%s comes", got)
		}
	}
	p.reports(t, func(r Report) bool { return r.Objects == 3 })
}

// Acceptance 50: hdrs and user_agent; the password is told to the server and to nobody else.
func TestHeaders(t *testing.T) {
	s := serve(t, func(n int, w http.ResponseWriter, _ *http.Request) bool {
		if n == 0 {
			w.WriteHeader(http.StatusBadGateway)
		}
		return n == 0
	})
	st := memory(t, 5)
	var log lines
	to := strings.Replace(s.URL, "http://", "http://user:pass%20word@", 1)
	header := http.Header{"X-A": {"one", "two"}, "Host": {"virtual.example"}, "Content-Type": nil}
	p := pushStore(t, st, Config{Name: "cdn", To: []string{to + "/?token=secret"}, Keep: true, Header: header, Agent: "test/1", Log: log.logger()})
	u := create(t, st, "data.odd", store.Create{Type: "application/odd"})
	write(t, u, "x")
	end(t, u)
	next(t, s.done)
	x := next(t, s.done)
	if x.path != "/data.odd?token=secret" || strings.Join(x.header["X-A"], " ") != "one two" || x.header.Get("User-Agent") != "test/1" ||
		x.header.Get("Authorization") != "Basic "+base64.StdEncoding.EncodeToString([]byte("user:pass word")) || x.header.Get("Content-Type") != "application/odd" {
		t.Errorf("%s %v", x.path, x.header)
	}
	r := p.reports(t, func(r Report) bool { return r.Objects == 1 })
	for _, text := range []string{log.String(), fmt.Sprint(r)} {
		if strings.Contains(text, "word") || strings.Contains(text, "secret") || !strings.Contains(text, s.URL) {
			t.Errorf("%s", text)
		}
	}
}

func TestBadConfig(t *testing.T) {
	ok := []string{"http://host/"}
	for want, c := range map[string]Config{
		"goes nowhere":               {},
		"bad URL":                    {To: []string{"http://host/", "ftp://u:secret@host/"}},
		"want one such as https://":  {To: []string{"http://u:secret@:80/"}},
		"bad name of a header":       {To: ok, Header: http.Header{"a b": {"x"}}},
		"bad value of the header A":  {To: ok, Header: http.Header{"A": {"secret\r\nB: c"}}},
		"says how an upload is sent": {To: ok, Header: http.Header{"transfer-encoding": {"x"}}},
	} {
		_, err := New(c)
		has(t, err, want)
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("%v tells a secret", err)
		}
	}
}

func TestAddress(t *testing.T) {
	for _, test := range []struct{ to, name, want string }{
		{"http://h", "a.ts", "http://h/a.ts"},
		{"http://h/", "d/a.ts", "http://h/d/a.ts"},
		{"http://h/x/?t=1", "a b?c#d%.ts", "http://h/x/a%20b%3Fc%23d%25.ts?t=1"},
		{"https://u:p@h:8443/a%2Fb", "c", "https://h:8443/a%2Fb/c"},
		{"http://h/live.ts", "", "http://h/live.ts"},
		{"http://h/ä", "ö:x", "http://h/%C3%A4/%C3%B6:x"},
	} {
		a, err := parseAddress(test.to)
		if err != nil {
			t.Fatal(err)
		}
		if got := a.of(test.name).String(); got != test.want {
			t.Errorf("%s %q: %s, want %s", test.to, test.name, got, test.want)
		}
	}
}

// FuzzAddress: whatever an object is called, it is that object which the server is asked to take.
func FuzzAddress(f *testing.F) {
	for _, name := range []string{"a.ts", "a/b c", "%2e%2e/x", "a//b?c#d", "..", "ö\x00\\"} {
		f.Add("/base%2F/", name)
		f.Add("", name)
	}
	f.Fuzz(func(t *testing.T, base, name string) {
		a, err := parseAddress("http://host" + base)
		if err != nil || name == "" {
			return
		}
		there, err := url.ParseRequestURI(a.of(name).RequestURI())
		if err != nil {
			t.Fatalf("%q: %v", name, err)
		}
		if want := strings.TrimSuffix(a.url.Path, "/") + "/" + name; there.Path != want {
			t.Errorf("%q behind %q is asked for as %q", name, base, there.Path)
		}
	})
}

func TestTrouble(t *testing.T) {
	start := time.Unix(1000, 0)
	passing, lasting := &answerError{status: 503}, &answerError{status: 403}
	for _, test := range []struct {
		name   string
		c      Config
		err    error
		step   time.Duration // from one failure to the next, without the delay
		random float64
		want   string
	}{
		{"tries", Config{Tries: 4, Timeout: -1}, passing, 0, 0, "100ms 200ms 400ms"},
		{"jitter", Config{Tries: 3, Timeout: -1}, passing, 0, 1, "125ms 250ms"},
		{"longest", Config{Tries: 10, Timeout: -1}, passing, 0, 0, "100ms 200ms 400ms 800ms 1.6s 3.2s 5s 5s 5s"},
		{"time-out", Config{Tries: 10, Timeout: time.Second}, passing, 0, 0, "100ms 200ms 400ms"},
		{"slow failures", Config{Tries: 10, Timeout: time.Second}, passing, 600 * time.Millisecond, 0, "100ms 200ms"},
		{"refused", Config{Tries: 10, Timeout: -1}, lasting, 0, 0, ""},
		{"stalled", Config{Tries: 10, Timeout: time.Hour}, fmt.Errorf("x: %w", errStalled), 0, 0, ""},
		{"one try", Config{Tries: 1, Timeout: -1}, errTest, 0, 0, ""},
	} {
		var x trouble
		var got []string
		for now := start; ; {
			delay, more := x.again(&test.c, test.err, now, test.random)
			if !more {
				break
			}
			got = append(got, delay.String())
			now = now.Add(delay + test.step)
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

// What is sent for a long time as it grows may fail now and then: that it failed long ago does not count, but each try does. Only a
// transfer that had begun is such a failure.
func TestPersistWhileItGrows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPusher(t, Config{To: []string{"http://host/"}, Tries: 5})
		for _, test := range []struct {
			err   error
			lasts time.Duration
			tries int
		}{{&broken{errTest}, time.Hour, 5}, {errTest, time.Hour, 2}, {&broken{errStalled}, time.Hour, 1}} {
			tries := 0
			err := p.servers[0].persist(t.Context(), func() error {
				tries++
				time.Sleep(test.lasts)
				return test.err
			})
			if !errors.Is(err, test.err) || tries != test.tries {
				t.Errorf("%v after %d tries, want %d", err, tries, test.tries)
			}
		}
	})
	s := serve(t, func(_ int, w http.ResponseWriter, r *http.Request) bool {
		_, _ = io.ReadFull(r.Body, make([]byte, 4))
		hangUp(w)
		return true
	})
	p := newPusher(t, Config{To: []string{s.URL, "http://" + testkit.FreePort(t)}})
	for size, want := range map[int64]bool{-1: true, 100: false} {
		open := func(context.Context) (opened, error) {
			return opened{io.NopCloser(strings.NewReader(strings.Repeat("x", 100))), "", size}, nil
		}
		if err := p.servers[0].send(t.Context(), http.MethodPut, "a", open); err == nil || errors.Is(err, errBroken) != want {
			t.Errorf("a body of %d bytes: %v", size, err)
		}
		if err := p.servers[1].send(t.Context(), http.MethodPut, "a", open); err == nil || errors.Is(err, errBroken) {
			t.Errorf("nobody is there: %v", err)
		}
	}
}

// A failure is waited out as trouble says, and ctx ends the wait.
func TestPersist(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPusher(t, Config{To: []string{"http://host/"}, Tries: 5})
		began, tries := time.Now(), 0
		err := p.servers[0].persist(t.Context(), func() error { tries++; return errTest })
		waited := time.Since(began)
		if !errors.Is(err, errTest) || tries != 5 || waited < 1500*time.Millisecond || waited > 1875*time.Millisecond {
			t.Errorf("%v after %d tries and %v", err, tries, waited)
		}
		tries = 0
		if err := p.servers[0].persist(t.Context(), func() error { tries++; return fmt.Errorf("%w: %w", errOurs, object.ErrAborted) }); err == nil || tries != 1 {
			t.Errorf("%v after %d tries", err, tries)
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(50*time.Millisecond, cancel)
		if err := p.servers[0].persist(ctx, func() error { return errTest }); !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
	})
}
