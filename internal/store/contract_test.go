package store_test

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"sync"
	"testing"

	"sluice/internal/object"
	"sluice/internal/store"
)

// What the suite asks of both kinds of store.

func readWhileItComes(t *testing.T, st store.Store) {
	u := create(t, st, "live/seg-1.m4s", store.Create{Type: "video/iso.segment", Size: -1})
	write(t, u, "first ")
	it := openItem(t, st, "live/seg-1.m4s")
	if !it.Growing || it.Object == nil || it.Tag != "" || it.Size != 6 || it.Type != "video/iso.segment" || it.Modified.IsZero() {
		t.Fatalf("%+v", it.Info)
	}
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if text, err := follow(t, it); text != "first second" || err != nil {
				t.Errorf("%q, %v", text, err)
			}
		})
	}
	write(t, u, "second")
	if u.Written() != 12 {
		t.Errorf("%d bytes were written", u.Written())
	}
	if end(t, u) {
		t.Error("nothing was replaced")
	}
	all.Wait()
	closeItem(t, it)
	if text := read(t, st, "live/seg-1.m4s"); text != "first second" {
		t.Errorf("%q", text)
	}
}

func breaksOff(t *testing.T, st store.Store) {
	u := create(t, st, "a.ts", store.Create{Size: -1})
	write(t, u, "half")
	it := openItem(t, st, "a.ts")
	defer closeItem(t, it)
	why := errors.New("the client has gone")
	u.Abort(why)
	u.Abort(why)
	text, err := follow(t, it)
	if text != "half" || !errors.Is(err, object.ErrAborted) || !errors.Is(err, why) {
		t.Errorf("%q, %v", text, err)
	}
	missing(t, st, "a.ts")
	if _, err := u.Write([]byte("more")); !errors.Is(err, object.ErrAborted) {
		t.Errorf("write after the end: %v", err)
	}
}

func replacedWhole(t *testing.T, st store.Store) {
	put(t, st, "a.m4s", "old")
	old := openItem(t, st, "a.m4s")
	defer closeItem(t, old)
	u := create(t, st, "a.m4s", store.Create{Size: -1})
	write(t, u, "brand")
	if it := openItem(t, st, "a.m4s"); !it.Growing {
		t.Error("what grows is not before what is there")
	} else {
		closeItem(t, it)
	}
	u.Abort(nil)
	if text := read(t, st, "a.m4s"); text != "old" {
		t.Errorf("%q after an upload that broke off", text)
	}
	if !put(t, st, "a.m4s", "brand new") {
		t.Error("something was replaced")
	}
	if text := read(t, st, "a.m4s"); text != "brand new" {
		t.Errorf("%q", text)
	}
	if text := content(t, old); text != "old" {
		t.Errorf("who had opened the old one reads %q", text)
	}
}

func hiddenUntilComplete(t *testing.T, st store.Store) {
	u := create(t, st, "live.mpd", store.Create{Hidden: true, Size: -1})
	write(t, u, "<MPD")
	missing(t, st, "live.mpd")
	if list, err := st.List("."); err != nil || len(list) != 0 {
		t.Errorf("%v, %v", list, err)
	}
	if err := st.Remove("live.mpd"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("remove what nobody sees: %v", err)
	}
	write(t, u, "/>")
	end(t, u)
	u = create(t, st, "live.mpd", store.Create{Hidden: true, Keep: true, Size: -1})
	write(t, u, "<M")
	if text := read(t, st, "live.mpd"); text != "<MPD/>" {
		t.Errorf("%q while the next comes", text)
	}
	u.Abort(nil)
	if text := read(t, st, "live.mpd"); text != "<MPD/>" {
		t.Errorf("%q after the next broke off", text)
	}
}

func keptPartial(t *testing.T, st store.Store) {
	u := create(t, st, "a.ts", store.Create{Keep: true, Size: -1})
	write(t, u, "half")
	it := openItem(t, st, "a.ts")
	defer closeItem(t, it)
	u.Abort(nil)
	if _, err := follow(t, it); !errors.Is(err, object.ErrAborted) {
		t.Errorf("its readers: %v", err)
	}
	if text := read(t, st, "a.ts"); text != "half" {
		t.Errorf("%q", text)
	}
	create(t, st, "b.ts", store.Create{Keep: true, Size: -1}).Abort(nil)
	missing(t, st, "b.ts")
}

func twoWriters(t *testing.T, st store.Store) {
	u := create(t, st, "a.ts", store.Create{Size: -1})
	if _, err := st.Create("a.ts", store.Create{Size: -1}); !errors.Is(err, store.ErrBusy) {
		t.Errorf("the second: %v", err)
	}
	write(t, u, "x")
	end(t, u)
	u = create(t, st, "a.ts", store.Create{Hidden: true, Size: -1})
	if _, err := st.Patch("a.ts"); !errors.Is(err, store.ErrBusy) {
		t.Errorf("a patch meanwhile: %v", err)
	}
	u.Abort(nil)
}

func removedWhileRead(t *testing.T, st store.Store) {
	text := strings.Repeat("much ", 100_000)
	put(t, st, "a.ts", text)
	it := openItem(t, st, "a.ts")
	defer closeItem(t, it)
	if err := st.Remove("a.ts"); err != nil {
		t.Fatal(err)
	}
	missing(t, st, "a.ts")
	if err := st.Remove("a.ts"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("once more: %v", err)
	}
	if content(t, it) != text {
		t.Error("who had opened it reads something else")
	}
}

func removedWhileItGrows(t *testing.T, st store.Store) {
	put(t, st, "a.ts", "old")
	u := create(t, st, "a.ts", store.Create{Size: -1, Keep: true})
	write(t, u, "half")
	it := openItem(t, st, "a.ts")
	defer closeItem(t, it)
	if err := st.Remove("a.ts"); err != nil {
		t.Fatal(err)
	}
	if text, err := follow(t, it); text != "half" || !errors.Is(err, object.ErrAborted) {
		t.Errorf("its reader: %q, %v", text, err)
	}
	if _, err := u.Write([]byte("more")); !errors.Is(err, object.ErrAborted) {
		t.Errorf("its writer: %v", err)
	}
	if _, err := u.End(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("its end: %v", err)
	}
	missing(t, st, "a.ts")
	put(t, st, "a.ts", "new")
}

func namesRefused(t *testing.T, st store.Store) {
	long := strings.Repeat("x", 256)
	for _, name := range []string{"", "/", "/a", "a/", "a//b", "../a", "a/../b", "a/./b", "..", "a\x00b", `a\b`, "\xff", long, strings.Repeat("x/", 600) + "x"} {
		_, open := st.Open(name)
		_, begin := st.Create(name, store.Create{Size: -1})
		_, stat := st.Stat(name)
		_, list := st.List(name)
		_, patch := st.Patch(name)
		for what, err := range map[string]error{
			"open": open, "create": begin, "stat": stat, "list": list, "patch": patch,
			"remove": st.Remove(name), "await": st.Await(t.Context(), name),
		} {
			if !errors.Is(err, store.ErrName) {
				t.Errorf("%s %.20q: %v", what, name, err)
			}
		}
	}
	for _, name := range []string{".hidden", "a/.hidden", ".a/b", "...", ".sluice-0-1"} {
		if _, err := st.Create(name, store.Create{Size: -1}); !errors.Is(err, store.ErrName) {
			t.Errorf("create %q: %v", name, err)
		}
		if err := st.Remove(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("remove %q: %v", name, err)
		}
		missing(t, st, name)
	}
	for _, name := range []string{"a b", "ä/ö.ts", "a:b?*", "a..b", long[:255]} {
		put(t, st, name, name)
		if text := read(t, st, name); text != name {
			t.Errorf("%q holds %q", name, text)
		}
	}
}

func directories(t *testing.T, st store.Store) {
	put(t, st, "a/b/c.ts", "12345")
	put(t, st, "a/d.ts", "1")
	u := create(t, st, "a/e.ts", store.Create{Size: -1})
	defer u.Abort(nil)
	for _, dir := range []string{".", "a", "a/b"} {
		if _, err := st.Open(dir); !errors.Is(err, store.ErrIsDir) {
			t.Errorf("open %s: %v", dir, err)
		}
		if info, err := st.Stat(dir); err != nil || !info.Dir {
			t.Errorf("stat %s: %+v, %v", dir, info, err)
		}
		if _, err := st.Create(dir, store.Create{Size: -1}); !errors.Is(err, store.ErrIsDir) {
			t.Errorf("create %s: %v", dir, err)
		}
		if err := st.Remove(dir); !errors.Is(err, store.ErrIsDir) {
			t.Errorf("remove %s: %v", dir, err)
		}
		if _, err := st.Patch(dir); !errors.Is(err, store.ErrIsDir) {
			t.Errorf("patch %s: %v", dir, err)
		}
	}
	if _, err := st.Create("a/d.ts/x", store.Create{Size: -1}); !errors.Is(err, store.ErrNotDir) {
		t.Errorf("create below an object: %v", err)
	}
	missing(t, st, "a/d.ts/x")
	if got := listed(t, st, "a"); got != "a/b/ a/d.ts a/e.ts+" {
		t.Errorf("a holds %q", got)
	}
	if _, err := st.List("a/d.ts"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("list an object: %v", err)
	}
	if _, err := st.List("nowhere"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("list what is not there: %v", err)
	}
	st.RemoveEmpty("a/b", ".")
	if got := listed(t, st, "a"); got != "a/b/ a/d.ts a/e.ts+" {
		t.Errorf("a holds %q: a directory that is not empty was removed", got)
	}
	if err := st.Remove("a/b/c.ts"); err != nil {
		t.Fatal(err)
	}
	st.RemoveEmpty("a/b", ".")
	if got := listed(t, st, "a"); got != "a/d.ts a/e.ts+" {
		t.Errorf("a holds %q", got)
	}
	st.RemoveEmpty("a/d.ts", ".")
	if text := read(t, st, "a/d.ts"); text != "1" {
		t.Errorf("RemoveEmpty of an object left %q", text)
	}
	put(t, st, "x/y/z/1", "")
	if err := st.Remove("x/y/z/1"); err != nil {
		t.Fatal(err)
	}
	st.RemoveEmpty("x/y/z", ".")
	if got := listed(t, st, "."); got != "a/" {
		t.Errorf("the root holds %q", got)
	}
	st.RemoveEmpty(".", ".")
}

func patched(t *testing.T, st store.Store) {
	if _, err := st.Patch("a.mp4"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("patch what is not there: %v", err)
	}
	u := create(t, st, "a.mp4", store.Create{Type: "video/mp4", Size: 10})
	write(t, u, "0123456789")
	end(t, u)
	before := openItem(t, st, "a.mp4")
	defer closeItem(t, before)
	p, err := st.Patch("a.mp4")
	if err != nil {
		t.Fatal(err)
	}
	for at, text := range map[int64]string{2: "CD", 9: "JK", 13: "N"} {
		if _, err := p.WriteAt([]byte(text), at); err != nil {
			t.Fatal(err)
		}
	}
	if p.Size() != 14 {
		t.Errorf("it has %d bytes", p.Size())
	}
	if text := read(t, st, "a.mp4"); text != "0123456789" {
		t.Errorf("%q before the end", text)
	}
	if err := p.End(); err != nil {
		t.Fatal(err)
	}
	after := openItem(t, st, "a.mp4")
	defer closeItem(t, after)
	if text := content(t, after); text != "01CD45678JK\x00\x00N" {
		t.Errorf("%q", text)
	}
	if after.Tag == before.Tag || after.Type != "video/mp4" {
		t.Errorf("%+v after %+v", after.Info, before.Info)
	}
	if text := content(t, before); text != "0123456789" {
		t.Errorf("who had opened the old one reads %q", text)
	}
	if p, err = st.Patch("a.mp4"); err != nil {
		t.Fatal(err)
	}
	if _, err := p.WriteAt([]byte("lost"), 0); err != nil {
		t.Fatal(err)
	}
	p.Abort()
	if text := read(t, st, "a.mp4"); text != "01CD45678JK\x00\x00N" {
		t.Errorf("%q after a patch that broke off", text)
	}
	put(t, st, "a.mp4", "free again")
}

func tagsDiffer(t *testing.T, st store.Store) {
	tags := map[string]bool{}
	for range 100 {
		put(t, st, "a.mpd", "same size")
		a, err := st.Stat("a.mpd")
		if err != nil {
			t.Fatal(err)
		}
		it := openItem(t, st, "a.mpd")
		closeItem(t, it)
		if it.Info != a {
			t.Fatalf("%+v is not %+v", it.Info, a)
		}
		if tags[a.Tag] || len(a.Tag) < 3 || !strings.HasPrefix(a.Tag, `"`) || !strings.HasSuffix(a.Tag, `"`) {
			t.Fatalf("tag %s, after %d others", a.Tag, len(tags))
		}
		tags[a.Tag] = true
	}
}

func typesKept(t *testing.T, st store.Store) {
	u := create(t, st, "x", store.Create{Type: "text/vtt", Size: -1})
	end(t, u)
	if i, err := st.Stat("x"); err != nil || i.Type != "text/vtt" {
		t.Errorf("%+v, %v", i, err)
	}
	put(t, st, "x", "untyped")
	if i, err := st.Stat("x"); err != nil || i.Type != "" {
		t.Errorf("%+v, %v: the type is that of what was replaced", i, err)
	}
}

func eventsInOrder(t *testing.T, st store.Store) {
	put(t, st, "early", "")
	events, stop := record(st)
	u := create(t, st, "a", store.Create{Type: "!", Size: -1})
	end(t, u)
	create(t, st, "b", store.Create{Hidden: true, Size: -1}).Abort(nil)
	p, err := st.Patch("a")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.End(); err != nil {
		t.Fatal(err)
	}
	if p, err = st.Patch("a"); err != nil {
		t.Fatal(err)
	}
	p.Abort()
	if err := st.Remove("a"); err != nil {
		t.Fatal(err)
	}
	create(t, st, "c", store.Create{Size: -1})
	if err := st.Remove("c"); err != nil {
		t.Fatal(err)
	}
	want := "began a!, ended a, began b, aborted b, ended a, removed a, began c, aborted c"
	if got := events(); got != want {
		t.Errorf("%s\nshould be\n%s", got, want)
	}
	stop()
	put(t, st, "late", "")
	if got := events(); got != want {
		t.Errorf("after stop: %s", got)
	}
}

func watcherCalls(t *testing.T, st store.Store) {
	defer st.Watch(func(e store.Event) {
		if e.What == store.Ended {
			if err := st.Remove(e.Name); err != nil {
				t.Error(err)
			}
		}
	})()
	events, stop := record(st) // behind the one that makes more of them
	defer stop()
	put(t, st, "a", "x")
	if got := events(); got != "began a, ended a, removed a" {
		t.Error(got)
	}
}

func awaiting(t *testing.T, st store.Store) {
	put(t, st, "there", "")
	if err := st.Await(t.Context(), "there"); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := st.Await(ctx, "never"); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	var all sync.WaitGroup
	for range 10 {
		for _, name := range []string{"visible", "hidden"} {
			all.Go(func() {
				if err := st.Await(t.Context(), name); err != nil {
					t.Error(err)
				} else if it, err := st.Open(name); err != nil {
					t.Error(err)
				} else {
					closeItem(t, it)
				}
			})
		}
	}
	h := create(t, st, "hidden", store.Create{Hidden: true, Size: -1})
	v := create(t, st, "visible", store.Create{Size: -1})
	end(t, h)
	all.Wait()
	end(t, v)
}

func itemHolds(t *testing.T, st store.Store) {
	u := create(t, st, "a", store.Create{Size: -1})
	write(t, u, "all of it")
	it := openItem(t, st, "a")
	end(t, u)
	if err := st.Remove("a"); err != nil {
		t.Fatal(err)
	}
	if text, err := follow(t, it); text != "all of it" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
	closeItem(t, it)
	if _, err := it.Object.Reader(0, -1); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("a reader when everybody has gone: %v", err)
	}
}

func closingAborts(t *testing.T, st store.Store) {
	u := create(t, st, "a", store.Create{Size: -1})
	write(t, u, "half")
	put(t, st, "b", "x")
	p, err := st.Patch("b")
	if err != nil {
		t.Fatal(err)
	}
	it := openItem(t, st, "a")
	defer closeItem(t, it)
	awaited := make(chan error)
	go func() { awaited <- st.Await(context.Background(), "never") }()
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-awaited; !errors.Is(err, fs.ErrClosed) {
		t.Errorf("who waited: %v", err)
	}
	if _, err := follow(t, it); !errors.Is(err, object.ErrAborted) {
		t.Errorf("its reader: %v", err)
	}
	if _, err := u.End(); err == nil {
		t.Error("an upload ended in a closed store")
	}
	if err := p.End(); err == nil {
		t.Error("a patch ended in a closed store")
	}
	if _, err := st.Create("c", store.Create{Size: -1}); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("create: %v", err)
	}
}
