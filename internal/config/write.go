package config

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// YAML is c as a file that Load reads back, the channels of its lists included. Of the
// channels it has what differs from the settings of all. Credentials stand in it.
func (c *Config) YAML() []byte {
	var b bytes.Buffer
	writeTable(&b, "", c.settings())
	if len(c.Channels) > 0 {
		fmt.Fprintf(&b, "%s:\n", channelsKey)
	}
	base := (&Channel{Settings: c.Settings}).settings()
	for i := range c.Channels {
		fmt.Fprintf(&b, "  %s:\n", yamlQuote(c.Channels[i].Name))
		writeTable(&b, "    ", different(c.Channels[i].settings(), base))
	}
	if len(c.Routes) > 0 {
		fmt.Fprintf(&b, "%s:\n", routesKey)
	}
	for i := range c.Routes {
		fmt.Fprintf(&b, "  %s:\n", yamlQuote(c.Routes[i].Name))
		writeTable(&b, "    ", different(c.Routes[i].settings(), new(Route).settings()))
	}
	return b.Bytes()
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

func writeTable(b *bytes.Buffer, indent string, t table) {
	above := ""
	for _, s := range t {
		group, name, nested := strings.Cut(s.key, ".")
		if !nested {
			fmt.Fprintf(b, "%s%s: %s\n", indent, s.key, yamlText(s.value))
			continue
		}
		if group != above {
			fmt.Fprintf(b, "%s%s:\n", indent, group)
			above = group
		}
		fmt.Fprintf(b, "%s  %s: %s\n", indent, name, yamlText(s.value))
	}
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
