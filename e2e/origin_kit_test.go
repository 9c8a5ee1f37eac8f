//go:build e2e && linux

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sluice/internal/report"
	"sluice/internal/testkit"
)

// originRun is a `sluice origin` of a test, in the foreground.
type originRun struct {
	t    *testing.T
	proc *testkit.Proc
	dir  string // of its files; its run directory is in it
	addr string // HOST:PORT
	url  string // http://HOST:PORT
	web  *http.Client

	admin string // HOST:PORT
}

// startOrigin starts `sluice origin` with these arguments and waits until it is ready. At the end of the test it is stopped
// and must go in good order. It listens at a port of its own.
func startOrigin(t *testing.T, args ...string) *originRun {
	t.Helper()
	addr := freePort(t)
	return startOriginAt(t, addr, append([]string{"--listen", addr}, args...)...)
}

// startOriginAt is startOrigin with arguments that have it listen at an address. Uploads may rest for as long as a test does.
func startOriginAt(t *testing.T, addr string, args ...string) *originRun {
	t.Helper()
	o := &originRun{t: t, dir: shortDir(t), addr: addr, url: "http://" + addr, web: originClient, admin: freePort(t)}
	o.proc = startRelayOf(t, append([]string{"origin", "--admin", o.admin, "--run-dir", filepath.Join(o.dir, "run"), "--upload-stall", "5m"}, args...)...)
	o.proc.WaitLine(`msg=ready role=origin`)
	return o
}

// eventually waits until what the origin tells of itself satisfies want.
func (o *originRun) eventually(want func(report.Origin) error) {
	o.t.Helper()
	testkit.Eventually(o.t, func() error {
		resp, err := http.Get("http://" + o.admin + "/status?format=json")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		var st report.Origin
		if err := json.NewDecoder(resp.Body).Decode(&st); err != nil {
			return fmt.Errorf("/status: %s: %w", resp.Status, err)
		}
		return want(st)
	})
}

// waiting waits until so many requests are held.
func (o *originRun) waiting(n int) {
	o.t.Helper()
	o.eventually(func(st report.Origin) error {
		if st.Waiting != n {
			return fmt.Errorf("%d requests are held, want %d", st.Waiting, n)
		}
		return nil
	})
}

// active waits until so many requests are being answered.
func (o *originRun) active(n int) {
	o.t.Helper()
	o.eventually(func(st report.Origin) error {
		if st.Active != n {
			return fmt.Errorf("%d requests are being answered, want %d", st.Active, n)
		}
		return nil
	})
}

// overEach runs a test over HTTP/1.1 (h1) and over HTTP/2 (h2), as a subtest each.
func (o *originRun) overEach(test func(t *testing.T, o *originRun)) {
	o.t.Run("h1", func(t *testing.T) {
		one := *o
		one.t = t
		test(t, &one)
	})
	o.t.Run("h2", func(t *testing.T) {
		two := *o
		two.t, two.web = t, http2Client(t)
		test(t, &two)
	})
}

// http2Client speaks HTTP/2, also without TLS.
func http2Client(t *testing.T) *http.Client {
	var protocols http.Protocols
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{DisableCompression: true, Protocols: &protocols}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, CheckRedirect: originClient.CheckRedirect}
}

// startOriginDir is startOrigin of a directory that is read and written.
func startOriginDir(t *testing.T, args ...string) (o *originRun, dir string) {
	t.Helper()
	dir = t.TempDir()
	return startOrigin(t, append([]string{"--rdirs", dir, "--wdir", dir}, args...)...), dir
}

// reply is an answer that has been read whole.
type reply struct {
	*http.Response
	body string
}

// ask sends a request and reads the answer; header is names and values in turn.
func (o *originRun) ask(method, path, body string, header ...string) reply {
	o.t.Helper()
	a, err := o.try(method, path, body, header...)
	if err != nil {
		o.t.Fatal(err)
	}
	return a
}

// try is ask for a request that may fail.
func (o *originRun) try(method, path, body string, header ...string) (reply, error) {
	var from io.Reader
	if body != "" {
		from = strings.NewReader(body)
	}
	ctx, cancel := context.WithTimeout(o.t.Context(), testkit.Patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, o.url+path, from)
	if err != nil {
		return reply{}, err
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := o.web.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		err = fmt.Errorf("%s %s: %w", method, path, err)
	}
	return reply{resp, string(text)}, err
}

// pending is a GET whose answer may take its time.
type pending struct {
	t    *testing.T
	done chan struct{}
	reply
	err error // after done
}

// later begins a GET.
func (o *originRun) later(path string, header ...string) *pending {
	p := &pending{t: o.t, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		p.reply, p.err = o.try(http.MethodGet, path, "", header...)
	}()
	o.t.Cleanup(func() { <-p.done }) // the request ends with the test
	return p
}

// unanswered wants there to be no answer yet.
func (p *pending) unanswered() {
	p.t.Helper()
	select {
	case <-p.done:
		p.t.Errorf("it was answered already: %v %q, %v", p.Response, p.body, p.err)
	default:
	}
}

// answered waits for the answer, whole, and wants that status.
func (p *pending) answered(status int) reply {
	p.t.Helper()
	<-p.done
	if p.err != nil || p.StatusCode != status {
		p.t.Fatalf("%v %q, %v; want %d", p.Response, p.body, p.err, status)
	}
	return p.reply
}

// originClient asks for no compression and follows nothing.
var originClient = &http.Client{
	Transport:     &http.Transport{DisableCompression: true, DisableKeepAlives: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// get is ask for GET, with the status that is wanted.
func (o *originRun) get(path string, status int, header ...string) reply {
	o.t.Helper()
	a := o.ask(http.MethodGet, path, "", header...)
	if a.StatusCode != status {
		o.t.Fatalf("GET %s: %s %q, want %d", path, a.Status, a.body, status)
	}
	return a
}

// put uploads text, with the status that is wanted.
func (o *originRun) put(path, text string, status int) reply {
	o.t.Helper()
	a := o.ask(http.MethodPut, path, text)
	if a.StatusCode != status {
		o.t.Fatalf("PUT %s: %s %q, want %d", path, a.Status, a.body, status)
	}
	return a
}

// has wants a header of an answer.
func (a reply) has(t *testing.T, name, value string) {
	t.Helper()
	if got := a.Header.Get(name); got != value {
		t.Errorf("%s %s: %s: %q, want %q", a.Request.Method, a.Request.URL.Path, name, got, value)
	}
}

// upload is a PUT that goes on until it is ended or broken off.
type upload struct {
	t    *testing.T
	body *io.PipeWriter
	done chan struct{}
	resp *http.Response // of an upload that has ended
	err  error
}

// begin begins an upload that goes on; chunked, as its length is not known. What is written into it goes out at once.
// Unless it is seen only as a whole, use beginSeen.
func (o *originRun) begin(path, first string) *upload {
	o.t.Helper()
	r, w := io.Pipe()
	req, err := http.NewRequestWithContext(o.t.Context(), http.MethodPut, o.url+path, r)
	if err != nil {
		o.t.Fatal(err)
	}
	u := &upload{t: o.t, body: w, done: make(chan struct{})}
	go func() {
		defer close(u.done)
		if u.resp, u.err = o.web.Do(req); u.err == nil {
			_, u.err = io.Copy(io.Discard, u.resp.Body)
			u.resp.Body.Close()
		}
		r.CloseWithError(net.ErrClosed)
	}()
	o.t.Cleanup(func() { w.CloseWithError(net.ErrClosed); <-u.done })
	u.says(first)
	return u
}

// beginSeen is begin, and waits until readers can have it.
func (o *originRun) beginSeen(path, first string) *upload {
	o.t.Helper()
	u := o.begin(path, first)
	testkit.Eventually(o.t, func() error {
		if a := o.ask(http.MethodHead, path, ""); a.StatusCode != http.StatusOK {
			return fmt.Errorf("HEAD %s: %s", path, a.Status)
		}
		return nil
	})
	return u
}

// says sends text.
func (u *upload) says(text string) {
	u.t.Helper()
	if _, err := io.WriteString(u.body, text); err != nil {
		u.t.Fatal(err)
	}
}

// ends ends it in good order and wants that status.
func (u *upload) ends(status int) {
	u.t.Helper()
	u.body.Close()
	<-u.done
	if u.err != nil || u.resp.StatusCode != status {
		u.t.Fatalf("an upload has ended with %v, %v; want %d", u.resp, u.err, status)
	}
}

// breaks breaks it off.
func (u *upload) breaks() {
	u.body.CloseWithError(io.ErrUnexpectedEOF)
	<-u.done
}

// follower is a GET that is read piece by piece.
type follower struct {
	t *testing.T
	*http.Response
}

// follow begins to read.
func (o *originRun) follow(path string, header ...string) *follower {
	o.t.Helper()
	req, err := http.NewRequestWithContext(o.t.Context(), http.MethodGet, o.url+path, nil)
	if err != nil {
		o.t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := o.web.Do(req)
	if err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(func() { resp.Body.Close() })
	return &follower{o.t, resp}
}

// hears wants exactly text next.
func (f *follower) hears(text string) {
	f.t.Helper()
	b := make([]byte, len(text))
	if _, err := io.ReadFull(f.Body, b); err != nil || string(b) != text {
		f.t.Fatalf("heard %.80q, %v; want %.80q", b, err, text)
	}
}

// hearsEnd wants the end in good order, or a broken transfer.
func (f *follower) hearsEnd(broken bool) {
	f.t.Helper()
	n, err := f.Body.Read(make([]byte, 1))
	if n > 0 || broken != (err != io.EOF) {
		f.t.Fatalf("heard %d bytes and %v; want an end, broken: %v", n, err, broken)
	}
}

// seen waits until a file of a directory is there, or is not.
func seen(t *testing.T, path string, there bool) {
	t.Helper()
	testkit.Eventually(t, func() error {
		_, err := os.Stat(path)
		if there == (err == nil) {
			return nil
		}
		return &os.PathError{Op: "want there to be", Path: path, Err: err}
	})
}
