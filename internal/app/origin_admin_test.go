package app

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"sluice/internal/report"
	"sluice/internal/testkit"
)

// watchedOrigin is a `sluice origin` with its admin port.
type watchedOrigin struct {
	*testkit.Proc
	t          *testing.T
	url, admin string
}

func watchOrigin(t *testing.T, args ...string) *watchedOrigin {
	t.Helper()
	p := sluice(t, append([]string{"origin", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--run-dir", runDirOf(t)}, args...)...)
	open := p.WaitLine(`msg=ready .*listen=(\S+) admin=(\S+)`)
	return &watchedOrigin{Proc: p, t: t, url: open[1], admin: open[2]}
}

// shows waits until the status is as is says.
func (o *watchedOrigin) shows(is func(report.Origin) bool) {
	o.t.Helper()
	testkit.Eventually(o.t, func() error {
		code, body := fetch(o.t, http.MethodGet, o.admin+"/status?format=json", "")
		var st report.Origin
		if err := json.Unmarshal([]byte(body), &st); err != nil || code != http.StatusOK {
			return fmt.Errorf("%d %w: %s", code, err, body)
		}
		if !is(st) {
			return fmt.Errorf("%+v", st)
		}
		return nil
	})
}

// counts waits until /metrics has these, by their names behind sluice_origin_ and the values of their labels.
func (o *watchedOrigin) counts(want map[string]float64) {
	o.t.Helper()
	testkit.Eventually(o.t, func() error {
		_, body := fetch(o.t, http.MethodGet, o.admin+"/metrics", "")
		is := samples(o.t, body)
		for series, v := range want {
			if got, ok := is["sluice_origin_"+series]; !ok || got != v {
				return fmt.Errorf("%s is %v (there: %v), want %v", series, got, ok, v)
			}
		}
		return nil
	})
}

// upload begins an upload; its status comes when its body has ended.
func (o *watchedOrigin) upload(path string) (body *io.PipeWriter, answer <-chan int) {
	o.t.Helper()
	r, pen := io.Pipe()
	o.t.Cleanup(func() { pen.Close() })
	request, err := http.NewRequestWithContext(o.t.Context(), http.MethodPut, o.url+path, r)
	if err != nil {
		o.t.Fatal(err)
	}
	status := make(chan int, 1)
	go func() {
		defer close(status)
		if res, err := http.DefaultTransport.RoundTrip(request); err == nil {
			res.Body.Close()
			status <- res.StatusCode
		}
	}()
	return pen, status
}

// What clients do is counted once, while they do it; what grows is shown with its readers.
func TestOriginAdminNumbers(t *testing.T) {
	dir := t.TempDir()
	o := watchOrigin(t, "--rdirs", dir, "--wdir", dir)
	o.counts(map[string]float64{"growing": 0, "requests_total 2xx": 0, "sent_bytes_total": 0, "info " + build(): 1, "store_objects " + dir: 0})
	pen, answer := o.upload("/tv/seg-1.m4s")
	_, _ = io.WriteString(pen, strings.Repeat("x", 1000))
	o.shows(func(st report.Origin) bool { return st.Growing == 1 })
	reader, err := http.Get(o.url + "/tv/seg-1.m4s")
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Body.Close()
	if _, err := io.ReadFull(reader.Body, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	o.shows(func(st report.Origin) bool {
		return st.Growing == 1 && len(st.Objects) == 1 && st.Objects[0].Path == "/tv/seg-1.m4s" && st.Objects[0].Size == 1000 &&
			st.Objects[0].Readers == 1 && !st.Objects[0].Hidden && st.Active == 2 && st.Received == 1000 && st.Sent == 1000 &&
			len(st.Mounts) == 1 && st.Mounts[0].Writable && st.PID == o.PID() && !st.Draining
	})
	o.counts(map[string]float64{"growing": 1, "requests_active": 2, "store_objects " + dir: 1, "store_bytes " + dir: 1000})
	_, page := fetch(t, http.MethodGet, o.admin+"/status", "")
	for _, want := range []string{"/tv/seg-1.m4s", "2 requests being answered", dir} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %s", want)
		}
	}
	pen.Close()
	if status := <-answer; status != http.StatusCreated {
		t.Error(status)
	}
	if rest, err := io.ReadAll(reader.Body); err != nil || len(rest) > 0 {
		t.Errorf("%q, %v", rest, err)
	}
	broken, answer := o.upload("/tv/live.mpd")
	_, _ = io.WriteString(broken, "<MPD")
	o.shows(func(st report.Origin) bool {
		return len(st.Objects) == 1 && st.Objects[0].Hidden && st.Objects[0].Size == 4
	})
	broken.CloseWithError(io.ErrUnexpectedEOF)
	<-answer
	o.counts(map[string]float64{"growing": 0, "uploads_aborted_total": 1, "requests_active": 0, "received_bytes_total": 1004})
	if _, metrics := fetch(t, http.MethodGet, o.admin+"/metrics", ""); strings.Contains(metrics, "seg-1") || strings.Contains(metrics, "127.0.0.1") {
		t.Error("what clients say is in the metrics")
	}
}

// Who is being answered when the origin ends is shown until he has gone.
func TestOriginAdminWhileItEnds(t *testing.T) {
	dir := t.TempDir()
	o := watchOrigin(t, "--rdirs", dir, "--wdir", dir)
	pen, answer := o.upload("/a.bin")
	_, _ = io.WriteString(pen, "begun")
	o.shows(func(st report.Origin) bool { return st.Growing == 1 })
	o.Signal(syscall.SIGTERM)
	o.shows(func(st report.Origin) bool { return st.Draining && st.Growing == 1 })
	pen.Close()
	if status := <-answer; status != http.StatusCreated {
		t.Error(status)
	}
	if err := o.Wait(); err != nil {
		t.Error(err)
	}
}

// A push is shown with what it has done and why it fails, without its password.
func TestOriginAdminPush(t *testing.T) {
	var fails atomic.Bool
	fails.Store(true)
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if fails.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer target.Close()
	host := strings.TrimPrefix(target.URL, "http://")
	dir, conf := t.TempDir(), filepath.Join(t.TempDir(), "sluice.yaml")
	write(t, conf, "origin:\n  listen: 127.0.0.1:0\n  admin: 127.0.0.1:0\n  rdirs: ["+dir+"]\n  wdir: "+dir+"\n  push:\n    cdn: {from: "+dir+", to: ['http://user:secret@"+host+"/up/']}\n")
	p := sluice(t, "origin", "-C", conf, "--run-dir", runDirOf(t))
	open := p.WaitLine(`msg=ready .*listen=(\S+) admin=(\S+)`)
	o := &watchedOrigin{Proc: p, t: t, url: open[1], admin: open[2]}
	if status, _ := fetch(t, http.MethodPut, o.url+"/a.txt", "a text"); status != http.StatusCreated {
		t.Fatal(status)
	}
	series := " cdn http://" + host + "/up/"
	o.counts(map[string]float64{"push_failing" + series: 1, "push_objects_total" + series: 0})
	_, page := fetch(t, http.MethodGet, o.admin+"/status", "")
	if !strings.Contains(page, "the server answered 503") || strings.Contains(page, "secret") {
		t.Error(page)
	}
	fails.Store(false)
	o.shows(func(st report.Origin) bool {
		return len(st.Pushes) == 1 && st.Pushes[0].Objects > 0 && st.Pushes[0].Retries > 0 && st.Pushes[0].Error == ""
	})
	o.counts(map[string]float64{"push_failing" + series: 0, "push_queue" + series: 0})
}
