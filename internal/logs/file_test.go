package logs

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice/internal/testkit"
)

func open(t *testing.T, c FileConfig) *RotatingFile {
	t.Helper()
	f, err := OpenFile(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func write(t *testing.T, f *RotatingFile, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if _, err := f.Write([]byte(line + "\n")); err != nil {
			t.Fatal(err)
		}
	}
}

// content is what the file and those that were put aside hold, in the order of writing
// and with a bar between them.
func content(t *testing.T, path string) string {
	t.Helper()
	text := read(t, path)
	for i := 1; ; i++ {
		b, err := os.ReadFile(fmt.Sprintf("%s.%d", path, i))
		if errors.Is(err, fs.ErrNotExist) {
			return text
		}
		if err != nil {
			t.Fatal(err)
		}
		text = string(b) + "|" + text
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestFileRotatesBySize(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	f := open(t, FileConfig{Path: path, MaxSize: 6, MaxFiles: 2})
	write(t, f, "a", "b", "c") // full to the byte
	if got := content(t, path); got != "a\nb\nc\n" {
		t.Errorf("before the limit: %q", got)
	}
	write(t, f, "d", "longer than all", "e")
	if got := content(t, path); got != "d\n|longer than all\n|e\n" {
		t.Errorf("two are kept: %q", got)
	}
	if err := f.Rotate(); err != nil {
		t.Fatal(err)
	}
	if got := content(t, path); got != "longer than all\n|e\n|" {
		t.Errorf("rotated: %q", got)
	}
	if err := f.Rotate(); err != nil {
		t.Fatal(err)
	}
	if got := content(t, path); got != "longer than all\n|e\n|" {
		t.Errorf("an empty file was put aside: %q", got)
	}

	fewer := open(t, FileConfig{Path: path, MaxSize: 6, MaxFiles: 1})
	write(t, fewer, "f")
	if err := fewer.Rotate(); err != nil {
		t.Fatal(err)
	}
	if got := content(t, path); got != "f\n|" {
		t.Errorf("with a lower limit: %q", got)
	}

	none := open(t, FileConfig{Path: path, MaxSize: 3})
	write(t, none, "g", "h", "i")
	if err := none.Rotate(); err != nil || content(t, path) != "f\n|g\nh\ni\n" {
		t.Errorf("with no file to be kept: %q, %v", content(t, path), err)
	}
}

// A file that logrotate has moved away is left for the new one.
func TestFileFollowsItsName(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "log")
	f := open(t, FileConfig{Path: path})
	write(t, f, "a")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	write(t, f, "b")
	if err := os.Truncate(path, 0); err != nil { // copytruncate
		t.Fatal(err)
	}
	write(t, f, "c")
	if got := content(t, path); got != "a\n|c\n" {
		t.Errorf("%q", got)
	}
}

func TestFileBehindALink(t *testing.T) {
	dir := t.TempDir()
	path, link := filepath.Join(dir, "log"), filepath.Join(dir, "link")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	f := open(t, FileConfig{Path: link, MaxFiles: 3})
	write(t, f, "a")
	if err := f.Rotate(); err != nil {
		t.Fatal(err)
	}
	write(t, f, "b")
	if got := content(t, path); got != "a\n|b\n" || read(t, link) != "b\n" {
		t.Errorf("%q, behind the link %q", got, read(t, link))
	}
}

func TestFileIsRefused(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	reader, err := os.OpenFile(pipe, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	for path, want := range map[string]string{
		filepath.Join(dir, "none", "log"): "the directory does not exist",
		dir:                               "is a directory",
		"/dev/null":                       "is no regular file",
		pipe:                              "is no regular file",
	} {
		if f, err := OpenFile(FileConfig{Path: path}); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, %v", path, f, err)
		}
	}
}

// Lines that cannot be written are counted, and told of when others can.
func TestFileCountsWhatIsLost(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "logs")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "log")
	f := open(t, FileConfig{Path: path, Time: TimeNone})
	log := New(f, "gng", slog.LevelInfo)
	log.Info("one")
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	log.Info("two")
	log.Info("three")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	log.Info("four")
	log.Info("five")
	want := regexp.MustCompile(`^WARN  log: log lines lost lines=2 reason="[^"]*no such file or directory"
INFO  gng: four
INFO  gng: five
$`)
	if got := read(t, path); !want.MatchString(got) {
		t.Errorf("%s", got)
	}
}

// What a full disk has taken of a line is taken back. The disk is a limit on the size of
// files, at which the kernel stops in the middle of a line as it does on a full one.
func TestFileOnAFullDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	cmd := exec.Command(os.Args[0], path, "limited")
	cmd.Env = append(os.Environ(), asWriter+"=1", "GORACE=atexit_sleep_ms=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	want := regexp.MustCompile(`^(x+\n){2}WARN  log: log lines lost lines=1 reason="[^"]*file too large"\nroom again\n$`)
	if got := read(t, path); !want.MatchString(got) {
		t.Errorf("%q", got)
	}
}

func TestFileThatCannotBePutAside(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	if err := os.MkdirAll(filepath.Join(path+".1", "full"), 0o700); err != nil { // nothing can be renamed to that
		t.Fatal(err)
	}
	f := open(t, FileConfig{Path: path, MaxSize: 3, MaxFiles: 1, Time: TimeNone})
	write(t, f, "a", "b", "c")
	lines := strings.Split(read(t, path), "\n")
	if len(lines) != 5 || lines[0] != "a" || !strings.HasPrefix(lines[1], "WARN  log: log not rotated reason=") || lines[2] != "b" || lines[3] != "c" {
		t.Errorf("%q", lines)
	}
	if err := f.Rotate(); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("%v", err)
	}
}

func TestFileLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	stamp := map[TimeFormat]string{
		TimeLocal: `\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \S+ `,
		TimeGMT:   `\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} GMT `,
		TimeRaw:   `\d{10,}\.\d{9} `,
		TimeMono:  `\d+\.\d{9} `,
		TimeNone:  ``,
	}
	for f := TimeLocal; f <= TimeNone; f++ {
		log, end := NewQueued(open(t, FileConfig{Path: path, Time: f}), "gws", Norm)
		Normal(log, "engine attached", Engine, "1", "build", "a b")
		log.Info("too much")
		end()
		want := regexp.MustCompile(`^` + stamp[f] + `NORM  gws: engine attached engine=1 build="a b"\n$`)
		if got := read(t, path); !want.MatchString(got) {
			t.Errorf("%v: %q", f, got)
		}
		if err := os.Truncate(path, 0); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTimeFormats(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 3, 4, 512_000_789, time.FixedZone("", 3600))
	for f, want := range map[TimeFormat]string{
		TimeLocal: at.Local().Format("2006-01-02 15:04:05.000 MST"),
		TimeGMT:   "2026-03-01 11:03:04.512 GMT",
		TimeRaw:   "1772362984.512000789",
		TimeNone:  "",
	} {
		if got := string(f.Append(nil, at)); got != want {
			t.Errorf("%v: %q, want %q", f, got, want)
		}
		if same, err := ParseTimeFormat(f.String()); err != nil || same != f {
			t.Errorf("%v is read as %v, %v", f, same, err)
		}
	}
	if a, b := string(TimeMono.Append(nil, at)), string(TimeMono.Append(nil, at)); len(a) == len(b) && a > b {
		t.Errorf("the monotonic clock went back from %s to %s", a, b)
	}
	if f, err := ParseTimeFormat("raw-mono"); err != nil || f != TimeMono {
		t.Errorf("%v, %v", f, err)
	}
	if _, err := ParseTimeFormat("utc"); err == nil {
		t.Error("utc is no format")
	}
}

// writer is a process that writes the shared log.
type writer struct {
	*testkit.Proc
	end func() // its standard input
}

func startWriter(t *testing.T, path, name string) writer {
	t.Helper()
	cmd := exec.Command(os.Args[0], path, name)
	cmd.Env = append(os.Environ(), asWriter+"=1", "GORACE=atexit_sleep_ms=0")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdin = r
	p := testkit.StartCommand(t, cmd)
	r.Close()
	t.Cleanup(func() { w.Close() })
	return writer{p, func() { w.Close() }}
}

// Acceptance 117: three processes write one log, which is rotated by its size and by
// signals, and every line is there, whole and once.
func TestAcceptance117SharedLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	var writers []writer
	for _, name := range []string{"a", "b", "c"} {
		writers = append(writers, startWriter(t, path, name))
	}
	for _, w := range writers {
		w.WaitLine("^ready") // before that the signal would end it
	}
	for i, w := range writers {
		for range 20 {
			w.Signal(syscall.SIGUSR1)
			writers[(i+1)%3].Signal(syscall.SIGUSR1)
		}
	}
	for _, w := range writers {
		w.WaitLine("^written")
		w.WaitLine("^rotated")
		w.end()
		if err := w.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	next := map[string]int{}
	for line := range strings.Lines(strings.ReplaceAll(content(t, path), "|", "")) {
		var name string
		var number int
		if _, err := fmt.Sscanf(line, "INFO  %1s: line number=%d\n", &name, &number); err != nil {
			t.Fatalf("torn: %q, %v", line, err)
		}
		if number != next[name] {
			t.Fatalf("%s has line %d in place of %d", name, number, next[name])
		}
		next[name]++
	}
	if len(next) != 3 || next["a"] != manyLines || next["b"] != manyLines || next["c"] != manyLines {
		t.Errorf("lines: %v, want %d of each", next, manyLines)
	}
	aside, _ := filepath.Glob(path + ".*")
	if len(aside) < 10 {
		t.Errorf("it was rotated only %d times", len(aside))
	}
	for _, name := range aside {
		if info, err := os.Stat(name); err != nil || info.Size() > sharedLog(path).MaxSize {
			t.Errorf("%s has %d bytes, %v", name, info.Size(), err)
		}
	}
}

// A request that reaches all who write a log rotates it once.
func TestSharedLogRotatesOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	a := startWriter(t, path, "a")
	a.WaitLine("^written")
	before, err := filepath.Glob(path + ".*")
	if err != nil {
		t.Fatal(err)
	}
	own := open(t, sharedLog(path))
	write(t, own, "mine")
	if err := own.Rotate(); err != nil {
		t.Fatal(err)
	}
	write(t, own, "mine as well")
	done := lockTime(t, path)
	a.Signal(syscall.SIGUSR1)
	a.WaitLine("^rotated")
	after, err := filepath.Glob(path + ".*")
	if err != nil {
		t.Fatal(err)
	}
	again := lockTime(t, path).Sub(done)
	if again != 0 && again < sameRequest || again == 0 && len(after) != len(before)+1 {
		t.Errorf("%d files became %d, the second time %v later", len(before), len(after), again)
	}
}

// lockTime is when the file was rotated on request.
func lockTime(t *testing.T, path string) time.Time {
	t.Helper()
	info, err := os.Stat(filepath.Join(filepath.Dir(path), ".log.lock"))
	if err != nil {
		t.Fatal(err)
	}
	return info.ModTime()
}
