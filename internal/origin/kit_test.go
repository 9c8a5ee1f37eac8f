package origin

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"sluice/internal/live"
	"sluice/internal/store"
	"sluice/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// running is an origin that runs until the test is over.
type running struct {
	*Origin
	t     *testing.T
	addr  string
	local string // path of the socket of gws
	stop  context.CancelFunc
	kill  context.CancelFunc
	ended chan error // closed when Run has returned

	mu    sync.Mutex // guards the following
	lines []string   // of the request log
	told  []string   // of the log
}

// start runs an origin with a plain door on loopback, one for gws, and one for engines. more are further doors.
func start(t *testing.T, c Config, channels live.Channels, more ...Door) *running {
	t.Helper()
	r := &running{t: t, local: filepath.Join(t.TempDir(), "gws"), ended: make(chan error, 1)}
	door, gws, engines := listen(t, "tcp", "127.0.0.1:0"), listen(t, "unix", r.local), listen(t, "unix", filepath.Join(t.TempDir(), "engines"))
	r.addr = door.Addr().String()
	var err error
	r.Origin, err = New(c, Options{
		Doors: append([]Door{{Listener: door}, {Listener: gws, Local: true}}, more...), Uploads: Door{Listener: engines}, Channels: channels,
		Log: slog.New(slog.NewTextHandler(testLog{r}, &slog.HandlerOptions{Level: slog.LevelDebug})), Requests: r.line, Version: "1.2",
	})
	if err != nil {
		t.Fatal(err)
	}
	stop, cancelStop := context.WithCancel(context.Background())
	kill, cancelKill := context.WithCancel(context.Background())
	r.stop, r.kill = cancelStop, cancelKill
	go func() {
		r.ended <- r.Run(stop, kill)
		close(r.ended)
	}()
	t.Cleanup(func() {
		r.stop()
		r.kill()
		if err := <-r.ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return r
}

func listen(t *testing.T, network, at string) net.Listener {
	t.Helper()
	l, err := net.Listen(network, at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

type testLog struct{ r *running }

func (l testLog) Write(p []byte) (int, error) {
	l.r.t.Logf("%s", p)
	l.r.mu.Lock()
	defer l.r.mu.Unlock()
	l.r.told = append(l.r.told, string(p))
	return len(p), nil
}

func (r *running) line(s string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, s)
}

func (r *running) logged() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.lines, "\n")
}

// log is the log so far.
func (r *running) log() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.told, "")
}

// dir is a directory with files; a name that ends with a slash is an empty directory.
func dir(t *testing.T, files map[string]string) string {
	t.Helper()
	at := t.TempDir()
	for name, content := range files {
		file := filepath.Join(at, filepath.FromSlash(name))
		err := os.MkdirAll(filepath.Dir(file), 0o700)
		if strings.HasSuffix(name, "/") {
			err = os.MkdirAll(file, 0o700)
		} else if err == nil {
			err = os.WriteFile(file, []byte(content), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return at
}

// mountOf is a directory as a Mount.
func mountOf(t *testing.T, name, at string) Mount {
	t.Helper()
	st, err := store.NewDir(store.DirConfig{Path: at, Writable: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	return Mount{Name: name, Dir: at, Store: st}
}

// memory is a store in memory as a Mount.
func memory(t *testing.T) Mount {
	st := store.NewMemory(store.MemoryConfig{})
	t.Cleanup(func() { st.Close() })
	return Mount{Store: st}
}

// put stores an object.
func put(t *testing.T, st store.Store, name, content string) {
	t.Helper()
	u := begin(t, st, name)
	io.WriteString(u, content)
	if _, err := u.End(); err != nil {
		t.Fatal(err)
	}
}

// begin begins an upload.
func begin(t *testing.T, st store.Store, name string) store.Upload {
	t.Helper()
	u, err := st.Create(name, store.Create{Size: -1, Hidden: store.Manifest(name)})
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// client is a connection to an origin on which each byte is ours.
type client struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

func (r *running) dial() *client { return dial(r.t, "tcp", r.addr) }

func dial(t *testing.T, network, at string) *client {
	t.Helper()
	c, err := net.Dial(network, at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &client{t, c, bufio.NewReader(c)}
}

// say sends a request: its first line without the version, and lines of its header.
func (c *client) say(first string, header ...string) *client {
	c.t.Helper()
	_, err := io.WriteString(c, first+" HTTP/1.1\r\nHost: h\r\n"+strings.Join(append(header, ""), "\r\n")+"\r\n")
	if err != nil {
		c.t.Fatal(err)
	}
	return c
}

// hear reads the head of an answer to a request of that method.
func (c *client) hear(method string) *http.Response {
	c.t.Helper()
	res, err := http.ReadResponse(c.r, &http.Request{Method: method})
	if err != nil {
		c.t.Fatal(err)
	}
	return res
}

// ask sends a request and reads the whole answer.
func (c *client) ask(first string, header ...string) (*http.Response, string) {
	c.t.Helper()
	method, _, _ := strings.Cut(first, " ")
	res := c.say(first, header...).hear(method)
	body, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatalf("%s: %v", first, err)
	}
	return res, string(body)
}

// ask is one request on a connection of its own.
func (r *running) ask(first string, header ...string) (*http.Response, string) {
	r.t.Helper()
	c := r.dial()
	defer c.Close()
	return c.ask(first, header...)
}

// upload sends a body with its length.
func (r *running) upload(first, body string, header ...string) *http.Response {
	r.t.Helper()
	c := r.dial()
	defer c.Close()
	c.say(first, append(header, fmt.Sprintf("Content-Length: %d", len(body)))...)
	io.WriteString(c, body)
	res := c.hear("PUT")
	res.Body.Close()
	return res
}

// closed waits for the end of a connection; what comes before is returned.
func (c *client) closed() string {
	c.t.Helper()
	rest, err := io.ReadAll(c.r)
	if err != nil && !errors.Is(err, net.ErrClosed) && !isReset(err) {
		c.t.Fatal(err)
	}
	return string(rest)
}

func isReset(err error) bool { return strings.Contains(err.Error(), "reset") }

// eventually waits for a fact.
func eventually(t *testing.T, want string, got func() string) {
	t.Helper()
	testkit.Eventually(t, func() error {
		if is := got(); is != want {
			return fmt.Errorf("%q, want %q", is, want)
		}
		return nil
	})
}
