package app

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"sluice/internal/testkit"
)

// fetch is what a request is answered.
func fetch(t *testing.T, method, url, body string) (status int, text string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer answer.Body.Close()
	all, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, err.Error()
	}
	return answer.StatusCode, string(all)
}

func wantFetch(t *testing.T, method, url, body string, status int, text string) {
	t.Helper()
	testkit.Eventually(t, func() error {
		if code, got := fetch(t, method, url, body); code != status || !strings.Contains(got, text) {
			return fmt.Errorf("%s %s: %d %.80q, want %d %q", method, url, code, got, status, text)
		}
		return nil
	})
}

// A directory alone is one process, which needs nothing else: it serves, takes uploads, reads its files again at HUP and
// ends in good order at TERM.
func TestOriginAlone(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a.txt"), "a text")
	rules, users := filepath.Join(t.TempDir(), "rules"), filepath.Join(t.TempDir(), "users")
	write(t, rules, "["+dir+"]\nru=$ALL\nwu=alice\n")
	write(t, users, "")
	p := sluice(t, "origin", "--listen", "127.0.0.1:0", "--users", users, "--run-dir", filepath.Join(t.TempDir(), "none"), rules)
	url := p.WaitLine(`ready.* listen=(\S+)`)[1]
	wantFetch(t, "GET", url+"/a.txt", "", 401, "")
	write(t, rules, "["+dir+"]\n")
	p.Signal(syscall.SIGHUP)
	p.WaitLine("configuration read again")
	wantFetch(t, "GET", url+"/a.txt", "", 200, "a text")
	wantFetch(t, "PUT", url+"/b.txt", "no", 405, "")
	p.Signal(syscall.SIGTERM)
	if err := p.Wait(); err != nil {
		t.Error(err)
	}
}

// With channels there are gws and an engine beside. A file is written into the directory, each byte of it, and with quit
// all processes end when it is over.
func TestOriginFileSinkQuits(t *testing.T) {
	dir, run := t.TempDir(), runDirOf(t)
	film := filepath.Join(t.TempDir(), "film.bin")
	text := strings.Repeat("bytes of a film ", 100_000)
	write(t, film, text)
	p := sluice(t, "origin", "--listen", "127.0.0.1:0", "--run-dir", run, "--quit", "-i", film, "--dst", "/a/film.bin", dir)
	t.Cleanup((&program{t: t, dir: run, Proc: p}).killAll)
	if err := p.Wait(); err != nil {
		t.Error(err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "a", "film.bin")); err != nil || string(got) != text {
		t.Errorf("%d bytes are in the directory, %v; want %d", len(got), err, len(text))
	}
}

// An upload is a channel that clients of gws watch, and no object.
func TestLine42SourceMode(t *testing.T) {
	run := runDirOf(t)
	p := sluice(t, "origin", "--listen", "127.0.0.1:0", "--viewers", "127.0.0.1:0", "--run-dir", run, "--hmode=source")
	t.Cleanup((&program{t: t, dir: run, Proc: p}).killAll)
	url := p.WaitLine(`origin runs.* listen=(\S+)`)[1]
	users := p.WaitLine(`sluice runs.* listen=(\S+)`)[1]
	p.WaitLine("engine attached")
	body, pen := io.Pipe()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url+"/live/cam", body)
	if err != nil {
		t.Fatal(err)
	}
	put := make(chan string, 1)
	go func() {
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			put <- err.Error()
			return
		}
		answer.Body.Close()
		put <- answer.Status
	}()
	if _, err := io.WriteString(pen, strings.Repeat("picture ", 64_000)); err != nil {
		t.Fatal(err)
	}
	answer, err := http.Get(users + "/upload/live/cam")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	first := make([]byte, 8000)
	if n, err := io.ReadFull(answer.Body, first); err != nil || !strings.HasPrefix(string(first), "picture ") {
		t.Errorf("the viewer gets %d bytes, %v", n, err)
	}
	wantFetch(t, "GET", url+"/live/cam", "", 404, "")
	pen.Close()
	if got := <-put; got != "201 Created" {
		t.Errorf("the upload is answered %s", got)
	}
}

// `sluice run` has an origin beside gws. One address serves all: what is no request of gws is the origin's. When the origin
// dies its sockets stay, so nobody is refused.
func TestRunWithOrigin(t *testing.T) {
	dir, run := t.TempDir(), runDirOf(t)
	film, conf := filepath.Join(dir, "film.bin"), filepath.Join(dir, "sluice.yaml")
	write(t, film, strings.Repeat("picture ", 1000))
	text := "engines: 1\nlisten: 127.0.0.1:0\nadmin: 127.0.0.1:0\ngrowth: 0s\norigin:\n  listen: 127.0.0.1:0\n  user_port: true\n  rdirs: [gmem]\n  wdir: gmem\n  sinks:\n    film: {channel: 'file://" + film + "', reopen: true}\n"
	write(t, conf, text)
	proc := sluice(t, "run", "-C", conf, "--run-dir", run)
	p := &program{t: t, dir: run, Proc: proc}
	t.Cleanup(p.killAll)
	own := p.WaitLine(`origin runs.* listen=(\S+)`)[1]
	p.user = p.WaitLine(`sluice runs.* listen=(\S+)`)[1]
	wantFetch(t, "PUT", p.user+"/a.txt", "a text", 201, "")
	for _, url := range []string{own, p.user} {
		wantFetch(t, "GET", url+"/a.txt", "", 200, "a text")
		wantFetch(t, "GET", url+"/film", "", 200, "picture picture")
	}
	wantFetch(t, "GET", p.user+"/$none", "", 404, "")
	p.kill(roleOrigin)
	if code, got := fetch(t, "GET", own+"/a.txt", ""); code != 404 { // the memory is gone with it, the port is not
		t.Errorf("after its death: %d %s", code, got)
	}
	write(t, conf, text+"    other: {channel: 'file://"+film+"'}\n")
	p.Signal(syscall.SIGHUP)
	wantFetch(t, "GET", own+"/other", "", 200, "picture")
	p.Signal(syscall.SIGTERM)
	if err := p.Wait(); err != nil {
		t.Error(err)
	}
	if left := p.pids(); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
