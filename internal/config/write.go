package config

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// YAML is c as a file that Load reads back, the channels of its lists included. Of what the
// user names it has what differs from what holds for all. Credentials stand in it.
func (c *Config) YAML() []byte {
	var w yamlWriter
	for _, p := range c.parts() {
		w.table(nil, p.settings)
		for _, n := range p.groups {
			for _, x := range n.all {
				w.table(append(strings.Split(n.key, "."), yamlQuote(x.name)), different(x.table, n.base))
			}
		}
	}
	return w.text.Bytes()
}

// different is what of t is not as in base, a table of the same keys.
func different(t, base table) table {
	var out table
	for i, s := range t {
		if !sameValue(s.value, base[i].value) {
			out = append(out, s)
		}
	}
	return out
}

// sameValue says whether two values of the same setting are the same.
func sameValue(a, b Value) bool {
	x, ok := a.(List)
	if !ok {
		return a.String() == b.String()
	}
	y, ok := b.(List)
	return ok && slices.Equal(x.Items(), y.Items())
}

// yamlWriter writes settings; those of a group come one after the other.
type yamlWriter struct {
	text  bytes.Buffer
	above []string // the groups that the last line stands in
}

// table writes the settings that stand below path.
func (w *yamlWriter) table(path []string, t table) {
	for _, s := range t {
		groups := append(slices.Clip(path), strings.Split(s.key, ".")...)
		last := len(groups) - 1
		w.open(groups[:last])
		fmt.Fprintf(&w.text, "%s%s: %s\n", strings.Repeat("  ", last), groups[last], yamlText(s.value))
	}
}

// open writes the names of the groups that the last line does not stand in.
func (w *yamlWriter) open(groups []string) {
	same := 0
	for same < min(len(groups), len(w.above)) && groups[same] == w.above[same] {
		same++
	}
	for i, name := range groups[same:] {
		fmt.Fprintf(&w.text, "%s%s:\n", strings.Repeat("  ", same+i), name)
	}
	w.above = groups
}

func yamlText(v Value) string {
	list, ok := v.(List)
	if !ok {
		return yamlQuote(v.String())
	}
	var items []string
	for _, item := range list.Items() {
		items = append(items, yamlQuote(item))
	}
	return "[" + strings.Join(items, ", ") + "]"
}

// yamlQuote writes a single-quoted scalar, in which nothing but the quote itself has
// a meaning. Values have no line breaks (see word).
func yamlQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
