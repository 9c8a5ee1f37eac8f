package live

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"sluice/internal/receive"
	"sluice/internal/testkit"
)

// house is an origin of uploads that are channels: its front, which takes them, and the socket of the engines.
type house struct {
	*Uploads
	front  *httptest.Server
	engine *http.Client // speaks to the socket
	log    *diary
}

func newHouse(t *testing.T, stall time.Duration) *house {
	h := &house{log: new(diary)}
	h.Uploads = NewUploads(receive.New(receive.Options{Stall: testkit.Patience}), stall, h.log.log())
	h.front = serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = h.Put(w, r, r.URL.Path[1:]) }))
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	back := httptest.NewUnstartedServer(h)
	_ = back.Listener.Close()
	back.Listener = l
	back.Config.ErrorLog = h.front.Config.ErrorLog
	back.Start()
	t.Cleanup(func() {
		back.CloseClientConnections()
		back.Close()
	})
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(context.Context, string, string) (net.Conn, error) {
		return net.Dial("unix", l.Addr().String())
	}}
	h.engine = &http.Client{Transport: transport}
	return h
}

// waiting waits until so many engines watch, or wait for, a name.
func (h *house) waiting(t *testing.T, name string, want int) {
	t.Helper()
	testkit.Eventually(t, func() error {
		h.mu.Lock()
		defer h.mu.Unlock()
		n := 0
		if f := h.feeds[name]; f != nil {
			n = len(f.watchers)
		}
		if n != want {
			return fmt.Errorf("%d watch, want %d", n, want)
		}
		return nil
	})
}

// running waits until there are so many uploads.
func (h *house) running(t *testing.T, want int) {
	t.Helper()
	testkit.Eventually(t, func() error {
		if n := len(h.List()); n != want {
			return fmt.Errorf("%d uploads, want %d", n, want)
		}
		return nil
	})
}

// watch asks for an upload as an engine; the answer comes when there is one.
func (h *house) watch(t *testing.T, name string) <-chan *http.Response {
	answers := make(chan *http.Response, 1)
	go func() {
		if answer, err := h.engine.Get("http://origin/" + name); err == nil {
			t.Cleanup(func() { answer.Body.Close() })
			answers <- answer
		}
	}()
	return answers
}

// upload begins one; what is written to it is its body. The answer comes at its end.
func (h *house) upload(t *testing.T, c *http.Client, name string) (*io.PipeWriter, <-chan *http.Response) {
	r, w := io.Pipe()
	t.Cleanup(func() { w.CloseWithError(errStorm) })
	request, err := http.NewRequest(http.MethodPut, h.front.URL+"/"+name, r)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "video/mp2t")
	answers := make(chan *http.Response, 1)
	go func() {
		if answer, err := c.Do(request); err == nil {
			t.Cleanup(func() { answer.Body.Close() })
			answers <- answer
		}
	}()
	return w, answers
}

func put(t *testing.T, w io.Writer, b []byte) {
	t.Helper()
	if _, err := w.Write(b); err != nil {
		t.Errorf("the upload is not taken: %v", err)
	}
}

// TestUpload is acceptance 42: an upload is a channel for who waits for it; it has an end in order, and is answered then.
func TestUpload(t *testing.T) {
	testkit.NoLeaks(t)
	for proto, c := range clients(t) {
		t.Run(proto, func(t *testing.T) {
			h := newHouse(t, testkit.Patience)
			answers := []<-chan *http.Response{h.watch(t, "live/cam%201.ts"), h.watch(t, "live/cam%201.ts")}
			h.waiting(t, "live/cam 1.ts", 2)
			w, done := h.upload(t, c, "live/cam%201.ts")
			body := random(300_000)
			put(t, w, body[:1000])
			var engines []*http.Response
			for _, a := range answers {
				e := await(t, a)
				if e.StatusCode != 200 || e.Header.Get("Content-Type") != "video/mp2t" || e.ContentLength != -1 {
					t.Errorf("%d %v", e.StatusCode, e.Header)
				}
				read(t, e.Body, body[:1000])
				engines = append(engines, e)
			}
			go func() {
				put(t, w, body[1000:])
				w.Close()
			}()
			rest := make(chan error)
			for _, e := range engines {
				go func() {
					got, err := io.ReadAll(e.Body)
					if err == nil && !bytes.Equal(got, body[1000:]) {
						err = fmt.Errorf("%d other bytes", len(got))
					}
					rest <- err
				}()
			}
			for range engines {
				if err := await(t, rest); err != nil {
					t.Error(err)
				}
			}
			answer := await(t, done)
			if answer.StatusCode != 201 || answer.Header.Get("Content-Location") != "/live/cam%201.ts" || answer.ContentLength != 0 {
				t.Errorf("%d %v %d", answer.StatusCode, answer.Header, answer.ContentLength)
			}
			h.running(t, 0)
			h.waiting(t, "live/cam 1.ts", 0)
		})
	}
}

// TestShortUpload: who waits for an upload gets all of it, however short it is.
func TestShortUpload(t *testing.T) {
	testkit.NoLeaks(t)
	h := newHouse(t, testkit.Patience)
	for _, body := range []string{"", "x", "a few words"} {
		answers := h.watch(t, "a")
		h.waiting(t, "a", 1)
		conn := dial(t, h.front, fmt.Sprintf("POST /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
		if got, err := io.ReadAll(await(t, answers).Body); string(got) != body || err != nil {
			t.Errorf("%q %v, want %q", got, err, body)
		}
		if answer, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || answer.StatusCode != 201 {
			t.Errorf("%v %v", answer, err)
		}
		h.waiting(t, "a", 0)
	}
}

// TestYoungUpload: the first who watches has the upload from its first byte, if not too much has come; the next one from now on.
func TestYoungUpload(t *testing.T) {
	testkit.NoLeaks(t)
	for _, c := range []struct {
		name string
		size int
		kept bool
	}{{"young", 10_000, true}, {"at its bound", maxFirst, true}, {"grown up", maxFirst + 1, false}} {
		t.Run(c.name, func(t *testing.T) {
			h := newHouse(t, testkit.Patience)
			w, _ := h.upload(t, client1(t), "a")
			first, second, third := random(c.size), random(5000), random(5000)
			put(t, w, first)
			h.taken(t, "a", c.size)
			engine := await(t, h.watch(t, "a"))
			if c.kept {
				read(t, engine.Body, first)
			}
			put(t, w, second)
			read(t, engine.Body, second)
			late := await(t, h.watch(t, "a"))
			put(t, w, third)
			read(t, engine.Body, third)
			read(t, late.Body, third)
			w.Close()
		})
	}
}

// taken waits until an upload has come so far, with nobody who watches it.
func (h *house) taken(t *testing.T, name string, size int) {
	t.Helper()
	testkit.Eventually(t, func() error {
		h.mu.Lock()
		defer h.mu.Unlock()
		f := h.feeds[name]
		if f == nil || len(f.first) != size && (f.whole || size <= maxFirst) {
			return fmt.Errorf("not %d bytes yet", size)
		}
		return nil
	})
}

// TestUnwatched: nobody has to watch; nothing is kept of a long upload.
func TestUnwatched(t *testing.T) {
	testkit.NoLeaks(t)
	h := newHouse(t, testkit.Patience)
	w, done := h.upload(t, client1(t), "a")
	for range 100 {
		put(t, w, make([]byte, 100_000))
	}
	h.mu.Lock()
	if f := h.feeds["a"]; f == nil || f.whole || len(f.first) > 0 {
		t.Errorf("%+v", f)
	}
	h.mu.Unlock()
	w.Close()
	if answer := await(t, done); answer.StatusCode != 201 {
		t.Errorf("%d", answer.StatusCode)
	}
}

// TestLostUpload: one that breaks off breaks the answers to those that watch it; the name is free then.
func TestLostUpload(t *testing.T) {
	testkit.NoLeaks(t)
	for _, how := range []string{"the connection ends", "a chunk is none"} {
		t.Run(how, func(t *testing.T) {
			h := newHouse(t, testkit.Patience)
			answers := h.watch(t, "a")
			h.waiting(t, "a", 1)
			conn := dial(t, h.front, "PUT /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nso far\r\n")
			engine := await(t, answers)
			read(t, engine.Body, []byte("so far"))
			if how == "the connection ends" {
				conn.Close()
			} else if _, err := io.WriteString(conn, "no chunk\r\n"); err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(engine.Body); err == nil || len(got) > 0 {
				t.Errorf("%q %v: it looks whole", got, err)
			}
			h.running(t, 0)
			w, done := h.upload(t, client1(t), "a")
			put(t, w, []byte("x"))
			w.Close()
			if answer := await(t, done); answer.StatusCode != 201 {
				t.Errorf("then %d", answer.StatusCode)
			}
		})
	}
}

// TestRefusedUpload is the rest of acceptance 42: what an upload that is a channel cannot be.
func TestRefusedUpload(t *testing.T) {
	testkit.NoLeaks(t)
	h := newHouse(t, testkit.Patience)
	w, done := h.upload(t, client1(t), "busy")
	put(t, w, []byte("x"))
	h.running(t, 1)
	for _, c := range []struct {
		name, request string
		want          int
	}{
		{"a range", "PUT /a HTTP/1.1\r\nHost: h\r\nRange: bytes=0-3\r\nContent-Length: 4\r\n\r\nabcd", 416},
		{"a range in the answer's spelling", "PUT /a HTTP/1.1\r\nHost: h\r\nContent-Range: bytes 0-3/8\r\nContent-Length: 4\r\n\r\nabcd", 400},
		{"the second of its name", "PUT /busy HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n", 409},
		{"no length", "PUT /a HTTP/1.1\r\nHost: h\r\n\r\n", 411},
	} {
		t.Run(c.name, func(t *testing.T) {
			answer, err := http.ReadResponse(bufio.NewReader(dial(t, h.front, c.request)), nil)
			if err != nil || answer.StatusCode != c.want || answer.ContentLength < 0 {
				t.Errorf("%v %v, want %d", answer, err, c.want)
			}
		})
	}
	h.running(t, 1)
	w.Close()
	if answer := await(t, done); answer.StatusCode != 201 {
		t.Errorf("the first one: %d", answer.StatusCode)
	}
	request, err := http.NewRequest(http.MethodPut, "http://origin/a", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := h.engine.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != 405 {
		t.Errorf("PUT at the socket of engines: %d", answer.StatusCode)
	}
}

// TestSlowEngine: it holds the upload for a while, and is dropped; the upload and another engine go on.
func TestSlowEngine(t *testing.T) {
	testkit.NoLeaks(t)
	h := newHouse(t, 2*time.Second) // the good one may rest for less
	slow, good := h.watch(t, "a"), h.watch(t, "a")
	h.waiting(t, "a", 2)
	w, done := h.upload(t, client1(t), "a")
	body := random(4 << 20) // more than sockets hold
	go func() {
		put(t, w, body)
		w.Close()
	}()
	read(t, await(t, good).Body, body)
	if answer := await(t, done); answer.StatusCode != 201 {
		t.Errorf("%d", answer.StatusCode)
	}
	h.log.await(t, "it took nothing for 2s")
	if n, err := io.Copy(io.Discard, await(t, slow).Body); err == nil {
		t.Errorf("the slow one got %d bytes, and takes them for all", n)
	}
}

// TestEngineLeaves: one that waited, and one that watched.
func TestEngineLeaves(t *testing.T) {
	testkit.NoLeaks(t)
	h := newHouse(t, testkit.Patience)
	ctx, cancel := context.WithCancel(context.Background())
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://origin/never", nil)
	if err != nil {
		t.Fatal(err)
	}
	gone := make(chan error)
	go func() {
		_, err := h.engine.Do(request)
		gone <- err
	}()
	h.waiting(t, "never", 1)
	cancel()
	if err := await(t, gone); err == nil {
		t.Error("an answer")
	}
	h.waiting(t, "never", 0)

	answers := h.watch(t, "a")
	h.waiting(t, "a", 1)
	w, done := h.upload(t, client1(t), "a")
	put(t, w, []byte("x"))
	await(t, answers).Body.Close()
	h.waiting(t, "a", 0)
	put(t, w, random(1000))
	w.Close()
	if answer := await(t, done); answer.StatusCode != 201 {
		t.Errorf("%d", answer.StatusCode)
	}
}
