package process

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"sluice/internal/logs"
)

// asChild makes the test binary play a child; its arguments say which.
const asChild = "SLUICE_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(asChild) != "" {
		os.Exit(playChild(os.Args[1:]))
	}
	goleak.VerifyTestMain(m)
}

// playChild is a supervised process of the tests. It prints one line for each thing
// that happens to it, with its name and process id.
func playChild(args []string) int {
	say := func(what string) { fmt.Printf("%s %s %d\n", what, args[1], os.Getpid()) }
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	switch args[0] {
	case "run": // until TERM
		say("up")
		<-term
		say("down")
	case "lock": // run, holding the lock of this path
		l, err := Acquire(args[2])
		if err != nil {
			fmt.Println(err)
			return 1
		}
		say("up")
		<-term
		say("down")
		l.Release()
	case "answer": // says which signals it gets
		usr := make(chan os.Signal, 1)
		signal.Notify(usr, syscall.SIGHUP, syscall.SIGUSR1)
		say("up")
		for {
			select {
			case s := <-usr:
				say(strings.ReplaceAll(s.String(), " ", "-"))
			case <-term:
				return 0
			}
		}
	case "linked": // says what files it has at HUP, and retires at USR1
		return beLinked(say, term)
	case "daemon": // detaches, says what it is to the file, and stays until TERM
		return beDaemon(args[1], args[2])
	case "switch": // goes on as another user
		return beUser(args[1], args[2])
	case "secret": // asks for one at the terminal that is its standard input
		_, _ = ReadSecret(os.Stdin, os.Stdout, "up\n")
	case "pid": // holds a pid file
		l, err := WritePID(args[2])
		if err != nil {
			fmt.Println(err)
			return 1
		}
		say("up")
		<-term
		if err := l.Release(); err != nil {
			fmt.Println(err)
			return 1
		}
	case "stubborn": // does not hear TERM, and holds a lock if one is named
		signal.Ignore(syscall.SIGTERM)
		if len(args) > 2 {
			if _, err := Acquire(args[2]); err != nil {
				fmt.Println(err)
				return 1
			}
		}
		say("up")
		select {}
	case "crash": // at once
		return 3
	case "facts": // what it was given
		in, _ := io.ReadAll(os.Stdin)
		file, _ := io.ReadAll(os.NewFile(3, "given"))
		fmt.Printf("facts in=%s file=%s env=%s listen=%q group=%t\n", in, file, os.Getenv("GIVEN"),
			os.Getenv("LISTEN_FDS"), syscall.Getpgrp() == os.Getpid())
		<-term
	case "lifeline": // until its supervisor is gone
		say("up")
		err := Lifeline(context.Background(), os.NewFile(3, "lifeline"))
		say("lost:" + strconv.FormatBool(errors.Is(err, ErrLifeline)))
	case "supervise": // a supervisor of one process with a lock and one with a lifeline
		superviseTwo(args[2])
	default:
		return 2
	}
	return 0
}

func superviseTwo(dir string) {
	r, w, err := os.Pipe()
	if err != nil {
		panic(err)
	}
	defer w.Close()
	s := Supervisor{
		Stages: [][]Unit{
			{testUnit("engine", "lock", filepath.Join(dir, "engine.lock"))},
			{{Name: "front", Path: os.Args[0], Args: []string{"lifeline", "front"}, Files: []*os.File{r}}},
		},
		Output: os.Stdout,
		Log:    slog.New(slog.DiscardHandler),
	}
	s.Run(context.Background(), context.Background())
}

// testUnit runs the test binary as a child of this kind.
func testUnit(name, kind string, more ...string) Unit {
	u := Unit{
		Name: name, Path: os.Args[0], Args: append([]string{kind, name}, more...),
		Env: []string{asChild + "=1", "GORACE=atexit_sleep_ms=0"},
	}
	if kind == "lock" {
		u.Lock = more[0]
	}
	return u
}

// lines is what a test reads: lines of processes and of the supervisor's log.
type lines struct {
	t    *testing.T
	w    *os.File
	ch   chan string
	wg   sync.WaitGroup
	seen []string
}

// readLines returns a pipe whose lines the test waits for. Everything that writes
// into it must have ended at the end of the test.
func readLines(t *testing.T) *lines {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	l := &lines{t: t, w: w, ch: make(chan string, 1000)}
	l.wg.Go(func() {
		defer close(l.ch)
		for s := bufio.NewScanner(r); s.Scan(); {
			l.ch <- s.Text()
		}
	})
	t.Cleanup(func() {
		w.Close()
		l.wg.Wait()
		r.Close()
		if t.Failed() {
			t.Logf("lines seen:\n%s", strings.Join(l.seen, "\n"))
		}
	})
	return l
}

// next waits for a line that has all the words and returns it.
func (l *lines) next(words ...string) string {
	l.t.Helper()
	for {
		select {
		case line, open := <-l.ch:
			if !open {
				l.t.Fatalf("no line with %q came", words)
			}
			l.seen = append(l.seen, line)
			if hasAll(line, words) {
				return line
			}
		case <-l.t.Context().Done():
			l.t.Fatalf("no line with %q came", words)
		}
	}
}

func hasAll(line string, words []string) bool {
	for _, w := range words {
		if !strings.Contains(line, w) {
			return false
		}
	}
	return true
}

// pid waits for a line of a process ("up engine 123") and returns the id in it.
func (l *lines) pid(what, name string) int {
	l.t.Helper()
	line := l.next(what + " " + name + " ")
	pid, err := strconv.Atoi(line[strings.LastIndexByte(line, ' ')+1:])
	if err != nil {
		l.t.Fatal(err)
	}
	return pid
}

// ups waits until n processes are up, in whatever order, and returns their ids by name.
func ups(l *lines, n int) map[string]int {
	l.t.Helper()
	up := map[string]int{}
	for range n {
		f := strings.Fields(l.next("up "))
		up[f[1]] = atoi(l.t, f[2])
	}
	return up
}

// supervised is a Supervisor at work in the test's own process.
type supervised struct {
	*lines
	stop, kill context.CancelFunc
	done       chan struct{}
}

// supervise runs s, with its log and its processes' output as lines, until the test
// calls stop or kill, or ends.
func supervise(t *testing.T, s *Supervisor) *supervised {
	t.Helper()
	l := readLines(t)
	s.Output, s.Log = l.w, logs.New(l.w, "run", slog.LevelDebug)
	stop, cancelStop := context.WithCancel(context.Background())
	kill, cancelKill := context.WithCancel(context.Background())
	v := &supervised{lines: l, stop: cancelStop, kill: cancelKill, done: make(chan struct{})}
	go func() {
		defer close(v.done)
		s.Run(stop, kill)
	}()
	t.Cleanup(func() { v.kill(); <-v.done })
	return v
}

func killNow(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}
