package config

import (
	"bytes"
	"fmt"
	"strings"
)

// YAML is c as a file that Load reads back. Of the channels it has what differs from
// the settings of all.
func (c *Config) YAML() []byte {
	var b bytes.Buffer
	writeTable(&b, "", c.settings())
	if len(c.Channels) == 0 {
		return b.Bytes()
	}
	fmt.Fprintf(&b, "%s:\n", channelsKey)
	for i := range c.Channels {
		all := Channel{Settings: c.Settings}
		fmt.Fprintf(&b, "  %s:\n", yamlQuote(c.Channels[i].Name))
		writeTable(&b, "    ", different(c.Channels[i].settings(), all.settings()))
	}
	return b.Bytes()
}

// different is what of t is not as in base, a table of the same keys.
func different(t, base table) table {
	var out table
	for i, s := range t {
		if s.value.String() != base[i].value.String() {
			out = append(out, s)
		}
	}
	return out
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
