// Package libconfig reads configurations in the format of the C library libconfig, which
// gigapxy's files have:
//
//	listen = ":4046";                 # a comment, as are // and /* */
//	history : { depth = "10s"; };     // = and : are the same
//	allow = ( "10.0.0.0/8", "::1" );  /* a list; [ ] is an array, of one type */
//	@include "channels.conf"
//
// What is accepted is what libconfig 1.5 accepts, which the tests have beside it, but for
// this: integers have 64 bits without an L, and one that needs more is an error; a comment
// on the last line needs no line end; an unfinished comment, @include or a text with a zero byte
// is an error; an included file is looked for where the file stands that includes it.
package libconfig

import (
	"path/filepath"
	"slices"

	"sluice/internal/config/tree"
)

// Bounds of what includes each other and of what stands in each other.
const (
	maxDepth    = 10   // of files
	maxIncludes = 1000 // in all
	maxNesting  = 100  // of groups and lists
)

// Parse reads text; path is that of its file, for errors, which are of *tree.Error, and
// for the places of included files, which read gives.
func Parse(path string, text []byte, read func(path string) ([]byte, error)) (*tree.Node, error) {
	p := &parser{files: []*source{newSource(path, string(text))}, read: read}
	if err := p.advance(); err != nil {
		return nil, err
	}
	top := &tree.Node{Kind: tree.Group, Place: p.now.place}
	if err := p.settings(top); err != nil {
		return nil, err
	}
	if p.now.kind != end {
		return nil, p.now.place.Errorf("%s closes nothing", p.now)
	}
	return top, nil
}

// parser goes through the tokens of a file and those that it includes.
type parser struct {
	files    []*source // the last one is being read, included by the one before
	includes int
	read     func(string) ([]byte, error)
	now      token
	nesting  int
}

// advance makes the next token the present one.
func (p *parser) advance() error {
	for {
		s := p.files[len(p.files)-1]
		if err := s.skip(); err != nil {
			return err
		}
		switch {
		case s.rest == "" && len(p.files) > 1:
			p.files = p.files[:len(p.files)-1]
		case s.rest == "":
			p.now = token{kind: end, place: s.place()}
			return nil
		case s.blank && includeLength(s.rest) > 0:
			if err := p.include(s); err != nil {
				return err
			}
		default:
			var err error
			p.now, err = s.next()
			return err
		}
	}
}

// include goes on in the file that s names.
func (p *parser) include(s *source) error {
	place := s.place()
	s.take(includeLength(s.rest))
	file, err := s.quoted(unescapePath)
	if err != nil {
		return err
	}
	path := file
	if !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(s.path), path)
	}
	p.includes++
	switch {
	case slices.ContainsFunc(p.files, func(s *source) bool { return filepath.Clean(s.path) == filepath.Clean(path) }):
		return place.Errorf("%s includes itself", file)
	case len(p.files) > maxDepth:
		return place.Errorf("files that include each other more than %d deep", maxDepth)
	case p.includes > maxIncludes:
		return place.Errorf("more than %d included files", maxIncludes)
	}
	text, err := p.read(path)
	if err != nil {
		return place.Errorf("include: %s", err)
	}
	p.files = append(p.files, newSource(path, string(text)))
	return nil
}

// settings reads NAME = VALUE as long as there are any.
func (p *parser) settings(group *tree.Node) error {
	seen := map[string]bool{}
	for p.now.kind == name {
		m := tree.Member{Name: p.now.text, Place: p.now.place}
		glued := p.now.glued
		if err := p.advance(); err != nil {
			return err
		}
		switch {
		case !p.now.is("=") && glued:
			return m.Place.Errorf(`a number with a unit is a text: write it in double quotes, such as "10s"`)
		case p.now.kind == float && p.now.text[0] == '.':
			return p.now.place.Errorf("a dot belongs to no name: write a: { b = 1; } for a.b")
		case !p.now.is("="):
			return p.now.place.Errorf("want = or : behind %s, not %s", m.Name, p.now)
		case seen[m.Name]:
			return m.Place.Errorf("%s is there twice", m.Name)
		}
		seen[m.Name] = true
		if err := p.advance(); err != nil {
			return err
		}
		var err error
		if m.Value, err = p.value(); err != nil {
			return err
		}
		group.Members = append(group.Members, m)
		if p.now.is(";") || p.now.is(",") {
			if err := p.advance(); err != nil {
				return err
			}
		}
	}
	return nil
}

// value reads a value of any kind.
func (p *parser) value() (*tree.Node, error) {
	open := p.now
	switch {
	case open.is("{"):
		return p.group()
	case open.is("("):
		return p.list(")", p.value)
	case open.is("["):
		return p.array()
	}
	return p.scalar()
}

// scalar reads a value that is no group, list or array; texts beside each other are one.
func (p *parser) scalar() (*tree.Node, error) {
	n := &tree.Node{Place: p.now.place, Text: p.now.text}
	switch p.now.kind {
	case text:
		n.Kind = tree.String
	case integer, integer64, float:
		n.Kind = tree.Number
	case boolean:
		n.Kind = tree.Boolean
	case name:
		return nil, p.now.place.Errorf("%s stands without quotes: a value is a number, true, false or a text in double quotes", p.now.text)
	default:
		return nil, p.now.place.Errorf("want a value, not %s", p.now)
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	for n.Kind == tree.String && p.now.kind == text {
		n.Text += p.now.text
		if err := p.advance(); err != nil {
			return nil, err
		}
	}
	return n, nil
}

// group reads what stands in braces.
func (p *parser) group() (*tree.Node, error) {
	n := &tree.Node{Kind: tree.Group, Place: p.now.place}
	if err := p.enter(); err != nil {
		return nil, err
	}
	if err := p.settings(n); err != nil {
		return nil, err
	}
	if !p.now.is("}") {
		return nil, p.now.place.Errorf("want a setting or }, not %s", p.now)
	}
	return n, p.leave()
}

// list reads values with commas between them, up to closing.
func (p *parser) list(closing string, item func() (*tree.Node, error)) (*tree.Node, error) {
	n := &tree.Node{Kind: tree.List, Place: p.now.place}
	if err := p.enter(); err != nil {
		return nil, err
	}
	for !p.now.is(closing) || len(n.Items) > 0 {
		x, err := item()
		if err != nil {
			return nil, err
		}
		n.Items = append(n.Items, x)
		if p.now.is(closing) {
			break
		}
		if !p.now.is(",") {
			return nil, p.now.place.Errorf("want a comma or %s, not %s", closing, p.now)
		}
		if err := p.advance(); err != nil {
			return nil, err
		}
	}
	return n, p.leave()
}

// array is a list of scalars of the same type.
func (p *parser) array() (*tree.Node, error) {
	var first token
	n := 0
	return p.list("]", func() (*tree.Node, error) {
		if n++; n == 1 {
			first = p.now
		} else if p.now.kind != first.kind && p.now.kind >= text {
			return nil, p.now.place.Errorf("%s is not of the type of the first value; write ( ) for a list of several types", p.now)
		}
		return p.scalar()
	})
}

// enter goes behind an opening sign.
func (p *parser) enter() error {
	if p.nesting++; p.nesting > maxNesting {
		return p.now.place.Errorf("groups and lists more than %d deep", maxNesting)
	}
	return p.advance()
}

// leave goes behind a closing sign.
func (p *parser) leave() error {
	p.nesting--
	return p.advance()
}
