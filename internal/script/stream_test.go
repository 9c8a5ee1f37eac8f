package script

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Fault U19: throttle counts milliseconds, everywhere.
func TestThrottleCountsMilliseconds(t *testing.T) {
	text := `httpout.on_request = function(req) {
		req.throttle = function(done, total) { console.log(done, total); return done == 0 ? 0 : 250; };
		req.send();
	};`
	body := strings.Repeat("x", 3*pieceSize+1)
	for name, send := range map[string]func(w http.ResponseWriter) (int64, error){
		"Write":    func(w http.ResponseWriter) (int64, error) { n, err := io.WriteString(w, body); return int64(n), err },
		"ReadFrom": func(w http.ResponseWriter) (int64, error) { return io.Copy(w, onlyReader{strings.NewReader(body)}) },
		"CopyN": func(w http.ResponseWriter) (int64, error) {
			return io.CopyN(w, onlyReader{strings.NewReader(body + "more")}, int64(len(body)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h, lines := load(t, text, Config{Workers: 1, Limit: time.Hour, Park: time.Hour})
				x, err := ask(t, h, "/")
				if err != nil || !x.Answer.Throttle {
					t.Fatal(err)
				}
				began := time.Now()
				w := httptest.NewRecorder()
				n, err := send(x.Writer(w, int64(len(body))))
				if err != nil || n != int64(len(body)) || w.Body.String() != body {
					t.Errorf("%d bytes, %v", n, err)
				}
				if took := time.Since(began); took != 750*time.Millisecond {
					t.Errorf("it took %v", took)
				}
				for i := range 4 {
					if got, want := lines.next(t), fmt.Sprint(i*pieceSize, len(body)); got != want {
						t.Errorf("throttle(%s), want %s", got, want)
					}
				}
				h.Close()
			})
		})
	}
}

type onlyReader struct{ io.Reader }

func TestThrottleEndsWithTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, _ := load(t, `httpout.on_request = function(req) { req.throttle = function() { return 1e9; }; req.send(); };`, Config{Workers: 1})
		ctx, gone := context.WithTimeout(t.Context(), 5*time.Second)
		defer gone()
		x, err := h.Ask(ctx, Request{HTTP: httptest.NewRequestWithContext(ctx, "GET", "/", nil)})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if n, err := x.Writer(httptest.NewRecorder(), 10).Write([]byte("xx")); n != 0 || status(err) != statusGone || time.Since(began) != 5*time.Second {
			t.Errorf("%d %v after %v", n, err, time.Since(began))
		}
		h.Close()
	})
}

// reading is a ResponseWriter that remembers what it was told to read from.
type reading struct {
	http.ResponseWriter
	from []io.Reader
}

func (r *reading) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func (r *reading) ReadFrom(src io.Reader) (int64, error) {
	r.from = append(r.from, src.(*io.LimitedReader).R)
	return io.Copy(r.ResponseWriter, src)
}

// A file goes out piece by piece, each of which net/http can give to sendfile; a ResponseController sees through the Writer.
func TestWriterKeepsSendfile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, make([]byte, 5*pieceSize), 0o600); err != nil {
		t.Fatal(err)
	}
	h, _ := load(t, `httpout.on_request = function(req) { req.throttle = function() { return 0; }; req.send(); };`, Config{})
	x, err := ask(t, h, "/")
	if err != nil {
		t.Fatal(err)
	}
	defer x.End(0)
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	recorder := httptest.NewRecorder()
	below := &reading{ResponseWriter: recorder}
	w := x.Writer(below, 5*pieceSize)
	http.ServeContent(w, httptest.NewRequest("GET", "/", nil), "f.bin", time.Time{}, f)
	for _, from := range below.from {
		if from != f {
			t.Errorf("a piece is read from a %T", from)
		}
	}
	if len(below.from) != 5 || recorder.Body.Len() != 5*pieceSize {
		t.Errorf("%d pieces, %d bytes", len(below.from), recorder.Body.Len())
	}
	if err := http.NewResponseController(w).Flush(); err != nil || !recorder.Flushed {
		t.Error("it cannot be flushed", err)
	}
}

func TestReadThatNeverComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, _ := load(t, `httpout.on_request = function(req) {
			var n = 0;
			req.reply = 200;
			req.read = function(b) { return req.url == "/one" && n++ == 0 ? 1 : -1; };
			req.send();
		};`, Config{Workers: 1, Park: time.Second})
		for _, url := range []string{"/none", "/one"} {
			x, err := ask(t, h, url)
			if err != nil {
				t.Fatal(err)
			}
			w := httptest.NewRecorder()
			began := time.Now()
			err = x.Serve(w, x.asked.HTTP)
			if took := time.Since(began); err == nil || took < time.Second || took > 2*time.Second {
				t.Errorf("%s: %v after %v", url, err, took)
			}
			if status(err) != 0 { // the head was flushed while the client waited
				t.Errorf("%s: %v can be answered", url, err)
			}
			x.End(-1)
		}
		h.Close()
	})
}

func TestStreamsThatLie(t *testing.T) {
	h, _ := load(t, `httpout.on_request = function(req) {
		var n = 0;
		req.reply = 200;
		switch (req.url) {
		case "/never": req.headers_out = [{name: "Content-Length", value: "10"}]; req.read = function(b) { throw new Error("never"); }; break;
		case "/much": req.read = function(b) { return b.byteLength + 1; }; break;
		case "/infinite": req.read = function(b) { return Infinity; }; break;
		case "/short": req.headers_out = [{name: "Content-Length", value: "10"}]; req.read = function(b) { return n++ ? 0 : 5; }; break;
		case "/late": req.read = function(b) { if (n++) throw new Error("late"); return 5; }; break;
		case "/gone": req.read = function(b) { req.read = null; return 1; }; break;
		}
		req.send();
	};`, Config{})
	server := serving(t, h)
	for path, answered := range map[string]bool{"/never": true, "/much": true, "/infinite": true, "/short": false, "/late": false, "/gone": false} {
		got, err := do(t, "GET", server.URL+path, nil)
		if answered && (err != nil || got.StatusCode != 500) {
			t.Errorf("%s: %v, %v", path, got.Response, err)
		}
		if !answered && err == nil {
			t.Errorf("%s: looks complete: %q", path, got.body)
		}
	}
}

func TestUploadsThatFail(t *testing.T) {
	h, _ := load(t, `httpout.on_request = function(req) {
		req.reply = 200;
		req.write = function(b) { if (req.url == "/throw" && b === null) throw new Error("full"); };
		req.send();
	};`, Config{})
	serve := func(url string, body io.ReadCloser) error {
		r := httptest.NewRequest("PUT", url, body)
		x, err := h.Ask(t.Context(), Request{HTTP: r})
		if err != nil {
			t.Fatal(err)
		}
		defer x.End(-1)
		return x.Serve(httptest.NewRecorder(), r)
	}
	body := func() io.ReadCloser { return io.NopCloser(strings.NewReader("0123456789")) }
	if err := serve("/", body()); err != nil {
		t.Error(err)
	}
	if err := serve("/throw", body()); status(err) != 500 || !strings.Contains(err.Error(), "full") {
		t.Error(err)
	}
	if err := serve("/", http.MaxBytesReader(nil, body(), 5)); status(err) != 413 {
		t.Error(err)
	}
	if err := serve("/", io.NopCloser(io.MultiReader(body(), brokenReader{}))); status(err) != 400 {
		t.Error(err)
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// A hundred requests at once over two workers; what a script remembers is its worker's.
func TestManyAtOnce(t *testing.T) {
	h, _ := load(t, `
var n = 0;
httpout.on_request = function(req) {
	req.reply = 200;
	var left = 20, mine = req.url.length;
	req.read = function(b) {
		if (left-- == 0) return 0;
		new Uint8Array(b).fill(48 + mine % 10, 0, 1000);
		return 1000;
	};
	n++;
	req.send();
};`, Config{Workers: 2})
	server := serving(t, h)
	t.Cleanup(http.DefaultTransport.(*http.Transport).CloseIdleConnections)
	var all sync.WaitGroup
	for i := range 100 {
		all.Go(func() {
			path := "/" + strings.Repeat("x", i%10)
			got, err := do(t, "GET", server.URL+path, nil)
			if want := strings.Repeat(fmt.Sprint(len(path)%10), 20_000); err != nil || got.body != want {
				t.Errorf("%s: %d bytes, %v", path, len(got.body), err)
			}
		})
	}
	all.Wait()
}
