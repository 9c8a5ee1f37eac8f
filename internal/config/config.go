// Package config reads the one configuration file of sluice and makes of it the
// small Config that each room declares for itself.
//
// The file is YAML, every key is optional, and dist/sluice.yaml shows all of them
// with their defaults. Reading is strict: a key that does not exist, a value of the
// wrong kind and a number without its unit are errors that name file, line and
// column and show the line. Anchors, aliases and tags are not understood.
//
//	sluice.yaml:3:10: no_data: "10" has no unit: write 10s for seconds
//	   3 | no_data: 10
//	     |          ^
//
// Every setting is a Value, text that is checked when it is set. So a flag of the
// command line is the same thing as its key in the file: Set takes both.
package config

import (
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"time"
)

// Config is all that can be set. Default makes one that can be used as it is.
type Config struct {
	Listen    string // user port, HOST:PORT
	Admin     string // admin port, HOST:PORT
	Engines   int    // gng processes; 0 = one a core
	Interface string // where multicast groups are joined; "" = the system's choice

	Allow   []netip.Prefix // clients that may watch
	Sources []netip.Prefix // what may be asked for

	Linger time.Duration // a channel without clients is kept so long; 0 = not at all
	NoData time.Duration // a source that is silent for so long is gone
	Stall  time.Duration // a client that takes nothing for so long is closed

	History History

	Grace  time.Duration // an orderly end may take so long
	RunDir string        // locks and sockets; "" = process.DefaultRunDir
	Log    Log
}

// History is what is kept of every channel for clients that come or lag.
type History struct {
	Depth   time.Duration // how far back
	Channel int64         // bytes a channel at most
	Total   int64         // bytes of all channels together; 0 = a quarter of the memory
}

// Log says what is logged.
type Log struct{ Level slog.Level }

// setting is one key of the file.
type setting struct {
	key   string // with the keys above it: history.depth
	value Value
}

// settings binds the keys to the fields of c, in the order of the example file.
func (c *Config) settings() []setting {
	return []setting{
		{"listen", address{&c.Listen}},
		{"admin", address{&c.Admin}},
		{"engines", count{&c.Engines, maxEngines}},
		{"interface", word{&c.Interface}},
		{"allow", prefixes{&c.Allow}},
		{"sources", prefixes{&c.Sources}},
		{"linger", duration{&c.Linger, 0}},
		{"no_data", duration{&c.NoData, time.Millisecond}},
		{"stall", duration{&c.Stall, time.Millisecond}},
		{"history.depth", duration{&c.History.Depth, time.Millisecond}},
		{"history.channel", size{&c.History.Channel, 1 << 20}},
		{"history.total", size{&c.History.Total, 0}},
		{"grace", duration{&c.Grace, time.Millisecond}},
		{"run_dir", word{&c.RunDir}},
		{"log.level", level{&c.Log.Level}},
	}
}

func (c *Config) find(key string) (setting, bool) {
	for _, s := range c.settings() {
		if s.key == key {
			return s, true
		}
	}
	return setting{}, false
}

// Keys lists all keys, in the order of the example file; those below another one
// are joined by a dot.
func Keys() []string {
	var keys []string
	for _, s := range new(Config).settings() {
		keys = append(keys, s.key)
	}
	return keys
}

// Set gives a setting another value, as text. A list is written with commas.
func (c *Config) Set(key, text string) error {
	s, ok := c.find(key)
	if !ok {
		return fmt.Errorf("unknown key %q%s", key, didYouMean(key, Keys()))
	}
	return s.value.Set(text)
}

// Get returns a setting as the text that Set takes, "" for an unknown key.
func (c *Config) Get(key string) string {
	s, ok := c.find(key)
	if !ok {
		return ""
	}
	return s.value.String()
}

// YAML is c as a file that Load reads back.
func (c *Config) YAML() []byte {
	var b strings.Builder
	above := ""
	for _, s := range c.settings() {
		group, name, nested := strings.Cut(s.key, ".")
		if !nested {
			fmt.Fprintf(&b, "%s: %s\n", s.key, yamlText(s.value))
			continue
		}
		if group != above {
			fmt.Fprintf(&b, "%s:\n", group)
			above = group
		}
		fmt.Fprintf(&b, "  %s: %s\n", name, yamlText(s.value))
	}
	return []byte(b.String())
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
