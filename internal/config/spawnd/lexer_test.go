package spawnd

import (
	"strings"
	"testing"
)

func TestLexer(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"a=b,c{d}(e)[f]!g", "a = b , c { d } ( e ) [ f ] ! g"},
		{"a&&b||c&d|e", "a && b || c & d | e"},
		{"a # b\nc#d", "a c#d"},
		{"a\r\n\tb", "a b"},
		{`a"b"`, `a"b"`},
		{`"a b" 'c "d"' "e 'f'"`, `<a b> <c "d"> <e 'f'>`},
		{`"\a\b\e\t\n\v\f\r\\\"\'"`, "<\a\b\x1b\t\n\v\f\r\\\"'>"},
		{`"\101\60\0609"`, "<A009>"},
		{"'a\nb'", "<a\nb>"},
		{`"a${HOME}b ${NONE} ${HOME" ${HOME} 'x${HOME}'`, "<a/home/meb ${NONE} ${HOME> $ { HOME } <x/home/me>"},
		{"\"\"", "<>"},
		{"µ", "µ"},
		{"", ""},
	} {
		p := newParser(&reader{world: files(nil), said: map[string]bool{}}, "t.cfg", []byte(c.text))
		var words []string
		for {
			if err := p.advance(); err != nil {
				t.Errorf("%q: %s", c.text, err)
				break
			}
			if p.now.kind == end {
				break
			}
			w := p.now.text
			if p.now.kind == quoted {
				w = "<" + w + ">"
			}
			words = append(words, w)
		}
		if got := strings.Join(words, " "); got != c.want {
			t.Errorf("%q: %q, want %q", c.text, got, c.want)
		}
	}
}

func TestNumbers(t *testing.T) {
	for _, c := range []struct {
		text string
		want int
		ok   bool
	}{
		{"0", 0, true},
		{"12", 12, true},
		{"-3", -3, true},
		{"2k", 2048, true},
		{"2M", 2 << 20, true},
		{"1g", 1 << 30, true},
		{"0x1F", 31, true},
		{"0X10k", 16 << 10, true},
		{"2147483647", 2147483647, true},
		{"", 0, false},
		{"k", 0, false},
		{"5s", 0, false},
		{"1.5", 0, false},
		{"0x", 0, false},
		{"2147483648", 0, false},
		{"4g", 0, false},
		{"99999999999999999999", 0, false},
		{"5kk", 0, false},
	} {
		if got, ok := parseInteger(c.text); got != c.want || ok != c.ok {
			t.Errorf("%q: %d, %v", c.text, got, ok)
		}
	}
}
