package alias

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sluice/internal/lineup"
)

// house is a file and a URL that are watched, and what the Watcher says of them.
type house struct {
	t    *testing.T
	path string

	mu      sync.Mutex // guards what follows
	page    string     // what the URL holds; "" = it cannot be had
	fetched int
	changed [][]string // names, at each change
	failed  []string
}

const pageURL = "http://tv.example/list.m3u"

func newHouse(t *testing.T) *house {
	h := &house{t: t, path: filepath.Join(t.TempDir(), "channels.conf"), page: "udp://239.9.9.9:9"}
	h.write("one udp://239.1.1.1:5000\n")
	return h
}

func (h *house) write(text string) { h.writeTo(h.path, text) }

func (h *house) writeTo(path, text string) {
	h.t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		h.t.Fatal(err)
	}
}

// replace is how editors and careful programs write.
func (h *house) replace(text string) {
	h.t.Helper()
	h.writeTo(h.path+".new", text)
	if err := os.Rename(h.path+".new", h.path); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) watcher(refresh time.Duration) *Watcher {
	return NewWatcher([]Place{
		{h.path, func(context.Context) (List, error) { return LoadFile(h.path, lineup.Defaults(), set) }},
		{pageURL, func(context.Context) (List, error) { return h.fetch() }},
	}, 0, refresh, func(where string, _ error) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.failed = append(h.failed, filepath.Base(where))
	})
}

func (h *house) fetch() (List, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fetched++
	if h.page == "" {
		return List{}, errors.New("the server is gone")
	}
	return ParsePlaylist(pageURL, []byte(h.page), lineup.Defaults())
}

// setPage changes what the URL holds, and tells how often it was read before.
func (h *house) setPage(text string) (fetched int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	fetched, h.fetched, h.page = h.fetched, 0, text
	return fetched
}

func (h *house) change(lists []List) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.changed = append(h.changed, namesOf(lists))
}

func namesOf(lists []List) (names []string) {
	for _, l := range lists {
		for _, ch := range l.Channels {
			names = append(names, ch.Name)
		}
	}
	return names
}

// watch runs f beside a Watcher, in time of its own.
func watch(t *testing.T, refresh time.Duration, f func(h *house)) {
	t.Helper()
	h := newHouse(t)
	synctest.Test(t, func(t *testing.T) {
		w := h.watcher(refresh)
		if lists, err := w.Load(t.Context()); err != nil || !slices.Equal(namesOf(lists), []string{"one", "channel"}) {
			t.Fatalf("%v, %v", namesOf(lists), err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		go w.Run(ctx, h.change)
		f(h)
		cancel()
		synctest.Wait()
	})
}

func (h *house) expect(changed [][]string, failed []string) {
	h.t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if !slices.EqualFunc(h.changed, changed, slices.Equal[[]string]) || !slices.Equal(h.failed, failed) {
		h.t.Errorf("changed %v, failed %v; want %v, %v", h.changed, h.failed, changed, failed)
	}
	h.changed, h.failed = nil, nil
}

// TestWatchFile: a file is read again when it changes, in place or by another; a broken one
// is told once, and its channels stay.
func TestWatchFile(t *testing.T) {
	watch(t, 0, func(h *house) {
		wait := func() { time.Sleep(3 * time.Second); synctest.Wait() }
		wait()
		h.expect(nil, nil)
		h.write("one udp://239.1.1.1:5000\ntwo udp://239.1.1.2:5000\n")
		wait()
		h.expect([][]string{{"one", "two", "channel"}}, nil)
		h.replace("two udp://239.1.1.2:5000\none udp://239.1.1.1:5000\n") // of the same length
		wait()
		h.expect([][]string{{"two", "one", "channel"}}, nil)
		h.replace("# the same\ntwo udp://239.1.1.2:5000\none udp://239.1.1.1:5000\n")
		wait()
		h.expect(nil, nil)
		h.replace("broken")
		wait()
		wait()
		h.expect(nil, []string{"channels.conf"})
		if err := os.Remove(h.path); err != nil {
			t.Fatal(err)
		}
		wait()
		wait()
		h.expect(nil, []string{"channels.conf"})
		h.write("three udp://239.1.1.3:5000\n")
		wait()
		h.expect([][]string{{"three", "channel"}}, nil)
		time.Sleep(time.Hour)
		if n := h.setPage(""); n != 1 {
			t.Errorf("a URL that is not to be refreshed was read %d times", n)
		}
	})
}

// TestWatchURL: a URL is read again each refresh, sooner when it could not be had.
func TestWatchURL(t *testing.T) {
	watch(t, 5*time.Minute, func(h *house) {
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := h.setPage("#EXTINF:-1,New\nudp://239.9.9.9:9"); n < 12 || n > 13 {
			t.Errorf("read %d times in an hour", n)
		}
		h.expect(nil, nil)
		time.Sleep(6 * time.Minute)
		synctest.Wait()
		h.expect([][]string{{"one", "New"}}, nil)
		h.setPage("")
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		n := h.setPage("udp://239.9.9.9:8")
		if n < 10 {
			t.Errorf("tried %d times in ten minutes", n)
		}
		h.expect(nil, slices.Repeat([]string{"list.m3u"}, n))
		time.Sleep(time.Minute)
		synctest.Wait()
		h.expect([][]string{{"one", "channel"}}, nil)
	})
}

// TestLoadAll: what cannot be read at first is told, and there later.
func TestLoadAll(t *testing.T) {
	h := newHouse(t)
	synctest.Test(t, func(t *testing.T) {
		h.setPage("")
		w := h.watcher(time.Hour)
		lists, err := w.Load(t.Context())
		if err == nil || !slices.Equal(namesOf(lists), []string{"one"}) || len(lists) != 2 {
			t.Errorf("%v, %v", lists, err)
		}
		h.setPage("udp://239.9.9.9:9")
		ctx, cancel := context.WithCancel(t.Context())
		go w.Run(ctx, func(lists []List) {
			h.change(lists)
			cancel()
		})
		<-ctx.Done()
		synctest.Wait()
		h.expect([][]string{{"one", "channel"}}, nil)
	})
}

// TestListsAreOfTheirOwn: a change makes new lists; those that were given stay as they are.
func TestListsAreOfTheirOwn(t *testing.T) {
	h := newHouse(t)
	w := h.watcher(0)
	before, err := w.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	h.replace("two udp://239.1.1.2:5000\n")
	if !w.look(t.Context()) {
		t.Fatal("nothing has changed")
	}
	if got := namesOf(before); !slices.Equal(got, []string{"one", "channel"}) {
		t.Errorf("the old lists have become %v", got)
	}
}
