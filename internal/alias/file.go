package alias

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"sluice/internal/lineup"
	"sluice/internal/uri"
)

// Set gives a channel a setting, as the configuration spells both.
type Set func(ch *lineup.Channel, key, value string) error

// ParseFile reads text in the form of channels.conf; name is that of the file in errors.
// See LoadFile.
func ParseFile(name string, text []byte, all lineup.Settings, set Set) (List, error) {
	r := fileReader{
		name: name, set: set,
		names: make(map[string]int), tags: make(map[string]int),
	}
	r.file.Channel = lineup.Channel{Trusted: true, Settings: all}
	r.section = r.file
	for line := range strings.Lines(strings.TrimPrefix(string(text), "\ufeff")) {
		r.number++
		r.line = strings.TrimRight(line, " \t\r\n")
		if err := r.read(); err != nil {
			return List{}, err
		}
	}
	if err := r.finish(); err != nil {
		return List{}, err
	}
	return List{Name: name, Channels: r.channels}, nil
}

// entry is a channel, or what the channels of a section begin with.
type entry struct {
	lineup.Channel
	query  string // what is added to the URLs of its sources
	number int    // of its first line
	line   string
}

// fileReader reads line by line.
type fileReader struct {
	name string
	set  Set

	number int
	line   string

	file    entry  // what holds for the whole file
	section entry  // what holds for the group, or the file
	sealed  bool   // the section has a channel, so nothing can be set for all of it any more
	open    *entry // the channel that indented lines are of; nil = none

	channels []lineup.Channel
	names    map[string]int // the lines that names and first sources stand in
	tags     map[string]int
}

// keyValue is a setting. No channel's line looks like one: behind the name it has a blank
// and a URL.
var keyValue = regexp.MustCompile(`^[ \t]*([a-z_.]+)[ \t]*=[ \t]*(.*)$`)

// read reads one line.
func (r *fileReader) read() error {
	bare := strings.TrimLeft(r.line, " \t")
	indented := len(bare) < len(r.line)
	setting := keyValue.FindStringSubmatchIndex(r.line)
	switch {
	case !utf8.ValidString(r.line):
		return r.at(0, "not in UTF-8")
	case bare == "" || bare[0] == '#':
		return nil
	case indented && r.open == nil:
		return r.at(len(r.line)-len(bare), "an indented line belongs to the channel above it, and there is none")
	case indented && setting != nil:
		return r.setting(r.open, setting)
	case indented:
		return r.sources(len(r.line) - len(bare))
	case bare[0] == '[':
		return r.group()
	case setting != nil && r.sealed:
		return r.at(0, "what holds for a whole group stands before its first channel; what holds for one channel is indented")
	case setting != nil:
		return r.setting(&r.section, setting)
	}
	return r.channel()
}

// group begins a section: "[group NAME]".
func (r *fileReader) group() error {
	if err := r.finish(); err != nil {
		return err
	}
	inside, closed := strings.CutSuffix(r.line, "]")
	word, name, _ := strings.Cut(strings.TrimSpace(inside[1:]), " ")
	if name = strings.TrimSpace(name); !closed || word != "group" || name == "" {
		return r.at(0, "want [group NAME]")
	}
	if r.section.Group == "" { // what was read until now was of the file
		r.file = r.section
	}
	r.section = r.file
	r.section.Group, r.sealed = name, false
	return nil
}

// channel begins a channel: "NAME URL URL".
func (r *fileReader) channel() error {
	if err := r.finish(); err != nil {
		return err
	}
	name := firstWord(r.line)
	if err := lineup.CheckName(name); err != nil {
		return r.at(0, "%v; want NAME URL", err)
	}
	if line, taken := r.names[name]; taken {
		return r.at(0, "the name %s is taken in line %d", name, line)
	}
	if len(r.channels) == MaxEntries {
		return r.at(0, "more than %d channels in one file", MaxEntries)
	}
	r.names[name] = r.number
	e := r.section
	e.Name, e.number, e.line = name, r.number, r.line
	r.open, r.sealed = &e, true
	return r.sources(len(name))
}

// sources adds the URLs of the line behind a column.
func (r *fileReader) sources(column int) error {
	for {
		rest := strings.TrimLeft(r.line[column:], " \t")
		if rest == "" {
			return nil
		}
		column = len(r.line) - len(rest)
		word := firstWord(rest)
		source, err := uri.ParseSource(word)
		switch {
		case err != nil && word[0] == '#':
			return r.at(column, "a comment stands in a line of its own")
		case err != nil:
			return r.at(column, "%v", err)
		}
		r.open.Sources = append(r.open.Sources, source)
		column += len(word)
	}
}

func firstWord(s string) string {
	if i := strings.IndexAny(s, " \t"); i >= 0 {
		return s[:i]
	}
	return s
}

// setting gives the channel or section the value of the line, whose parts are at these
// columns.
func (r *fileReader) setting(e *entry, at []int) error {
	key, value := r.line[at[2]:at[3]], r.line[at[4]:at[5]]
	if len(value) >= 2 && value[0] == '"' && value[len(value)-1] == '"' {
		value = value[1 : len(value)-1]
	}
	switch key {
	case "query":
		e.query = strings.TrimPrefix(value, "?")
		return nil
	case "source", "backup":
		return r.at(at[2], "sources stand behind the channel's name, or indented below it, as they are: udp://GROUP:PORT")
	case "group":
		return r.at(at[2], "a group begins with a line [group NAME]")
	}
	if err := r.set(&e.Channel, key, value); err != nil {
		return r.at(at[4], "%s: %v", key, err)
	}
	return nil
}

// finish adds the channel whose last line was read.
func (r *fileReader) finish() error {
	if r.open == nil {
		return nil
	}
	e := *r.open
	r.open = nil
	for i, s := range e.Sources {
		var err error
		if e.Sources[i], err = s.WithQuery(e.query); err != nil {
			return r.atLine(e.number, e.line, 0, "channel %s: %v", e.Name, err)
		}
	}
	if len(e.Sources) == 0 {
		return r.atLine(e.number, e.line, 0, "channel %s has no source: want NAME URL", e.Name)
	}
	if err := check(e.Channel); err != nil {
		return r.atLine(e.number, e.line, 0, "%v", err)
	}
	if line, taken := r.tags[e.Tag()]; taken {
		return r.atLine(e.number, e.line, 0, "channel %s has the same first source as the one in line %d", e.Name, line)
	}
	r.tags[e.Tag()] = e.number
	r.channels = append(r.channels, e.Channel)
	return nil
}

// at is an error at a column of the line, counted from 0 in bytes.
func (r *fileReader) at(column int, format string, args ...any) error {
	return r.atLine(r.number, r.line, column, format, args...)
}

func (r *fileReader) atLine(number int, line string, column int, format string, args ...any) error {
	before := masked(line[:column])
	return fmt.Errorf("%s:%d:%d: %s\n%s", r.name, number, utf8.RuneCountInString(line[:column])+1, fmt.Sprintf(format, args...),
		excerpt(number, masked(line), utf8.RuneCountInString(before)))
}

// excerpt is the line with a mark below a column.
func excerpt(number int, line string, column int) string {
	runes := []rune(strings.ReplaceAll(strings.ToValidUTF8(line, "?"), "\t", " "))
	if len(runes) > 120 {
		runes = append(runes[:120], '…')
	}
	return fmt.Sprintf("%4d | %s\n     | %s^", number, string(runes), strings.Repeat(" ", min(column, len(runes))))
}

// masked is a line without what may be secret in it.
func masked(line string) string {
	if m := keyValue.FindStringSubmatchIndex(line); m != nil && line[m[2]:m[3]] == "query" {
		return line[:m[4]] + "-"
	}
	return uri.Mask(line)
}
