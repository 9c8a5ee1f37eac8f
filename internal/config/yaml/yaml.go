// Package yaml reads configurations in YAML. Anchors, aliases, tags, texts of several
// lines and several documents are not understood.
package yaml

import (
	"errors"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"sluice/internal/config/tree"
)

// Parse reads the text of a file; name is that of the file in errors, which are of
// *tree.Error. A file that says nothing is nil.
func Parse(name string, text []byte) (*tree.Node, error) {
	clean := strings.TrimPrefix(string(text), "\ufeff")
	r := reader{text: clean, lines: tree.NewLines(name, clean)}
	file, err := r.parse()
	if err != nil {
		return nil, err
	}
	var top *tree.Node
	for _, doc := range file.Docs {
		switch doc.Body.(type) {
		case nil, *ast.CommentGroupNode:
			continue
		}
		if top != nil {
			return nil, r.at(doc.Body.GetToken()).Errorf("a second document; one file has one configuration")
		}
		if top, err = r.node(doc.Body); err != nil {
			return nil, err
		}
	}
	return top, nil
}

// reader makes a tree of one file.
type reader struct {
	text  string
	lines *tree.Lines
}

// parse is the YAML parser, whose panics on odd input become errors.
func (r reader) parse() (file *ast.File, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = r.at(nil).Errorf("not understood as YAML (%v)", p)
		}
	}()
	file, err = parser.ParseBytes([]byte(r.text), 0)
	var bad yaml.Error
	if errors.As(err, &bad) {
		return nil, r.at(bad.GetToken()).Errorf("%s", bad.GetMessage())
	}
	if err != nil {
		return nil, r.at(nil).Errorf("%s", err)
	}
	return file, nil
}

func (r reader) node(n ast.Node) (*tree.Node, error) {
	if n == nil {
		return &tree.Node{Kind: tree.Nothing, Place: r.at(nil)}, nil
	}
	place := r.at(n.GetToken())
	switch n := n.(type) {
	case *ast.NullNode:
		return &tree.Node{Kind: tree.Nothing, Place: place}, nil
	case *ast.MappingNode:
		return r.group(place, n.Values)
	case *ast.MappingValueNode:
		return r.group(place, []*ast.MappingValueNode{n})
	case *ast.SequenceNode:
		return r.list(place, n.Values)
	case *ast.StringNode:
		return &tree.Node{Kind: tree.String, Place: place, Text: n.GetToken().Value}, nil
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return &tree.Node{Kind: tree.Number, Place: place, Text: n.GetToken().Value}, nil
	case *ast.BoolNode:
		return &tree.Node{Kind: tree.Boolean, Place: place, Text: n.GetToken().Value}, nil
	}
	return nil, place.Errorf("want one value on one line (anchors, aliases, tags and blocks of text are not understood)")
}

func (r reader) group(place tree.Place, pairs []*ast.MappingValueNode) (*tree.Node, error) {
	group := &tree.Node{Kind: tree.Group, Place: place, Members: make([]tree.Member, 0, len(pairs))}
	seen := make(map[string]bool, len(pairs))
	for _, p := range pairs {
		key := p.Key.GetToken()
		at := r.at(key)
		if seen[key.Value] {
			return nil, at.Errorf("the key %q is there twice", key.Value)
		}
		seen[key.Value] = true
		value, err := r.node(p.Value)
		if err != nil {
			return nil, err
		}
		group.Members = append(group.Members, tree.Member{Name: key.Value, Place: at, Value: value})
	}
	return group, nil
}

func (r reader) list(place tree.Place, values []ast.Node) (*tree.Node, error) {
	list := &tree.Node{Kind: tree.List, Place: place}
	for _, v := range values {
		item, err := r.node(v)
		if err != nil {
			return nil, err
		}
		list.Items = append(list.Items, item)
	}
	return list, nil
}

// at is the place of a token.
func (r reader) at(t *token.Token) tree.Place {
	if t == nil || t.Position == nil {
		return r.lines.At(0, 0)
	}
	return r.lines.At(t.Position.Line, t.Position.Column)
}
