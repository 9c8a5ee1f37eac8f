package libconfig

import (
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"sluice/internal/config/tree"
)

// kind says what a token is.
type kind uint8

const (
	end       kind = iota // of the whole text
	name                  // of a setting
	sign                  // one of = : , ; { } ( ) [ ]; = and : are the same, as ; and , behind a setting
	text                  // in quotes
	integer               // decimal or hexadecimal
	integer64             // likewise, with an L
	float
	boolean
)

// token is a word of the language.
type token struct {
	kind  kind
	text  string // the name or sign, or what the value is
	place tree.Place
	glued bool // a name that begins where a number ends, without a blank: 10M
}

// is says whether the token is that sign.
func (t token) is(s string) bool { return t.kind == sign && t.text == s }

// String is the token in an error.
func (t token) String() string {
	switch t.kind {
	case end:
		return "the end of the file"
	case text:
		return "a text"
	}
	return strconv.Quote(t.text)
}

// Numbers as libconfig's scanner has them: the longer match counts.
var (
	floatForm   = regexp.MustCompile(`^(?:[-+]?[0-9]*\.[0-9]*(?:[eE][-+]?[0-9]+)?|[-+]?[0-9]+(?:\.[0-9]*)?[eE][-+]?[0-9]+)`)
	integerForm = regexp.MustCompile(`^(?:0[xX][0-9A-Fa-f]+|[-+]?[0-9]+)(?:LL?)?`)
)

// span is how many bytes of s are in the set from its beginning on.
func span(s, set string) int { return len(s) - len(strings.TrimLeft(s, set)) }

// What names and numbers are made of.
const (
	letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	digits  = "0123456789"
)

// nameLength is that of the name at the beginning of s, 0 when there is none.
func nameLength(s string) int {
	if span(s[:min(1, len(s))], letters+"*") == 0 {
		return 0
	}
	return span(s, letters+digits+"-_*")
}

// includeLength is that of @include and the blanks behind it, 0 when no file follows.
func includeLength(s string) int {
	rest, ok := strings.CutPrefix(s, "@include")
	blanks := span(rest, " \t")
	if !ok || blanks == 0 || !strings.HasPrefix(rest[blanks:], `"`) {
		return 0
	}
	return len("@include") + blanks
}

// source is a text that is being read.
type source struct {
	path         string
	rest         string
	line, column int  // of rest, from 1
	blank        bool // nothing but blanks before rest on its line
	number       bool // a number ends where rest begins
	lines        *tree.Lines
}

func newSource(path, s string) *source {
	return &source{path: path, rest: s, line: 1, column: 1, blank: true, lines: tree.NewLines(path, s)}
}

func (s *source) place() tree.Place { return s.lines.At(s.line, s.column) }

// take goes on by n bytes and returns them.
func (s *source) take(n int) string {
	taken := s.rest[:n]
	s.rest = s.rest[n:]
	if lines := strings.Count(taken, "\n"); lines > 0 {
		s.line += lines
		s.column, s.blank = 1, true
	}
	last := taken[strings.LastIndexByte(taken, '\n')+1:]
	s.column += utf8.RuneCountInString(last)
	s.blank = s.blank && strings.Trim(last, " \t") == ""
	s.number = false
	return taken
}

// skip goes on to the next token or @include.
func (s *source) skip() error {
	for {
		if blanks := span(s.rest, " \t\n\r\f"); blanks > 0 {
			s.take(blanks)
		}
		switch {
		case strings.HasPrefix(s.rest, "#"), strings.HasPrefix(s.rest, "//"):
			line, _, _ := strings.Cut(s.rest, "\n")
			s.take(len(line))
		case strings.HasPrefix(s.rest, "/*"):
			i := strings.Index(s.rest[2:], "*/")
			if i < 0 {
				return s.place().Errorf("a comment without its end */")
			}
			s.take(i + 4)
		default:
			return nil
		}
	}
}

// next takes the token where rest begins; there is one.
func (s *source) next() (token, error) {
	t := token{place: s.place()}
	number := s.number
	switch c := s.rest[0]; {
	case strings.IndexByte("=:,;{}()[]", c) >= 0:
		t.kind, t.text = sign, s.take(1)
		if t.text == ":" {
			t.text = "="
		}
		return t, nil
	case c == '"':
		var err error
		t.kind = text
		t.text, err = s.quoted(unescape)
		return t, err
	}
	if n := nameLength(s.rest); n > 0 {
		t.kind, t.text, t.glued = name, s.take(n), number
		if lower := strings.ToLower(t.text); lower == "true" || lower == "false" {
			t.kind, t.text = boolean, lower
		}
		return t, nil
	}
	return s.numeral(t)
}

// numeral takes a number, whose place t has.
func (s *source) numeral(t token) (token, error) {
	word := s.rest[:span(s.rest, letters+digits+"+-.")]
	f, i := len(floatForm.FindString(word)), len(integerForm.FindString(word))
	if max(f, i) == 0 {
		return t, t.place.Errorf("%s", strange(s.rest))
	}
	if f > i {
		t.kind, t.text = float, s.take(f)
		s.number = true
		return t, nil
	}
	written := s.take(i)
	s.number = true
	t.kind = integer
	if strings.HasSuffix(written, "L") {
		t.kind = integer64
	}
	n, err := parseInteger(strings.TrimRight(written, "L"))
	if err != nil {
		return t, t.place.Errorf("the number %s does not fit into 64 bits", written)
	}
	t.text = strconv.FormatInt(n, 10)
	return t, nil
}

func parseInteger(s string) (int64, error) {
	if len(s) > 2 && (s[1] == 'x' || s[1] == 'X') {
		return strconv.ParseInt(s[2:], 16, 64)
	}
	return strconv.ParseInt(s, 10, 64)
}

// strange says what is wrong with a character that begins no token.
func strange(rest string) string {
	switch {
	case rest[0] == '\'':
		return "texts stand in double quotes"
	case strings.HasPrefix(rest, "@include"):
		return `@include stands at the beginning of a line, with a file in double quotes behind it`
	}
	r, _ := utf8.DecodeRuneInString(rest)
	return "unexpected character " + strconv.QuoteRune(r)
}

// quoted takes a text in double quotes, of which rest begins with the first; escape
// reads what stands behind a backslash.
func (s *source) quoted(escape func(rest string) (value string, n int, ok bool)) (string, error) {
	var b strings.Builder
	begin := s.place()
	for i := 1; i < len(s.rest); {
		switch c := s.rest[i]; c {
		case '"':
			s.take(i + 1)
			return b.String(), nil
		case '\\':
			value, n, ok := escape(s.rest[i+1:])
			if !ok {
				return "", begin.Errorf(`a backslash that belongs to nothing; write \\ for one`)
			}
			b.WriteString(value)
			i += 1 + n
		case 0:
			return "", begin.Errorf("a text with a zero byte")
		default:
			b.WriteByte(c)
			i++
		}
	}
	return "", begin.Errorf("a text without its second quote")
}

// unescape reads what stands behind a backslash in a text: what is no escape is as it is
// written, with the backslash.
func unescape(rest string) (string, int, bool) {
	if rest == "" {
		return `\`, 0, true
	}
	if i := strings.IndexByte(`nrtf\"`, rest[0]); i >= 0 {
		return "\n\r\t\f\\\""[i : i+1], 1, true
	}
	if len(rest) >= 3 && (rest[0] == 'x' || rest[0] == 'X') {
		if n, err := strconv.ParseUint(rest[1:3], 16, 8); err == nil {
			return string([]byte{byte(n)}), 3, n != 0
		}
	}
	return `\`, 0, true
}

// unescapePath is unescape for the name of an included file.
func unescapePath(rest string) (string, int, bool) {
	if rest != "" && (rest[0] == '\\' || rest[0] == '"') {
		return rest[:1], 1, true
	}
	return "", 0, false
}
