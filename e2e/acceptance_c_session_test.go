//go:build e2e

package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"sluice/internal/report"
	"sluice/internal/testkit"
)

// testSessions: a session whose stream goes elsewhere outlives the request for it, and ends
// with its source, with its target or by an order. Some are in the configuration.
func testSessions(t *testing.T) {
	t.Run("asked for", func(t *testing.T) { t.Parallel(); testSessionsEnd(t) })
	t.Run("routes", func(t *testing.T) { t.Parallel(); testSessionsOfRoutes(t) })
}

func testSessionsEnd(t *testing.T) {
	access, config := accessLog(t)
	p := run(t, settings{config: config + "no_data: 1h\nsources: [127.0.0.0/8, 239.0.0.0/8]\ntargets: [127.0.0.0/8]\n"})
	f := newFeed(t, p)
	viewer := f.first(f.path())
	source := "udp://" + f.group
	closed := func(client, reason string) {
		t.Helper()
		logged(t, access, `"GET /src/.*event=client_close .*client="`+client+`" .*reason="`+reason)
	}

	t.Run("the answer", func(t *testing.T) {
		target, _ := tcpTarget(t)
		a := request(t, "GET", p.url(pair(source, target)))
		tag := strings.Replace(target, "tcp", "TCP", 1)
		if want := "started UDP://" + f.group + " " + tag + "\n"; a.code != 200 || a.body != want || !strings.HasPrefix(a.header.Get("Content-Type"), "text/plain") {
			t.Errorf("%d, %q, %q, want 200, text/plain and %q", a.code, a.header.Get("Content-Type"), a.body, want)
		}
		if _, err := session(p.status(), "UDP://"+f.group, tag); err != nil { // who has asked is gone
			t.Error(err)
		}
	})
	t.Run("HEAD starts nothing", func(t *testing.T) {
		met := make(chan bool, 1)
		target := "tcp://" + listen(t, func(net.Conn) { met <- true })
		if a := request(t, "HEAD", p.url(pair(source, target))); a.code != 200 || !strings.HasPrefix(a.header.Get("Content-Type"), "text/plain") {
			t.Errorf("HEAD: %d, %q", a.code, a.header.Get("Content-Type"))
		}
		select {
		case <-met:
			t.Error("the target was connected to for HEAD")
		default:
		}
	})
	t.Run("the source ends", func(t *testing.T) {
		more := make(chan bool)
		from := "tcp://" + listen(t, func(c net.Conn) {
			_, _ = c.Write(madeUp(1))
			<-more
		})
		end := sync.OnceFunc(func() { close(more) })
		t.Cleanup(end) // before the listener waits
		target, c := tcpTarget(t)
		channel, client := started(t, p, pair(from, target))
		c.gets(t, madeUp(1))
		if _, err := session(p.status(), channel, client); err != nil {
			t.Error(err)
		}
		end()
		c.ends(t)
		p.over(channel, client)
		closed(client, "source ended")
	})
	t.Run("the target leaves", func(t *testing.T) {
		target := "tcp://" + listen(t, func(c net.Conn) { _, _ = io.ReadFull(c, make([]byte, 1000)) })
		channel, client := started(t, p, pair(source, target))
		f.more(1)
		p.over(channel, client)
		closed(client, "(the target closed the connection|TCP://.*(reset|broken))")
	})
	t.Run("the target refuses", func(t *testing.T) {
		failed(t, "GET", p.url(pair(source, "tcp://"+freePort(t))), 503, "connection refused")
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "these are the server's words", http.StatusForbidden)
		}))
		defer s.Close()
		channel, client := started(t, p, pair(source, s.URL+"/in?key=secret"))
		p.over(channel, client)
		closed("HTTP://.*", "HTTP://.*the server answered 403")
		if said := p.proc.Output() + readFile(t, access); strings.Contains(said, "secret") || strings.Contains(said, "server's words") {
			t.Error("the logs tell the query, or what the server said")
		}
	})
	t.Run("an order", func(t *testing.T) {
		first, c := tcpTarget(t)
		second, d := tcpTarget(t)
		channel, one := started(t, p, pair(source, first))
		_, two := started(t, p, pair(source, second))
		p.end(channel, one)
		c.ends(t)
		p.over(channel, one)
		closed(one, "dropped")
		f.more(1)
		f.delivered(viewer)
		if _, err := session(p.status(), channel, two); err != nil {
			t.Error(err)
		}
		p.end(channel, "")
		d.ends(t)
		p.over(channel, two)
		if err := viewer.end(); err != io.EOF { //nolint:errorlint // a body ends with io.EOF itself
			t.Errorf("the viewer of the channel that was dropped: %v", err)
		}
	})
}

// testSessionsOfRoutes: sessions of the configuration begin at boot, and again when they have ended if
// they are to; a gws that is killed changes nothing about them.
func testSessionsOfRoutes(t *testing.T) {
	dir, group := t.TempDir(), newGroup()
	out, datagrams := udpTarget(t, net.IPv4(127, 0, 0, 1), noHeader)
	conns := make(chan *net.TCPConn, 10)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns <- c.(*net.TCPConn)
		}
	}()
	recordURL, record := fileTarget(dir, "record.ts")
	taken := filepath.Join(dir, "taken.ts")
	if err := os.WriteFile(taken, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := run(t, settings{config: fmt.Sprintf(`no_data: 1h
channels: {news: {source: 'udp://%s'}}
routes:
  out: {from: $news, to: '%s', restart: true}
  record: {from: 'udp://%s', to: '%s'}
  up: {from: $news, to: 'tcp://%s', restart: true}
  taken: {from: $news, to: 'file://%s'}
`, group, out, group, recordURL, l.Addr(), taken)})
	joined(t, group) // nobody has asked
	f := feedTo(t, p, group)
	f.more(1)
	up := next(t, conns, "connection to the target of a route")
	defer up.Close()
	stream := &catch{}
	go func() { _ = stream.take(up) }()
	channel := "UDP://" + group
	targets := []string{strings.Replace(out, "udp", "UDP", 1), "FILE://" + record, "TCP://" + l.Addr().String()}
	p.eventually(func(st report.Status) error {
		for _, target := range targets {
			if _, err := session(st, channel, target); err != nil {
				return err
			}
		}
		return nil
	})
	p.proc.WaitLine(`route not begun.*route=taken.*code=409`)
	p.killWebService()
	f.more(4)
	flows := func(what string, got func() []byte) {
		t.Helper()
		testkit.Eventually(t, func() error {
			if b := got(); len(b) < len(f.sent)-groupBytes || !bytes.HasSuffix(f.sent, b) {
				return fmt.Errorf("%s has %d bytes, want the %d that were sent, or all but the first group", what, len(b), len(f.sent))
			}
			return nil
		})
	}
	now := func(c *catch) func() []byte { return func() []byte { b, _, _ := c.now(); return b } }
	flows("the address", now(datagrams))
	flows("the connection", now(stream))
	flows("the file", func() []byte { return []byte(readFile(t, record)) })

	p.end(channel, targets[1]) // is not to begin again
	p.over(channel, targets[1])
	if err := errors.Join(up.SetLinger(0), up.Close()); err != nil {
		t.Fatal(err)
	}
	again := next(t, conns, "second connection to the target of a route")
	defer again.Close()
	p.eventually(func(st report.Status) error {
		_, err := session(st, channel, targets[2])
		return err
	})
	if _, err := session(p.status(), channel, targets[1]); err == nil {
		t.Error("a route that has ended, and is not to begin again, runs")
	}
	if c, _, err := channelLike(p.status(), group); err != nil || len(c.Clients) != 2 || len(conns) != 0 {
		t.Errorf("%d sessions and %d connections too many (%v), want the two that are left", len(c.Clients), len(conns), err)
	}
	if b := readFile(t, taken); b != "old" {
		t.Errorf("a file that was there holds %d bytes now", len(b))
	}
}

// testFileThatIsThere: it is refused, gone on with or emptied, as was asked.
func testFileThatIsThere(t *testing.T) {
	dir := t.TempDir()
	p := run(t, settings{config: "no_data: 1h\nfiles: {write: ['" + dir + "']}\n"})
	f := newFeed(t, p)
	viewer := f.first(f.path())
	url, path := fileTarget(dir, "there.ts")
	old := garbage(1000, 1)
	if err := os.WriteFile(path, old, 0o640); err != nil {
		t.Fatal(err)
	}
	record := func(query string) {
		t.Helper()
		channel, client := started(t, p, pair("udp://"+f.group, url+query))
		if client != "FILE://"+path {
			t.Errorf("%s: the session is called %s", query, client)
		}
		f.delivered(viewer)
		testkit.Eventually(t, func() error {
			info, err := os.Stat(path)
			if err == nil && info.Size()%groupBytes != int64(len(old))*int64(strings.Count(query, "append")) {
				err = fmt.Errorf("%d bytes", info.Size())
			}
			return err
		})
		p.end(channel, client)
		p.over(channel, client)
	}
	failed(t, "GET", p.url(pair("udp://"+f.group, url)), 409, "write=append")
	failed(t, "GET", p.url(pair("udp://"+f.group, url+"?write=new")), 409, "write=append")
	failed(t, "GET", p.url(pair("udp://"+f.group, url+"?write=over")), 400, "want new, append or truncate")
	written(t, path, old)
	record("?write=append")
	written(t, path, slices.Concat(old, f.sent))
	record("?write=truncate")
	written(t, path, f.sent)
	failed(t, "GET", p.url(pair("udp://"+f.group, url)), 409, "write=append")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	record("")
	written(t, path, f.sent)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o027 != 0 {
		t.Errorf("the new file has the mode %v, %v", info.Mode(), err)
	}
}

// testGroupsNeverMix: two groups on one port, and one group on two interfaces, stay apart.
func testGroupsNeverMix(t *testing.T) {
	first, second := testkit.TwoHosts(t), testkit.TwoHosts(t)
	group, other := newGroup(), newGroup() // of one port
	for _, s := range []struct {
		host  *testkit.Hosts
		group string
		clip  clip
	}{{first, group, h264}, {first, other, mpeg2}, {second, group, mpeg2}, {second, other, h264}} {
		testkit.StartCommand(t, s.host.Command(program(), "send", s.clip.file(t), "--loop", "--to", "udp://"+s.group, "--interface", s.host.There.Interface))
	}
	var all []*viewer
	want := [][]string{{"h264", "aac"}, {"mpeg2video", "mpegaudio"}, {"mpeg2video", "mpegaudio"}, {"h264", "aac"}}
	products := []*product{
		run(t, settings{args: []string{"--interface", first.Here.Interface}}),
		run(t, settings{args: []string{"--interface", second.Here.Interface}}),
	}
	for _, p := range products {
		for _, g := range []string{group, other} {
			all = append(all, watch(t, p.url("/udp/"+g)))
		}
	}
	_, port, err := net.SplitHostPort(group)
	if err != nil {
		t.Fatal(err)
	}
	stray := openDatagrams(t, net.JoinHostPort(first.Here.V4.String(), port)) // to the port, and to no group
	for i := range 100 {
		_, _ = stray.conn.Write(garbage(1316, i)) // refused, since nobody listens there
	}
	moreOfAll(200_000, all)
	allUnbroken(all)
	for i, v := range all {
		if got := v.codecs(); !slices.Equal(got, want[i]) {
			t.Errorf("%s delivers %v, want %v", v.name, got, want[i])
		}
	}
	for _, p := range products {
		for _, g := range []string{group, other} {
			if c, _, err := channel(p.status(), g); err != nil || c.Sources[0].Continuity != 0 || c.Sources[0].SyncLost != 0 {
				t.Errorf("%s: %+v, %v", g, c.Sources, err)
			}
		}
	}
}
