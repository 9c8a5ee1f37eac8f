package process

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func atoi(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestOpenRunDir(t *testing.T) {
	base := t.TempDir()
	file := filepath.Join(base, "file")
	open := filepath.Join(base, "open")
	link := filepath.Join(base, "link")
	must(t, os.WriteFile(file, nil, 0o600))
	must(t, os.Mkdir(open, 0o700))
	must(t, os.Chmod(open, 0o777))
	must(t, os.Symlink(base, link))
	for path, want := range map[string]string{
		filepath.Join(base, "new", "run"): "",
		base:                              "", // there already
		file:                              "no directory",
		link:                              "no directory",
		open:                              "chmod go-w",
		filepath.Join(file, "run"):        "--run-dir",
	} {
		err := OpenRunDir(path)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("OpenRunDir(%s): %v, want %q", path, err, want)
		}
	}
	info, err := os.Stat(filepath.Join(base, "new", "run"))
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("made with mode %v (%v), want 0700", info.Mode(), err)
	}
	if os.Geteuid() == 0 {
		foreign := filepath.Join(base, "foreign")
		must(t, os.Mkdir(foreign, 0o700))
		must(t, os.Chown(foreign, 12345, -1))
		if err := OpenRunDir(foreign); err == nil || !strings.Contains(err.Error(), "12345") {
			t.Errorf("a directory of another user: %v", err)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestDefaultRunDir(t *testing.T) {
	got := runDir(0, "/run/user/0", "/tmp")
	if got != "/run/sluice" && got != "/var/run/sluice" {
		t.Errorf("root: %s", got)
	}
	if got := runDir(1000, "/run/user/1000", "/tmp"); got != "/run/user/1000/sluice" {
		t.Errorf("user in a session: %s", got)
	}
	if got := runDir(1000, "", "/tmp"); got != "/tmp/sluice-1000" {
		t.Errorf("user without a session: %s", got)
	}
}

func TestTogether(t *testing.T) {
	boom := errors.New("boom")
	wait := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	fail := func(context.Context) error { return boom }
	end := func(context.Context) error { return nil }
	if err := Together(t.Context(), wait, fail, wait); !errors.Is(err, boom) {
		t.Errorf("one fails: %v", err)
	}
	if err := Together(t.Context(), wait, end); err != nil {
		t.Errorf("one ends: %v", err)
	}
	if err := Together(t.Context()); err != nil {
		t.Errorf("none: %v", err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Together(gone, wait, wait); !errors.Is(err, context.Canceled) {
		t.Errorf("all are ended: %v", err)
	}
}

func TestSignals(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP} {
		a := Signals(t.Context(), syscall.SIGHUP)
		must(t, syscall.Kill(os.Getpid(), sig))
		<-a.Stop.Done()
		if cause := context.Cause(a.Stop); !errors.Is(cause, context.Canceled) || !strings.Contains(cause.Error(), sig.String()) {
			t.Errorf("cause %v does not name the signal %v", cause, sig)
		}
		if a.Kill.Err() != nil {
			t.Fatal("the first signal kills")
		}
		a.End()
		if len(a.Reload) > 0 {
			t.Errorf("%v asks for more than the end", sig)
		}
	}
}

func TestSignalsThatAreAnswered(t *testing.T) {
	a := Signals(t.Context())
	defer a.End()
	did := make(chan string)
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	say := func(what string) func() { return func() { did <- what } }
	wg.Go(func() { a.Answer(ctx, Answers{Reload: say("reload"), Rotate: say("rotate"), Reset: say("reset")}) })
	for sig, want := range map[syscall.Signal]string{syscall.SIGHUP: "reload", syscall.SIGUSR1: "rotate", syscall.SIGUSR2: "reset"} {
		must(t, syscall.Kill(os.Getpid(), sig))
		if got := <-did; got != want {
			t.Errorf("%v: %s, want %s", sig, got, want)
		}
	}
	if a.Stop.Err() != nil {
		t.Error("one of them ends the process")
	}
}

func TestSignalsTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stop, cancelStop := context.WithCancelCause(t.Context())
		kill, cancelKill := context.WithCancelCause(t.Context())
		heard, over := make(chan os.Signal), make(chan struct{})
		go listen(heard, over, cancelStop, cancelKill)
		defer close(over)

		heard <- syscall.SIGTERM
		heard <- syscall.SIGTERM // the same, sent to the process group
		synctest.Wait()
		if stop.Err() == nil || kill.Err() != nil {
			t.Fatalf("after one burst: stop %v, kill %v", stop.Err(), kill.Err())
		}
		time.Sleep(signalBurst)
		heard <- syscall.SIGINT
		heard <- syscall.SIGINT
		synctest.Wait()
		if kill.Err() == nil {
			t.Error("the second signal does not kill")
		}
	})
}

// TestSignalsEnd: signals that come after the end do nothing; any of them would kill this process.
func TestSignalsEnd(t *testing.T) {
	a := Signals(t.Context())
	a.End()
	<-a.Stop.Done()
	<-a.Kill.Done()
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2} {
		must(t, syscall.Kill(os.Getpid(), sig))
	}
	if cause := context.Cause(a.Stop); cause != context.Canceled { //nolint:errorlint // a signal is one, too
		t.Errorf("a signal after the end is heard: %v", cause)
	}
}
