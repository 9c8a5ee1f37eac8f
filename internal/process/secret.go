package process

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"

	"golang.org/x/sys/unix"
)

// maxSecret bounds a line of ReadSecret, in bytes.
const maxSecret = 4096

// ReadSecret reads one line, without its end, of in. Is that a terminal, prompt is written to out first, and nobody sees
// what is typed.
func ReadSecret(in *os.File, out io.Writer, prompt string) (string, error) {
	was, err := unix.IoctlGetTermios(int(in.Fd()), termiosGet)
	if err != nil {
		return readLine(in) // no terminal
	}
	quiet := *was
	quiet.Lflag &^= unix.ECHO
	if err := unix.IoctlSetTermios(int(in.Fd()), termiosSet, &quiet); err != nil {
		return "", fmt.Errorf("terminal: %w", err)
	}
	restore := func() error {
		fmt.Fprintln(out)
		return unix.IoctlSetTermios(int(in.Fd()), termiosSet, was)
	}
	defer onSignal(func() { _ = restore() })() // the process ends
	fmt.Fprint(out, prompt)
	line, err := readLine(in)
	return line, errors.Join(err, restore())
}

// onSignal calls f before a signal ends the process, until the function that it returns is called.
func onSignal(f func()) (stop func()) {
	signals, ended, over := make(chan os.Signal, 1), make(chan struct{}), make(chan struct{})
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT)
	go func() {
		defer close(over)
		select {
		case s := <-signals:
			f()
			signal.Reset(s)
			_ = unix.Kill(os.Getpid(), s.(unix.Signal))
		case <-ended:
		}
	}()
	return func() {
		signal.Stop(signals)
		close(ended)
		<-over
	}
}

func readLine(in io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(in, maxSecret+1)).ReadString('\n')
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return "", err
	case len(line) > maxSecret:
		return "", fmt.Errorf("a line of more than %d bytes", maxSecret)
	}
	return strings.TrimRight(line, "\r\n"), nil
}
