package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"sluice/internal/testkit"
)

// beDaemon detaches; the daemon fails, or writes to path what it is and stays until TERM.
func beDaemon(how, path string) int {
	born, err := Detached()
	if err == nil && born == nil {
		code, err := Detach()
		if err != nil {
			fmt.Fprintln(os.Stderr, "detach:", err)
		}
		return code
	}
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	switch how {
	case "fails":
		fmt.Fprintln(os.Stderr, "it cannot work")
		return 7
	case "dies":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	case "waits": // for the test to go on
		fmt.Println("waiting")
		_, _ = os.Stdin.Read(make([]byte, 1))
	}
	if err == nil {
		err = born.Up()
	}
	sid, _ := unix.Getsid(0)
	facts := fmt.Sprintf("err=%v pid=%d sid=%d env=%q", err, os.Getpid(), sid, os.Getenv(bornEnv))
	for fd := range 3 {
		to, _ := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
		facts += " " + to
	}
	if err := os.WriteFile(path+".new", []byte(facts), 0o600); err == nil {
		_ = os.Rename(path+".new", path)
	}
	if err != nil {
		return 1
	}
	<-term
	return 0
}

func daemonCommand(how, path string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], "daemon", how, path)
	cmd.Env = append(os.Environ(), asChild+"=1", "GORACE=atexit_sleep_ms=0", "LISTEN_FDS=1")
	return cmd
}

func TestDaemon(t *testing.T) {
	path := filepath.Join(t.TempDir(), "facts")
	out, err := daemonCommand("lives", path).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Fatalf("%v: %s", err, out)
	}
	var facts []byte
	testkit.Eventually(t, func() error {
		facts, err = os.ReadFile(path)
		return err
	})
	_, rest, _ := strings.Cut(string(facts), "pid=")
	pid, err := strconv.Atoi(rest[:strings.IndexByte(rest, ' ')])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
	want := fmt.Sprintf(`err=<nil> pid=%d sid=%d env="" /dev/null /dev/null /dev/null`, pid, pid)
	if string(facts) != want {
		t.Errorf("the daemon is\n%s\nwant\n%s", facts, want)
	}
	must(t, syscall.Kill(pid, syscall.SIGTERM))
	testkit.Eventually(t, func() error {
		if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil && !strings.Contains(string(stat), ") Z ") {
			return errors.New("the daemon lives on")
		}
		return nil
	})
}

func TestDaemonThatFails(t *testing.T) {
	for how, want := range map[string]struct {
		code int
		text string
	}{
		"fails": {7, "it cannot work\n"},
		"dies":  {1, "detach: the daemon has ended before it was up: signal: killed\n"},
	} {
		out, err := daemonCommand(how, filepath.Join(t.TempDir(), "facts")).CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != want.code || string(out) != want.text {
			t.Errorf("%s: %v, %q", how, err, out)
		}
	}
}

// Who has started a daemon and goes before it is up takes it along.
func TestDaemonIsGivenUp(t *testing.T) {
	path := filepath.Join(t.TempDir(), "facts")
	cmd := daemonCommand("waits", path)
	stdin, goOn, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer goOn.Close()
	cmd.Stdin = stdin
	p := testkit.StartCommand(t, cmd)
	stdin.Close()
	p.WaitLine("^waiting$")
	p.Signal(syscall.SIGKILL)
	_ = p.Wait()
	must(t, goOn.Close())
	testkit.Eventually(t, func() error {
		facts, err := os.ReadFile(path)
		if err == nil && !strings.HasPrefix(string(facts), "err=the daemon is up, but who has started it is gone") {
			t.Fatalf("%s", facts)
		}
		return err
	})
}

func TestNoDaemon(t *testing.T) {
	born, err := Detached()
	if born != nil || err != nil || born.Up() != nil {
		t.Errorf("%v, %v", born, err)
	}
	t.Setenv(bornEnv, "x")
	if _, err := Detached(); err == nil {
		t.Error("a bad descriptor was taken")
	}
}

// Acceptance 130: the pid file.
func TestAcceptance130PIDFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "gws.pid")
	cmd, _ := hold(t, "pid", path)
	pid := cmd.Process.Pid
	if text, err := os.ReadFile(path); err != nil || string(text) != fmt.Sprintf("%d\n", pid) {
		t.Errorf("%q, %v", text, err)
	}
	if _, err := WritePID(path); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%s is locked by process %d", path, pid)) {
		t.Errorf("one that is held: %v", err)
	}
	must(t, syscall.Kill(pid, syscall.SIGKILL))
	_ = cmd.Wait()
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	cmd, _ = hold(t, "pid", path) // the stale one is replaced
	if text, _ := os.ReadFile(path); string(text) != fmt.Sprintf("%d\n", cmd.Process.Pid) {
		t.Errorf("%q", text)
	}
	must(t, cmd.Process.Signal(syscall.SIGTERM))
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after TERM: %v", err)
	}
}

func TestPIDFileOverwritesNothing(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"config": "listen: :1\n", "number": "12 13\n", "long": strings.Repeat(" ", 100)} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := WritePID(path); err == nil || !strings.Contains(err.Error(), "is no pid file") {
			t.Errorf("%s: %v", name, err)
		}
		if after, _ := os.ReadFile(path); string(after) != text {
			t.Errorf("%s became %q", name, after)
		}
	}
	if _, err := WritePID(dir); err == nil {
		t.Error("a directory was taken for a pid file")
	}
}
