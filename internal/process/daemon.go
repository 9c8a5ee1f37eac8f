package process

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// bornEnv names the descriptor on which a daemon says that it is up.
const bornEnv = "SLUICE_BORN_FD"

// Detach starts this program once more, with the same arguments, as a daemon: in a
// session of its own, without a terminal. It waits until the daemon is up (Born.Up) or
// has ended, and returns what this process is to exit with: 0, or the code with which the
// daemon has failed. Until it is up the daemon has our standard input, output and error:
// what it has to say of a failure is read where it was started.
//
// The working directory stays, since paths of the configuration may count from there.
func Detach() (code int, err error) {
	self, err := os.Executable()
	if err != nil {
		return 1, fmt.Errorf("start the daemon: %w", err)
	}
	born, up, err := os.Pipe()
	if err != nil {
		return 1, fmt.Errorf("start the daemon: %w", err)
	}
	defer born.Close()
	cmd := exec.Command(self)
	cmd.Args = os.Args
	cmd.Env = append(withoutListen(os.Environ()), bornEnv+"=3")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{up}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	up.Close()
	if err != nil {
		return 1, fmt.Errorf("start the daemon: %w", err)
	}
	if n, _ := born.Read(make([]byte, 1)); n == 1 { // else its end was closed
		return 0, cmd.Process.Release()
	}
	err = cmd.Wait()
	var failed *exec.ExitError
	switch {
	case err == nil:
		return 1, errors.New("the daemon has ended before it was up")
	case !errors.As(err, &failed):
		return 1, fmt.Errorf("wait for the daemon: %w", err)
	case failed.ExitCode() < 0: // it could not say why
		return 1, fmt.Errorf("the daemon has ended before it was up: %w", failed)
	}
	return failed.ExitCode(), nil
}

// Born is a daemon's word to the process that has started it.
type Born struct{ up *os.File }

// Detached says whether Detach has started this process; if not, Born is nil. It removes
// the sign from the environment: call it once, early.
func Detached() (*Born, error) {
	text := os.Getenv(bornEnv)
	if text == "" {
		return nil, nil
	}
	os.Unsetenv(bornEnv)
	fd, err := strconv.Atoi(text)
	if err == nil {
		_, err = unix.FcntlInt(uintptr(fd), unix.F_SETFD, unix.FD_CLOEXEC)
	}
	if err != nil {
		return nil, fmt.Errorf("%s=%q: want a descriptor: %w", bornEnv, text, err)
	}
	return &Born{os.NewFile(uintptr(fd), "born")}, nil
}

// Up lets go of the terminal and says that all is well. It fails when nobody waits for
// that any more. Without a daemon (nil) it does nothing.
func (b *Born) Up() error {
	if b == nil {
		return nil
	}
	defer b.up.Close()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("leave the terminal: %w", err)
	}
	defer null.Close()
	if _, err := b.up.Write([]byte{1}); err != nil {
		return fmt.Errorf("the daemon is up, but who has started it is gone: %w", err)
	}
	for _, f := range []*os.File{os.Stdin, os.Stdout, os.Stderr} {
		if err := dup(null, f); err != nil {
			return fmt.Errorf("leave the terminal: %w", err)
		}
	}
	return nil
}
