package push

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/internal/store"
)

// Acceptance 50: PUT, chunked, each piece as it is written; one connection of a representation for all its segments.
func TestSegmentsAsTheyGrow(t *testing.T) {
	pieces := make(chan string)
	s := serve(t, func(_ int, w http.ResponseWriter, r *http.Request) bool {
		buffer := make([]byte, 100)
		for {
			n, err := r.Body.Read(buffer)
			if n > 0 {
				pieces <- string(buffer[:n])
			}
			if err != nil {
				return true
			}
		}
	})
	st := memory(t, 5)
	p := pushStore(t, st, Config{To: []string{s.URL + "/live"}, Keep: true})
	var from string
	for n := range 20 {
		u := create(t, st, fmt.Sprintf("video/seg-%d.m4s", n), store.Create{})
		for _, piece := range []string{"one", "two", "three"} {
			write(t, u, piece)
			if got := next(t, pieces); got != piece {
				t.Errorf("%q comes, want %q", got, piece)
			}
		}
		end(t, u)
		x := next(t, s.done)
		if x.method != http.MethodPut || x.path != fmt.Sprintf("/live/video/seg-%d.m4s", n) || !x.chunked || x.header.Get("Content-Type") != "video/iso.segment" {
			t.Errorf("%s %s, chunked %v, %v", x.method, x.path, x.chunked, x.header)
		}
		if n == 0 {
			from = x.from
		} else if x.from != from {
			t.Errorf("segment %d comes on another connection", n)
		}
	}
	r := p.reports(t, func(r Report) bool { return r.Objects == 20 })
	if r.Failed != 0 || r.Retries != 0 || r.Queue != 0 || r.Error != "" || r.Bytes != 20*11 || r.To != s.URL+"/live" {
		t.Errorf("report %+v", r)
	}
}

// Acceptance 50: POST, and whole objects with their length when they are complete.
func TestWholeObjects(t *testing.T) {
	s := serve(t, nil)
	st := memory(t, 5)
	pushStore(t, st, Config{To: []string{s.URL + "/a%2Fb/?token=x"}, Post: true, Whole: true, Keep: true})
	u := create(t, st, "seg-1.ts", store.Create{})
	write(t, u, "first")
	put(t, st, "empty.txt", "") // is sent, though seg-1.ts has not ended
	if x := next(t, s.done); x.path != "/a%2Fb/empty.txt?token=x" || x.length != 0 || x.chunked {
		t.Errorf("%+v", x)
	}
	end(t, u)
	x := next(t, s.done)
	if x.method != http.MethodPost || x.path != "/a%2Fb/seg-1.ts?token=x" || x.chunked || x.length != 5 || string(x.body) != "first" {
		t.Errorf("%+v", x)
	}
}

// A manifest waits for what was complete before it, and for nothing that grows; of the versions that come meanwhile the last one is sent.
func TestManifestsComeAfterTheirSegments(t *testing.T) {
	release := make(chan struct{})
	goOn := sync.OnceFunc(func() { close(release) })
	defer goOn()
	s := serve(t, func(_ int, w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/seg-1.ts" {
			_, _ = io.Copy(io.Discard, r.Body)
			<-release
			return true
		}
		return false
	})
	st := memory(t, 5)
	p := pushStore(t, st, Config{To: []string{s.URL}, Keep: true})
	growing := create(t, st, "audio-7.ts", store.Create{})
	write(t, growing, "x")
	after(t, s.begun, http.MethodPut, "/audio-7.ts")
	put(t, st, "seg-1.ts", "one")
	after(t, s.begun, http.MethodPut, "/seg-1.ts")
	put(t, st, "live.m3u8", "first")
	p.reports(t, func(r Report) bool { return r.Queue == 0 }) // it has begun: it waits
	put(t, st, "live.m3u8", "second")
	put(t, st, "live.m3u8", "third")
	put(t, st, "init.mp4", "i")
	after(t, s.done, http.MethodPut, "/init.mp4")
	select {
	case x := <-s.begun:
		if strings.HasSuffix(x.path, ".m3u8") {
			t.Fatalf("%s comes before its segment", x.path)
		}
	default:
	}
	goOn()
	after(t, s.done, http.MethodPut, "/seg-1.ts")
	var versions []string
	for !slices.Contains(versions, "third") {
		versions = append(versions, string(after(t, s.done, http.MethodPut, "/live.m3u8").body))
	}
	if len(versions) > 2 || slices.Contains(versions, "second") {
		t.Errorf("the versions %q are sent", versions)
	}
	end(t, growing)
	after(t, s.done, http.MethodPut, "/audio-7.ts")
}

// What its writer breaks off breaks off there, too, by both versions of HTTP; the next one comes whole.
func TestBrokenOff(t *testing.T) {
	for _, proto := range []int{1, 2} {
		t.Run(fmt.Sprint("HTTP/", proto), func(t *testing.T) {
			s := newSite(nil)
			s.EnableHTTP2 = proto == 2
			s.StartTLS()
			t.Cleanup(s.Close)
			st := memory(t, 5)
			p := pushStore(t, st, Config{To: []string{s.URL}, Keep: true, TLS: s.Client().Transport.(*http.Transport).TLSClientConfig})
			u := create(t, st, "seg-1.m4s", store.Create{})
			write(t, u, "half")
			next(t, s.begun)
			u.Abort(errTest)
			if x := next(t, s.done); x.broken == nil || x.proto != proto {
				t.Errorf("the server takes %q for complete, by HTTP/%d", x.body, x.proto)
			}
			put(t, st, "seg-2.m4s", "whole")
			s.holds(t, "/seg-2.m4s", "whole")
			if names := s.names(); !slices.Equal(names, []string{"/seg-2.m4s"}) {
				t.Errorf("there are %q", names)
			}
			if r := p.reports(t, func(r Report) bool { return r.Objects == 1 }); r.Failed != 0 || r.Retries != 0 {
				t.Errorf("report %+v", r)
			}
		})
	}
}

// Acceptance 50: what is removed here is removed there, after it was sent.
func TestRemoval(t *testing.T) {
	s := serve(t, nil)
	st := memory(t, 2)
	pushStore(t, st, Config{To: []string{s.URL}, Keep: true, Delete: true})
	for n := range 10 {
		put(t, st, fmt.Sprintf("seg-%d.ts", n), "x")
		s.holds(t, fmt.Sprintf("/seg-%d.ts", n), "x")
	}
	after(t, s.done, http.MethodDelete, "/seg-7.ts")
	if names := s.names(); !slices.Equal(names, []string{"/seg-8.ts", "/seg-9.ts"}) {
		t.Errorf("there are %q", names)
	}
	put(t, st, "a.txt", "old")
	if err := st.Remove("a.txt"); err != nil {
		t.Fatal(err)
	}
	put(t, st, "a.txt", "new")
	s.holds(t, "/a.txt", "new")
}

// What is removed is not removed there when nobody wants it.
func TestNoRemoval(t *testing.T) {
	s := serve(t, nil)
	st := memory(t, 1)
	pushStore(t, st, Config{To: []string{s.URL}, Keep: true})
	for n := range 3 {
		put(t, st, fmt.Sprintf("seg-%d.ts", n), "x")
		if x := next(t, s.done); x.method != http.MethodPut {
			t.Errorf("%s %s", x.method, x.path)
		}
	}
}

// Acceptance 50: two targets at once; one that takes nothing holds only itself up, and not the store.
func TestStuckServer(t *testing.T) {
	stuck := make(chan struct{})
	bad := serve(t, func(_ int, w http.ResponseWriter, r *http.Request) bool {
		select {
		case <-stuck:
		case <-r.Context().Done():
		}
		return true
	})
	defer close(stuck)
	good := serve(t, nil)
	st := memory(t, 3)
	p := pushStore(t, st, Config{To: []string{bad.URL, good.URL}, Keep: true, Delete: true, Timeout: time.Hour})
	next(t, func() chan *seen {
		put(t, st, "seg-0.ts", "x")
		return bad.begun
	}())
	for n := range 300 {
		u := create(t, st, fmt.Sprintf("seg-%d.ts", n+1), store.Create{})
		write(t, u, strings.Repeat("y", 4096))
		end(t, u)
		good.holds(t, fmt.Sprintf("/seg-%d.ts", n+1), strings.Repeat("y", 4096))
	}
	after(t, good.done, http.MethodDelete, "/seg-296.ts")
	if objects, _ := st.Usage(); objects > 4 {
		t.Errorf("the store keeps %d objects", objects)
	}
	list := p.Report()
	if list[0].Objects != 0 || list[0].Failed == 0 || list[1].Objects < 300 || list[1].Failed != 0 {
		t.Errorf("reports %+v", list)
	}
}

// Who has too much to do gives the oldest up, and says so.
func TestFullQueue(t *testing.T) {
	stuck := make(chan struct{})
	goOn := sync.OnceFunc(func() { close(stuck) })
	defer goOn()
	s := serve(t, func(_ int, w http.ResponseWriter, r *http.Request) bool {
		_, _ = io.Copy(io.Discard, r.Body)
		<-stuck
		return false
	})
	st := memory(t, 2*maxQueue)
	var log lines
	p := pushStore(t, st, Config{To: []string{s.URL}, Keep: true, Whole: true, Timeout: time.Hour, Log: log.logger()})
	put(t, st, "seg-0.ts", "x")
	next(t, s.begun)
	for n := range maxQueue + 10 {
		put(t, st, fmt.Sprintf("seg-%d.ts", n+1), "x")
	}
	if r := p.Report()[0]; r.Failed != 10 || r.Queue != maxQueue {
		t.Errorf("report %+v", r)
	}
	goOn()
	p.reports(t, func(r Report) bool { return r.Objects == maxQueue+1 && r.Queue == 0 })
	if names := s.names(); slices.Contains(names, "/seg-5.ts") || !slices.Contains(names, "/seg-11.ts") {
		t.Errorf("not the oldest ones are missing")
	}
	if n := strings.Count(log.String(), "object is not pushed"); n == 0 || n > 3 {
		t.Errorf("%d lines", n)
	}
}

// Records that never end and are called like segments of one representation are sent at the same time.
func TestEndlessObjects(t *testing.T) {
	s := serve(t, nil)
	st := memory(t, 5)
	pushStore(t, st, Config{To: []string{s.URL}, Keep: true})
	var open []store.Upload
	for n := range 3 {
		u := create(t, st, fmt.Sprintf("cam%d.ts", n), store.Create{Type: "video/mp2t"})
		write(t, u, "x")
		open = append(open, u)
		if x := next(t, s.begun); x.path != fmt.Sprintf("/cam%d.ts", n) {
			t.Errorf("%s begins", x.path)
		}
	}
	put(t, st, "live.m3u8", "it waits for none of them")
	after(t, s.done, http.MethodPut, "/live.m3u8")
	for _, u := range open {
		end(t, u)
		next(t, s.done)
	}
}
