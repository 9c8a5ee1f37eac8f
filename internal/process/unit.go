package process

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Unit says how to run one supervised process.
type Unit struct {
	Name  string     // in the log: "gws", "gng 1"
	Path  string     // the program
	Args  []string   // its arguments, without the program's name
	Env   []string   // beside our own environment, which loses its LISTEN_ variables
	Files []*os.File // the process has them as descriptors 3, 4, …

	// Now, if not nil, says before each start what the process has besides Env and Files,
	// for what changes in the course of time.
	Now func() (env []string, files []*os.File)

	// Last, if not nil, is called when no process is started any more and no order is passed on, before those
	// that run are asked to end; it may be called again.
	Last func()

	// User is whom the process runs as. Ours if nil.
	User *Account

	// Done, if not nil, is called when the process has ended by itself and says that its work is done (exit code 0): it is
	// not started again then.
	Done func()

	// Linked gives the process a Link to its supervisor. By it the process gets the files
	// of an Order, and says when it retires: another one is started then, and it goes on
	// beside that until it ends by itself.
	Linked bool

	// Grace, if not nil, says what an orderly end of the process may take, if that is more than its
	// share of Supervisor.Grace. It is asked when the end begins.
	Grace func() time.Duration

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
	give(names []string, files []*os.File) error
	retired() <-chan struct{} // closed when it has retired; nil if it does not
	ended() <-chan struct{}   // closed when it has ended
	reason() string           // why it ended, for people; valid then
	succeeded() bool          // whether it ended with exit code 0; valid then
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
	cmd.ExtraFiles = slices.Clone(u.Files)
	if u.Now != nil {
		env, files := u.Now()
		cmd.Env, cmd.ExtraFiles = append(cmd.Env, env...), append(cmd.ExtraFiles, files...)
	}
	cmd.Stdout, cmd.Stderr = output, output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if u.User != nil {
		cmd.SysProcAttr.Credential = u.User.credential()
		cmd.Env = append(cmd.Env, u.User.env()...)
	}
	c := &child{cmd: cmd, done: make(chan struct{})}
	if u.Linked {
		theirs, err := c.connect()
		if err != nil {
			return nil, err
		}
		defer theirs.Close()
	}
	if err := cmd.Start(); err != nil {
		c.link.close()
		return nil, err
	}
	go c.wait()
	return c, nil
}

// last says that nothing of ours is needed for a process any more.
func (u *Unit) last() {
	if u.Last != nil {
		u.Last()
	}
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
	link *childLink    // nil = none
	err  error         // of Wait
	done chan struct{} // closed by wait, after err is set
}

// connect makes the link and gives the process its end, which is to be closed here.
func (c *child) connect() (theirs *os.File, err error) {
	if c.link, theirs, err = newChildLink(); err != nil {
		return nil, err
	}
	c.cmd.Env = append(c.cmd.Env, fmt.Sprintf("%s=%d", linkEnv, firstExtra+len(c.cmd.ExtraFiles)))
	c.cmd.ExtraFiles = append(c.cmd.ExtraFiles, theirs)
	return theirs, nil
}

// firstExtra is the number of the first descriptor that exec.Cmd.ExtraFiles becomes.
const firstExtra = 3

// wait reaps the process; it ends with it, and so does what listens at the link.
func (c *child) wait() {
	var listening sync.WaitGroup
	if c.link != nil {
		listening.Go(c.link.listen)
	}
	c.err = c.cmd.Wait()
	c.link.close()
	listening.Wait()
	close(c.done)
}

func (c *child) pid() int                      { return c.cmd.Process.Pid }
func (c *child) signal(s syscall.Signal) error { return c.cmd.Process.Signal(s) }
func (c *child) ended() <-chan struct{}        { return c.done }

func (c *child) give(names []string, files []*os.File) error {
	if c.link == nil {
		return nil
	}
	return c.link.give(names, files)
}

func (c *child) retired() <-chan struct{} {
	if c.link == nil {
		return nil
	}
	return c.link.over
}

func (c *child) succeeded() bool { return c.cmd.ProcessState != nil && c.cmd.ProcessState.Success() }

func (c *child) reason() string {
	if c.cmd.ProcessState == nil {
		return c.err.Error()
	}
	return c.cmd.ProcessState.String()
}
