package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"sluice/internal/logs"
	"sluice/internal/testkit"
)

// hookServer answers with the status that the source names: …?404.
type hookServer struct {
	*httptest.Server
	mu     sync.Mutex
	bodies []string
	conns  int
}

func newHookServer(t *testing.T) *hookServer {
	s := &hookServer{}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Method != http.MethodPost || r.URL.String() != "/may?key=hidden" || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %s %v: %v", r.Method, r.URL, r.Header, err)
		}
		s.mu.Lock()
		s.bodies = append(s.bodies, string(body))
		s.mu.Unlock()
		code := http.StatusOK
		if _, query, found := strings.Cut(string(body), "?"); found {
			fmt.Sscan(query, &code)
		}
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(code)
		io.WriteString(w, strings.Repeat("x", 1000)) // of no interest
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.mu.Lock()
			s.conns++
			s.mu.Unlock()
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	return s
}

// seen is what came until now.
func (s *hookServer) seen() (conns int, bodies []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conns, slices.Clone(s.bodies)
}

func TestHook(t *testing.T) {
	testkit.NoLeaks(t)
	s := newHookServer(t)
	g := guard(t, Config{Hook: s.URL + "/may?key=hidden"})
	for status, code := range map[int]int{
		200: ok, 201: ok, 204: ok, 299: ok, 401: unauthorized, 403: denied,
		300: timeout, 302: timeout, 307: timeout, 400: timeout, 402: timeout, 404: timeout, 500: timeout, 503: timeout,
	} {
		g.want(code, question(fmt.Sprintf("udp://239.1.1.1:5000?%d", status)))
	}
	if conns, _ := s.seen(); conns != 1 {
		t.Errorf("%d connections, want one that is used again", conns)
	}
	g.logged("level=WARN", "authorization hook does not answer", "want 2xx, 401 or 403")
	if st := g.Stats(); st.Asked != 14 || st.Denied != 2 || st.TimedOut != 8 || st.Cached != 0 {
		t.Errorf("%+v", st)
	}
	g.want(unauthorized, question("udp://239.1.1.1:5000?401")) // as it was
	g.want(denied, question("udp://239.1.1.1:5000?403"))
	g.want(timeout, question("udp://239.1.1.1:5000?500")) // is asked again
	if _, bodies := s.seen(); g.Stats().Cached != 2 || len(bodies) != 15 {
		t.Errorf("%+v, %d requests", g.Stats(), len(bodies))
	}
	g.stop()
	if text := g.log.String(); strings.Contains(text, "hidden") || strings.Contains(text, s.URL) {
		t.Errorf("the log tells the URL of the hook:\n%s", text)
	}
}

func TestHookQuestion(t *testing.T) {
	s := newHookServer(t)
	g := guard(t, Config{Hook: s.URL + "/may?key=hidden"})
	q := question("$news?x=<\"&>")
	q.Destination, q.Listener = "tcp://10.0.0.1:7000", "bb1"
	g.want(ok, q)
	q = question("udp://239.1.1.1:5000")
	q.Peer = netip.MustParseAddrPort("[2001:db8::7]:50905")
	g.want(ok, q)
	want := `{"peer":"192.0.2.7:50905","source":"$news?x=<\"&>","destination":"tcp://10.0.0.1:7000","listener":"bb1","channel":"news"}` + "\n" +
		`{"peer":"[2001:db8::7]:50905","source":"udp://239.1.1.1:5000","destination":"","listener":""}` + "\n"
	_, bodies := s.seen()
	same(t, strings.Join(bodies, ""), want)
}

// TestHookDown: nobody is let in by a hook that cannot be asked, and its secrets stay
// where they are.
func TestHookDown(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	trusted := httptest.NewUnstartedServer(http.NotFoundHandler()) // its certificate is nobody's
	trusted.Config.ErrorLog = log.New(io.Discard, "", 0)
	trusted.StartTLS()
	defer trusted.Close()
	for _, address := range []string{"http://user:secret@" + l.Addr().String() + "/secret?secret", trusted.URL} {
		g := guard(t, Config{Hook: address})
		g.want(timeout, question("$news"))
		g.logged("authorization hook does not answer", "error=")
		if strings.Contains(g.log.String(), "secret") {
			t.Errorf("the log has a secret:\n%s", g.log)
		}
	}
}

// TestSilentHook: ten at once, the others wait, and all are told in time.
func TestSilentHook(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var conns []net.Conn
	accepted := make(chan int)
	go func() {
		defer close(accepted)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns = append(conns, c)
			accepted <- len(conns)
		}
	}()
	g := guard(t, Config{Hook: "http://" + l.Addr().String(), Timeout: short})
	const clients = 3 * hookConnections
	codes := make(chan int, clients)
	for i := range clients {
		go func() { codes <- g.Ask(context.Background(), question(fmt.Sprint(i))).Code }()
	}
	for range clients {
		for answered := false; !answered; {
			select {
			case n := <-accepted:
				if n > hookConnections && g.Stats().TimedOut == 0 {
					t.Errorf("%d connections at once", n)
				}
			case code := <-codes:
				answered = true
				if code != timeout {
					t.Errorf("code %d", code)
				}
			}
		}
	}
	l.Close()
	for range accepted {
	}
	for _, c := range conns {
		c.Close()
	}
	g.logged("authorization hook does not answer", "deadline exceeded")
}

// TestHookClientGone: that is no failure of the hook.
func TestHookClientGone(t *testing.T) {
	asked, end := make(chan struct{}), make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { close(asked); <-end }))
	defer s.Close()
	defer close(end)
	g := guard(t, Config{Hook: s.URL})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-asked; cancel() }()
	if a := g.Ask(ctx, question("$news")); a != gone() {
		t.Errorf("%+v", a)
	}
	if g.log.String() != "" {
		t.Errorf("log: %s", g.log)
	}
}

// TestEndDuringHook: who is with the hook when the guard is to end is still let in by a helper.
func TestEndDuringHook(t *testing.T) {
	asked, answer := make(chan struct{}), make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { close(asked); <-answer }))
	defer s.Close()
	g := guard(t, Config{Hook: s.URL, Helper: sh(t.TempDir(), obedient), Helpers: 1})
	got := g.later(question("yes"))
	<-asked
	ended := make(chan struct{})
	go func() { defer close(ended); g.stop() }()
	testkit.Eventually(t, func() error {
		p := g.helpers
		p.mu.Lock()
		defer p.mu.Unlock()
		select {
		case <-p.ended:
		default:
			if p.idle == nil {
				return errors.New("it is not ending")
			}
		}
		return nil
	})
	close(answer)
	if a := <-got; a.Code != 0 {
		t.Errorf("%+v", a)
	}
	<-ended
}

// TestAllAgree: in the order of the package comment, each only if those before let in.
func TestAllAgree(t *testing.T) {
	s := newHookServer(t)
	dir := t.TempDir()
	out := &transcript{}
	c := Config{
		Tokens: []Token{{"bob", "sesame"}}, Hook: s.URL + "/may?key=hidden",
		Helper: sh(dir, obedient), Helpers: 1,
	}
	g := guard(t, c)
	for source, want := range map[string]Answer{
		"a?200&yes":                  {Code: unauthorized, Reason: "no token"},
		"b?200&yes&token=no":         refused("unknown token"),
		"c?403&yes&token=sesame":     {Code: denied, Reason: "denied by the hook", User: "bob"},
		"d?500&yes&token=sesame":     {Code: timeout, Reason: "the hook did not answer", User: "bob"},
		"e?200&no&token=sesame":      {Code: denied, Reason: "denied by a helper", User: "bob"},
		"f?200&yes&token=sesame&x=y": {User: "bob"},
	} {
		if a := g.Ask(t.Context(), question(source)); a != want {
			t.Errorf("%s: %+v, want %+v", source, a, want)
		}
	}
	if _, bodies := s.seen(); len(bodies) != 4 || strings.Count(read(dir, "asked"), "\n") != 2 {
		t.Errorf("hook: %q\nhelper: %s", bodies, read(dir, "asked"))
	}
	g.stop()

	// The Guard of another Config, which is never run, answers what it can.
	c.Helper = nil
	still, err := New(c, logs.New(out, "gws", slog.LevelInfo))
	if err != nil {
		t.Fatal(err)
	}
	if a := still.Ask(t.Context(), question("f?200&token=sesame")); a != (Answer{User: "bob"}) {
		t.Errorf("%+v", a)
	}
	still.hook.close()
}
