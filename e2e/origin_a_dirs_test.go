//go:build e2e && linux

package e2e

import (
	"html"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"sluice/internal/testkit"
)

// folder makes a directory with a file of each name, which holds its own path.
func folder(t *testing.T, dir string, names ...string) string {
	t.Helper()
	for _, name := range names {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		put(t, path, path)
	}
	return dir
}

// finds wants of each path the file that it leads to; "" = 404.
func (o *originRun) finds(want map[string]string) {
	o.t.Helper()
	for path, file := range want {
		status := http.StatusOK
		if file == "" {
			status = http.StatusNotFound
		}
		if a := o.get(path, status); file != "" && a.body != file {
			o.t.Errorf("%s is %s, want %s", path, a.body, file)
		}
	}
}

var link = regexp.MustCompile(`<a href="([^"]*)">([^<]*)</a>`)

// listed are the entries of a listing: where they lead to, by what they are called.
func listed(text string) map[string]string {
	entries := map[string]string{}
	for _, m := range link.FindAllStringSubmatch(text, -1) {
		entries[html.UnescapeString(m[2])] = html.UnescapeString(m[1])
	}
	return entries
}

// testDirectories: several directories are below their names, and / lists them; or they are searched in order.
func testDirectories(t *testing.T) {
	base := t.TempDir()
	one := folder(t, filepath.Join(base, "one"), "a.m4s", "first.m4s", "sub/x.m4s")
	two := folder(t, filepath.Join(base, "two"), "a.m4s", "second.m4s", "sub/y.m4s")
	three := folder(t, filepath.Join(base, "three"), "a.m4s", "third.m4s")
	rules := put(t, filepath.Join(base, "rules"), "["+three+"]\nname=shows/late\n")
	dirs := strings.Join([]string{one, two, rules}, ",")
	t.Run("apart", func(t *testing.T) {
		o := startOrigin(t, "--rdirs", dirs, "--dlist")
		o.finds(map[string]string{
			"/one/a.m4s": one + "/a.m4s", "/one/sub/x.m4s": one + "/sub/x.m4s", "/two/a.m4s": two + "/a.m4s",
			"/shows/late/a.m4s": three + "/a.m4s", "/a.m4s": "", "/three/a.m4s": "", "/onea.m4s": "", "/one/second.m4s": "", "/one/a.m4s/": "",
		})
		wantEntries(t, o.get("/", 200), "one/", "two/", "shows/")
		wantEntries(t, o.get("/shows", 200), "../", "late/")
		wantEntries(t, o.get("/shows/late/", 200), "../", "a.m4s", "third.m4s")
	})
	t.Run("merged", func(t *testing.T) {
		o := startOrigin(t, "--rdirs", dirs, "--rdirs-merge", "--dlist")
		o.finds(map[string]string{
			"/a.m4s": one + "/a.m4s", "/first.m4s": one + "/first.m4s", "/second.m4s": two + "/second.m4s", "/sub/x.m4s": one + "/sub/x.m4s",
			"/sub/y.m4s": two + "/sub/y.m4s", "/shows/late/a.m4s": three + "/a.m4s", "/third.m4s": "", "/one/a.m4s": "",
		})
		wantEntries(t, o.get("/", 200), "a.m4s", "first.m4s", "second.m4s", "sub/", "shows/")
		wantEntries(t, o.get("/sub/", 200), "../", "x.m4s", "y.m4s")
		if err := os.Remove(filepath.Join(one, "a.m4s")); err != nil {
			t.Fatal(err)
		}
		o.finds(map[string]string{"/a.m4s": two + "/a.m4s"})
	})
	t.Run("alone", func(t *testing.T) {
		startOrigin(t, two).finds(map[string]string{"/a.m4s": two + "/a.m4s", "/two/a.m4s": ""})
	})
	t.Run("same name", func(t *testing.T) {
		same := folder(t, filepath.Join(t.TempDir(), "one"), "a.m4s")
		said := refusesToStart(t, "origin", "--listen", freePort(t), one, same)
		if !strings.Contains(said, "/one/") {
			t.Errorf("it says %q", said)
		}
	})
	t.Run("no name", func(t *testing.T) {
		for _, dirs := range [][]string{{""}, {"--rdirs", one + ","}} {
			if said := refusesToStart(t, append([]string{"origin", "--listen", freePort(t)}, dirs...)...); !strings.Contains(said, "empty name") {
				t.Errorf("%q: it says %q", dirs, said)
			}
		}
		comma := filepath.Join(base, "write,here")
		o := startOrigin(t, "--wdir", comma, one)
		o.put("/x.m4s", letters, 201)
		seen(t, filepath.Join(comma, "x.m4s"), true)
	})
}

// wantEntries wants a listing of exactly these, in any order, with links to below where it is.
func wantEntries(t *testing.T, a reply, want ...string) {
	t.Helper()
	var names []string
	for name, to := range listed(a.body) {
		names = append(names, strings.Replace(name, "..", "../", 1))
		if u, err := url.Parse(to); err != nil || name != ".." && u.Path != strings.TrimSuffix(a.Request.URL.Path, "/")+"/"+name {
			t.Errorf("in the listing of %s %q leads to %q", a.Request.URL.Path, name, to)
		}
	}
	slices.Sort(names)
	slices.Sort(want)
	if !slices.Equal(names, want) {
		t.Errorf("the listing of %s has %q, want %q", a.Request.URL.Path, names, want)
	}
}

// refusesToStart wants the program to end at once, not in good order, and returns what it has said.
func refusesToStart(t *testing.T, args ...string) string {
	t.Helper()
	p := testkit.Start(t, program(), append(args, "--run-dir", filepath.Join(shortDir(t), "run"))...)
	if p.Wait() == nil {
		t.Errorf("sluice %s ended in good order", strings.Join(args, " "))
	}
	return p.Output()
}

// testListing: a directory is not listed unless that is asked for, and then without what is hidden, however things are called.
func testListing(t *testing.T) {
	names := []string{`<script>alert("1")</script>.txt`, "a b&amp;.txt", "100%2f.txt", "what?#.txt", "ü😀.txt", "C:d.txt", "sub/inner.txt"}
	dir := folder(t, t.TempDir(), append(names, ".hidden", ".dir/x", "sub/.x")...)
	for _, l := range [][2]string{{"/etc", "out"}, {"sub", "in"}} {
		if err := os.Symlink(l[0], filepath.Join(dir, l[1])); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("off", func(t *testing.T) {
		o := startOrigin(t, dir)
		for _, path := range []string{"/", "/sub", "/sub/"} {
			if a := o.get(path, 403); listed(a.body)["inner.txt"] != "" || !strings.Contains(a.body, "not listed") {
				t.Errorf("%s: %q", path, a.body)
			}
		}
		o.get("/none/", 404)
	})
	t.Run("on", func(t *testing.T) {
		o := startOrigin(t, "--dlist", "--wdir", dir, dir)
		o.beginSeen("/grows.m4s", "five.")
		o.overEach(func(t *testing.T, o *originRun) {
			a := o.get("/", 200)
			a.has(t, "Content-Type", "text/html; charset=utf-8")
			entries := listed(a.body)
			if len(entries) != len(names)+2 { // all but .hidden, .dir and out; besides in/ and what grows
				t.Errorf("%d entries: %q", len(entries), entries)
			}
			for _, name := range append(names[:len(names)-1:len(names)-1], "in/inner.txt", "sub/inner.txt") {
				first, rest, _ := strings.Cut(name, "/")
				if rest != "" {
					first += "/"
				}
				file := strings.Replace(filepath.Join(dir, name), "/in/", "/in/../sub/", 1)
				if got := o.get(entries[first]+rest, 200).body; got != filepath.Clean(file) {
					t.Errorf("%q leads to %q: %q", first, entries[first], got)
				}
			}
			if strings.Contains(a.body, "<script") || !strings.Contains(a.body, "5, growing") {
				t.Errorf("the listing is %q", a.body)
			}
			head := o.ask(http.MethodHead, "/", "")
			if head.StatusCode != 200 || head.Header.Get("Content-Type") != a.Header.Get("Content-Type") {
				t.Errorf("HEAD: %s %v", head.Status, head.Header)
			}
			o.finds(map[string]string{"/.hidden": "", "/.dir/x": "", "/.dir/": "", "/out/hostname": "", "/sub/.x": ""})
		})
	})
}

// testOutside: nothing outside the directory is read, however its path is spelled.
func testOutside(t *testing.T) {
	base := t.TempDir()
	folder(t, base, "secret", "out/secret", "root/in/file", "root/sub/file")
	root := filepath.Join(base, "root")
	for _, l := range [][2]string{
		{"../secret", "link"},
		{base + "/secret", "absolute"},
		{"../out", "dir"},
		{"..", "up"},
		{"/", "top"},
		{"in", "fine"},
		{"loop", "loop"},
		{"../root/in/file", "by-way-of"},
		{base + "/root/in/file", "by-itself"},
	} {
		if err := os.Symlink(l[0], filepath.Join(root, l[1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(root, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	o := startOrigin(t, "--dlist", root)
	for _, path := range []string{
		"/../secret", "/sub/../../secret", "/./../secret", "//../secret", "/sub/..//../secret", "/...//secret", "/..",
		"/%2e%2e/secret", "/%2E%2E/secret", "/.%2e/secret", "/sub/%2e%2e/%2e%2e/secret", "/%2e%2e%2fsecret", "/..%2Fsecret", "/sub%2f..%2f..%2fsecret",
		"/%252e%252e/secret", "/..%5csecret", "/..\\secret", "/..%c0%afsecret", "/%c0%ae%c0%ae/secret", "/secret%00", "/sub/file%00.m4s", "/sub%00/file",
		"/" + base + "/secret", base + "/secret", "/file:///etc/passwd", "/link", "/absolute", "/dir/secret", "/dir", "/up/secret", "/up/root/in/file",
		"/top/etc/hostname", "/loop", "/loop/x", "/by-way-of", "/by-itself", "/pipe", "/sub/../in/file", "/sub//file", "/sub/./file", "/sub/file/",
	} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			got := exchange(t, o.addr, method+" "+path+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
			if !strings.HasPrefix(got, "HTTP/1.1 404 ") || strings.Contains(got, base) {
				t.Errorf("%s %s: %q", method, path, got)
			}
		}
		if code, body := curl(t, "--path-as-is", "--http2-prior-knowledge", o.url+path); code != 404 || strings.Contains(body, base) {
			t.Errorf("curl %s: %d %q", path, code, body)
		}
	}
	o.finds(map[string]string{"/in/file": root + "/in/file", "/fine/file": root + "/in/file"})
}

// testTypes: what things are is said by their names, also while they grow, then by who uploads them, then by how they begin.
func testTypes(t *testing.T) {
	o, dir := startOriginDir(t)
	types := map[string]string{
		"a.mpd": "application/dash+xml", "a.m3u8": "application/vnd.apple.mpegurl", "a.m4s": "video/iso.segment", "a.cmfv": "video/mp4",
		"a.cmfa": "audio/mp4", "a.cmft": "application/mp4", "a.mp4": "video/mp4", "a.ts": "video/mp2t", "a.wasm": "application/wasm",
		"a.js": "text/javascript; charset=utf-8", "A.MPD": "application/dash+xml", "a.m4s.3": "video/iso.segment", "a.init": "video/mp4",
		"a.txt": "text/plain; charset=utf-8", "a.vtt": "text/vtt; charset=utf-8", "a.mp3": "audio/mpeg", "a.aac": "audio/aac",
	}
	for name := range types {
		put(t, filepath.Join(dir, name), letters)
	}
	put(t, filepath.Join(dir, "picture"), "\x89PNG\r\n\x1a\n")
	put(t, filepath.Join(dir, "noise"), "\x00\x01\x02\x03")
	types["picture"], types["noise"] = "image/png", "application/octet-stream"
	for _, name := range []string{"said", "said.ts"} {
		if a := o.ask(http.MethodPut, "/"+name, letters, "Content-Type", "video/x-own; q=1"); a.StatusCode != 201 {
			t.Fatal(a.Status)
		}
	}
	types["said"], types["said.ts"] = "video/x-own; q=1", "video/mp2t"
	o.beginSeen("/grows.m4s", "")
	o.beginSeen("/grows", "")
	types["grows.m4s"], types["grows"] = "video/iso.segment", "application/octet-stream"
	o.overEach(func(t *testing.T, o *originRun) {
		for name, want := range types {
			a := o.ask(http.MethodHead, "/"+name, "")
			if got := a.Header.Get("Content-Type"); a.StatusCode != 200 || got != want {
				t.Errorf("%s: %s, %q, want %q", name, a.Status, got, want)
			}
		}
	})
	all := startOrigin(t, "--mime", "video/x-all", dir)
	for _, name := range []string{"/a.mpd", "/noise"} {
		all.get(name, 200).has(t, "Content-Type", "video/x-all")
	}
}
