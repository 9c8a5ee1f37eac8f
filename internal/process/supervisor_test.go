package process

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice/internal/logs"
)

func TestSupervisorStartsAgain(t *testing.T) {
	v := supervise(t, &Supervisor{Stages: [][]Unit{{testUnit("a", "run"), testUnit("b", "run")}}})
	first := v.pid("up", "a")
	killNow(t, first)
	line := v.next("process ended", "process=a", "signal: killed")
	if !strings.Contains(line, "delay=0s") || !strings.Contains(line, "level=WARN") {
		t.Errorf("the log does not tell of the start to come: %s", line)
	}
	if second := v.pid("up", "a"); second == first {
		t.Errorf("still process %d", second)
	}
	v.stop()
	<-v.done
}

func TestSupervisorPassesSignalsOn(t *testing.T) {
	orders := make(chan Order)
	v := supervise(t, &Supervisor{Stages: [][]Unit{{testUnit("a", "answer")}, {testUnit("b", "answer")}}, Pass: orders})
	ups(v.lines, 2)
	for _, sig := range []syscall.Signal{syscall.SIGUSR1, syscall.SIGHUP} {
		orders <- Order{Signal: sig}
		word := strings.ReplaceAll(sig.String(), " ", "-")
		first := strings.Fields(v.next(word + " "))[1]
		if second := strings.Fields(v.next(word + " "))[1]; first == second {
			t.Errorf("%s got %v twice", first, sig)
		}
	}
	v.stop()
	<-v.done
}

// TestKeeperForgets: what was ordered before a process began would be its end: it is not ready for signals yet.
func TestKeeperForgets(t *testing.T) {
	l := readLines(t)
	u := testUnit("a", "answer")
	end, cancel := context.WithCancel(t.Context())
	k := &keeper{unit: &u, output: l.w, log: logs.New(l.w, "run", slog.LevelDebug), orders: make(chan Order, passed)}
	k.orders <- Order{Signal: syscall.SIGHUP}
	k.orders <- Order{Signal: syscall.SIGUSR1}
	done := make(chan struct{})
	go func() {
		defer close(done)
		k.keep(t.Context(), end, t.Context())
	}()
	defer func() { cancel(); <-done }()
	line := l.next("process ")
	if pid := fmt.Sprintf("pid=%d", l.pid("up", "a")); !strings.HasSuffix(line, pid) {
		t.Errorf("%s; %s is up", line, pid)
	}
	k.orders <- Order{Signal: syscall.SIGUSR1}
	if said := l.next(" a "); !strings.Contains(said, "user-defined") {
		t.Errorf("it says %q", said)
	}
}

func TestSupervisorBacksOff(t *testing.T) {
	v := supervise(t, &Supervisor{Stages: [][]Unit{{testUnit("a", "crash")}}})
	delay := regexp.MustCompile(`delay=(\S+)`)
	last := time.Duration(-1)
	for range 3 {
		line := v.next("process ended", "exit status 3")
		d, err := time.ParseDuration(delay.FindStringSubmatch(line)[1])
		if err != nil {
			t.Fatal(err)
		}
		if d <= last {
			t.Errorf("delay %v after %v does not grow", d, last)
		}
		last = d
	}
	v.stop() // in the midst of the back-off
	<-v.done
}

func TestSupervisorCannotStart(t *testing.T) {
	v := supervise(t, &Supervisor{Stages: [][]Unit{{{Name: "a", Path: "/nonexistent/program"}}}})
	v.next("process ended", "process=a", "start a", "no such file")
	v.stop()
	<-v.done
}

func TestSupervisorStopsInReverse(t *testing.T) {
	v := supervise(t, &Supervisor{Stages: [][]Unit{
		{testUnit("engine1", "run"), testUnit("engine2", "run")},
		{testUnit("front", "run")},
	}})
	if up := ups(v.lines, 3); len(up) != 3 {
		t.Fatalf("up: %v", up)
	}
	v.stop()
	if line := v.next("down "); !strings.HasPrefix(line, "down front ") {
		t.Errorf("%q ended first, want front", line)
	}
	v.next("down engine")
	v.next("down engine")
	<-v.done
}

// TestSupervisorStartsNothingWhileItStops: a service manager may signal the whole group,
// so that the units of a later stage have ended when their turn to be stopped comes.
func TestSupervisorStartsNothingWhileItStops(t *testing.T) {
	v := supervise(t, &Supervisor{
		Stages: [][]Unit{{testUnit("engine", "run")}, {testUnit("front", "stubborn")}},
		Grace:  time.Hour,
	})
	up := ups(v.lines, 2)
	v.stop()
	v.next("all processes are stopped")
	killNow(t, up["engine"])
	v.next("process ended", "process=engine")
	v.kill()
	<-v.done
	v.w.Close()
	for line := range v.ch {
		if strings.Contains(line, "again") || strings.HasPrefix(line, "up engine") {
			t.Errorf("while everything is stopped: %s", line)
		}
	}
}

func TestSupervisorKillsAfterGrace(t *testing.T) {
	v := supervise(t, &Supervisor{
		Stages: [][]Unit{{testUnit("good", "run")}, {testUnit("stubborn", "stubborn")}},
		Grace:  2 * time.Second, // the good one takes less than its share
	})
	ups(v.lines, 2)
	v.stop()
	v.next("process killed", "process=stubborn")
	v.pid("down", "good")
	<-v.done
}

// A unit that may take longer than its share takes nothing from the others.
func TestSupervisorWaitsForOneUnit(t *testing.T) {
	slow := testUnit("stubborn", "stubborn")
	slow.Grace = func() time.Duration { return 3 * time.Second }
	v := supervise(t, &Supervisor{
		Stages: [][]Unit{{testUnit("good", "run")}, {slow}},
		Grace:  2 * time.Second,
	})
	ups(v.lines, 2)
	v.stop()
	v.next("process killed", "process=stubborn")
	v.pid("down", "good")
	<-v.done
}

func TestSupervisorKillsAtOnce(t *testing.T) {
	v := supervise(t, &Supervisor{
		Stages: [][]Unit{{testUnit("s1", "stubborn"), testUnit("s2", "stubborn")}},
		Grace:  time.Hour,
	})
	ups(v.lines, 2)
	v.stop()
	v.kill()
	<-v.done
}

func TestSupervisorGivesItsUnits(t *testing.T) {
	t.Setenv("LISTEN_FDS", "7")
	path := filepath.Join(t.TempDir(), "given")
	if err := os.WriteFile(path, []byte("file"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	u := testUnit("a", "facts")
	u.Env = append(u.Env, "GIVEN=env")
	u.Files = []*os.File{f}
	v := supervise(t, &Supervisor{Stages: [][]Unit{{u}}})
	want := `facts in= file=file env=env listen="" group=true`
	if line := v.next("facts"); line != want {
		t.Errorf("got  %s\nwant %s", line, want)
	}
	v.stop()
	<-v.done
}

// A supervisor is killed; the one with a lifeline ends, the one with a lock goes on
// and is taken over by the next supervisor, with the surplus one beside it.
func TestSupervisorTakesOver(t *testing.T) {
	dir := t.TempDir()
	lock := filepath.Join(dir, "engine.lock")
	old := readLines(t)
	first := exec.Command(os.Args[0], "supervise", "first", dir)
	first.Env = append(os.Environ(), asChild+"=1", "GORACE=atexit_sleep_ms=0")
	first.Stdout = old.w
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	up := ups(old, 2)
	first.Process.Kill()
	first.Wait()
	old.next("lost:true front ")

	surplus, _ := holdLock(t, filepath.Join(dir, "surplus.lock"))
	v := supervise(t, &Supervisor{Stages: [][]Unit{{
		testUnit("engine", "lock", lock),
		{Name: "surplus", Lock: filepath.Join(dir, "surplus.lock"), Found: true},
		{Name: "nothing", Lock: filepath.Join(dir, "nothing.lock"), Found: true},
	}}})
	for range 2 {
		v.next("taken over")
	}
	if pid, err := Holder(lock); pid != up["engine"] || err != nil {
		t.Fatalf("the lock is held by %d (%v), want %d", pid, err, up["engine"])
	}

	killNow(t, surplus.Process.Pid)
	v.next("process=surplus", "not started again")
	killNow(t, up["engine"])
	v.next("process ended", "process=engine", "no child")
	second := v.pid("up", "engine")
	if second == up["engine"] {
		t.Errorf("still process %d", second)
	}
	v.stop()
	v.pid("down", "engine")
	<-v.done
}

func TestSupervisorEndsWhatItTookOver(t *testing.T) {
	t.Run("orderly", func(t *testing.T) {
		lock := filepath.Join(t.TempDir(), "engine.lock")
		held, out := hold(t, "lock", lock)
		v := supervise(t, &Supervisor{Stages: [][]Unit{{testUnit("engine", "lock", lock)}}})
		v.next("taken over")
		v.stop()
		out.pid("down", "holder")
		must(t, held.Wait())
		<-v.done
	})
	t.Run("by the signal that tells it", func(t *testing.T) {
		lock := filepath.Join(t.TempDir(), "engine.lock")
		held, out := hold(t, "lock", lock)
		v := supervise(t, &Supervisor{Stages: [][]Unit{{{Name: "engine", Lock: lock, Found: true, TakenOver: syscall.SIGTERM}}}})
		v.next("taken over")
		out.pid("down", "holder")
		must(t, held.Wait())
		v.next("process=engine", "not started again")
		v.stop()
		<-v.done
	})
	t.Run("by force", func(t *testing.T) {
		lock := filepath.Join(t.TempDir(), "engine.lock")
		held, _ := hold(t, "stubborn", lock)
		v := supervise(t, &Supervisor{Stages: [][]Unit{{testUnit("engine", "lock", lock)}}, Grace: time.Hour})
		v.next("taken over")
		v.kill()
		var killed *exec.ExitError
		if err := held.Wait(); !errors.As(err, &killed) || killed.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Errorf("it ended with %v", err)
		}
		<-v.done
	})
}

// The handle of systems without process descriptors does the same.
func TestLockHandle(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.lock")
	cmd, out := holdLock(t, path)
	h := lockHandle{path: path, id: cmd.Process.Pid}
	wait := make(chan error, 1)
	go func() { wait <- h.wait() }()
	if err := h.signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	out.pid("down", "holder")
	cmd.Wait()
	if err := <-wait; err != nil {
		t.Error(err)
	}
	if err := h.signal(syscall.SIGTERM); err != nil {
		t.Errorf("signal after the end: %v", err)
	}
}

func TestFindNobody(t *testing.T) {
	p, err := find(filepath.Join(t.TempDir(), "a.lock"))
	if p != nil || err != nil {
		t.Errorf("found %v, %v", p, err)
	}
}

func TestLifeline(t *testing.T) {
	t.Run("cut", func(t *testing.T) {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		w.Close()
		if err := Lifeline(t.Context(), r); !errors.Is(err, ErrLifeline) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("not needed any more", func(t *testing.T) {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		ctx, cancel := context.WithCancel(t.Context())
		err = Together(ctx,
			func(ctx context.Context) error { return Lifeline(ctx, r) },
			func(context.Context) error { cancel(); return nil })
		if err != nil {
			t.Errorf("got %v", err)
		}
	})
}

// A unit that says that its work is done is told of and not started again; one that fails is.
func TestSupervisorIsTold(t *testing.T) {
	done := make(chan struct{})
	u := Unit{Name: "a", Path: "/bin/true", Done: func() { close(done) }}
	v := supervise(t, &Supervisor{Stages: [][]Unit{{u, {Name: "b", Path: "/bin/false", Done: func() { t.Error("b has failed") }}}}})
	v.next("process has done its work", "process=a")
	<-done
	v.next("process ended, starting it again", "process=b")
	v.stop()
	<-v.done
}
