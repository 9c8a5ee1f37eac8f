package origin

import (
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"sluice/internal/creds"
)

func TestPaths(t *testing.T) {
	for path, want := range map[string]string{
		"/": ". dir", "/a.ts": "a.ts", "/a/b.ts": "a/b.ts", "/a/": "a dir", "/a%20b%C3%A4.ts": "a bä.ts", "/a..b": "a..b",
		"/..": "", "/../a": "", "/a/../b": "", "/a/./b": "", "/%2e%2e/a": "", "/a/%2E%2e": "", "//a": "", "/a//b": "", "/a//": "", "/./": "", "/.": "",
		"/a%2fb": "", "/..%2Fetc": "", `/a\b`: "", "/a%5cb": "", "/a%00": "", "a": "", "": "", "*": "", "/%ff": "",
	} {
		u, err := url.ParseRequestURI(path)
		if err != nil {
			u = &url.URL{Path: path}
		}
		got := ""
		if name, directory, ok := parsePath(u); ok {
			got = name
			if directory {
				got += " dir"
			}
		}
		if got != want {
			t.Errorf("%q: %q, want %q", path, got, want)
		}
	}
}

func FuzzPath(f *testing.F) {
	for _, s := range []string{"/a/b", "/..%2f", "/%2e%2e/a", "//", "/a%00", `/\..\a`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := url.ParseRequestURI(s)
		if err != nil {
			return
		}
		name, _, ok := parsePath(u)
		if ok && !filepath.IsLocal(filepath.FromSlash(name)) {
			t.Errorf("%q is %q, which leads out", s, name)
		}
	})
}

// readRules reads rules with the directories below root.
func readRules(t *testing.T, root, text string) *creds.Rules {
	t.Helper()
	file := filepath.Join(root, "rules")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	rules, err := creds.ReadRules(file)
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

func TestPlaces(t *testing.T) {
	root := dir(t, map[string]string{"vod/": "", "news/": "", "up/": ""})
	at := func(name, of string) Mount { return Mount{Name: name, Dir: filepath.Join(root, of)} }
	up := at("", "up")
	rules := readRules(t, root, "[news]\nwu=alice\n[vod]\nru=bob\n")
	for _, c := range []struct {
		conf              Config
		name, read, write string // what is said of a place: its directory and its name
	}{
		{Config{Read: []Mount{at("", "vod")}}, "a/b", "vod:a/b", ""},
		{Config{Read: []Mount{at("", "vod")}, Write: &up}, "a/b", "vod:a/b", "up:a/b"},
		{Config{Read: []Mount{at("v", "vod")}}, "v/a", "vod:a", ""},
		{Config{Read: []Mount{at("v", "vod")}}, "a", "", ""},
		{Config{Read: []Mount{at("", "vod"), at("", "news")}}, "news/a", "news:a", ""},
		{Config{Read: []Mount{at("", "vod"), at("", "news")}}, "a", "", ""},
		{Config{Read: []Mount{at("", "vod"), at("", "news")}, Merge: true}, "news/a", "vod:news/a news:news/a", ""},
		{Config{Read: []Mount{at("", "vod"), at("n", "news")}, Merge: true}, "n/a", "news:a", ""},
		{Config{Read: []Mount{at("a/b", "vod"), at("a", "news")}}, "a/b/c", "vod:c", ""},
		{Config{Read: []Mount{at("a/b", "vod"), at("a", "news")}}, "a/bc", "news:bc", ""},
		{Config{Read: []Mount{at("", "vod"), at("", "news")}, Rules: rules}, "news/a", "news:a", "news:a"},
		{Config{Read: []Mount{at("", "vod"), at("", "news")}, Rules: rules, Write: &up}, "news/a", "news:a", "news:a"},
		{Config{Read: []Mount{at("", "vod"), at("", "news")}, Rules: rules, Write: &up}, "vod/a", "vod:a", "up:vod/a"},
		{Config{Read: []Mount{at("", "news")}, Rules: rules, Write: &up}, "a", "news:a", "up:a"},
		{Config{Read: []Mount{at("", "news")}, Rules: rules}, "a", "news:a", "news:a"},
	} {
		s := &site{conf: c.conf}
		if err := s.layOut(); err != nil {
			t.Fatal(err)
		}
		say := func(p place) string { return filepath.Base(p.Dir) + ":" + p.name }
		read, write := "", ""
		for i, p := range s.placesToRead(c.name) {
			if i > 0 {
				read += " "
			}
			read += say(p)
		}
		if p, ok := s.placeToWrite(c.name); ok {
			write = say(p)
		}
		if read != c.read || write != c.write {
			t.Errorf("%s of %v: read %q, want %q; write %q, want %q", c.name, c.conf.Read, read, c.read, write, c.write)
		}
	}
}

func TestTwoMountsAtOnePlace(t *testing.T) {
	s := &site{conf: Config{Read: []Mount{{Dir: "/a/live"}, {Dir: "/b/live"}}}}
	if err := s.layOut(); err == nil {
		t.Error("/live/ would be two directories")
	}
}

func TestPlaceOfFile(t *testing.T) {
	m := memory(t)
	s := &site{mounts: []*mount{{Mount: Mount{Dir: "/srv/a", Store: m.Store}}, {Mount: m}}}
	for file, want := range map[string]string{
		"/srv/a/b/c": "b/c", "/srv/a/../a/b": "b", "/srv/a": ".", "/srv/ab": "", "/srv/a/../x": "", "/etc/passwd": "", "b": "",
	} {
		p, err := s.placeOfFile(file)
		if p.name != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v", file, p.name, err)
		}
	}
}
