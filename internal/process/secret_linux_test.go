package process

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// terminal is a new one: what a person types is written to keys.
func terminal(t *testing.T) (keys, tty *os.File) {
	t.Helper()
	keys, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { keys.Close() })
	if err := unix.IoctlSetPointerInt(int(keys.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(keys.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tty.Close() })
	return keys, tty
}

func echoes(t *testing.T, tty *os.File) bool {
	t.Helper()
	is, err := unix.IoctlGetTermios(int(tty.Fd()), termiosGet)
	if err != nil {
		t.Fatal(err)
	}
	return is.Lflag&unix.ECHO != 0
}

// A terminal shows what is typed again when the secret was read, and also when a signal ends the process instead.
func TestReadSecretAtTerminal(t *testing.T) {
	for _, end := range []string{"line", "signal"} {
		t.Run(end, func(t *testing.T) {
			keys, tty := terminal(t)
			child := exec.CommandContext(t.Context(), os.Args[0], "secret", "child")
			child.Env, child.Stdin = append(os.Environ(), asChild+"=1"), tty
			out, err := child.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := child.Start(); err != nil {
				t.Fatal(err)
			}
			if line, err := bufio.NewReader(out).ReadString('\n'); line != "up\n" || echoes(t, tty) {
				t.Errorf("asked with %q, %v; what is typed is seen: %v", line, err, echoes(t, tty))
			}
			want := syscall.Signal(-1) // none
			if end == "line" {
				_, err = keys.WriteString("word\n")
			} else {
				want, err = syscall.SIGINT, child.Process.Signal(syscall.SIGINT)
			}
			if err != nil {
				t.Fatal(err)
			}
			err = child.Wait()
			got := syscall.Signal(-1)
			if exit, ok := errors.AsType[*exec.ExitError](err); ok {
				got = exit.Sys().(syscall.WaitStatus).Signal()
			}
			if got != want {
				t.Errorf("ended by %v, want %v", err, want)
			}
			if !echoes(t, tty) {
				t.Error("what is typed is not seen any more")
			}
		})
	}
}
