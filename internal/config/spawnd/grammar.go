package spawnd

import (
	"slices"
	"strconv"
)

// grammar is what may stand somewhere, and where in to it goes.
type grammar[T any] struct {
	words []directive[T]
	other func(p *parser, to *T) error // reads what is none of the words; nil = that is an error
}

// directive is a word and what stands behind it.
type directive[T any] struct {
	name string
	also []string // other spellings, which errors do not mention
	read func(p *parser, to *T) error
	raw  bool // what follows is no alias
	ours bool // the original does not know it: errors, which have its words, do not mention it
}

// one reads one directive.
func (g grammar[T]) one(p *parser, to *T) error {
	for _, d := range g.words {
		if p.now.kind != word || p.now.text != d.name && !slices.Contains(d.also, p.now.text) {
			continue
		}
		p.at = p.now.place
		err := p.step(d.raw)
		if err != nil {
			return err
		}
		return d.read(p, to)
	}
	if g.other != nil {
		return g.other(p, to)
	}
	return p.expected(g.names()...)
}

// names are the words that an error mentions.
func (g grammar[T]) names() []string {
	var names []string
	for _, d := range g.words {
		if !d.ours {
			names = append(names, d.name)
		}
	}
	return names
}

// body reads directives up to the closing brace, and not behind it.
func (g grammar[T]) body(p *parser, to *T) error {
	for p.now.kind != end && !p.now.is("}") {
		if err := g.one(p, to); err != nil {
			return err
		}
	}
	if p.now.kind == end {
		return p.expected("}")
	}
	return nil
}

// block is body, and goes behind the brace.
func (g grammar[T]) block(p *parser, to *T) error {
	if err := g.body(p, to); err != nil {
		return err
	}
	return p.advance()
}

// then reads one of several directives.
func then[T any](words ...directive[T]) func(*parser, *T) error {
	return grammar[T]{words: words}.one
}

// within reads what belongs to a part of T.
func within[T, U any](part func(*T) *U, words []directive[U]) []directive[T] {
	out := make([]directive[T], len(words))
	for i, d := range words {
		out[i] = directive[T]{name: d.name, also: d.also, ours: d.ours, read: func(p *parser, to *T) error { return d.read(p, part(to)) }}
	}
	return out
}

// number is a directive with an integer that is not negative.
func number[T any](name string, field func(*T) *Said[int], also ...string) directive[T] {
	return directive[T]{name: name, also: also, read: func(p *parser, to *T) error { return p.natural(field(to)) }}
}

// text is a directive with a word.
func text[T any](name string, field func(*T) *Said[string], also ...string) directive[T] {
	return directive[T]{name: name, also: also, read: func(p *parser, to *T) error {
		if err := p.expect("="); err != nil {
			return err
		}
		return p.text(field(to))
	}}
}

// boolean is a directive with yes or no.
func boolean[T any](name string, field func(*T) *Said[bool]) directive[T] {
	return directive[T]{name: name, read: func(p *parser, to *T) error { return p.boolean(field(to)) }}
}

// choice is a directive with one of some words.
func choice[T any](name string, field func(*T) *Said[string], words ...string) directive[T] {
	return directive[T]{name: name, read: func(p *parser, to *T) error {
		if err := p.expect("="); err != nil {
			return err
		}
		if !p.now.value() || !slices.Contains(words, p.now.text) {
			return p.expected(slices.Clone(words)...)
		}
		return p.text(field(to))
	}}
}

// ignored is a directive that is read as d, and has no effect.
func ignored[T any](d directive[T], about string) directive[T] {
	read := d.read
	d.read = func(p *parser, to *T) error {
		place := p.at
		if err := read(p, to); err != nil {
			return err
		}
		p.warnHere(place, "%s", about)
		return nil
	}
	return d
}

// void takes a value that nobody asks for.
func void[T, V any](*T) *Said[V] { return new(Said[V]) }

// text takes a word or a text in quotes.
func (p *parser) text(to *Said[string]) error {
	if !p.now.value() {
		return p.now.place.Errorf("Expected a value, but got '%s'", p.got(p.now))
	}
	if !printable(p.now.text) {
		return p.now.place.Errorf("a value with characters that cannot be shown")
	}
	*to = Said[string]{p.now.text, p.now.place}
	return p.advance()
}

// boolean takes = and a truth value.
func (p *parser) boolean(to *Said[bool]) error {
	if err := p.expect("="); err != nil {
		return err
	}
	yes, ok := truth(p.now)
	if !ok {
		return p.expected("yes", "permit", "true", "no", "deny", "false")
	}
	*to = Said[bool]{yes, p.now.place}
	return p.advance()
}

func truth(t token) (yes, ok bool) {
	switch {
	case t.is("yes"), t.is("permit"), t.is("true"):
		return true, true
	case t.is("no"), t.is("deny"), t.is("false"):
		return false, true
	}
	return false, false
}

// integer takes = and an integer.
func (p *parser) integer(to *Said[int]) error {
	if err := p.expect("="); err != nil {
		return err
	}
	return p.amount(to)
}

// amount takes an integer.
func (p *parser) amount(to *Said[int]) error {
	n, ok := parseInteger(p.now.text)
	if !ok || !p.now.value() {
		return p.now.place.Errorf("expected an integer, but got '%s'", p.got(p.now))
	}
	*to = Said[int]{n, p.now.place}
	return p.advance()
}

// natural takes = and an integer that is not negative.
func (p *parser) natural(to *Said[int]) error {
	if err := p.integer(to); err != nil {
		return err
	}
	if to.Value < 0 {
		return to.Place.Errorf("expected an integer that is not negative, but got '%d'", to.Value)
	}
	return nil
}

// parseInteger reads a decimal or hexadecimal number with k, m or g behind it, of 32 bits.
func parseInteger(s string) (int, bool) {
	shift := 0
	if s != "" {
		switch s[len(s)-1] | ' ' {
		case 'k':
			shift = 10
		case 'm':
			shift = 20
		case 'g':
			shift = 30
		}
	}
	if shift > 0 {
		s = s[:len(s)-1]
	}
	base := 10
	if len(s) > 2 && s[0] == '0' && s[1]|' ' == 'x' {
		s, base = s[2:], 16
	}
	n, err := strconv.ParseInt(s, base, 32)
	if n <<= shift; err != nil || n != int64(int32(n)) {
		return 0, false
	}
	return int(n), true
}

// mode takes = and permissions in octal.
func (p *parser) mode(to *Said[uint32]) error {
	if err := p.expect("="); err != nil {
		return err
	}
	n, err := strconv.ParseUint(p.now.text, 8, 32)
	if err != nil || n > 0o7777 || !p.now.value() {
		return p.now.place.Errorf("Unrecognized file node creation mask '%s'", p.got(p.now))
	}
	*to = Said[uint32]{uint32(n), p.now.place}
	return p.advance()
}
