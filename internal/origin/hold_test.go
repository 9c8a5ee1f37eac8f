package origin

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice/internal/store"
)

// llhls is a playlist of so many complete segments and parts of the next one, which announces the part after them. It lasts as long as
// a target duration of that many seconds.
func llhls(target, segments, parts int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:%d\n#EXT-X-PART-INF:PART-TARGET=0.5\n"+
		"#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.5\n#EXT-X-MEDIA-SEQUENCE:0\n", target)
	for i := range segments {
		fmt.Fprintf(&b, "#EXTINF:2,\nseg-%d.m4s\n", i)
	}
	for i := range parts {
		fmt.Fprintf(&b, "#EXT-X-PART:DURATION=0.5,URI=\"part-%d.%d.m4s\"\n", segments, i)
	}
	fmt.Fprintf(&b, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"part-%d.%d.m4s\"\n", segments, parts)
	return b.String()
}

// waiting waits until so many requests are held.
func (r *running) waiting(n int) {
	r.t.Helper()
	eventually(r.t, fmt.Sprint(n), func() string { return fmt.Sprint(r.Status().Waiting) })
}

// TestBlockingReload: a playlist is held until it has what is asked for; too far, a part without its segment, out of time (66).
func TestBlockingReload(t *testing.T) {
	mem, root := memory(t), dir(t, nil)
	disk := mountOf(t, "disk", root)
	r := start(t, Config{Read: []Mount{mem, disk}}, nil)
	for at, write := range map[string]func(text string){
		"/gmem/p.m3u8": func(text string) { put(t, mem.Store, "p.m3u8", text) },
		"/disk/p.m3u8": func(text string) { put(t, disk.Store, "p.m3u8", text) },
		"/disk/other.m3u8": func(text string) { // by another program
			temp := filepath.Join(root, "temp")
			if err := os.WriteFile(temp, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(temp, filepath.Join(root, "other.m3u8")); err != nil {
				t.Fatal(err)
			}
		},
	} {
		write(llhls(4, 3, 1))
		for query, want := range map[string]int{
			"": 200, "?x=1": 200, "?_HLS_msn=2": 200, "?_HLS_msn=3&_HLS_part=0": 200, "?_HLS_skip=YES": 200,
			"?_HLS_part=1": 400, "?_HLS_msn=x": 400, "?_HLS_msn=-1": 400, "?_HLS_msn=9": 400, "?_HLS_msn=3&_HLS_part=99": 400,
		} {
			if res, _ := r.ask("GET " + at + query); res.StatusCode != want {
				t.Errorf("%s%s: %d, want %d", at, query, res.StatusCode, want)
			}
		}
		part, segment := r.dial().say("GET "+at+"?_HLS_msn=3&_HLS_part=1"), r.dial().say("GET "+at+"?_HLS_msn=3")
		r.waiting(2)
		write(llhls(4, 3, 2))
		res := part.hear("GET")
		if b, err := io.ReadAll(res.Body); res.StatusCode != 200 || string(b) != llhls(4, 3, 2) || err != nil {
			t.Errorf("%s: %d %q %v", at, res.StatusCode, b, err)
		}
		r.waiting(1)
		write(llhls(4, 4, 0))
		res = segment.hear("GET")
		if b, err := io.ReadAll(res.Body); res.StatusCode != 200 || string(b) != llhls(4, 4, 0) || err != nil {
			t.Errorf("%s: %d %q %v", at, res.StatusCode, b, err)
		}
		// One that leaves is not waited for.
		gone := r.dial().say("GET " + at + "?_HLS_msn=4")
		r.waiting(1)
		gone.Close()
		r.waiting(0)
	}
	if res, _ := r.ask("GET /gmem/none.m3u8?_HLS_msn=4"); res.StatusCode != 404 {
		t.Errorf("%d", res.StatusCode)
	}
	put(t, mem.Store, "dead.m3u8", strings.Replace(llhls(1, 3, 1), "TARGETDURATION:1", "TARGETDURATION:0.001", 1))
	if res, _ := r.ask("GET /gmem/dead.m3u8?_HLS_msn=3"); res.StatusCode != 503 {
		t.Errorf("a producer that has stopped: %d", res.StatusCode)
	}
	put(t, mem.Store, "over.m3u8", llhls(4, 3, 1)+"#EXT-X-ENDLIST\n")
	if res, _ := r.ask("GET /gmem/over.m3u8?_HLS_msn=3"); res.StatusCode != 200 {
		t.Errorf("a playlist that has ended: %d", res.StatusCode)
	}
}

// TestHintedPart: a part that a playlist announces is held until it comes, and then read as it grows (66).
func TestHintedPart(t *testing.T) {
	m := memory(t)
	r := start(t, Config{Read: []Mount{m}}, nil)
	put(t, m.Store, "live/p.m3u8", llhls(4, 3, 1))
	if res, _ := r.ask("GET /live/part-3.2.m4s"); res.StatusCode != 404 {
		t.Errorf("a part that nobody has announced: %d", res.StatusCode)
	}
	if res, _ := r.ask("HEAD /live/part-3.1.m4s"); res.StatusCode != 404 {
		t.Errorf("HEAD: %d", res.StatusCode)
	}
	c := r.dial().say("GET /live/part-3.1.m4s")
	r.waiting(1)
	up := begin(t, m.Store, "live/part-3.1.m4s")
	io.WriteString(up, "1")
	res := c.hear("GET")
	if _, err := io.ReadFull(res.Body, make([]byte, 1)); err != nil || res.StatusCode != 200 {
		t.Fatalf("%d %v", res.StatusCode, err)
	}
	io.WriteString(up, "2")
	up.End()
	if b, err := io.ReadAll(res.Body); string(b) != "2" || err != nil {
		t.Errorf("%q %v", b, err)
	}
	put(t, m.Store, "live/p.m3u8", llhls(4, 3, 2)+"#EXT-X-ENDLIST\n") // the hint of part 1 is gone, so its name is one as any other
	if err := m.Store.Remove("live/part-3.1.m4s"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "404", func() string {
		res, _ := r.ask("GET /live/part-3.1.m4s")
		return fmt.Sprint(res.StatusCode)
	})
}

// TestWaitNext: the segment after the newest is held, no other (67).
// unopened is a store in which nothing can be opened, as when the process has no descriptors left.
type unopened struct{ store.Store }

func (unopened) Open(string) (*store.Item, error) { return nil, store.ErrDenied }

// TestShutPlaylist: a playlist that is there and cannot be opened is not looked at again and again.
func TestShutPlaylist(t *testing.T) {
	m := memory(t)
	put(t, m.Store, "a.m3u8", llhls(4, 3, 2))
	m.Store = unopened{m.Store}
	r := start(t, Config{Read: []Mount{m}}, nil)
	if res, _ := r.ask("GET /a.m3u8?_HLS_msn=3"); res.StatusCode != http.StatusInternalServerError {
		t.Errorf("%d", res.StatusCode)
	}
	if s := r.site.Load().shelves[m.Store]; len(s.known) > 0 {
		t.Error("it takes room")
	}
}

// TestLongNames: who asks for names that no directory has, of numbers without end, is answered at once.
func TestLongNames(t *testing.T) {
	if before, after := neighbours("live/" + strings.Repeat("1a", 14_000) + "1.m4s"); len(before)+len(after) > 0 {
		t.Errorf("%d and %d neighbours", len(before), len(after))
	}
	if before, _ := neighbours(strings.Repeat("1/", 14_000) + "seg-1.m4s"); len(before) != 1 {
		t.Errorf("%d neighbours in a deep directory", len(before))
	}
}

func TestWaitNext(t *testing.T) {
	m := memory(t)
	r := start(t, Config{Read: []Mount{m}, WaitNext: time.Hour}, nil)
	put(t, m.Store, "seg-009.m4s", "x")
	for _, path := range []string{"/seg-011.m4s", "/seg-008.m4s", "/init-010.m4s", "/other-010.m4s", "/seg-010.mpd"} {
		if res, _ := r.ask("GET " + path); res.StatusCode != 404 {
			t.Errorf("%s: %d", path, res.StatusCode)
		}
	}
	c := r.dial().say("GET /seg-010.m4s")
	r.waiting(1)
	put(t, m.Store, "seg-010.m4s", "next")
	if b, err := io.ReadAll(c.hear("GET").Body); string(b) != "next" || err != nil {
		t.Errorf("%q %v", b, err)
	}
	if err := r.Reload(Config{Read: []Mount{m}, WaitNext: time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	if res, _ := r.ask("GET /seg-011.m4s"); res.StatusCode != 404 {
		t.Errorf("one that does not come: %d", res.StatusCode)
	}
	if err := r.Reload(Config{Read: []Mount{m}}); err != nil {
		t.Fatal(err)
	}
	if res, _ := r.ask("GET /seg-011.m4s"); res.StatusCode != 404 {
		t.Errorf("without wait_next: %d", res.StatusCode)
	}
}

// TestHeldRequestsEnd: with a bound to their number, and with the origin.
func TestHeldRequestsEnd(t *testing.T) {
	m := memory(t)
	r := start(t, Config{Read: []Mount{m}, WaitNext: time.Hour}, nil)
	put(t, m.Store, "seg-1.m4s", "x")
	c := r.dial().say("GET /seg-2.m4s")
	r.waiting(1)
	r.counts.waiting.Add(maxHeld - 1)
	if res, _ := r.ask("GET /seg-2.m4s"); res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" {
		t.Errorf("beyond the bound: %d", res.StatusCode)
	}
	r.counts.waiting.Add(1 - maxHeld)
	r.stop()
	if res := c.hear("GET"); res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("at the end: %d", res.StatusCode)
	}
	<-r.ended
}

// TestHeldOfOneConnection: who asks for more than a player does, over HTTP/2, is answered with 503, and is in nobody's way.
func TestHeldOfOneConnection(t *testing.T) {
	m := memory(t)
	r := start(t, Config{Read: []Mount{m}, WaitNext: time.Hour}, nil)
	put(t, m.Store, "seg-1.m4s", "x")
	one, other := r.h2(), r.h2()
	answers := make(chan int, 2*maxHeldBy)
	ask := func(c *http.Client) {
		res, err := c.Get("http://" + r.addr + "/seg-2.m4s")
		if err != nil {
			t.Error(err)
			answers <- 0
			return
		}
		res.Body.Close()
		answers <- res.StatusCode
	}
	if res, err := one.Get("http://" + r.addr + "/seg-1.m4s"); err != nil || res.Body.Close() != nil { // the connection that all use
		t.Fatal(err)
	}
	for range maxHeldBy {
		go ask(one)
	}
	r.waiting(maxHeldBy)
	if ask(one); <-answers != http.StatusServiceUnavailable {
		t.Error("one more waits")
	}
	go ask(other)
	r.waiting(maxHeldBy + 1)
	put(t, m.Store, "seg-2.m4s", "next")
	for range maxHeldBy + 1 {
		if code := <-answers; code != http.StatusOK {
			t.Errorf("who has waited is answered with %d", code)
		}
	}
}

// TestManyPlaylists: playlists that come are followed however many came before, and what is remembered of them does not grow.
func TestManyPlaylists(t *testing.T) {
	m := memory(t)
	s := newShelf(m.Store, func(store.Event) {})
	defer s.close()
	put := func(name, text string) {
		t.Helper()
		up, err := m.Store.Create(name, store.Create{Hidden: true, Size: -1})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := up.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if _, err := up.End(); err != nil {
			t.Fatal(err)
		}
	}
	for n := range maxPlaylists + 10 {
		put(fmt.Sprintf("event-%d/live.m3u8", n), llhls(2, 1, 0))
	}
	put("live.m3u8", llhls(2, 1, 0))
	if _, err := s.playlist("live.m3u8"); err != nil {
		t.Error(err)
	}
	if _, ok := s.hinted("part-1.0.m4s"); !ok {
		t.Error("what the newest playlist announces is not known")
	}
	if len(s.known) > maxPlaylists {
		t.Errorf("%d playlists are remembered", len(s.known))
	}
}
