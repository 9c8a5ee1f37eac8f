// Package tree is a configuration file as it was written: names with values, each with
// its place. It knows no syntax; packages yaml and libconfig make it, package config
// gives it a meaning.
package tree

import (
	"fmt"
	"strings"
)

// Kind says what a Node is.
type Kind uint8

// The kinds.
const (
	Group   Kind = iota // names with values
	List                // values
	String              // text
	Number              // whole, or with a fraction
	Boolean             // true or false
	Nothing             // a name or an item without a value
)

// Scalar says whether a Node of that kind has a Text.
func (k Kind) Scalar() bool { return k >= String && k <= Boolean }

// Node is a value.
type Node struct {
	Kind    Kind
	Place   Place
	Text    string   // of a scalar
	Members []Member // of a group, in the order of the file, each name once
	Items   []*Node  // of a list
}

// Member is a name with its value.
type Member struct {
	Name  string
	Place Place // of the name
	Value *Node
}

// Place is where something stands. The zero Place is nowhere.
type Place struct {
	File   string
	Line   int    // from 1; 0 when it is not known
	Column int    // likewise; in characters. Without it, as in languages whose lines hold secrets, errors show no line
	Text   string // the line itself
}

// String is FILE:LINE, or FILE when the line is not known.
func (p Place) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d", p.File, p.Line)
}

// Errorf is a mistake at the place.
func (p Place) Errorf(format string, args ...any) *Error {
	return &Error{Place: p, Reason: fmt.Sprintf(format, args...)}
}

// Error is a mistake in a configuration file, or what a warning is about.
type Error struct {
	Place
	Reason string
}

// Error shows the place, what is wrong, and below it the line.
//
//	sluice.yaml:3:10: no_data: "10" has no unit: write 10s for seconds
//	   3 | no_data: 10
//	     |          ^
func (e *Error) Error() string {
	if e.Column == 0 {
		return e.Short()
	}
	number := fmt.Sprintf("%4d", e.Line)
	line := strings.TrimRight(strings.ToValidUTF8(e.Text, "?"), "\r")
	return fmt.Sprintf("%s\n%s | %s\n%s | %s^", e.Short(),
		number, line, strings.Repeat(" ", len(number)), underline(line, e.Column))
}

// Short is the error on one line, as compilers write it: FILE:LINE:COLUMN: REASON, or
// as much of that as is known.
func (e *Error) Short() string {
	if e.Column == 0 {
		return fmt.Sprintf("%s: %s", e.Place, e.Reason)
	}
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Reason)
}

// underline is what stands before column, as blanks; tabs stay tabs.
func underline(line string, column int) string {
	var b strings.Builder
	for i, r := range []rune(line) {
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

// Lines finds places in one file.
type Lines struct {
	file  string
	lines []string
}

// NewLines prepares the text of a file.
func NewLines(file, text string) *Lines {
	return &Lines{file: file, lines: strings.Split(text, "\n")}
}

// At is the place of a line and a column, both from 1; without a line when there is none
// of that number.
func (l *Lines) At(line, column int) Place {
	if line < 1 || line > len(l.lines) {
		return Place{File: l.file}
	}
	return Place{File: l.file, Line: line, Column: max(column, 1), Text: l.lines[line-1]}
}
