package yaml

import (
	"errors"
	"strings"
	"testing"

	"sluice/internal/config/tree"
)

func TestParse(t *testing.T) {
	top, err := Parse("a.yaml", []byte("\ufeff# one\na: 1\nb: {c: true, d: \"1\"}\ne:\n  - 1.5\n  - x\nf:\n"))
	if err != nil {
		t.Fatal(err)
	}
	kinds := []tree.Kind{tree.Number, tree.Group, tree.List, tree.Nothing}
	for i, m := range top.Members {
		if m.Value.Kind != kinds[i] {
			t.Errorf("%s is of kind %d, want %d", m.Name, m.Value.Kind, kinds[i])
		}
	}
	if b := find(top, "b"); find(b, "c").Kind != tree.Boolean || find(b, "d").Kind != tree.String || find(b, "d").Text != "1" {
		t.Errorf("%+v", b)
	}
	if e := find(top, "e"); len(e.Items) != 2 || e.Items[0].Kind != tree.Number || e.Items[1].Place.String() != "a.yaml:6" || e.Items[1].Place.Column != 5 {
		t.Errorf("%+v", e)
	}
	if at := top.Members[1].Place; at.Line != 3 || at.Column != 1 || at.Text != `b: {c: true, d: "1"}` {
		t.Errorf("%+v", at)
	}
}

func TestNothing(t *testing.T) {
	for _, text := range []string{"", "# nothing\n", "---\n", "\ufeff"} {
		if top, err := Parse("a.yaml", []byte(text)); top != nil || err != nil {
			t.Errorf("%q: %v, %v", text, top, err)
		}
	}
}

func TestMistakesHaveAPlace(t *testing.T) {
	for text, want := range map[string]string{
		"a: &x 1":         "a.yaml:1:4: want one value on one line",
		"a: |\n  b\n":     "a.yaml:1:4: want one value on one line",
		"a: 1\na: 2":      "a.yaml:2:1: ",
		"a: 1\n---\nb: 2": "a.yaml:3:2: a second document",
		"a: [1\nb: 2":     "a.yaml:",
	} {
		_, err := Parse("a.yaml", []byte(text))
		var bad *tree.Error
		if !errors.As(err, &bad) || bad.Line == 0 || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

// find is the value of a name in a group, nil when it is not there.
func find(group *tree.Node, name string) *tree.Node {
	for _, m := range group.Members {
		if m.Name == name {
			return m.Value
		}
	}
	return nil
}
