package testkit

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

func TestWaitLine(t *testing.T) {
	p := Start(t, "sh", "-c", `echo one; echo two 2 >&2; printf last`)
	if m := p.WaitLine(`^two (\d+)$`); m[1] != "2" {
		t.Errorf("match %q", m)
	}
	p.WaitLine(`^one$`)
	p.WaitLine(`^last$`)
	if err := p.Wait(); err != nil {
		t.Error(err)
	}
	if got := p.Output(); !strings.Contains(got, "one\n") || !strings.Contains(got, "last") {
		t.Errorf("output %q", got)
	}
}

func TestLinesAreWhole(t *testing.T) {
	o := newTranscript()
	_, more := o.lines(false)
	fmt.Fprint(o, "frame 1\rframe 2\rport 12")
	if !isClosed(more) {
		t.Error("waiters were not told of more")
	}
	for _, tt := range []struct {
		ended bool
		want  string
	}{
		{false, "frame 1|frame 2"},
		{true, "frame 1|frame 2|port 12"},
	} {
		lines, _ := o.lines(tt.ended)
		if got := strings.Join(lines, "|"); got != tt.want {
			t.Errorf("ended %v: %q, want %q", tt.ended, got, tt.want)
		}
	}
}

func TestSignalAndExitCode(t *testing.T) {
	p := Start(t, "sh", "-c", `trap 'kill $!; exit 7' TERM; tail -f /dev/null & echo ready; wait`)
	p.WaitLine("^ready$")
	p.Signal(syscall.SIGTERM)
	var exit *exec.ExitError
	if err := p.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 7 {
		t.Errorf("ended with %v, want exit code 7", err)
	}
}

// TestEndKillsTheGroup starts a program whose child outlives it.
func TestEndKillsTheGroup(t *testing.T) {
	var child string
	t.Run("run", func(t *testing.T) {
		p := Start(t, "sh", "-c", `tail -f /dev/null & echo child $!; wait`)
		child = p.WaitLine(`^child (\d+)$`)[1]
	})
	awaitGone(t, child)
}

// TestKilledBinaryLeavesNothing kills a test binary that has started a program.
func TestKilledBinaryLeavesNothing(t *testing.T) {
	const ask = "TESTKIT_START_AND_STAY"
	if os.Getenv(ask) != "" {
		p := Start(t, "tail", "-f", "/dev/null")
		fmt.Printf("started %d\n", p.PID())
		<-p.Done()
		return
	}
	t.Setenv(ask, "1")
	p := Start(t, os.Args[0], "-test.run=^"+t.Name()+"$")
	child := p.WaitLine(`^started (\d+)$`)[1]
	p.Signal(syscall.SIGKILL)
	awaitGone(t, child)
}

// awaitGone waits until a process that is no child of this one has ended.
func awaitGone(t *testing.T, pid string) {
	t.Helper()
	Eventually(t, func() error {
		stat, err := os.ReadFile("/proc/" + pid + "/stat")
		if err == nil && !strings.Contains(string(stat), ") Z ") {
			return fmt.Errorf("process %s is still there: %s", pid, stat)
		}
		return nil
	})
}
