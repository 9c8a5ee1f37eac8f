package file_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sluice/internal/endpoint"
	"sluice/internal/endpoint/endtest"
	"sluice/internal/endpoint/file"
	"sluice/internal/testkit"
	"sluice/internal/uri"
)

func target(path string, how endpoint.Write) endpoint.Target {
	return endpoint.Target{End: uri.End{Scheme: uri.File, Path: path}, Write: how}
}

// written waits until the file has its n bytes.
func written(path string) func(*testing.T, int) []byte {
	return func(t *testing.T, _ int) []byte {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
}

func TestSinkSuite(t *testing.T) {
	if !testkit.InNamespace(t) {
		return
	}
	for how, name := range []string{"new", "append", "truncate"} {
		t.Run(name, func(t *testing.T) {
			dir := testkit.SmallDisk(t, 8<<20)
			endtest.RunSink(t, endtest.Sinks{
				Opener: &file.SinkOpener{WriteTo: []string{dir}},
				Size:   3 << 20,
				Make: func(t *testing.T) endtest.Far {
					path := filepath.Join(dir, strings.ReplaceAll(t.Name(), "/", "-"))
					_ = os.Remove(path) // of the turn before
					return endtest.Far{
						Target: target(path, endpoint.Write(how)), All: written(path), Late: true,
						Break: func(t *testing.T) { fillDisk(t, dir) },
					}
				},
			})
		})
	}
}

// fillDisk leaves no room on the disk of dir until the test ends.
func fillDisk(t *testing.T, dir string) {
	t.Helper()
	path := filepath.Join(dir, "filler")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	t.Cleanup(func() { _ = os.Remove(path) })
	for err == nil {
		_, err = f.Write(make([]byte, 64<<10))
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
}

// TestAcceptance50: a full disk ends that session, with the reason, and not another one.
func TestAcceptance50(t *testing.T) {
	if !testkit.InNamespace(t) {
		return
	}
	small, large := testkit.SmallDisk(t, 1<<20), t.TempDir()
	s := endtest.Sinks{Opener: &file.SinkOpener{WriteTo: []string{small, large}}}
	full, in := s.OpenSink(t, target(small+"/a.ts", endpoint.WriteNew))
	other, out := s.OpenSink(t, target(large+"/a.ts", endpoint.WriteNew))
	b := bytes.Repeat([]byte("0123456789abcdef"), 4096)
	var err error
	sent := 0
	for ; err == nil; sent += len(b) {
		if err = endtest.Feed(out, b); err == nil {
			err = endtest.Feed(in, b)
		}
	}
	if err := full.Wait(); !errors.Is(err, unix.ENOSPC) || err.Error() != "write FILE://"+small+"/a.ts: no space left on device" {
		t.Errorf("the session on the full disk ended with %v", err)
	}
	if err := errors.Join(unix.Shutdown(out, unix.SHUT_WR), other.Wait()); err != nil {
		t.Error(err)
	}
	if got := written(large+"/a.ts")(t, 0); !bytes.Equal(got, bytes.Repeat(b, sent/len(b))) {
		t.Errorf("the other session has %d bytes, want %d", len(got), sent)
	}
	if info, err := os.Stat(small + "/a.ts"); err != nil || info.Size() == 0 {
		t.Errorf("what was written before the error: %v", err)
	}
}

// TestAcceptance123: a file that is there is refused, gone on with, or written anew, as was
// asked.
func TestAcceptance123(t *testing.T) {
	dir := t.TempDir()
	path := dir + "/a.ts"
	s := endtest.Sinks{Opener: &file.SinkOpener{WriteTo: []string{dir}}}
	write := func(how endpoint.Write, what string) {
		t.Helper()
		sink, socket := s.OpenSink(t, target(path, how))
		if err := errors.Join(endtest.Feed(socket, []byte(what)), unix.Shutdown(socket, unix.SHUT_WR), sink.Wait()); err != nil {
			t.Fatal(err)
		}
	}
	for _, step := range []struct {
		how  endpoint.Write
		want string
	}{
		{endpoint.WriteNew, "first"},
		{endpoint.WriteAppend, "firstfirst"},
		{endpoint.WriteTruncate, "first"},
	} {
		write(step.how, "first")
		if got := written(path)(t, 0); string(got) != step.want {
			t.Errorf("%s: the file has %q, want %q", step.how, got, step.want)
		}
	}
	refused(t, s.Opener, target(path, endpoint.WriteNew), http.StatusConflict)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm()&^0o640 != 0 {
		t.Errorf("the file's mode is %v (%v), want at most 0640", info.Mode(), err)
	}
}

func refused(t *testing.T, o endpoint.SinkOpener, to endpoint.Target, status int) {
	t.Helper()
	sink, err := o.OpenSink(t.Context(), to)
	if err == nil {
		unix.Close(sink.Socket())
		sink.Close()
		t.Errorf("%s: not refused", to.End.Tag())
		return
	}
	var refusal *endpoint.Refusal
	if !errors.As(err, &refusal) || refusal.Status != status || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v, want a refusal with %d", err, status)
	}
}

// TestSinkRefusals: what a request names leads nowhere but below the directories of the
// configuration, and to regular files only; and nothing is made by asking.
func TestSinkRefusals(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	for _, err := range []error{
		os.Symlink(outside, dir+"/out"), os.Symlink("../"+filepath.Base(outside), dir+"/up"), os.Symlink(outside+"/new.ts", dir+"/link.ts"),
		os.Symlink("/dev/null", dir+"/null"), os.Mkdir(dir+"/dir", 0o700), unix.Mkfifo(dir+"/fifo", 0o600), os.WriteFile(dir+"/file", nil, 0o600),
		os.Symlink("nowhere.ts", dir+"/dangling.ts"), os.WriteFile(outside+"/there.ts", []byte("kept"), 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	o := &file.SinkOpener{WriteTo: []string{dir}}
	for _, c := range []struct {
		path   string
		how    endpoint.Write
		status int
	}{
		{outside + "/a.ts", endpoint.WriteNew, 403},
		{dir + "x/a.ts", endpoint.WriteNew, 403},
		{dir, endpoint.WriteTruncate, 403},
		{dir + "/out/a.ts", endpoint.WriteNew, 403},
		{dir + "/up/a.ts", endpoint.WriteNew, 403},
		{dir + "/out/there.ts", endpoint.WriteTruncate, 403},
		{dir + "/link.ts", endpoint.WriteAppend, 403},
		{dir + "/link.ts", endpoint.WriteNew, 409},
		{dir + "/dangling.ts", endpoint.WriteNew, 409},
		{dir + "/null", endpoint.WriteAppend, 403},
		{dir + "/dir", endpoint.WriteTruncate, 403},
		{dir + "/dir", endpoint.WriteNew, 409},
		{dir + "/fifo", endpoint.WriteAppend, 403},
		{dir + "/missing/a.ts", endpoint.WriteNew, 404},
		{dir + "/file/a.ts", endpoint.WriteNew, 404},
	} {
		refused(t, o, target(c.path, c.how), c.status)
	}
	if b, err := os.ReadFile(outside + "/there.ts"); string(b) != "kept" {
		t.Errorf("the file outside: %q, %v", b, err)
	}
	for _, how := range []endpoint.Write{endpoint.WriteAppend, endpoint.WriteTruncate} { // of the operator: any regular file
		to := target(dir+"/fifo", how)
		to.Trusted = true
		refused(t, o, to, 403)
	}
}

// TestSinkMakesNothingBeforeTheFirstByte: a file is neither made nor emptied for a stream
// that delivers nothing.
func TestSinkMakesNothingBeforeTheFirstByte(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/old.ts", []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := endtest.Sinks{Opener: &file.SinkOpener{}}
	for _, to := range []endpoint.Target{target(dir+"/new.ts", endpoint.WriteNew), target(dir+"/old.ts", endpoint.WriteTruncate)} {
		to.Trusted = true
		sink, socket := s.OpenSink(t, to)
		if err := errors.Join(unix.Shutdown(socket, unix.SHUT_WR), sink.Wait()); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(dir + "/new.ts"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("new.ts: %v", err)
	}
	if b, err := os.ReadFile(dir + "/old.ts"); string(b) != "kept" {
		t.Errorf("old.ts: %q, %v", b, err)
	}
}

// TestSinkLosesTheRace: a file, or a link out, that comes between the request and the first
// byte is left alone, and the session ends with it.
func TestSinkLosesTheRace(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	s := endtest.Sinks{Opener: &file.SinkOpener{WriteTo: []string{dir}}}
	for name, c := range map[string]struct {
		how  endpoint.Write
		make func(path string) error
	}{
		"file.ts": {endpoint.WriteNew, func(p string) error { return os.WriteFile(p, []byte("other"), 0o600) }},
		"link.ts": {endpoint.WriteTruncate, func(p string) error { return os.Symlink(outside+"/a.ts", p) }},
		"fifo":    {endpoint.WriteAppend, func(p string) error { return unix.Mkfifo(p, 0o600) }},
	} {
		sink, socket := s.OpenSink(t, target(dir+"/"+name, c.how))
		if err := errors.Join(c.make(dir+"/"+name), endtest.Feed(socket, []byte("mine"))); err != nil {
			t.Fatal(err)
		}
		if err := sink.Wait(); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: ended with %v", name, err)
		}
	}
	if b, err := os.ReadFile(dir + "/file.ts"); string(b) != "other" {
		t.Errorf("file.ts has %q, %v", b, err)
	}
	d, err := os.Open(outside)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if names, err := d.Readdirnames(1); !errors.Is(err, io.EOF) {
		t.Errorf("outside there is %v, %v", names, err)
	}
}
