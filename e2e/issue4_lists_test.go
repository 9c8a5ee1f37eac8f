//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"sluice/internal/testkit"
)

// listed are the names of our playlist, in its order.
func (p *product) listed() (names []string) {
	p.t.Helper()
	code, text := curl(p.t, p.url("/playlist.m3u"))
	if code == 404 {
		return nil // no channel at all
	}
	if code != 200 {
		p.t.Fatalf("/playlist.m3u: %d %s", code, text)
	}
	for _, m := range regexp.MustCompile(`(?m)^http://\S+/\$([^\s?]+)`).FindAllStringSubmatch(text, -1) {
		names = append(names, m[1])
	}
	return names
}

// lists waits until our playlist has these names.
func (p *product) lists(names ...string) {
	p.t.Helper()
	testkit.Eventually(p.t, func() error {
		if got := p.listed(); !slices.Equal(got, names) {
			return fmt.Errorf("the playlist has %q, want %q", got, names)
		}
		return nil
	})
}

// rewrite replaces a file as editors do: by another one.
func rewrite(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// testChannelsFile changes a channels file under a running product: what is in it comes
// and goes, those who watch do not, and a file with a mistake changes nothing.
func testChannelsFile(t *testing.T) {
	one, two := source(t), source(t)
	path := filepath.Join(t.TempDir(), "channels.conf")
	rewrite(t, path, "one udp://"+one+"\n")
	p := run(t, settings{config: "channels_file: [" + path + "]\nchannels: {own: {source: 'udp://239.78.1.1:5000'}}\n"})
	p.lists("own", "one")
	k := take(p, "/$one", anyAddress)

	rewrite(t, path, "one udp://"+one+"\n    max_clients = 1\ntwo udp://"+two+"\n    title = Number two\n")
	p.lists("own", "one", "two")
	p.wants(200, "/$two")
	p.wants(503, "/$one") // its limit holds now, and somebody watches
	goesOn(100, k)

	rewrite(t, path, "two udp://"+two+"\nthree udp://239.1.1\n")
	p.proc.WaitLine(`level=ERROR msg="list of channels not read: .*.*channels\.conf:2:7: `)
	if got := p.listed(); !slices.Equal(got, []string{"own", "one", "two"}) {
		t.Errorf("after a mistake the playlist has %q", got)
	}
	rewrite(t, path, "own udp://"+two+"\n") // the configuration has that name
	p.proc.WaitLine(`level=ERROR msg="lists of channels not in use: .*.*own is there twice`)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	p.proc.WaitLine(`level=ERROR msg="list of channels not read.*no such file`)
	p.wants(200, "/$two")

	rewrite(t, path, "zwei udp://"+two+"\n")
	p.lists("own", "zwei")
	p.wants(404, "/$one")
	goesOn(100, k) // its channel has no name any more, and goes on
	whole(k)
}

// testPlaylists does the same to an M3U file and to one that comes from a server.
func testPlaylists(t *testing.T) {
	one, two, three := source(t), source(t), source(t)
	entry := func(title, group string) string { return "#EXTINF:-1," + title + "\nudp://@" + group + "\n" }
	path := filepath.Join(t.TempDir(), "list.m3u")
	rewrite(t, path, "#EXTM3U\n"+entry("One HD", one))
	var remote atomic.Value
	remote.Store("#EXTM3U\n" + entry("Two", two))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text := remote.Load().(string)
		if user, password, _ := r.BasicAuth(); user != "bob" || password != "g3h31m" || text == "" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		fmt.Fprint(w, text)
	}))
	t.Cleanup(server.Close)
	url := "http://bob:g3h31m@" + server.Listener.Addr().String() + "/list.m3u?key=g3h31m"
	config := "playlists: [" + path + ", '" + url + "']\nplaylist_refresh: 1s\n"
	p := run(t, settings{config: config})
	p.lists("One_HD", "Two")
	k, l := take(p, "/$One_HD", anyAddress), take(p, "/$Two", anyAddress)

	rewrite(t, path, "#EXTM3U\n"+entry("One HD", one)+entry("One HD", three))
	p.lists("One_HD", "One_HD-2", "Two")
	remote.Store("#EXTM3U\n" + entry("Two", two) + entry("Drei", "239.78.2.1:5000") + "#EXTINF:-1,HLS\nhttp://tv.example/x.m3u8\n")
	p.lists("One_HD", "One_HD-2", "Two", "Drei")
	p.proc.WaitLine(`level=WARN.*msg="list of channels".*HLS`)

	remote.Store("") // 403
	p.proc.WaitLine(`level=ERROR msg="list of channels not read: .*.*403`)
	rewrite(t, path, "no playlist at all\n")
	p.proc.WaitLine(`level=ERROR msg="list of channels not read: .*.*list\.m3u`)
	if got := p.listed(); len(got) != 4 {
		t.Errorf("after both lists broke the playlist has %q", got)
	}
	p.reload(config + "linger: 1h\n") // neither can be read now, too
	if got := p.listed(); len(got) != 4 {
		t.Errorf("after a reload with broken lists the playlist has %q", got)
	}
	goesOn(100, k, l)
	whole(k, l)
	if strings.Contains(p.proc.Output(), "g3h31m") {
		t.Error("the log shows the credentials of a playlist")
	}
}

// testOurPlaylist: VLC plays the list itself, ffmpeg the URLs in it; the token that the list
// was asked with is in them.
func testOurPlaylist(t *testing.T) {
	testkit.Need(t, "ffmpeg", "cvlc", "curl")
	group := newGroup()
	send(t, h264, "udp", group)
	log, access := accessLog(t)
	tokens := write(t, "tokens", []byte("bob sesame\n"))
	p := run(t, settings{config: access + "linger: 1h\nauth: {tokens: " + tokens + "}\nchannels: {news: {source: 'udp://" + group + "', title: 'The News, HD', group: News, pinned: true}}\n"})
	code, list := curl(t, p.url("/playlist.m3u?token=sesame"))
	if code != 200 || !strings.HasPrefix(list, "#EXTM3U") || !strings.Contains(list, "The News") || !strings.Contains(list, `group-title="News"`) {
		t.Fatalf("the playlist: %d\n%s", code, list)
	}
	lines := strings.Fields(list)
	url := lines[len(lines)-1]
	if url != p.url("/$news?token=sesame") {
		t.Fatalf("the playlist has the URL %s", url)
	}
	watch(t, url).untilStart()
	firstPicture(t, url)
	vlc(t, p.url("/playlist.m3u?token=sesame")).WaitLine(`Received first picture`)
	testkit.Eventually(t, func() error {
		for _, e := range entriesOf(t, log) {
			if strings.HasPrefix(e["agent"], "VLC") && e.has("event", "client_open", "user", "bob", "request", "GET /$news?- HTTP/1.1") {
				return nil
			}
		}
		return fmt.Errorf("VLC does not stand in the access log with the token")
	})
	if code, _ := curl(t, p.url("/playlist.m3u")); code != 401 {
		t.Errorf("the playlist without a token: %d", code)
	}
}

// testChannelsOfTheManual: both examples of channels.conf and the one of M3U are served under
// the names that the manual says.
func testChannelsOfTheManual(t *testing.T) {
	text := readFile(t, filepath.Join("..", "docs", "channels.md"))
	var files []string
	for i, m := range regexp.MustCompile("(?ms)^```conf\n(.*?)^```$").FindAllStringSubmatch(text, -1) {
		files = append(files, write(t, fmt.Sprintf("%d.conf", i), []byte(m[1])))
	}
	list := write(t, "list.m3u", []byte(strings.ReplaceAll(exampleOf(t, "channels.md", "m3u"), "239.1.1.1:", "239.1.1.77:"))) // both examples have that group
	p := run(t, settings{config: "channels_file: [" + strings.Join(files, ", ") + "]\nplaylists: [" + list + "]\n"})
	p.lists("world", "local", "film-1", "film-2", "film-3", "Channel_One_HD", "%D0%9F%D0%B5%D1%80%D0%B2%D1%8B%D0%B9_%D0%BA%D0%B0%D0%BD%D0%B0%D0%BB", "Channel_One_HD-2")
	for _, name := range append(p.listed(), "Первый_канал") {
		if a := request(t, http.MethodHead, p.url("/$"+name)); a.code != 200 {
			t.Errorf("HEAD /$%s: %d", name, a.code)
		}
	}
	_, page := curl(t, p.url("/playlist.m3u"))
	for _, want := range []string{`tvg-logo="http://pictures.example/1.png"`, `tvg-id="one.example"`, `group-title="Общие"`, ",Channel One HD\n", ",Local news\n", `group-title="News"`} {
		if !strings.Contains(page, want) {
			t.Errorf("the playlist has no %s:\n%s", want, page)
		}
	}
}
