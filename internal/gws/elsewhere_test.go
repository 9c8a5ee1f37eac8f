package gws

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// teller answers with what it was asked.
type teller struct{ name string }

func (a teller) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	io.WriteString(w, a.name+" "+r.Method+" "+r.RequestURI+" "+string(b))
}

// TestNotOurs: who asks for no path of ours is given to another handler by any method, if he
// may come here at all; gws's own guard is for its own paths.
func TestNotOurs(t *testing.T) {
	h := openBy(t, Config{Guard: nobody{}, Udpxy: true, Elsewhere: teller{"origin"}}, []Door{{}, {Local: true}})
	h.engine("1")
	const head = " HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"
	for _, request := range []string{
		"GET /", "GET /live/manifest.mpd?x=y", "PUT /live/1.m4s", "POST /a%2Fb", "DELETE /live/", "OPTIONS *", "OPTIONS /live/", "PATCH /x",
		"HEAD /x", "GET /udpx/239.1.1.1:5000", "GET /uploads/x", "GET /playlist.m3u8", "GET /stat", "GET /%zz", "CONNECT h:80", "PUT /status.html",
	} {
		r, body := h.answer(request + head + "Content-Length: 4\r\n\r\nbody")
		want := "origin " + request + " body"
		if strings.HasPrefix(request, "HEAD") {
			want = ""
		}
		if strings.HasSuffix(request, "/%zz") { // net/http's answer: it is no URL
			want = body
		}
		if body != want {
			t.Errorf("%s: %d, %q", request, r.StatusCode, body)
		}
	}
	for request, status := range map[string]int{
		"GET /udp/239.1.1.1:5000": 403, "GET /udp": 400, "PUT /udp/239.1.1.1:5000": 405, "GET /rtp/x": 400, "GET /$news": 404, "OPTIONS /$news": 405,
		"GET /%24news": 404, "GET /src/x": 400, "GET /upload/live/cam.ts": 403, "PUT /upload/x": 405, "GET /playlist.m3u": 404, "POST /playlist.m3u": 405,
		"GET /status": 403, "PUT /status/": 405, "GET http://h/udp/239.1.1.1:5000": 403,
	} {
		if r, body := h.answer(request + head + "Content-Length: 0\r\n\r\n"); r.StatusCode != status || strings.Contains(body, "origin") {
			t.Errorf("%s: %d, %q, want %d", request, r.StatusCode, body, status)
		}
	}
	if r, _ := h.read(h.askLocal("GET", "/live.mpd"), "GET"); r.StatusCode != 404 {
		t.Errorf("by a local door: %d", r.StatusCode)
	}
	if err := h.server.Reload(Config{Elsewhere: teller{"another"}}); err != nil {
		t.Fatal(err)
	}
	if _, body := h.answer("GET /x" + head + "\r\n"); body != "another GET /x " {
		t.Errorf("after a reload: %q", body)
	}
	if err := h.server.Reload(Config{Allow: prefixes("192.0.2.0/24"), Elsewhere: teller{"origin"}}); err != nil {
		t.Fatal(err)
	}
	if r, _ := h.answer("GET /x" + head + "\r\n"); r.StatusCode != 403 {
		t.Errorf("who may not come here: %d", r.StatusCode)
	}
	if err := h.server.Reload(Config{}); err != nil {
		t.Fatal(err)
	}
	if r, _ := h.answer("GET /x" + head + "\r\n"); r.StatusCode != 404 {
		t.Errorf("when there is nobody else: %d", r.StatusCode)
	}
}

// TestNotOursOverTLS: HTTP/2 is no exception.
func TestNotOursOverTLS(t *testing.T) {
	overTLS(t, Config{Elsewhere: teller{"origin"}}, func(t *testing.T, h *house, client *http.Client) {
		r, err := http.NewRequestWithContext(t.Context(), "PUT", "https://"+h.addr+"/live.mpd", strings.NewReader("body"))
		if err != nil {
			t.Fatal(err)
		}
		if _, body := h.body(h.do(client, r)); body != "origin PUT /live.mpd body" {
			t.Errorf("%q", body)
		}
	})
}

// TestNotOursTakesItsTime: the time that a request of ours may take to come in is none for a
// body that goes elsewhere. By the time that a client which says nothing is sent away, that
// of the upload before it would have been over.
func TestNotOursTakesItsTime(t *testing.T) {
	begun := make(chan struct{})
	h := open(t, Config{Request: 50 * time.Millisecond, Elsewhere: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(begun)
		teller{"origin"}.ServeHTTP(w, r)
	})})
	upload := h.ask("PUT /live.ts HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 4\r\n\r\n")
	<-begun
	h.all(h.ask("GET /x HTTP/1.1\r\n"))
	if _, err := io.WriteString(upload, "body"); err != nil {
		t.Fatal(err)
	}
	if _, body := h.read(upload, "PUT"); body != "origin PUT /live.ts body" {
		t.Errorf("%q", body)
	}
}

// TestNotOursStalls: who takes nothing of what comes from elsewhere is ended, over HTTP/1 and HTTP/2.
func TestNotOursStalls(t *testing.T) {
	failed := make(chan error, 1)
	conf := Config{Stall: 100 * time.Millisecond, Elsewhere: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = http.NewResponseController(w).Flush()
		for b := make([]byte, 32<<10); ; {
			if _, err := w.Write(b); err != nil {
				failed <- err
				panic(http.ErrAbortHandler)
			}
		}
	})}
	h := open(t, conf)
	h.ask("GET /live.ts HTTP/1.1\r\nHost: h\r\n\r\n")
	<-failed
	overTLS(t, conf, func(t *testing.T, h *house, client *http.Client) {
		r, err := http.NewRequestWithContext(t.Context(), "GET", "https://"+h.addr+"/live.ts", nil)
		if err != nil {
			t.Fatal(err)
		}
		answer := <-h.do(client, r)
		<-failed
		answer.Body.Close()
	})
}

// TestNotOursBreaksOff: an answer that breaks off does not look whole, to HTTP/1.0 either, which knows no other end than that of the connection.
func TestNotOursBreaksOff(t *testing.T) {
	h := open(t, Config{Elsewhere: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})})
	for _, version := range []string{"1.0", "1.1"} {
		r, err := http.ReadResponse(bufio.NewReader(h.ask("GET /a HTTP/"+version+"\r\nHost: h\r\n\r\n")), nil)
		if err != nil {
			continue // the reset was sooner
		}
		if b, err := io.ReadAll(r.Body); err == nil {
			t.Errorf("HTTP/%s: %q looks whole", version, b)
		}
	}
}
