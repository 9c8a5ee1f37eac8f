package spawnd

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"sluice/internal/config/tree"
)

// kind says what a token is.
type kind uint8

const (
	end    kind = iota // of the text
	sign               // one of = , { } ( ) [ ] ! & | && ||
	word               // as it is written
	quoted             // in quotes: never a keyword
)

// token is the smallest thing with a meaning.
type token struct {
	kind  kind
	text  string
	place tree.Place
}

// is says whether t is that sign or word.
func (t token) is(s string) bool { return (t.kind == sign || t.kind == word) && t.text == s }

// value says whether t can be the value of something.
func (t token) value() bool { return t.kind == word || t.kind == quoted }

// maxWord bounds words and texts, in bytes, as the original does. A text is read only so far; its
// variables are bounded once more by the parser.
const maxWord = 1<<16 - 2

// source is a text that is being read.
type source struct {
	path string
	text string
	at   int // where in it
	line int // likewise, from 1
}

func newSource(path string, text []byte) *source {
	return &source{path: path, text: string(text), line: 1}
}

// place is the present one. The lines themselves are left out: passphrases stand in them.
func (s *source) place() tree.Place { return tree.Place{File: s.path, Line: s.line} }

// The characters that end a word, and those of them that are tokens.
const (
	blanks     = " \t\r\n"
	signs      = "=,{}()[]!"
	separators = blanks + signs + "|&"
)

// next takes the next token. escape is told of the escape sequences that nobody knows.
func (s *source) next(escape func(at tree.Place, c rune)) (token, error) {
	s.skip()
	t := token{place: s.place()}
	if s.at == len(s.text) {
		return t, nil
	}
	c := s.text[s.at]
	switch {
	case c == 0:
		return t, t.place.Errorf("a zero byte")
	case c == '"', c == '\'':
		var err error
		t.kind = quoted
		t.text, err = s.quoted(c, escape)
		return t, err
	case strings.IndexByte(signs, c) >= 0:
		t.kind, t.text = sign, s.text[s.at:s.at+1]
	case c == '&', c == '|':
		t.kind, t.text = sign, s.text[s.at:s.at+1]
		if strings.HasPrefix(s.text[s.at+1:], t.text) {
			t.text += t.text
		}
	default:
		t.kind, t.text = word, s.word()
	}
	s.at += len(t.text)
	return t, nil
}

// word is the word that begins here.
func (s *source) word() string {
	rest := s.text[s.at:]
	if i := strings.IndexAny(rest, separators+"\x00"); i >= 0 {
		return rest[:i]
	}
	return rest
}

// skip goes behind blanks and comments.
func (s *source) skip() {
	for ; s.at < len(s.text); s.at++ {
		switch c := s.text[s.at]; {
		case c == '#':
			rest := s.text[s.at:]
			if i := strings.IndexAny(rest, "\r\n"); i >= 0 {
				s.at += i - 1
			} else {
				s.at = len(s.text) - 1
			}
		case c == '\n':
			s.line++
		case strings.IndexByte(blanks, c) < 0:
			return
		}
	}
}

// quoted takes a text up to the second quote.
func (s *source) quoted(quote byte, escape func(tree.Place, rune)) (string, error) {
	var b strings.Builder
	begin := s.place()
	for s.at++; s.at < len(s.text); {
		c := s.text[s.at]
		s.at++
		switch c {
		case quote:
			return b.String(), nil
		case '\\':
			if err := s.escape(&b, escape); err != nil {
				return "", err
			}
		case 0:
			return "", s.place().Errorf("a zero byte")
		default:
			b.WriteByte(c)
		}
		if c == '\n' {
			s.line++
		}
		if b.Len() > maxWord {
			return "", begin.Errorf("Line too long")
		}
	}
	return "", begin.Errorf("EOF unexpected")
}

// escape takes what stands behind a backslash.
func (s *source) escape(b *strings.Builder, unknown func(tree.Place, rune)) error {
	r, size := utf8.DecodeRuneInString(s.text[s.at:])
	if size == 0 {
		return nil // the text ends: quoted says so
	}
	if n := octal(s.text[s.at:]); n > 0 {
		var c byte
		for _, digit := range []byte(s.text[s.at : s.at+n]) {
			c = c<<3 | (digit - '0')
		}
		if c == 0 {
			return s.place().Errorf("a zero byte")
		}
		b.WriteByte(c)
		s.at += n
		return nil
	}
	if r == '\n' {
		s.line++
	}
	s.at += size
	if i := strings.IndexRune(`abetnvfr\"'`, r); i >= 0 {
		b.WriteByte("\a\b\x1b\t\n\v\f\r\\\"'"[i])
	} else {
		unknown(s.place(), r)
	}
	return nil
}

// octal is how many octal digits s begins with, three at most.
func octal(s string) int {
	n := 0
	for n < min(3, len(s)) && s[n] >= '0' && s[n] <= '7' {
		n++
	}
	return n
}

// expand puts the values of variables for ${NAME}. What is not set stays as it is.
func expand(text string, env func(string) (string, bool)) string {
	var b strings.Builder
	for b.Len() <= maxWord { // what is too long is cut, and refused by the caller
		before, rest, found := strings.Cut(text, "${")
		b.WriteString(before)
		if !found {
			break
		}
		n := nameLength(rest)
		value, ok := env(rest[:n])
		if !ok || !strings.HasPrefix(rest[n:], "}") {
			b.WriteString("${")
			text = rest
			continue
		}
		b.WriteString(value)
		text = rest[n+1:]
	}
	return b.String()
}

// nameLength is that of the name of a variable at the beginning of s.
func nameLength(s string) int {
	n := 0
	for n < len(s) && (s[n] == '_' || s[n] >= '0' && s[n] <= '9' || s[n]|' ' >= 'a' && s[n]|' ' <= 'z') {
		n++
	}
	return n
}

// maxShown is how much of a word errors show, in characters.
const maxShown = 64

// shown is a word as errors show it: on one line.
func shown(s string) string {
	var b strings.Builder
	n := 0
	for _, r := range s {
		if n++; n > maxShown {
			return b.String() + "…"
		}
		if !unicode.IsPrint(r) {
			r = '?'
		}
		b.WriteRune(r)
	}
	return b.String()
}

// printable says whether all of s can be shown.
func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar })
}
