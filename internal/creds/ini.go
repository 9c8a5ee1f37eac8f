package creds

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"
)

// maxFile bounds files of rules and users, in bytes.
const maxFile = 1 << 20

// section is a section of an INI file, as GPAC writes them.
type section struct {
	name string
	line int
	keys []key
}

type key struct {
	name, value string
	line        int
}

// value is that of a key; "" if it is not there.
func (s section) value(name string) string {
	for _, k := range s.keys {
		if k.name == name {
			return k.value
		}
	}
	return ""
}

// lineError is what is wrong in a line of a file. Its text is left out where it may be a secret.
type lineError struct {
	file string
	line int
	text string
	why  error
}

func (e *lineError) Error() string {
	if e.text == "" {
		return fmt.Sprintf("%s:%d: %v", e.file, e.line, e.why)
	}
	return fmt.Sprintf("%s:%d: %v: %q", e.file, e.line, e.why, e.text)
}

func (e *lineError) Unwrap() error { return e.why }

// shown bounds what an error shows of a line, in bytes.
const shown = 80

// readINI reads sections and their keys; file is its name in errors, which are *lineError. Each section, and each key
// in it, stands there once.
func readINI(file string, text []byte) ([]section, error) {
	var list []section
	seen := map[string]bool{}
	number := 0
	for line := range strings.Lines(strings.TrimPrefix(string(text), "\ufeff")) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		name, begins, err := sectionOf(line)
		switch {
		case err != nil:
		case begins && seen["["+name]:
			err = errors.New("the section stands there twice")
		case begins:
			seen["["+name] = true
			list = append(list, section{name: name, line: number})
		case len(list) == 0:
			err = errors.New("want a [section] first")
		default:
			err = list[len(list)-1].add(line, number)
		}
		if err != nil {
			return nil, &lineError{file: file, line: number, text: strings.ToValidUTF8(line[:min(len(line), shown)], "?"), why: err}
		}
	}
	return list, nil
}

// sectionOf is the name of the section that a line begins.
func sectionOf(line string) (name string, begins bool, err error) {
	if !utf8.ValidString(line) || strings.ContainsRune(line, 0) {
		return "", false, errors.New("this is not text in UTF-8")
	}
	inside, begins := strings.CutPrefix(line, "[")
	if !begins {
		return "", false, nil
	}
	name, closed := strings.CutSuffix(inside, "]")
	if name = strings.TrimSpace(name); !closed || name == "" {
		return "", false, errors.New("want [NAME]")
	}
	return name, true, nil
}

func (s *section) add(line string, number int) error {
	name, value, found := strings.Cut(line, "=")
	if name = strings.TrimSpace(name); !found || name == "" {
		return errors.New("want KEY=VALUE")
	}
	for _, k := range s.keys {
		if k.name == name {
			return fmt.Errorf("%s stands in line %d already", name, k.line)
		}
	}
	s.keys = append(s.keys, key{name, strings.TrimSpace(value), number})
	return nil
}

// readFile reads a regular file of maxFile bytes at most.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	if len(text) > maxFile {
		return nil, fmt.Errorf("%s has more than %d bytes", path, maxFile)
	}
	return text, nil
}
