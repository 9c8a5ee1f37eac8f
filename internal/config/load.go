package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// maxFile bounds a configuration file, in bytes.
const maxFile = 256 << 10

// Stdin is the path that Load takes for the standard input.
const Stdin = "-"

// Error is a mistake in a configuration file.
type Error struct {
	File         string
	Line, Column int // from 1; 0 when the place is not known
	Text         string
	Source       string // the line itself
}

// Error shows the place and below it the line.
func (e *Error) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %s", e.File, e.Text)
	}
	number := fmt.Sprintf("%4d", e.Line)
	return fmt.Sprintf("%s:%d:%d: %s\n%s | %s\n%s | %s^", e.File, e.Line, e.Column, e.Text,
		number, e.Source, strings.Repeat(" ", len(number)), underline(e.Source, e.Column))
}

// underline is what stands before column, as blanks; tabs stay tabs.
func underline(source string, column int) string {
	var b strings.Builder
	for i, r := range []rune(source) {
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

// Find returns the first of the paths that exists, "" when none does.
func Find(paths ...string) (string, error) {
	for _, path := range paths {
		_, err := os.Stat(path)
		if err == nil {
			return path, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("configuration: %w", err)
		}
	}
	return "", nil
}

// SearchPaths are the places where a configuration file is looked for.
func SearchPaths() []string {
	return []string{"sluice.yaml", "/etc/sluice.yaml", "/usr/local/etc/sluice.yaml"}
}

// Load reads the file at path over the defaults. A mistake in it is an *Error.
func Load(path string) (Config, error) {
	name, text, err := readFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("configuration: %w", err)
	}
	return Parse(name, text)
}

func readFile(path string) (name string, text []byte, err error) {
	f := os.Stdin
	if name = "standard input"; path != Stdin {
		name = path
		if f, err = os.Open(path); err != nil {
			return name, nil, err
		}
		defer f.Close()
	}
	text, err = io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("%s is longer than %d KiB", name, maxFile>>10)
	}
	return name, text, err
}

// Parse reads text over the defaults; name is that of the file in errors.
func Parse(name string, text []byte) (Config, error) {
	c := Default()
	d := decoder{config: &c, file: name, text: strings.TrimPrefix(string(text), "\ufeff")}
	if err := d.decode(); err != nil {
		return Config{}, err
	}
	return c, nil
}

// decoder sets what one file says.
type decoder struct {
	config *Config
	file   string
	text   string
}

func (d *decoder) decode() error {
	file, err := d.parse()
	if err != nil {
		return err
	}
	seen := false
	for _, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		if seen {
			return d.at(doc.Body.GetToken(), "a second document; one file has one configuration")
		}
		seen = true
		if _, ok := doc.Body.(*ast.CommentGroupNode); ok {
			continue
		}
		if err := d.mapping(doc.Body, ""); err != nil {
			return err
		}
	}
	return nil
}

// parse is the YAML parser, whose panics on odd input become errors.
func (d *decoder) parse() (file *ast.File, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = d.at(nil, "not understood as YAML (%v)", r)
		}
	}()
	file, err = parser.ParseBytes([]byte(d.text), 0)
	var bad yaml.Error
	if errors.As(err, &bad) {
		return nil, d.at(bad.GetToken(), "%s", bad.GetMessage())
	}
	if err != nil {
		return nil, d.at(nil, "%s", err)
	}
	return file, nil
}

// mapping sets the keys below a group of settings; prefix is the group and a dot.
func (d *decoder) mapping(n ast.Node, prefix string) error {
	var pairs []*ast.MappingValueNode
	switch n := n.(type) {
	case *ast.MappingNode:
		pairs = n.Values
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{n}
	default:
		return d.at(n.GetToken(), "want keys with values%s", below(prefix))
	}
	set := map[string]bool{}
	for _, p := range pairs {
		name := p.Key.GetToken()
		key := prefix + name.Value
		if set[key] {
			return d.at(name, "the key %q is there twice", key)
		}
		set[key] = true
		if err := d.pair(key, name, p.Value); err != nil {
			return err
		}
	}
	return nil
}

func below(prefix string) string {
	if prefix == "" {
		return ", such as \"engines: 2\""
	}
	return " below " + strings.TrimSuffix(prefix, ".")
}

func (d *decoder) pair(key string, name *token.Token, value ast.Node) error {
	if s, ok := d.config.find(key); ok {
		return d.setting(s, name, value)
	}
	if isGroup(key) && value != nil {
		return d.mapping(value, key+".")
	}
	return d.at(name, "unknown key %q%s", key, didYouMean(key, Keys()))
}

// isGroup says whether there are settings below key.
func isGroup(key string) bool {
	for _, k := range Keys() {
		if strings.HasPrefix(k, key+".") {
			return true
		}
	}
	return false
}

func (d *decoder) setting(s setting, name *token.Token, value ast.Node) error {
	list, isList := s.value.(List)
	items, isSequence := value.(*ast.SequenceNode)
	if isList && isSequence {
		if len(items.Values) == 0 {
			return d.at(items.GetToken(), "%s: the list is empty; leave the key out for the default", s.key)
		}
		list.Clear()
		for _, item := range items.Values {
			if err := d.scalar(s.key, name, item, list.Add); err != nil {
				return err
			}
		}
		return nil
	}
	if isSequence {
		return d.at(items.GetToken(), "%s: want one value, not a list", s.key)
	}
	return d.scalar(s.key, name, value, s.value.Set)
}

// scalar gives a single value to set.
func (d *decoder) scalar(key string, name *token.Token, n ast.Node, set func(string) error) error {
	switch n := n.(type) {
	case nil:
		return d.at(name, "%s has no value; leave the key out for the default", key)
	case *ast.NullNode:
		return d.at(name, "%s has no value; leave the key out for the default", key)
	case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		if err := set(n.GetToken().Value); err != nil {
			return d.at(n.GetToken(), "%s: %s", key, err)
		}
		return nil
	default:
		return d.at(n.GetToken(), "%s: want one value on one line", key)
	}
}

// at is an error at the place of a token, at none when t is nil.
func (d *decoder) at(t *token.Token, format string, args ...any) error {
	e := &Error{File: d.file, Text: fmt.Sprintf(format, args...)}
	if t == nil || t.Position == nil {
		return e
	}
	lines := strings.Split(d.text, "\n")
	if t.Position.Line < 1 || t.Position.Line > len(lines) {
		return e
	}
	e.Line, e.Column = t.Position.Line, max(t.Position.Column, 1)
	e.Source = strings.TrimRight(strings.ToValidUTF8(lines[e.Line-1], "?"), "\r")
	return e
}
