package push

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sluice/internal/testkit"
)

// pushDir pushes a directory. It returns when the push follows it.
func pushDir(t *testing.T, dir string, c Config) *pushing {
	t.Helper()
	p := newPusher(t, c)
	x := start(t, p, func(ctx context.Context) error { return p.Directory(ctx, dir) })
	n := 0
	testkit.Eventually(t, func() error { // it tells nobody when it begins, but what is pushed then does
		n++
		name := filepath.Join(dir, fmt.Sprintf("begin%d.txt", n))
		if err := os.WriteFile(name, []byte("x"), 0o600); err != nil {
			return err
		}
		if p.Report()[0].Objects == 0 {
			return errors.New("nothing is pushed")
		}
		return nil
	})
	return x
}

func createFile(t *testing.T, name string) *os.File {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// A file goes out as it is written, and is complete when its writer has closed it; one that is moved into place goes whole, and
// so does a manifest.
func TestFilesAsTheyGrow(t *testing.T) {
	pieces := make(chan string, 100)
	s := serve(t, nil)
	s.act = func(_ int, w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/seg-1.m4s" || r.Method != http.MethodPut {
			return false
		}
		x := &seen{path: r.URL.Path}
		for buffer := make([]byte, 100); ; {
			n, err := r.Body.Read(buffer)
			x.body = append(x.body, buffer[:n]...)
			pieces <- string(buffer[:n])
			if err != nil {
				s.keep(x)
				return true
			}
		}
	}
	dir := t.TempDir()
	put := func(name, text string) {
		t.Helper()
		check(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	put("before.ts", "stands there")
	check(t, os.Symlink("before.ts", filepath.Join(dir, "link-0.ts")))
	pushDir(t, dir, Config{To: []string{s.URL}, Keep: true, Delete: true})

	f := createFile(t, filepath.Join(dir, "seg-1.m4s"))
	for _, piece := range []string{"one ", "two ", "three"} {
		write(t, f, piece)
		if got := next(t, pieces); got != piece {
			t.Errorf("%q comes, want %q", got, piece)
		}
	}
	f.Close()
	s.holds(t, "/seg-1.m4s", "one two three")

	put("seg-2.m4s.tmp", "moved")
	put(".hidden.ts", "x")
	check(t, os.Symlink("before.ts", filepath.Join(dir, "link-1.ts")))
	check(t, os.Rename(filepath.Join(dir, "seg-2.m4s.tmp"), filepath.Join(dir, "seg-2.m4s")))
	s.holds(t, "/seg-2.m4s", "moved")
	for _, version := range []string{"a longer first version", "second"} {
		put("live.m3u8", version)
		s.holds(t, "/live.m3u8", version)
	}
	check(t, os.Link(filepath.Join(dir, "before.ts"), filepath.Join(dir, "linked-1.ts")))
	s.holds(t, "/linked-1.ts", "stands there")
	check(t, os.Remove(filepath.Join(dir, "seg-1.m4s")))
	after(t, s.done, http.MethodDelete, "/seg-1.m4s")
	check(t, os.Rename(filepath.Join(dir, "seg-2.m4s"), filepath.Join(dir, ".away")))
	after(t, s.done, http.MethodDelete, "/seg-2.m4s")
	names := slices.DeleteFunc(s.names(), func(name string) bool { return strings.HasPrefix(name, "/begin") })
	if !slices.Equal(names, []string{"/linked-1.ts", "/live.m3u8"}) {
		t.Errorf("there are %q", names)
	}
}

// Who goes back and changes what he has written (a muxer that fills in a length), cuts a file or writes it anew: in the
// end the server has what the file is.
func TestFilesThatChange(t *testing.T) {
	s := serve(t, nil)
	dir := t.TempDir()
	pushDir(t, dir, Config{To: []string{s.URL}, Keep: true})
	path := filepath.Join(dir, "film.mp4")
	f := createFile(t, path)
	write(t, f, "????body")
	after(t, s.begun, http.MethodPut, "/film.mp4")
	_, err := f.WriteAt([]byte("size"), 0)
	check(t, err)
	f.Close()
	s.holds(t, "/film.mp4", "sizebody")

	f, err = os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	check(t, err)
	write(t, f, " and more")
	f.Close()
	s.holds(t, "/film.mp4", "sizebody and more")

	f = createFile(t, filepath.Join(dir, "cut.mp4"))
	write(t, f, "a long text")
	after(t, s.begun, http.MethodPut, "/cut.mp4")
	check(t, f.Truncate(2))
	f.Close()
	s.holds(t, "/cut.mp4", "a ")
}

// What grows in a directory that is moved away breaks off: it is not waited for, and holds nothing up.
func TestDirectoryMovedAway(t *testing.T) {
	broken := make(chan error, 1)
	s := serve(t, nil)
	s.act = func(_ int, _ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/live/seg-1.m4s" {
			return false
		}
		_, err := io.Copy(io.Discard, r.Body)
		broken <- err
		return true
	}
	dir := t.TempDir()
	check(t, os.Mkdir(filepath.Join(dir, "live"), 0o700))
	pushDir(t, dir, Config{To: []string{s.URL}, Keep: true})
	write(t, createFile(t, filepath.Join(dir, "live/seg-1.m4s")), "one")
	after(t, s.begun, http.MethodPut, "/live/seg-1.m4s")
	check(t, os.Rename(filepath.Join(dir, "live"), filepath.Join(t.TempDir(), "away")))
	if err := next(t, broken); err == nil {
		t.Error("what was moved away while it grew looks whole")
	}
}

// What is in a directory that has just been made is found, complete or not, and so is what is in one that was moved here.
func TestNewDirectories(t *testing.T) {
	s := serve(t, nil)
	dir, other := t.TempDir(), t.TempDir()
	pushDir(t, dir, Config{To: []string{s.URL}, Keep: true})
	for n := range 20 {
		sub := filepath.Join(dir, fmt.Sprintf("d%d", n), "a")
		check(t, os.MkdirAll(sub, 0o700))
		check(t, os.WriteFile(filepath.Join(sub, "done.ts"), []byte("x"), 0o600))
		f := createFile(t, filepath.Join(sub, "open-1.ts"))
		write(t, f, "one ")
		after(t, s.begun, http.MethodPut, fmt.Sprintf("/d%d/a/open-1.ts", n))
		write(t, f, "two")
		f.Close()
		s.holds(t, fmt.Sprintf("/d%d/a/done.ts", n), "x")
		s.holds(t, fmt.Sprintf("/d%d/a/open-1.ts", n), "one two")
	}
	from := filepath.Join(other, "come")
	check(t, os.MkdirAll(from, 0o700))
	check(t, os.WriteFile(filepath.Join(from, "seg-1.ts"), []byte("x"), 0o600))
	check(t, os.Rename(from, filepath.Join(dir, "come")))
	s.holds(t, "/come/seg-1.ts", "x")
	check(t, os.Rename(filepath.Join(dir, "come"), filepath.Join(dir, "there")))
	s.holds(t, "/there/seg-1.ts", "x")
	check(t, os.WriteFile(filepath.Join(dir, "there", "seg-2.ts"), []byte("y"), 0o600))
	s.holds(t, "/there/seg-2.ts", "y")
	if slices.Contains(s.names(), "/come/seg-2.ts") {
		t.Error("a directory is followed by the name that it had")
	}
}

// Acceptance 50, ka: a directory that goes and comes again is pushed again; else its end is an error.
func TestDirectoryGoes(t *testing.T) {
	s := serve(t, nil)
	dir := filepath.Join(t.TempDir(), "d")
	check(t, os.Mkdir(dir, 0o700))
	keeps := pushDir(t, dir, Config{To: []string{s.URL + "/a"}, Keep: true, Whole: true})
	ends := pushDir(t, dir, Config{To: []string{s.URL + "/b"}})
	check(t, os.RemoveAll(dir))
	has(t, next(t, ends.err), dir, "has gone")
	check(t, os.Mkdir(dir, 0o700))
	before := keeps.Report()[0].Objects
	testkit.Eventually(t, func() error {
		check(t, os.WriteFile(filepath.Join(dir, "seg-1.ts"), []byte("x"), 0o600))
		if keeps.Report()[0].Objects == before {
			return errors.New("nothing comes any more")
		}
		return nil
	})
	p := newPusher(t, Config{To: []string{s.URL}})
	if err := p.Directory(t.Context(), filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// ffmpeg writes HLS into a directory; nginx, which takes it by DAV, has the same in the end: acceptance 50 with real programs.
func TestFFmpegToNginx(t *testing.T) {
	testkit.Need(t, "ffmpeg", "nginx")
	at, root := startNginx(t)
	dir := t.TempDir()
	p := pushDir(t, dir, Config{To: []string{"http://" + at + "/live/"}, Keep: true, Delete: true})
	out, err := exec.Command("ffmpeg", "-nostdin", "-v", "error", "-f", "lavfi", "-i", "testsrc=size=128x72:rate=25", "-t", "12", "-c:v", "mpeg2video", "-g", "25",
		"-f", "hls", "-hls_time", "1", "-hls_list_size", "3", "-hls_flags", "delete_segments", filepath.Join(dir, "live.m3u8")).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	want := contents(t, dir)
	if len(want) < 4 {
		t.Fatalf("ffmpeg has made %d files", len(want))
	}
	testkit.Eventually(t, func() error {
		got := contents(t, filepath.Join(root, "live"))
		for name, text := range want {
			if got[name] != text {
				return fmt.Errorf("%s is another one (there: %v); report %+v", name, got[name] != "", p.Report())
			}
		}
		if len(got) != len(want) {
			return fmt.Errorf("there are %d files, want %d", len(got), len(want))
		}
		return nil
	})
	if r := p.Report()[0]; r.Retries != 0 {
		t.Errorf("report %+v", r)
	}
}

// contents are the files of a directory.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	entries, err := os.ReadDir(dir)
	check(t, err)
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err == nil && !strings.HasPrefix(e.Name(), "begin") { // else it has just been removed, or is of pushDir
			all[e.Name()] = string(b)
		}
	}
	return all
}

// startNginx starts one that takes PUT and DELETE, and says where it is and where it keeps them.
func startNginx(t *testing.T) (at, root string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "sluice-nginx") // a short one: nginx is told nothing that needs quotes
	check(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	root = filepath.Join(dir, "root")
	check(t, os.MkdirAll(root, 0o700))
	at = freeAddress(t)
	conf := fmt.Sprintf(`daemon off; master_process off; pid %[1]s/pid; error_log stderr warn;
events { worker_connections 256; }
http {
	access_log off; client_max_body_size 0; client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/fcgi;
	uwsgi_temp_path %[1]s/uwsgi; scgi_temp_path %[1]s/scgi;
	server { listen %[2]s; root %[1]s/root; location / { dav_methods PUT DELETE; create_full_put_path on; } }
}
`, dir, at)
	check(t, os.WriteFile(filepath.Join(dir, "conf"), []byte(conf), 0o600))
	testkit.Start(t, "nginx", "-p", dir, "-c", filepath.Join(dir, "conf"), "-e", "stderr")
	testkit.Eventually(t, func() error {
		answer, err := http.Get("http://" + at + "/")
		if err == nil {
			answer.Body.Close()
		}
		return err
	})
	http.DefaultClient.CloseIdleConnections()
	return at, root
}

// freeAddress is one of this machine that nobody listens at.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	defer l.Close()
	return l.Addr().String()
}
