//go:build e2e

package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice/internal/report"
	"sluice/internal/testkit"
)

func testHead(t *testing.T) {
	p := run(t, settings{})
	group := newGroup()
	send(t, h264, "udp", group)
	for _, path := range []string{
		"/udp/" + group,
		"/udp/" + group + "/",
		"/udp/" + group + "?player=1&x=%20y",
		"/udp/" + group + "/?a",
		"/rtp/" + group,
		"/udp/" + strings.ReplaceAll(group, ":", "%3A"),
	} {
		resp, err := dial(t.Context(), p.url(path))
		if err != nil {
			t.Fatal(err)
		}
		first := make([]byte, 1)
		if _, err := io.ReadFull(resp.Body, first); err != nil || first[0] != 0x47 {
			t.Errorf("%s: first byte %#x (%v), want 0x47", path, first[0], err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "video/mp2t" {
			t.Errorf("%s: %s, Content-Type %q", path, resp.Status, resp.Header.Get("Content-Type"))
		}
		if resp.ContentLength != -1 || len(resp.TransferEncoding) != 0 || !resp.Close {
			t.Errorf("%s: length %d, encoding %v, close %v: want a body that ends with the connection",
				path, resp.ContentLength, resp.TransferEncoding, resp.Close)
		}
	}
	if st := p.status(); st.Totals.Channels != 1 {
		t.Errorf("%d channels; all these paths name one", st.Totals.Channels)
	}
}

func testHeadJoinsNothing(t *testing.T) {
	p := run(t, settings{})
	group := newGroup()
	a := request(t, http.MethodHead, p.url("/udp/"+group))
	if a.code != http.StatusOK || a.header.Get("Content-Type") != "video/mp2t" || a.body != "" {
		t.Errorf("HEAD: %d, Content-Type %q, body %q", a.code, a.header.Get("Content-Type"), a.body)
	}
	if n := members(t, group); n != 0 {
		t.Errorf("%d sockets joined the group for a HEAD", n)
	}
	if st := p.status(); st.Totals.Channels != 0 {
		t.Errorf("a channel was opened for a HEAD: %+v", st)
	}
}

func testErrors(t *testing.T) {
	p := run(t, settings{config: "no_data: 300ms\n"})
	silent := newGroup()
	for _, c := range []struct {
		method, path string
		code         int
		say          string // part of the body
	}{
		{"GET", "/udp/" + silent, 504, ""},
		{"GET", "/udp/10.0.0.9:5000", 403, ""},
		{"GET", "/", 404, ""},
		{"GET", "/udp", 400, "no address"},
		{"GET", "/tv/one", 404, ""},
		{"GET", "/udp/" + silent + "/extra", 404, ""},
		{"GET", "/udp/nonsense", 400, "nonsense"},
		{"GET", "/udp/239.1.1.1", 400, "PORT"},
		{"GET", "/udp/239.1.1.1:0", 400, "port"},
		{"GET", "/udp/239.1.1.1:70000", 400, ""},
		{"GET", "/udp/10.0.0.7:239.1.1.1:5000", 400, "@"},
		{"GET", "/udp/[ff15::1:5000", 400, ""},
		{"POST", "/udp/" + silent, 405, ""},
		{"DELETE", "/udp/" + silent, 405, ""},
		{"GET", "/status", 404, ""},
		{"GET", "/ping", 404, ""},
		{"GET", "/report", 404, ""},
		{"GET", "/drop?channel=x", 404, ""},
		{"GET", "/reset", 404, ""},
	} {
		t.Run(c.method+" "+c.path, func(t *testing.T) {
			a := request(t, c.method, p.url(c.path))
			if a.code != c.code || !strings.Contains(a.body, c.say) {
				t.Errorf("%d %q, want %d and %q", a.code, a.body, c.code, c.say)
			}
			if strings.Count(a.body, "\n") != 1 || !strings.HasSuffix(a.body, "\n") {
				t.Errorf("body %q, want one line", a.body)
			}
			if allow := a.header.Get("Allow"); (c.code == 405) != (allow != "") {
				t.Errorf("Allow %q with %d", allow, c.code)
			}
		})
	}
}

func testWaitForData(t *testing.T) {
	p := run(t, settings{config: "no_data: 60s\n"})
	group := newGroup()
	waiting := ask(t, p.url("/udp/"+group))
	joined(t, group)
	waiting.unanswered()
	send(t, h264, "udp", group)
	v := waiting.answered()
	v.more(10_000)
	v.unbroken()
}

func testHostileRequests(t *testing.T) {
	p := run(t, settings{})
	group := newGroup()
	send(t, h264, "udp", group)
	v := watch(t, p.url("/udp/"+group))

	t.Run("8 KiB of query is a request", func(t *testing.T) {
		w := watch(t, p.url("/udp/"+group+"?x="+strings.Repeat("a", 8<<10)))
		w.more(1)
	})
	t.Run("a request line of 100 KiB is answered", func(t *testing.T) {
		got := exchange(t, p.user, "GET /udp/"+group+"?x="+strings.Repeat("a", 100<<10)+" HTTP/1.1\r\nHost: x\r\n\r\n")
		if !strings.HasPrefix(got, "HTTP/1.1 431 ") && !strings.HasPrefix(got, "HTTP/1.1 414 ") {
			t.Errorf("answer %.80q, want 431 or 414", got)
		}
	})
	t.Run("no HTTP at all is answered", func(t *testing.T) {
		if got := exchange(t, p.user, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 400 ") {
			t.Errorf("answer %.80q, want 400", got)
		}
	})
	t.Run("a byte a second is not for ever", func(t *testing.T) { trickle(t, p.user, group) })

	v.more(100_000)
	v.unbroken()
}

// trickle sends a request a byte at a time until the server has had enough.
func trickle(t *testing.T, addr, group string) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		_, _ = io.Copy(io.Discard, c)
	}()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	rest := "GET /udp/" + group + "?x=" + strings.Repeat("a", 1000)
	for {
		select {
		case <-closed:
			return
		case <-tick.C:
			if len(rest) == 0 {
				t.Fatal("a thousand seconds were not enough")
			}
			if _, err := io.WriteString(c, rest[:1]); err != nil {
				<-closed
				return
			}
			rest = rest[1:]
		}
	}
}

// say connects and sends text as it is.
func say(t *testing.T, addr, text string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(lifetime))
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	return c
}

// exchange sends text as it is and returns the beginning of the answer.
func exchange(t *testing.T, addr, text string) string {
	t.Helper()
	c := say(t, addr, text)
	defer c.Close()
	answer, err := io.ReadAll(io.LimitReader(c, 4<<10))
	if err != nil && len(answer) == 0 {
		t.Fatal(err)
	}
	return string(answer)
}

func testHTTP10(t *testing.T) {
	silent := newGroup()
	p := run(t, settings{config: "no_data: 1h\nchannels: {silent: {source: 'udp://" + silent + "', no_data: 300ms}}\n"})
	group := newGroup()
	send(t, h264, "udp", group)

	head, body := stream10(t, p.user, "/udp/"+group)
	if !strings.HasPrefix(head, "HTTP/1.0 200 OK\r\n") || strings.Contains(head, "Transfer-Encoding") {
		t.Errorf("head %q", head)
	}
	if body != 0x47 {
		t.Errorf("first byte %#x, want 0x47", body)
	}
	if got := exchange(t, p.user, "GET /udp/"+silent+" HTTP/1.0\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.0 504 ") {
		t.Errorf("answer %q, want HTTP/1.0 504", got)
	}
	testkit.Need(t, "busybox")
	out := filepath.Join(t.TempDir(), "x")
	script := fmt.Sprintf("busybox wget -q -O - http://%s/udp/%s | head -c 1880 > %s", p.user, group, out)
	if msg, err := exec.Command("sh", "-c", script).CombinedOutput(); err != nil {
		t.Errorf("busybox wget: %v\n%s", err, msg)
	}
	if got := readFile(t, out); len(got) != 1880 {
		t.Errorf("busybox wget got %d bytes", len(got))
	}
}

// stream10 asks in HTTP/1.0 and returns the head of the answer and the byte after it.
func stream10(t *testing.T, addr, path string) (head string, first byte) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(lifetime))
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.0\r\n\r\n", path); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(c)
	for !strings.HasSuffix(head, "\r\n\r\n") {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		head += line
	}
	if first, err = r.ReadByte(); err != nil {
		t.Fatal(err)
	}
	return head, first
}

func testAllow(t *testing.T) {
	p := run(t, settings{config: "allow: [192.0.2.0/24]\nno_data: 300ms\n"})
	group := newGroup()
	if a := request(t, "GET", p.url("/udp/"+group)); a.code != 403 {
		t.Errorf("a client outside `allow` got %d %q, want 403", a.code, a.body)
	}
	if n := members(t, group); n != 0 {
		t.Errorf("the group was joined for it")
	}
	p.proc.WaitLine(`allow`) // the log tells the operator which setting it was
}

func testNoEngine(t *testing.T) {
	user, admin := freePort(t), freePort(t)
	proc := testkit.Start(t, program(), "gws", "-T", "--listen", user, "--admin", admin,
		"--run-dir", filepath.Join(shortDir(t), "run"))
	testkit.Eventually(t, func() error {
		resp, err := http.Get("http://" + admin + "/ping")
		if err != nil {
			return err
		}
		return resp.Body.Close()
	})
	a := request(t, "GET", "http://"+user+"/udp/239.1.1.1:5000")
	if a.code != 503 || a.header.Get("Retry-After") == "" {
		t.Errorf("%d, Retry-After %q, want 503 and a time", a.code, a.header.Get("Retry-After"))
	}
	proc.Signal(syscall.SIGTERM)
	if err := proc.Wait(); err != nil {
		t.Errorf("gws after TERM: %v", err)
	}
}

// state waits until a channel of the product is in a state.
func (p *product) state(group, want string) {
	p.t.Helper()
	p.eventually(func(st report.Status) error {
		c, _, err := channel(st, group)
		if err == nil && c.State != want {
			err = fmt.Errorf("channel %s is %s, want %s", group, c.State, want)
		}
		return err
	})
}
