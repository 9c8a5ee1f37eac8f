package process

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
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
	fmt.Fprint(out, prompt)
	line, err := readLine(in)
	fmt.Fprintln(out)
	return line, errors.Join(err, unix.IoctlSetTermios(int(in.Fd()), termiosSet, was))
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
