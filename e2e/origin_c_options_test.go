//go:build e2e && linux

package e2e

import (
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sluice/internal/testkit"
)

// seedOptions are the options of GPAC's httpout as its manual page has them, and its defaults; "" where it has none. Those of a list have
// a value that is as good as none.
var seedOptions = []struct{ name, value, shown string }{
	{"port", "0", "8080, 8443 with TLS"},
	{"ifce", "", ""},
	{"cert", "", ""},
	{"pkey", "", ""},
	{"wdir", "", ""},
	{"block_size", "10000", ""},
	{"user_agent", "", ""},
	{"close", "false", ""},
	{"maxc", "100", "100"},
	{"maxp", "6", "6"},
	{"cache_control", "", ""},
	{"hold", "false", ""},
	{"hmode", "default", "default"},
	{"timeout", "30", "30s"},
	{"ext", "", ""},
	{"mime", "", ""},
	{"quit", "false", ""},
	{"post", "false", ""},
	{"dlist", "false", ""},
	{"sutc", "false", ""},
	{"cors", "auto", "auto"},
	{"reqlog", "", ""},
	{"ice", "false", ""},
	{"max_client_errors", "20", "20"},
	{"max_cache_segs", "5", "5"},
	{"reopen", "false", ""},
	{"max_async_buf", "100000", ""},
	{"blockio", "false", ""},
	{"ka", "true", "true"},
	{"hdrs", "", ""},
	{"js", "", ""},
	{"zmax", "50000", "50KB"},
	// newer than that page
	{"cte", "true", "true"},
	{"maxs", "50M", "50MB"},
	{"norange", "false", ""},
}

// testSeedOptions: each option of the seed is taken, written either way, and its default is what holds without it.
func testSeedOptions(t *testing.T) {
	t.Run("defaults", testDefaults)
	t.Run("quit", testQuit)
	t.Run("ifce", testInterface)
	t.Run("user_agent and mime", testAgentAndType)
	t.Run("accepted", testAccepted)
	if said := startsNot(t, "--maxq", "1", t.TempDir()); !strings.Contains(said, "maxq") {
		t.Errorf("an option that is none: %s", said)
	}
}

func testDefaults(t *testing.T) {
	help, _, _ := output(program(), "origin", "--help")
	var said, dashed []string
	for _, option := range seedOptions {
		said = append(said, "--"+option.name+"="+option.value)
		dashed = append(dashed, "--"+strings.ReplaceAll(option.name, "_", "-")+"="+option.value)
		m := regexp.MustCompile(`(?m)^ +--` + strings.ReplaceAll(option.name, "_", "-") + `(?:\[| |$).*$`).FindString(help)
		if m == "" {
			t.Errorf("help has no %s", option.name)
		}
		shown := ""
		if d := regexp.MustCompile(`\(default (.*)\)$`).FindStringSubmatch(m); d != nil {
			shown = d[1]
		}
		if shown != option.shown {
			t.Errorf("%q: the default is said to be %q, want %q", m, shown, option.shown)
		}
	}
	dir := t.TempDir()
	put(t, filepath.Join(dir, "a.txt"), "a file")
	said = slices.DeleteFunc(said, func(s string) bool { return s == "--port=0" }) // beside --listen
	dashed = slices.DeleteFunc(dashed, func(s string) bool { return s == "--port=0" })
	addr := freePort(t)
	_, port, _ := net.SplitHostPort(addr)
	plain := startOriginAt(t, addr, "--dst", "http://localhost:"+port, "--port", "0", "--rdirs", dir)
	for _, args := range [][]string{said, dashed} {
		o := startOrigin(t, append(args, "--rdirs", dir)...)
		for _, path := range []string{"/a.txt", "/no", "/"} {
			want, got := plain.ask(http.MethodGet, path, "", "Origin", otherSite), o.ask(http.MethodGet, path, "", "Origin", otherSite)
			want.Header.Del("Date")
			got.Header.Del("Date")
			if got.Status != want.Status || got.body != want.body || fmt.Sprint(got.Header) != fmt.Sprint(want.Header) {
				t.Errorf("%s: %s %v, without options %s %v", path, got.Status, got.Header, want.Status, want.Header)
			}
		}
	}
}

// testQuit: it ends by itself when all is sent and the last client has gone.
func testQuit(t *testing.T) {
	addr := freePort(t)
	file := radio.file(t)
	o := startOriginAt(t, addr, "--quit", "-i", file, "--dst", "http://"+addr+"/live.ts")
	o.proc.WaitLine(`msg="engine attached"`)
	f := o.follow("/live.ts")
	film := readFile(t, file)
	f.hears(film)
	f.hearsEnd(false)
	if err := o.proc.Wait(); err != nil {
		t.Errorf("after the end of its channel: %v", err)
	}
	dir := startFile(t, "--quit")
	dir.get("/a.txt", 200)
	if err := dir.proc.Wait(); err != nil {
		t.Errorf("after its client: %v", err)
	}
}

// testInterface: it listens where it is told, by name or by address, and nowhere else.
func testInterface(t *testing.T) {
	for name, at := range map[string][2]string{"lo": {"127.0.0.1", "127.0.0.2"}, "127.0.0.3": {"127.0.0.3", "127.0.0.1"}, "::1": {"::1", "127.0.0.1"}} {
		_, port, _ := net.SplitHostPort(freePort(t))
		startOriginAt(t, net.JoinHostPort(at[0], port), "--ifce", name, "--port", port, "--dlist", t.TempDir()).get("/", 200)
		if c, err := net.Dial("tcp", net.JoinHostPort(at[1], port)); err == nil {
			c.Close()
			t.Errorf("with --ifce %s it listens at %s, too", name, at[1])
		}
	}
	if said := startsNot(t, "--ifce", "nosuch0", t.TempDir()); !strings.Contains(said, "nosuch0") {
		t.Errorf("an interface that is none: %s", said)
	}
}

// testAgentAndType: what the server calls itself, and what it says that all of it is.
func testAgentAndType(t *testing.T) {
	o, _ := startOriginDir(t, "--user_agent", "House/1.0 (of cards)", "--mime", "video/x-house")
	o.put("/a.txt", "a file", 201).has(t, "Server", "House/1.0 (of cards)")
	a := o.get("/a.txt", 200)
	a.has(t, "Server", "House/1.0 (of cards)")
	a.has(t, "Content-Type", "video/x-house")
	o.get("/no", 404).has(t, "Server", "House/1.0 (of cards)")
	u := o.beginSeen("/b.ts", "one")
	reply{Response: o.follow("/b.ts").Response}.has(t, "Content-Type", "video/x-house")
	u.ends(201)
	o.get("/b.ts", 200).has(t, "Content-Type", "video/x-house")
	if said := startsNot(t, "--mime", "no type", t.TempDir()); !strings.Contains(said, "mime") {
		t.Errorf("a type that is none: %s", said)
	}
	if said := startsNot(t, "--user_agent", "a\nb", t.TempDir()); !strings.Contains(said, "--user-agent") {
		t.Errorf("an agent of two lines: %s", said)
	}
}

// testAccepted: what has no meaning here is told once, and all goes on.
func testAccepted(t *testing.T) {
	o := startFile(t, "--ext", "mp4", "--block_size", "20000", "--blockio", "--no_z")
	w := wireTo(t, o.addr, "")
	for range 3 {
		w.wants(200, "GET /a.txt")
	}
	stopped(t, o.proc)
	for _, name := range []string{"ext", "block_size", "blockio"} {
		if n := strings.Count(o.proc.Output(), "--"+name+" "); n != 1 {
			t.Errorf("--%s is told of %d times:\n%s", name, n, o.proc.Output())
		}
	}
	if n := strings.Count(o.proc.Output(), "level=WARN"); n != 3 {
		t.Errorf("%d warnings, want 3:\n%s", n, o.proc.Output())
	}
}

// testTextCompressed: text of some length is compressed for who wants it, piece by piece, up to zmax; curl takes it.
func testTextCompressed(t *testing.T) {
	testkit.Need(t, "python3")
	long := strings.Repeat("so it goes on and on, and says the same. ", 50_000) // 2 MB
	o, dir := startOriginDir(t, "--zmax", "3M", "--maxp", "0")
	for name, zipped := range map[string]bool{
		"a.mpd": true, "a.m3u8": true, "a.txt": true, "a.html": true, "a.json": true, "a.xml": true, "a.js": true, "a.vtt": true, "a.svg": true,
		"a.m4s": false, "a.ts": false, "a.mp4": false, "a.png": false, "a.wasm": false, "a.mp3": false, "a.gz": false,
	} {
		put(t, filepath.Join(dir, name), long[:10_000])
		o.overEach(func(t *testing.T, o *originRun) {
			a := o.get("/"+name, 200, "Accept-Encoding", "gzip")
			if got := a.Header.Get("Content-Encoding"); (got == "gzip") != zipped || zipped != slices.Contains(a.Header.Values("Vary"), "Accept-Encoding") {
				t.Errorf("%s: Content-Encoding %q, Vary %q, want compressed: %v", name, got, a.Header.Values("Vary"), zipped)
			}
		})
	}
	for _, c := range []struct {
		size   int
		zipped bool
	}{{0, false}, {255, false}, {256, true}, {len(long), true}} {
		put(t, filepath.Join(dir, "size.txt"), long[:c.size])
		a := o.get("/size.txt", 200, "Accept-Encoding", "gzip")
		if got := a.Header.Get("Content-Encoding") == "gzip"; got != c.zipped || a.ContentLength != int64(len(a.body)) {
			t.Errorf("%d bytes: compressed %v, want %v; Content-Length %d of %d", c.size, got, c.zipped, a.ContentLength, len(a.body))
		}
	}
	put(t, filepath.Join(dir, "a.mpd"), long)
	for _, coding := range []string{"gzip", "deflate"} {
		if got := curls(t, "--compressed", "-H", "Accept-Encoding: "+coding, o.url+"/a.mpd"); got != long {
			t.Errorf("curl --compressed takes %d bytes of %s, want %d", len(got), coding, len(long))
		}
	}
	script := "import sys,urllib.request,gzip;r=urllib.request.urlopen(urllib.request.Request(sys.argv[1],headers={'Accept-Encoding':'gzip'}));" +
		"b=r.read();print(len(b)<100000,len(gzip.decompress(b)))"
	if out, err := exec.Command("python3", "-c", script, o.url+"/a.mpd").CombinedOutput(); string(out) != fmt.Sprintf("True %d\n", len(long)) {
		t.Errorf("python3 takes %q, %v", out, err)
	}
	testCompressionLimits(t, long)
}

// testCompressionLimits: zmax and zmin, to the byte.
func testCompressionLimits(t *testing.T, text string) {
	for _, c := range []struct {
		args   []string
		size   int
		zipped bool
	}{
		{nil, 50_000, true},
		{nil, 50_001, false},
		{[]string{"--zmax", "1000"}, 1000, true},
		{[]string{"--zmax", "1000"}, 1001, false},
		{[]string{"--zmax", "0"}, 1000, false},
		{[]string{"--no_z"}, 1000, false},
		{[]string{"--zmin", "10"}, 10, true},
		{[]string{"--zmin", "10"}, 9, false},
	} {
		o, dir := startOriginDir(t, c.args...)
		put(t, filepath.Join(dir, "a.txt"), text[:c.size])
		a := o.get("/a.txt", 200, "Accept-Encoding", "gzip")
		if got := a.Header.Get("Content-Encoding") == "gzip"; got != c.zipped {
			t.Errorf("%v: %d bytes are compressed: %v, want %v", c.args, c.size, got, c.zipped)
		}
	}
}
