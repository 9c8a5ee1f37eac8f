package origin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/internal/live"
	"sluice/internal/script"
)

// station is the other side of live.Channels: what the test writes is what each viewer gets. Channels that it does not have are refused.
type station struct {
	mu   sync.Mutex // guards what follows
	has  map[string]bool
	seen []live.Query

	viewers chan *io.PipeWriter
}

func newStation(channels ...string) *station {
	s := &station{has: make(map[string]bool), viewers: make(chan *io.PipeWriter, 16)}
	for _, c := range channels {
		s.has[c] = true
	}
	return s
}

func (s *station) Watch(ctx context.Context, q live.Query) (*live.Stream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = append(s.seen, q)
	if !s.has[q.Channel] {
		return nil, &live.Unavailable{Status: 503, Reason: "no source", Retry: "7"}
	}
	r, w := io.Pipe()
	s.viewers <- w
	return &live.Stream{ReadCloser: r, Type: "video/mp2t"}, nil
}

func (s *station) asked() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Sprint(s.seen)
}

// TestSink: a channel under a path, asked for in the name of the viewer (43, 44, 63).
func TestSink(t *testing.T) {
	tv := newStation("$news")
	conf := Config{Read: []Mount{memory(t)}, Sinks: map[string]live.Sink{"/live.ts": {Channel: "$news"}, "/dead.ts": {Channel: "$none"}}}
	r := start(t, conf, tv)
	c := dial(t, "unix", r.local).say("GET /live.ts?token=1", "X-Forwarded-For: 192.0.2.7:50905", "User-Agent: vlc", "Range: bytes=5-")
	w := <-tv.viewers
	io.WriteString(w, "first")
	res := c.hear("GET")
	if res.StatusCode != 200 || res.Header.Get("Cache-Control") != "no-cache, no-store" || res.Header.Get("Content-Type") != "video/mp2t" || res.Header.Get("Server") != "sluice/1.2" {
		t.Errorf("%d %v", res.StatusCode, res.Header)
	}
	if st := r.Status(); len(st.Sinks) != 2 || st.Sinks[1] != struct {
		Path    string `json:"path"`
		Channel string `json:"channel"`
		Clients int    `json:"clients"`
	}{"/live.ts", "$news", 1} {
		t.Errorf("%+v", st.Sinks)
	}
	w.Close()
	if b, err := io.ReadAll(res.Body); string(b) != "first" || err != nil {
		t.Errorf("%q %v", b, err)
	}
	if got := tv.asked(); !strings.Contains(got, "192.0.2.7:50905 vlc") {
		t.Errorf("asked for as %s", got)
	}
	if res, _ := r.ask("GET /dead.ts"); res.StatusCode != 503 || res.Header.Get("Retry-After") != "7" {
		t.Errorf("%d %v", res.StatusCode, res.Header)
	}
	if res := r.upload("PUT /live.ts", "x"); res.StatusCode != 405 {
		t.Errorf("%d", res.StatusCode)
	}
}

// TestRecord: a channel grows in the first mount and is served meanwhile (72). What fails is begun anew.
func TestRecord(t *testing.T) {
	tv := newStation("$news")
	m := mountOf(t, "", dir(t, nil))
	conf := Config{Read: []Mount{m}, Records: map[string]Record{"rec/news.ts": {Channel: "$news"}}, Log: RequestLog{Record: true}}
	r := start(t, conf, tv)
	w := <-tv.viewers
	io.WriteString(w, "first")
	var c *client
	eventually(t, "200", func() string {
		c = r.dial()
		return fmt.Sprint(c.say("GET /rec/news.ts").hear("GET").StatusCode)
	})
	if err := r.Reload(conf); err != nil { // what is the same goes on
		t.Fatal(err)
	}
	io.WriteString(w, "second")
	w.Close()
	if rest := c.closedAfter("0\r\n\r\n"); !strings.Contains(rest, "second") {
		t.Errorf("%q", rest)
	}
	eventually(t, "200 11 firstsecond", func() string {
		res, body := r.ask("GET /rec/news.ts")
		return fmt.Sprint(res.StatusCode, " ", res.ContentLength, " ", body)
	})
	eventually(t, "Opening output rec/news.ts\nClosing output rec/news.ts", r.logged)
	conf.Records = nil
	if err := r.Reload(conf); err != nil {
		t.Fatal(err)
	}
	if got := tv.asked(); strings.Count(got, "$news") != 1 {
		t.Errorf("asked for as %s", got)
	}
}

// closedAfter reads what comes up to an end.
func (c *client) closedAfter(end string) string {
	c.t.Helper()
	var b strings.Builder
	for !strings.HasSuffix(b.String(), end) {
		one, err := c.r.ReadByte()
		if err != nil {
			c.t.Fatalf("%q, then %v", b.String(), err)
		}
		b.WriteByte(one)
	}
	return b.String()
}

// TestSource: an upload is a channel for engines, nothing is stored (42).
func TestSource(t *testing.T) {
	root := dir(t, nil)
	m := mountOf(t, "", root)
	r := start(t, Config{Read: []Mount{m}, Write: &m, Sources: []string{"/in/"}}, nil)
	up := r.dial().say("PUT /in/cam.ts", "Transfer-Encoding: chunked")
	io.WriteString(up, "5\r\nfirst\r\n")
	eventually(t, "1", func() string { return fmt.Sprint(r.Status().Uploads) })
	engine := dial(t, "unix", r.opts.Uploads.Addr().String()).say("GET /in/cam.ts")
	res := engine.hear("GET")
	if _, err := io.ReadFull(res.Body, make([]byte, 5)); err != nil || res.StatusCode != 200 {
		t.Fatalf("%d %v", res.StatusCode, err)
	}
	if res := r.upload("PUT /in/cam.ts", "x", "Range: bytes=0-0"); res.StatusCode != 416 {
		t.Errorf("%d", res.StatusCode)
	}
	if res, _ := r.ask("GET /in/cam.ts"); res.StatusCode != 404 {
		t.Errorf("%d", res.StatusCode)
	}
	if res, _ := r.ask("DELETE /in/cam.ts"); res.StatusCode != 405 || res.Header.Get("Allow") != allowSource {
		t.Errorf("%d %v", res.StatusCode, res.Header)
	}
	io.WriteString(up, "6\r\nsecond\r\n0\r\n\r\n")
	if res := up.hear("PUT"); res.StatusCode != 201 {
		t.Errorf("%d", res.StatusCode)
	}
	if b, err := io.ReadAll(res.Body); string(b) != "second" || err != nil {
		t.Errorf("%q %v", b, err)
	}
	if left, err := os.ReadDir(root); len(left) != 0 || err != nil {
		t.Errorf("stored: %v %v", left, err)
	}
	if res := r.upload("PUT /else.ts", "x"); res.StatusCode != 201 {
		t.Errorf("beside it the write directory: %d", res.StatusCode)
	}
}

// TestQuit: Run returns when all that comes has come and nobody reads.
func TestQuit(t *testing.T) {
	tv := newStation("$news")
	m := memory(t)
	r := start(t, Config{Read: []Mount{m}, Records: map[string]Record{"a.ts": {Channel: "$news"}}, Quit: true}, tv)
	w := <-tv.viewers
	io.WriteString(w, "first")
	c := r.dial()
	eventually(t, "200", func() string {
		c = r.dial()
		return fmt.Sprint(c.say("GET /a.ts").hear("GET").StatusCode)
	})
	w.Close()
	c.closedAfter("0\r\n\r\n")
	if err := <-r.ended; err != nil {
		t.Error(err)
	}
}

// TestShutDown: after stop nobody is taken, who is being answered is to the end; kill ends them all.
func TestShutDown(t *testing.T) {
	m := memory(t)
	for _, kill := range []bool{false, true} {
		r := start(t, Config{Read: []Mount{m}}, nil)
		name := fmt.Sprintf("seg-%v.m4s", kill)
		up := begin(t, m.Store, name)
		io.WriteString(up, "1")
		c := r.dial().say("GET /" + name)
		res := c.hear("GET")
		r.stop()
		eventually(t, "refused", func() string {
			c, err := net.Dial("tcp", r.addr)
			if err != nil {
				return "refused"
			}
			c.Close()
			return "taken"
		})
		if kill {
			r.kill()
			if err := <-r.ended; err != nil {
				t.Error(err)
			}
		}
		io.WriteString(up, "2")
		up.End()
		b, err := io.ReadAll(res.Body)
		if !kill && (string(b) != "12" || err != nil) || kill && err == nil {
			t.Errorf("kill %v: %q %v", kill, b, err)
		}
	}
}

// TestRequestLog: begin and end of requests, as they are (64).
func TestRequestLog(t *testing.T) {
	m := memory(t)
	r := start(t, Config{Read: []Mount{m}, Write: &m, Log: RequestLog{All: true, Record: true}}, nil)
	r.upload("PUT /a%20b.m4s?token=secret", "hello")
	r.ask("GET /a%20b.m4s?token=secret", "Range: bytes=0-1", basic("u", "p"))
	r.ask("GET /none")
	up := begin(t, m.Store, "seg.m4s")
	io.WriteString(up, "1")
	c := r.dial().say("GET /seg.m4s")
	c.hear("GET")
	up.Abort(io.ErrClosedPipe)
	c.closed()
	up = begin(t, m.Store, "seg2.m4s")
	io.WriteString(up, "1")
	c = r.dial().say("GET /seg2.m4s")
	c.hear("GET")
	c.Close()
	eventually(t, "0", func() string { return fmt.Sprint(r.Status().Active) })
	up.End()
	for _, want := range []string{
		"REQ#1 127.0.0.1 PUT /a%20b.m4s start\n", "REQ#1 PUT done: reply 201 - 5 bytes in ", "Opening output a?b.m4s\n", "Closing output a?b.m4s\n",
		"REQ#2 127.0.0.1 GET /a%20b.m4s [range: bytes=0-1] start\n", "REQ#2 GET done: reply 206 - 2 bytes in ",
		"REQ#3 127.0.0.1 GET /none start\n", "REQ#3 GET done: error 404 - ",
		"REQ#4 127.0.0.1 GET /seg.m4s start chunk-transfer\n", "REQ#4 GET aborted! - 1 bytes in ", "REQ#5 GET canceled - 1 bytes in ",
	} {
		eventually(t, "true", func() string {
			return fmt.Sprint(strings.Contains(r.logged()+"\n", want)) + missing(r.logged()+"\n", want)
		})
	}
	if strings.Contains(r.logged(), "secret") || strings.Contains(r.logged(), "Basic") {
		t.Error(r.logged())
	}
	if err := r.Reload(Config{Read: []Mount{m}, Log: RequestLog{Methods: []string{"HEAD"}, NoEnd: true}}); err != nil {
		t.Fatal(err)
	}
	r.ask("GET /x")
	r.ask("HEAD /x")
	if got := r.logged(); !strings.HasSuffix(got, "HEAD /x start") || strings.Contains(got, "GET /x") {
		t.Error(got)
	}
}

func missing(log, want string) string {
	if strings.Contains(log, want) {
		return ""
	}
	return fmt.Sprintf(": %q is not in\n%s", want, log)
}

// TestFilesAreSentAsFiles: the way to the socket keeps io.ReaderFrom, also through the request log and the limits.
func TestFilesAreSentAsFiles(t *testing.T) {
	var _ io.ReaderFrom = &reply{}
	var _ io.ReaderFrom = &conn{}
	seen := &sending{}
	w := &reply{ResponseWriter: seen, head: func(int) {}, bodily: true, total: new(atomic.Uint64)}
	n, err := w.ReadFrom(strings.NewReader("file"))
	if n != 4 || err != nil || seen.from != 1 || w.sent != 4 || w.status != 200 {
		t.Errorf("%d, %v, %d calls of ReadFrom, %d counted, %d", n, err, seen.from, w.sent, w.status)
	}
}

// sending is net/http's writer as far as it matters.
type sending struct {
	http.ResponseWriter
	from int
}

func (s *sending) WriteHeader(int) {}

func (s *sending) ReadFrom(r io.Reader) (int64, error) {
	s.from++
	return io.Copy(io.Discard, r)
}

// TestScript: the hook denies, answers, names files and adds headers, and knows who was turned away (65).
func TestScript(t *testing.T) {
	root := dir(t, map[string]string{"d/a": "x", "d/other": "rewritten"})
	at := filepath.Join(root, "d")
	if err := os.Symlink(filepath.Join(root, "hook.js"), filepath.Join(at, "link")); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(root, "hook.js")
	text := `httpout.on_request = function(req) {
	req.headers_out.push({name: "X-Auth", value: "" + req.auth_code});
	if (req.url == "/d/deny") { req.reply = 403; req.body = "not this one"; }
	if (req.url == "/d/rewrite") req.body = "` + at + `/other";
	if (req.url == "/d/link") req.body = "` + at + `/link";
	if (req.url == "/d/none") req.body = "` + at + `/none";
	if (req.url == "/d/outside") req.body = "/etc/passwd";
	if (req.url == "/d/throw") throw new Error("oh");
	req.send();
};`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c := Config{
		Read: []Mount{mountOf(t, "d", at)}, Rules: readRules(t, root, "[d]\nname=d\nru=alice\n"), Users: readUsers(t, "alice"),
		Script: &script.Config{File: file},
	}
	r := start(t, c, nil)
	for _, x := range []struct {
		path, user, auth, body string
		want                   int
	}{
		{"/d/a", "alice", "200", "x", 200},
		{"/d/a", "", "401", "", 401},
		{"/d/deny", "alice", "200", "not this one", 403},
		{"/d/rewrite", "alice", "200", "rewritten", 200},
		{"/d/outside", "alice", "", "", 500},
		{"/d/link", "alice", "200", "", 404},
		{"/d/none", "alice", "200", "", 404},
		{"/d/throw", "alice", "", "", 500},
	} {
		var lines []string
		if x.user != "" {
			lines = append(lines, basic(x.user, x.user))
		}
		res, body := r.ask("GET "+x.path, lines...)
		if res.StatusCode != x.want || res.Header.Get("X-Auth") != x.auth && x.auth != "" || x.body != "" && body != x.body {
			t.Errorf("%+v: %d %v %q", x, res.StatusCode, res.Header, body)
		}
	}
	if err := os.WriteFile(file, []byte("httpout.on_request = function(req) { req.reply = 418; req.body = 'new'; req.send(); };"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := r.Reload(c); err != nil {
		t.Fatal(err)
	}
	if res, body := r.ask("GET /d/a"); res.StatusCode != 418 || body != "new" {
		t.Errorf("after a reload: %d %q", res.StatusCode, body)
	}
	if err := os.WriteFile(file, []byte("httpout.on_request = "), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := r.Reload(c); err == nil {
		t.Error("a script that cannot be read was taken")
	}
	if res, _ := r.ask("GET /d/a"); res.StatusCode != 418 {
		t.Errorf("after a reload that failed: %d", res.StatusCode)
	}
}

// TestScriptUpload: what is uploaded to a script is bounded in time and in length, as what is stored.
func TestScriptUpload(t *testing.T) {
	file := filepath.Join(t.TempDir(), "hook.js")
	text := `httpout.on_request = function(req) { req.reply = 200; req.write = function(b) {}; req.send(); };`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r := start(t, Config{Script: &script.Config{File: file}, MaxSize: 10, Stall: 100 * time.Millisecond}, nil)
	for body, want := range map[string]int{"": 200, "0123456789": 200, "0123456789x": 413} {
		if res := r.upload("PUT /a", body); res.StatusCode != want {
			t.Errorf("%q: %d, want %d", body, res.StatusCode, want)
		}
	}
	c := r.dial().say("PUT /a", "Content-Length: 10")
	if _, err := io.WriteString(c, "half"); err != nil {
		t.Fatal(err)
	}
	if res := c.hear("PUT"); res.StatusCode != http.StatusRequestTimeout {
		t.Errorf("one that stands still: %d", res.StatusCode)
	}
}

// TestBrokenForOldClients: a channel that breaks off does not look as if it were over to HTTP/1.0, where an answer without a length ends as
// its connection does.
func TestBrokenForOldClients(t *testing.T) {
	tv := newStation("$news")
	r := start(t, Config{Sinks: map[string]live.Sink{"/live.ts": {Channel: "$news"}}}, tv)
	for _, why := range []error{io.EOF, io.ErrUnexpectedEOF} {
		c := r.dial()
		if _, err := io.WriteString(c, "GET /live.ts HTTP/1.0\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		w := <-tv.viewers
		if _, err := io.WriteString(w, "half"); err != nil {
			t.Fatal(err)
		}
		res := c.hear("GET")
		w.CloseWithError(why)
		if b, err := io.ReadAll(res.Body); (err == nil) != errors.Is(why, io.EOF) || err == nil && string(b) != "half" {
			t.Errorf("%v: %q, %v", why, b, err)
		}
	}
}
