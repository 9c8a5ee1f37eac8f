package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"unicode"

	"sluice/internal/lineup"
	"sluice/internal/logs"
)

// Value is a setting as text. Set checks; its errors say what is wrong and what
// would be right, but not which setting it is.
type Value interface {
	Set(text string) error
	String() string
	Type() string // what it is, for the reference
}

// List is a Value of several items.
type List interface {
	Value
	Clear()
	Add(item string) error
	Items() []string
}

// maxEngines is as many as one gws takes.
const maxEngines = 64

// doors is a list of Doors.
func doors(to *[]Door) List {
	return list[Door]{to: to, parse: parseDoor, write: Door.String, what: "addresses"}
}

// String is what parseDoor reads: [ALIAS=][https://]HOST:PORT.
func (d Door) String() string {
	s := d.Address
	if d.TLS {
		s = "https://" + s
	}
	if d.Alias != "" {
		s = d.Alias + "=" + s
	}
	return s
}

func parseDoor(text string) (Door, error) {
	var d Door
	rest := text
	if alias, more, found := strings.Cut(rest, "="); found {
		if lineup.CheckName(alias) != nil || strings.ContainsFunc(alias, func(r rune) bool { return r > '~' }) { // helpers get it
			return Door{}, fmt.Errorf("bad alias in %q: want letters and digits of ASCII, dots, dashes and underscores", text)
		}
		d.Alias, rest = alias, more
	}
	rest, d.TLS = strings.CutPrefix(rest, "https://")
	if !d.TLS {
		rest = strings.TrimPrefix(rest, "http://")
	}
	host, port, err := net.SplitHostPort(rest)
	if err != nil {
		if _, err := strconv.ParseUint(rest, 10, 16); err == nil {
			return Door{}, fmt.Errorf("%q has no colon: write \":%s\" for that port on all addresses", text, rest)
		}
		return Door{}, fmt.Errorf("bad address %q: want HOST:PORT or :PORT (IPv6 as [ADDRESS]:PORT)", text)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return Door{}, fmt.Errorf("bad port %q in %q: want 0 to 65535", port, text)
	}
	if err := printable(host); err != nil {
		return Door{}, fmt.Errorf("bad host in %q: %w", text, err)
	}
	d.Address = rest
	return d, nil
}

// count is a whole number from least to most.
type count struct {
	to          *int
	least, most int
}

func (v count) String() string { return strconv.Itoa(*v.to) }

// Type implements Value.
func (v count) Type() string { return "number" }

func (v count) Set(text string) error {
	n, err := strconv.Atoi(text)
	if err != nil || n < v.least || n > v.most {
		return fmt.Errorf("bad number %q: want %d to %d", text, v.least, v.most)
	}
	*v.to = n
	return nil
}

// word is any text on one line.
type word struct{ to *string }

func (v word) String() string { return *v.to }

// Type implements Value.
func (v word) Type() string { return "text" }

func (v word) Set(text string) error {
	if err := printable(text); err != nil {
		return fmt.Errorf("bad text %q: %w", text, err)
	}
	*v.to = text
	return nil
}

func printable(s string) error {
	if strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }) {
		return errors.New("it has characters that cannot be shown")
	}
	return nil
}

// boolean is true or false.
type boolean struct{ to *bool }

func (v boolean) String() string { return strconv.FormatBool(*v.to) }

// Type implements Value.
func (v boolean) Type() string { return "true or false" }

func (v boolean) Set(text string) error {
	switch text {
	case "true", "false":
		*v.to = text == "true"
		return nil
	}
	return fmt.Errorf("bad value %q: want true or false", text)
}

// parsed is a value that another room knows how to read and to write.
type parsed[T fmt.Stringer] struct {
	to    *T
	parse func(string) (T, error)
	what  string
}

func (v parsed[T]) String() string { return (*v.to).String() }

// Type implements Value.
func (v parsed[T]) Type() string { return v.what }

func (v parsed[T]) Set(text string) error {
	x, err := v.parse(text)
	if err != nil {
		return err
	}
	*v.to = x
	return nil
}

// level is how much is logged.
type level struct{ to *slog.Level }

func (v level) String() string { return logs.LevelName(*v.to) }

// Type implements Value.
func (v level) Type() string { return "level" }

func (v level) Set(text string) error {
	l, err := logs.ParseLevel(text)
	if err != nil {
		return err
	}
	*v.to = l
	return nil
}
