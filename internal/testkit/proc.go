package testkit

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Proc is a real program that runs beside the test.
type Proc struct {
	t    testing.TB
	cmd  *exec.Cmd
	out  *transcript
	done chan struct{} // closed when the program has ended and all output is in
	err  error         // how it ended; after done
}

// childOutput is how long the output of children counts once a program has ended.
// Those that stay would hold Wait for ever.
const childOutput = time.Second

// Start starts a program with its output captured. When the test is over, whatever
// is left of its process group is killed and awaited; if the test failed, the
// output is shown.
func Start(t testing.TB, name string, args ...string) *Proc {
	t.Helper()
	return StartCommand(t, exec.Command(name, args...))
}

// StartCommand is Start for a prepared command, such as one of Hosts.Command or one
// with an environment. Its output goes to the Proc and, if set, to cmd.Stdout and
// cmd.Stderr as well.
func StartCommand(t testing.TB, cmd *exec.Cmd) *Proc {
	t.Helper()
	p := &Proc{t: t, cmd: cmd, out: newTranscript(), done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p.out.tee(cmd.Stdout), p.out.tee(cmd.Stderr)
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	cmd.WaitDelay = childOutput
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL // when the test binary itself is killed
	started := make(chan error)
	go p.run(started)
	if err := <-started; err != nil {
		t.Fatalf("start %s: %v", cmd.Path, err)
	}
	t.Cleanup(p.end)
	return p
}

// run is the one goroutine of a Proc; end waits for it. It keeps its thread to
// itself until the program has ended: the death signal is sent when the thread that
// forked ends, be it long before the test binary.
func (p *Proc) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := p.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	p.err = p.cmd.Wait()
	if errors.Is(p.err, exec.ErrWaitDelay) {
		p.err = nil // exit code 0; a child is still there
	}
	close(p.done)
}

// end kills the process group: the program, unless it has ended, and its children.
func (p *Proc) end() {
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // gone already is fine
	<-p.done
	if p.t.Failed() {
		p.t.Logf("output of %s:\n%s", p.cmd, p.Output())
	}
}

// PID is the number of the process, and of its process group.
func (p *Proc) PID() int { return p.cmd.Process.Pid }

// Output is what the program has written until now, standard output and standard
// error as they came.
func (p *Proc) Output() string { return p.out.String() }

// Signal sends sig to the program alone, not to its children.
func (p *Proc) Signal(sig os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.t.Fatalf("send %v to %s: %v", sig, p.cmd.Path, err)
	}
}

// Done is closed when the program has ended.
func (p *Proc) Done() <-chan struct{} { return p.done }

// Wait waits for the program to end by itself and returns how, nil for exit code 0
// and an *exec.ExitError otherwise.
func (p *Proc) Wait() error {
	p.t.Helper()
	select {
	case <-p.done:
		return p.err
	case <-time.After(Patience):
		p.t.Fatalf("%s has not ended", p.cmd)
		return nil
	}
}

// WaitLine waits for a line of output that matches expr, be it written already or
// yet to come, and returns the match and its groups as FindStringSubmatch does. The
// first such line counts, also when asked again. The test fails when the program
// ends without it.
func (p *Proc) WaitLine(expr string) []string {
	p.t.Helper()
	re := regexp.MustCompile(expr)
	patience := time.NewTimer(Patience)
	defer patience.Stop()
	for {
		ended := isClosed(p.done) // before the look, so that the look is at everything
		lines, more := p.out.lines(ended)
		for _, line := range lines {
			if m := re.FindStringSubmatch(line); m != nil {
				return m
			}
		}
		if ended {
			p.t.Fatalf("%s ended (%v) without a line like %s", p.cmd, p.err, expr)
		}
		select {
		case <-more:
		case <-p.done:
		case <-patience.C:
			p.t.Fatalf("%s has not written a line like %s", p.cmd, expr)
		}
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// transcript keeps all output and tells waiters of more.
type transcript struct {
	mu   sync.Mutex
	text []byte        // guarded by mu
	more chan struct{} // guarded by mu; closed and replaced when text grows
}

func newTranscript() *transcript { return &transcript{more: make(chan struct{})} }

func (o *transcript) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text = append(o.text, b...)
	close(o.more)
	o.more = make(chan struct{})
	return len(b), nil
}

func (o *transcript) tee(also io.Writer) io.Writer {
	if also == nil {
		return o
	}
	return io.MultiWriter(o, also)
}

func (o *transcript) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.text)
}

// lines returns the lines until now, which end with \n or, in a progress display,
// \r, and a channel that is closed when there is more. A last line without its end
// counts only when nothing more can come.
func (o *transcript) lines(ended bool) ([]string, <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	text := string(o.text)
	if !ended {
		text = text[:strings.LastIndexAny(text, "\r\n")+1]
	}
	return strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' }), o.more
}
