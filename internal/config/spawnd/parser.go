package spawnd

import (
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"sluice/internal/config/tree"
)

// Bounds of what includes each other and of what aliases stand for.
const (
	maxDepth    = 10       // of files
	maxIncludes = 1000     // in all
	maxSize     = 64 << 20 // bytes of all files
	maxExpanded = 100_000  // tokens of aliases
)

// parser goes through the tokens of a file, of those that it includes and of aliases.
type parser struct {
	*reader
	files    []*source // the last one is being read, included by the one before
	aliases  map[string][]token
	pending  [][]token // of aliases, the next ones last
	expanded int
	includes int
	size     int
	quiet    bool       // nothing is warned of: the section is another program's
	secret   tree.Place // of a passphrase
	at       tree.Place // of the directive that is being read
	now      token
}

func newParser(r *reader, path string, text []byte) *parser {
	return &parser{reader: r, files: []*source{newSource(path, text)}, size: len(text), aliases: map[string][]token{}}
}

// advance makes the next token the present one.
func (p *parser) advance() error {
	for {
		t, err := p.next()
		if err != nil {
			return err
		}
		body, alias := p.aliases[t.text]
		switch {
		case t.kind == word && alias:
			err = p.expandAlias(t, body)
		case t.kind == word && t.text == "include":
			err = p.include(t.place)
		default:
			p.now = t
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// step is advance, or with raw takes the next token as it is.
func (p *parser) step(raw bool) (err error) {
	if !raw {
		return p.advance()
	}
	p.now, err = p.next()
	return err
}

// next is the next token, whatever it stands for.
func (p *parser) next() (token, error) {
	if n := len(p.pending); n > 0 {
		t := p.pending[n-1][0]
		if p.pending[n-1] = p.pending[n-1][1:]; len(p.pending[n-1]) == 0 {
			p.pending = p.pending[:n-1]
		}
		return t, nil
	}
	for {
		t, err := p.files[len(p.files)-1].next(p.unknownEscape)
		if err != nil || t.kind != end || len(p.files) == 1 {
			return p.substitute(t, err)
		}
		p.files = p.files[:len(p.files)-1]
	}
}

func (p *parser) unknownEscape(at tree.Place, c rune) {
	p.warnHere(at, `Unknown escape sequence '\%s'`, shown(string(c)))
}

// warnHere warns, unless the place is in a section of another program.
func (p *parser) warnHere(at tree.Place, format string, args ...any) {
	if !p.quiet {
		p.warn(at, format, args...)
	}
}

// substitute puts variables into a text in quotes, if it could be read.
func (p *parser) substitute(t token, err error) (token, error) {
	if t.kind == quoted && err == nil {
		t.text = expand(t.text, p.variable)
	}
	if len(t.text) > maxWord && err == nil {
		err = t.place.Errorf("Line too long")
	}
	return t, err
}

func (p *parser) variable(name string) (string, bool) {
	if value, ok := p.env[name]; ok {
		return value, true
	}
	return p.world.Env(name)
}

// expandAlias puts what t stands for in its place.
func (p *parser) expandAlias(t token, body []token) error {
	p.expanded += len(body) + 1
	switch {
	case p.expanded > maxExpanded:
		return t.place.Errorf("the alias '%s' contains itself, or aliases stand for more than %d words", shown(t.text), maxExpanded)
	case len(body) > 0:
		p.pending = append(p.pending, body)
	}
	return nil
}

// include goes on in the files whose name or pattern follows.
func (p *parser) include(place tree.Place) error {
	t, err := p.next()
	if err == nil && t.is("=") {
		t, err = p.next()
	}
	if err != nil {
		return err
	}
	if !t.value() {
		return t.place.Errorf("Expected a file, but got '%s'", p.got(t))
	}
	for _, path := range slices.Backward(p.match(place, t.text)) {
		if err := p.open(place, path); err != nil {
			return err
		}
	}
	return nil
}

// match finds the files that name stands for.
func (p *parser) match(place tree.Place, name string) []string {
	if rest, ok := strings.CutPrefix(name, "$CONFDIR/"); ok {
		name = directory(p.files[0].path) + rest
	}
	if strings.Contains(name, "://") || !strings.ContainsAny(name, "*?[") {
		return []string{name}
	}
	paths, err := p.world.Glob(strings.ReplaceAll(name, `\`, `\\`))
	if err == nil && len(paths) == 0 {
		err = fs.ErrNotExist
	}
	if err != nil {
		p.warnHere(place, "Couldn't open %s: %s", shown(name), cause(err))
	}
	return paths
}

// directory is that of the file at path, with a slash at its end; of a URL, too.
func directory(path string) string {
	if strings.Contains(path, "://") {
		return path[:strings.LastIndexByte(path, '/')+1]
	}
	return filepath.Dir(path) + "/"
}

// open goes on in a file. One that cannot be read is left out, with a warning.
func (p *parser) open(place tree.Place, path string) error {
	p.includes++
	switch {
	case len(p.files) > maxDepth:
		return place.Errorf("files that include each other more than %d deep", maxDepth)
	case p.includes > maxIncludes:
		return place.Errorf("more than %d included files", maxIncludes)
	}
	text, err := p.world.Read(path)
	if err != nil {
		p.warnHere(place, "Couldn't open %s: %s", shown(path), cause(err))
		return nil
	}
	if p.size += len(text); p.size > maxSize {
		return place.Errorf("more than %d MiB of included files", maxSize>>20)
	}
	p.files = append(p.files, newSource(path, text))
	return nil
}

// cause is why a file could not be read, without its name.
func cause(err error) string {
	if errors.Is(err, fs.ErrNotExist) {
		return "No such file or directory" // as the original has it
	}
	if bad, ok := errors.AsType[*fs.PathError](err); ok {
		err = bad.Err
	}
	return err.Error()
}

// rest looks whether what is left behind a section can be read.
func (p *parser) rest() error {
	p.quiet = true
	for depth := 0; ; {
		if err := p.step(true); err != nil {
			return err
		}
		switch {
		case p.now.kind == end && depth > 0:
			return p.expected("}")
		case p.now.kind == end:
			return nil
		case p.now.is("{"):
			depth++
		case p.now.is("}"):
			depth--
		}
		if depth < 0 {
			return p.now.place.Errorf("'}' closes nothing")
		}
	}
}

// got is t in an error. What stands on the line of a passphrase may be a part of it.
func (p *parser) got(t token) string {
	if t.place == p.secret {
		return "…"
	}
	return shown(t.text)
}

// expected is the error that one of the words should stand where the present token is.
func (p *parser) expected(words ...string) error {
	slices.Sort(words)
	last := len(words) - 1
	list := "'" + words[last] + "'"
	if last > 0 {
		list = "'" + strings.Join(words[:last], "', '") + "' or " + list
	}
	return p.now.place.Errorf("Expected %s, but got '%s'", list, p.got(p.now))
}

// expect goes behind a sign or word.
func (p *parser) expect(what string) error {
	if !p.now.is(what) {
		return p.expected(what)
	}
	return p.advance()
}

// optional goes behind a sign or word that need not be there.
func (p *parser) optional(what string) error {
	if !p.now.is(what) {
		return nil
	}
	return p.advance()
}
