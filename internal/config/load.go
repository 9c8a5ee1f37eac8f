package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// maxFile bounds a configuration file, in bytes: some thousand channels. The standard
// input may be longer, as what YAML writes is than what it was read from.
const (
	maxFile  = 512 << 10
	maxStdin = 4 * maxFile
)

// Stdin is the path that Load takes for the standard input.
const Stdin = "-"

// Error is a mistake in a configuration file.
type Error struct {
	File         string
	Line, Column int // from 1; 0 when the place is not known
	Text         string
	Source       string // the line itself
}

// Error shows the place and below it the line.
func (e *Error) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %s", e.File, e.Text)
	}
	number := fmt.Sprintf("%4d", e.Line)
	return fmt.Sprintf("%s:%d:%d: %s\n%s | %s\n%s | %s^", e.File, e.Line, e.Column, e.Text,
		number, e.Source, strings.Repeat(" ", len(number)), underline(e.Source, e.Column))
}

// underline is what stands before column, as blanks; tabs stay tabs.
func underline(source string, column int) string {
	var b strings.Builder
	for i, r := range []rune(source) {
		if i == column-1 {
			break
		}
		if r != '\t' {
			r = ' '
		}
		b.WriteRune(r)
	}
	return b.String()
}

// Find returns the first of the paths that exists, "" when none does.
func Find(paths ...string) (string, error) {
	for _, path := range paths {
		_, err := os.Stat(path)
		if err == nil {
			return path, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("configuration: %w", err)
		}
	}
	return "", nil
}

// SearchPaths are the places where a configuration file is looked for.
func SearchPaths() []string {
	return []string{"sluice.yaml", "/etc/sluice.yaml", "/usr/local/etc/sluice.yaml"}
}

// Load reads the file at path over the defaults. A mistake in it is an *Error.
func Load(path string) (Config, error) {
	name, text, err := readFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("configuration: %w", err)
	}
	return Parse(name, text)
}

func readFile(path string) (name string, text []byte, err error) {
	f, most := os.Stdin, maxStdin
	if name = "standard input"; path != Stdin {
		name, most = path, maxFile
		if f, err = os.Open(path); err != nil {
			return name, nil, err
		}
		defer f.Close()
	}
	text, err = io.ReadAll(io.LimitReader(f, int64(most)+1))
	if err == nil && len(text) > most {
		err = fmt.Errorf("%s is longer than %d KiB", name, most>>10)
	}
	return name, text, err
}
