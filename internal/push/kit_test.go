package push

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sluice/internal/store"
	"sluice/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// seen is a request as the other side has seen it.
type seen struct {
	method, path string
	header       http.Header
	chunked      bool
	length       int64
	from         string // the connection
	proto        int
	body         []byte
	broken       error // of the body
	status       int
}

// site is the other side: a server that takes all, or does what it is told.
type site struct {
	*httptest.Server
	begun chan *seen // each request when it begins
	done  chan *seen // and when it is over

	mu      sync.Mutex // guards what is below
	act     func(n int, w http.ResponseWriter, r *http.Request) bool
	count   int
	objects map[string][]byte
}

// serve starts a server. act, if there is one, is asked first about each request; true says that it has answered.
func serve(t *testing.T, act func(n int, w http.ResponseWriter, r *http.Request) bool) *site {
	t.Helper()
	s := newSite(act)
	s.Start()
	t.Cleanup(s.Close)
	return s
}

func newSite(act func(n int, w http.ResponseWriter, r *http.Request) bool) *site {
	s := &site{begun: make(chan *seen, 1<<14), done: make(chan *seen, 1<<14), act: act, objects: map[string][]byte{}}
	s.Server = httptest.NewUnstartedServer(s)
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	return s
}

// ServeHTTP implements http.Handler.
func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &seen{
		method: r.Method, path: r.URL.EscapedPath(), header: r.Header, chunked: slices.Contains(r.TransferEncoding, "chunked"),
		length: r.ContentLength, from: r.RemoteAddr, proto: r.ProtoMajor, status: http.StatusCreated,
	}
	if r.URL.RawQuery != "" {
		x.path += "?" + r.URL.RawQuery
	}
	s.mu.Lock()
	n := s.count
	s.count++
	s.mu.Unlock()
	s.begun <- x
	defer func() { s.done <- x }()
	if s.act != nil && s.act(n, w, r) {
		x.status = 0
		return
	}
	x.body, x.broken = io.ReadAll(r.Body)
	if x.broken != nil {
		panic(http.ErrAbortHandler)
	}
	s.keep(x)
	w.WriteHeader(x.status)
}

// answerAtOnce has net/http answer before it has read what comes: it does so only where the connection ends with the answer.
func answerAtOnce(w http.ResponseWriter) { w.Header().Set("Connection", "close") }

// hangUp closes the connection.
func hangUp(w http.ResponseWriter) {
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	c.Close()
}

// keep does what a request asks for.
func (s *site) keep(x *seen) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if x.method == http.MethodDelete {
		delete(s.objects, x.path)
		return
	}
	s.objects[x.path] = x.body
}

// holds waits until the server has the object with these bytes.
func (s *site) holds(t *testing.T, path, want string) {
	t.Helper()
	testkit.Eventually(t, func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if got, ok := s.objects[path]; !ok || string(got) != want {
			return fmt.Errorf("%s is %.100q (there: %v), want %.100q", path, got, ok, want)
		}
		return nil
	})
}

// names are what the server has.
func (s *site) names() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []string
	for name := range s.objects {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}

// next waits for what c brings.
func next[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case x := <-c:
		return x
	case <-time.After(testkit.Patience):
		t.Fatal("nothing comes")
		panic("unreachable")
	}
}

// after waits for the end of a request of that method and path, and forgets those before.
func after(t *testing.T, c <-chan *seen, method, path string) *seen {
	t.Helper()
	for {
		if x := next(t, c); x.method == method && x.path == path {
			return x
		}
	}
}

// memory is a store.
func memory(t *testing.T, keep int) store.Store {
	t.Helper()
	st := store.NewMemory(store.MemoryConfig{Retention: store.Retention{Segments: keep}})
	t.Cleanup(func() { _ = st.Close() })
	return st
}

// pushing is a push that is under way.
type pushing struct {
	*Pusher
	stop func()
	err  chan error
}

func newPusher(t *testing.T, c Config) *Pusher {
	t.Helper()
	p, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// start runs a push until the test is over.
func start(t *testing.T, p *Pusher, run func(context.Context) error) *pushing {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	x := &pushing{Pusher: p, stop: cancel, err: make(chan error, 1)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		x.err <- run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return x
}

// pushStore pushes a store. It returns when the push watches it.
func pushStore(t *testing.T, st store.Store, c Config) *pushing {
	t.Helper()
	w := &watchedStore{Store: st, watching: make(chan struct{})}
	p := newPusher(t, c)
	x := start(t, p, func(ctx context.Context) error { return p.Objects(ctx, w) })
	next(t, w.watching)
	return x
}

// watchedStore tells when somebody watches.
type watchedStore struct {
	store.Store
	watching chan struct{}
}

func (w *watchedStore) Watch(f func(store.Event)) func() {
	defer close(w.watching)
	return w.Store.Watch(f)
}

// create begins an upload.
func create(t *testing.T, st store.Store, name string, c store.Create) store.Upload {
	t.Helper()
	c.Size = -1
	u, err := st.Create(name, c)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func write(t *testing.T, w io.Writer, text string) {
	t.Helper()
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
}

func end(t *testing.T, u store.Upload) {
	t.Helper()
	if _, err := u.End(); err != nil {
		t.Fatal(err)
	}
}

// put uploads an object into a store.
func put(t *testing.T, st store.Store, name, text string) {
	t.Helper()
	u := create(t, st, name, store.Create{Hidden: store.Manifest(name)})
	write(t, u, text)
	end(t, u)
}

// reports waits until what the push has done of the first server is as f wants it.
func (p *pushing) reports(t *testing.T, f func(Report) bool) Report {
	t.Helper()
	var r Report
	testkit.Eventually(t, func() error {
		if r = p.Report()[0]; !f(r) {
			return fmt.Errorf("report %+v", r)
		}
		return nil
	})
	return r
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// lines is a log that is looked at.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *lines) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// has fails when an error does not say something.
func has(t *testing.T, err error, want ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", want)
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q does not say %q", err, w)
		}
	}
}

var errTest = errors.New("of the test")
