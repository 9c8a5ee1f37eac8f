package process

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// Unit says how to run one supervised process.
type Unit struct {
	Name  string     // in the log: "gws", "gng 1"
	Path  string     // the program
	Args  []string   // its arguments, without the program's name
	Env   []string   // beside our own environment, which loses its LISTEN_ variables
	Files []*os.File // the process has them as descriptors 3, 4, …

	// Lock is the lock file that the process holds for its life. When somebody holds
	// it, that process is taken over and none is started. None if empty.
	Lock string

	// TakenOver is a signal that a process gets when it is taken over. None if zero.
	TakenOver syscall.Signal

	// Found marks a process that is only taken over: nothing is started when the lock
	// is free or when the process has ended.
	Found bool
}

// running is a process that goes on beside us, a child or one that was found.
type running interface {
	pid() int
	signal(syscall.Signal) error
	ended() <-chan struct{} // closed when it has ended
	reason() string         // why it ended, for people; valid then
}

// begin takes the holder of the unit's lock over or starts the process, whose
// standard output and error go to output. It returns nil when there is nothing to
// run (see Unit.Found).
func (u *Unit) begin(output *os.File) (running, error) {
	if u.Lock != "" {
		p, err := find(u.Lock)
		if err != nil {
			return nil, fmt.Errorf("take over %s: %w", u.Name, err)
		}
		if p != nil {
			return p, nil
		}
	}
	if u.Found {
		return nil, nil
	}
	p, err := u.start(output)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", u.Name, err)
	}
	return p, nil
}

// start runs the process, without a standard input, in a process group of its own: a
// Ctrl-C at the terminal reaches the supervisor alone.
func (u *Unit) start(output *os.File) (*child, error) {
	cmd := exec.Command(u.Path, u.Args...)
	cmd.Env = append(withoutListen(os.Environ()), u.Env...)
	cmd.ExtraFiles = u.Files
	cmd.Stdout, cmd.Stderr = output, output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	c := &child{cmd: cmd, done: make(chan struct{})}
	go c.wait()
	return c, nil
}

// withoutListen drops the variables by which a service manager hands sockets to
// us: to a child they would name the wrong descriptors.
func withoutListen(env []string) []string {
	kept := make([]string, 0, len(env))
	for _, line := range env {
		if !strings.HasPrefix(line, "LISTEN_") {
			kept = append(kept, line)
		}
	}
	return kept
}

// child is a process that we started.
type child struct {
	cmd  *exec.Cmd
	err  error         // of Wait
	done chan struct{} // closed by wait, after err is set
}

// wait reaps the process; it ends with it.
func (c *child) wait() {
	c.err = c.cmd.Wait()
	close(c.done)
}

func (c *child) pid() int                      { return c.cmd.Process.Pid }
func (c *child) signal(s syscall.Signal) error { return c.cmd.Process.Signal(s) }
func (c *child) ended() <-chan struct{}        { return c.done }

func (c *child) reason() string {
	if c.cmd.ProcessState == nil {
		return c.err.Error()
	}
	return c.cmd.ProcessState.String()
}
