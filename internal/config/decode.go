package config

import (
	"errors"
	"fmt"
	"sort"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

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
	named  []*token.Token // the names of config.Channels
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
		if err := d.whole(doc.Body); err != nil {
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

// whole sets what the file says. The channels come last, since they begin with what
// holds for all.
func (d *decoder) whole(n ast.Node) error {
	pairs, err := d.pairs(nil, n, "")
	if err != nil {
		return err
	}
	top := scope{table: d.config.settings()}
	var channels *ast.MappingValueNode
	for _, p := range pairs {
		if p.Key.GetToken().Value == channelsKey {
			channels = p
		} else if err := d.pair(p, top); err != nil {
			return err
		}
	}
	if channels == nil {
		return nil
	}
	if err := d.channels(channels); err != nil {
		return err
	}
	return d.check()
}

// channels adds what stands below the channels' names.
func (d *decoder) channels(n *ast.MappingValueNode) error {
	const path = channelsKey + "."
	pairs, err := d.pairs(n.Key.GetToken(), n.Value, path)
	if err != nil {
		return err
	}
	for _, p := range pairs {
		name := p.Key.GetToken()
		t, err := d.config.addChannel(name.Value)
		if err != nil {
			return d.at(name, "%s", err)
		}
		d.named = append(d.named, name)
		if err := d.mapping(name, p.Value, scope{path: path + name.Value + ".", table: t}); err != nil {
			return err
		}
	}
	return nil
}

// check says which of the channels does not fit.
func (d *decoder) check() error {
	for i, ch := range d.config.Channels {
		if ch.Source == nil {
			return d.at(d.named[i], "channel %s has no source; it wants a key such as source: udp://239.1.1.1:5000", ch.Name)
		}
	}
	_, err := d.config.lineup()
	if err == nil {
		return nil
	}
	some := *d.config
	i := sort.Search(len(d.named)-1, func(i int) bool { // the first that does not fit to those above it
		some.Channels = d.config.Channels[:i+1]
		_, err := some.lineup()
		return err != nil
	})
	return d.at(d.named[i], "%s", err)
}

// scope is a table and where it stands in the file.
type scope struct {
	path  string // with a dot behind it; "" for the whole file
	table table
	group string // of the table, with a dot behind it; "" outside of groups
}

// keys are what may stand there, groups included.
func (s scope) keys() (keys []string) {
	for _, key := range s.table.keys() {
		if group, _, nested := strings.Cut(key, "."); nested {
			keys = append(keys, group)
		}
		keys = append(keys, key)
	}
	if s.path == "" {
		keys = append(keys, channelsKey)
	}
	return keys
}

// pairs are the keys of n with their values, each key once; name is the key that n is
// the value of, nil for the whole file.
func (d *decoder) pairs(name *token.Token, n ast.Node, path string) ([]*ast.MappingValueNode, error) {
	var pairs []*ast.MappingValueNode
	switch n := n.(type) {
	case *ast.MappingNode:
		pairs = n.Values
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{n}
	case nil:
		return nil, d.at(name, "want keys with values%s", below(path))
	default:
		return nil, d.at(n.GetToken(), "want keys with values%s", below(path))
	}
	seen := map[string]bool{}
	for _, p := range pairs {
		key := p.Key.GetToken()
		if seen[key.Value] {
			return nil, d.at(key, "the key %q is there twice", path+key.Value)
		}
		seen[key.Value] = true
	}
	return pairs, nil
}

func below(path string) string {
	if path == "" {
		return ", such as \"engines: 2\""
	}
	return " below " + strings.TrimSuffix(path, ".")
}

// mapping sets the keys of n.
func (d *decoder) mapping(name *token.Token, n ast.Node, sc scope) error {
	pairs, err := d.pairs(name, n, sc.path+sc.group)
	if err != nil {
		return err
	}
	for _, p := range pairs {
		if err := d.pair(p, sc); err != nil {
			return err
		}
	}
	return nil
}

func (d *decoder) pair(p *ast.MappingValueNode, sc scope) error {
	name := p.Key.GetToken()
	key := sc.group + name.Value
	if s, ok := sc.table.find(key); ok {
		s.key = sc.path + key
		return d.setting(s, name, p.Value)
	}
	if sc.table.hasGroup(key) {
		sc.group = key + "."
		return d.mapping(name, p.Value, sc)
	}
	if _, ofChannel := new(Channel).settings().find(key); ofChannel && sc.path == "" {
		return d.at(name, "%q is said of one channel: write it as %s.NAME.%s", key, channelsKey, key)
	}
	return d.at(name, "unknown key %q%s", sc.path+key, didYouMean(key, sc.keys()))
}

// setting sets s, whose key is the whole path of it here.
func (d *decoder) setting(s setting, name *token.Token, value ast.Node) error {
	list, isList := s.value.(List)
	items, isSequence := value.(*ast.SequenceNode)
	if isList && isSequence {
		if len(items.Values) == 0 {
			return d.at(items.GetToken(), "%s: the list is empty; leave the key out for the default", s.key)
		}
		list.Clear()
		for i, item := range items.Values {
			if err := d.scalar(fmt.Sprintf("%s[%d]", s.key, i), name, item, list.Add); err != nil {
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
