package config

import (
	"fmt"
	"maps"
	"slices"

	"sluice/internal/config/tree"
)

// Keys lists the keys that Set takes, in the order of the example file; those below
// another one are joined by a dot.
func Keys() []string { return new(Config).settings().keys() }

// Set gives a setting another value, as text; a list is written with commas. Channels
// that are there keep what they have.
func (c *Config) Set(key, text string) error { return c.SetBy("", key, text) }

// SetBy is Set by a flag of the command line, which is then where the value came from.
func (c *Config) SetBy(flag, key, text string) error {
	s, ok := c.settings().find(key)
	if !ok {
		return unknownKey(key, Keys())
	}
	if err := s.value.Set(text); err != nil {
		return err
	}
	c.from = maps.Clone(c.from)
	c.note(key, From{Flag: flag})
	return nil
}

// About is what the reference says of a key: what it is (its type) and one sentence or two; "" for an unknown key.
func About(key string) (what, about string) {
	s, ok := new(Config).settings().find(key)
	if !ok {
		return "", ""
	}
	return s.value.Type(), s.about
}

// Add adds a member to a group, such as origin.sinks, and sets keys of it: names and texts in turn.
func (c *Config) Add(group, name string, pairs ...string) error {
	groups := c.groups()
	i := slices.IndexFunc(groups, func(n named) bool { return n.key == group })
	if i < 0 {
		return fmt.Errorf("unknown group %q", group)
	}
	t, err := groups[i].add(name)
	if err != nil {
		return err
	}
	for p := range slices.Chunk(pairs, 2) {
		s, ok := t.find(p[0])
		if !ok {
			return unknownKey(p[0], t.keys())
		}
		if err := s.value.Set(p[1]); err != nil {
			return fmt.Errorf("%s: %w", p[0], err)
		}
	}
	return nil
}

func unknownKey(key string, keys []string) error {
	return fmt.Errorf("unknown key %q%s", key, didYouMean(key, keys))
}

// Get returns a setting as the text that Set takes, "" for an unknown key.
func (c *Config) Get(key string) string {
	s, ok := c.settings().find(key)
	if !ok {
		return ""
	}
	return s.value.String()
}

// From is where a value came from. The zero From is the default.
type From struct {
	Place tree.Place // in a file
	Flag  string     // of the command line: --listen
}

// String is FILE:LINE, the flag or "default".
func (o From) String() string {
	switch {
	case o.Flag != "":
		return o.Flag
	case o.Place.File != "":
		return o.Place.String()
	}
	return "default"
}

// From says where a setting is from; those of channels and routes have keys such as
// channels.news.source.
func (c *Config) From(key string) From { return c.from[key] }

// File is the path that c was read from, "" when it was from none.
func (c *Config) File() string { return c.file }

func (c *Config) note(key string, o From) {
	if c.from == nil {
		c.from = map[string]From{}
	}
	c.from[key] = o
}

// place is where key is said, or else the file as such, without credentials.
func (c *Config) place(key string) tree.Place {
	o := c.from[key]
	o.Place.Text = maskLine(o.Place.Text)
	switch {
	case o.Flag != "":
		return tree.Place{File: o.Flag}
	case o.Place.File != "":
		return o.Place
	case c.file != "":
		return tree.Place{File: c.file}
	}
	return tree.Place{File: "configuration"}
}

// Validate says what does not fit together once flags are set: each of them was checked
// for itself. What Parse has read and no flag has changed gives no error. Of the relay, which
// others than Parse may have filled in, it says what could not be read in a file, too.
func (c *Config) Validate() error {
	errs := c.relayUnsayable()
	if len(errs) == 0 {
		errs = c.mismatches()
	}
	if len(errs) > 0 {
		return errs
	}
	return nil
}

// mismatches are the settings that do not fit together, those of channels apart.
func (c *Config) mismatches() (errs Errors) {
	if (c.TLS.Certificate == "") != (c.TLS.Key == "") {
		errs = append(errs, c.place("tls").Errorf("tls: want both certificate and key"))
	}
	for _, at := range []struct {
		key   string
		doors []Door
	}{{"listen", c.Listen}, {"admin", []Door{c.Admin}}, {"relay.admin", []Door{c.Relay.Admin}}} {
		secure := slices.IndexFunc(at.doors, func(d Door) bool { return d.TLS })
		if secure >= 0 && c.TLS.Certificate == "" {
			errs = append(errs, c.place(at.key).Errorf("%s: %s needs tls.certificate and tls.key", at.key, at.doors[secure]))
		}
	}
	if len(c.Listen) == 0 && !c.HasOrigin() {
		errs = append(errs, c.place("listen").Errorf("listen: the list is empty; leave the key out for the default"))
	}
	for _, r := range c.Routes {
		if err := r.check(); err != nil {
			errs = append(errs, c.place(routesKey+"."+r.Name).Errorf("route %s: %s", r.Name, err))
		}
	}
	return append(append(errs, c.relayMismatches()...), c.originMismatches()...)
}
