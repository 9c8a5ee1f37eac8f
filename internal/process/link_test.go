package process

import (
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"sluice/internal/testkit"
)

// beLinked is a process with a link.
func beLinked(say func(string), term <-chan os.Signal) int {
	link, err := OpenLink()
	if err != nil || link == nil || os.Getenv(linkEnv) != "" {
		fmt.Println("no link", link, err)
		return 1
	}
	defer link.Close()
	usr := make(chan os.Signal, 1)
	signal.Notify(usr, syscall.SIGHUP, syscall.SIGUSR1)
	say("up")
	for {
		select {
		case s := <-usr:
			if s == syscall.SIGUSR1 {
				if err := link.Retire(); err != nil {
					fmt.Println(err)
				}
				continue
			}
			files, err := link.Files()
			if err != nil {
				fmt.Println(err)
			}
			for _, name := range slices.Sorted(maps.Keys(files)) {
				text, _ := io.ReadAll(files[name])
				files[name].Close()
				say(fmt.Sprintf("%s=%s", name, text))
			}
			say("heard")
		case <-term:
			say("down")
			return 0
		}
	}
}

func linkedUnit(name string) Unit {
	u := testUnit(name, "linked")
	u.Linked = true
	return u
}

// given is a file with that text, at its beginning.
func given(t *testing.T, text string) *os.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "given")
	must(t, os.WriteFile(path, []byte(text), 0o600))
	f, err := os.Open(path)
	must(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}

// The files of an order are there when its signal comes; one that has no link hears the
// signal alone.
func TestLinkPassesFiles(t *testing.T) {
	orders := make(chan Order)
	v := supervise(t, &Supervisor{Stages: [][]Unit{{linkedUnit("a"), testUnit("b", "answer")}}, Pass: orders})
	ups(v.lines, 2)
	orders <- Order{Signal: syscall.SIGHUP, Names: []string{"x:1", "y"}, Files: []*os.File{given(t, "one"), given(t, "two")}}
	v.next("x:1=one a ")
	v.next("y=two a ")
	v.next("heard a ")
	v.once("hangup b ")
	orders <- Order{Signal: syscall.SIGHUP}
	if line := v.next(" a "); !strings.HasPrefix(line, "heard") {
		t.Errorf("files came twice: %s", line)
	}
	v.stop()
	<-v.done
}

// Who retires goes on beside the next one, hears signals, and is ended with it.
func TestUnitRetires(t *testing.T) {
	orders := make(chan Order)
	v := supervise(t, &Supervisor{Stages: [][]Unit{{linkedUnit("a")}}, Pass: orders})
	first := v.pid("up", "a")
	must(t, syscall.Kill(first, syscall.SIGUSR1))
	second := v.pid("up", "a")
	if first == second {
		t.Fatalf("still process %d", second)
	}
	orders <- Order{Signal: syscall.SIGHUP, Names: []string{"x"}, Files: []*os.File{given(t, "one")}}
	for _, want := range []string{fmt.Sprintf("x=one a %d", second), fmt.Sprintf("heard a %d", second), fmt.Sprintf("heard a %d", first)} {
		v.once(want)
	}
	must(t, syscall.Kill(second, syscall.SIGUSR1))
	third := v.pid("up", "a")
	must(t, syscall.Kill(second, syscall.SIGTERM))
	v.next("retired process ended", fmt.Sprint("pid=", second))
	v.stop()
	down := []int{v.pid("down", "a"), v.pid("down", "a")}
	slices.Sort(down)
	if want := []int{min(first, third), max(first, third)}; !slices.Equal(down, want) {
		t.Errorf("ended were %v, want %v", down, want)
	}
	<-v.done
}

// More generations than may be: the first is asked to end.
func TestUnitRetiresTooOften(t *testing.T) {
	v := supervise(t, &Supervisor{Stages: [][]Unit{{linkedUnit("a")}}})
	first := v.pid("up", "a")
	last := first
	for range maxOld + 1 {
		must(t, syscall.Kill(last, syscall.SIGUSR1))
		last = v.pid("up", "a")
	}
	v.once("retired process ended", fmt.Sprint("pid=", first))
	v.stop()
	<-v.done
}

// once waits for a line that has all the words, unless it has been there.
func (l *lines) once(words ...string) {
	l.t.Helper()
	if !slices.ContainsFunc(l.seen, func(line string) bool { return hasAll(line, words) }) {
		l.next(words...)
	}
}

// A unit may have a user of its own, and what it has may be others at each start.
func TestUnitNowAndUser(t *testing.T) {
	testkit.NeedUsers(t)
	nobody, err := FindAccount("nobody")
	must(t, err)
	// That user may run programs of the system, but not ours.
	u := Unit{Name: "a", User: &nobody, Path: "/bin/sh", Args: []string{"-c", `echo who $(id -u):$(id -g) $USER $HOME given=$GIVEN $(cat <&3) $$; exec sleep 1000`}}
	starts := 0
	u.Now = func() ([]string, []*os.File) {
		starts++
		return []string{fmt.Sprint("GIVEN=", starts)}, []*os.File{given(t, fmt.Sprint("file ", starts))}
	}
	v := supervise(t, &Supervisor{Stages: [][]Unit{{u}}})
	for i := range 2 {
		line := v.next("who ")
		if want := fmt.Sprintf("who %d:%d %s %s given=%d file %d ", nobody.UID, nobody.GID, nobody.Name, nobody.Home, i+1, i+1); !strings.HasPrefix(line, want) {
			t.Errorf("%s, want %s", line, want)
		}
		if i == 0 {
			killNow(t, atoi(t, line[strings.LastIndexByte(line, ' ')+1:]))
		}
	}
	v.stop()
	<-v.done
}

func TestNoLink(t *testing.T) {
	link, err := OpenLink()
	if link != nil || err != nil {
		t.Fatalf("%v, %v", link, err)
	}
	files, err := link.Files()
	if len(files) > 0 || err != nil {
		t.Errorf("%v, %v", files, err)
	}
	if err := link.Retire(); err != nil {
		t.Error(err)
	}
	if err := link.Close(); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"x", "2", "-1", "1000000"} {
		t.Setenv(linkEnv, bad)
		if link, err := OpenLink(); err == nil {
			t.Errorf("%s is the link %v", bad, link)
		}
	}
}
