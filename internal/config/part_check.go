package config

import (
	"fmt"
	"strings"

	"sluice/internal/config/tree"
)

// partCheck finds what of a role's part does not fit together.
type partCheck struct {
	c    *Config
	path string // of the member of a group that is looked at
	errs Errors
}

// enter begins with another member of a group.
func (k *partCheck) enter(group, name string, seen map[string]bool) {
	k.path = group + "." + name
	if seen[k.path] {
		k.fail("", "there is another of this name")
	}
	seen[k.path] = true
}

// fail notes a mistake in a setting of what is looked at, or in it as a whole if key
// is empty; its place is that of the setting, if it is said.
func (k *partCheck) fail(key, format string, args ...any) {
	name := k.path
	if key != "" {
		name += "." + key
	}
	k.errs = append(k.errs, k.c.placeIn(k.path, key).Errorf("%s: %s", name, fmt.Sprintf(format, args...)))
}

// placeIn is where a key of the member at path is said, or else the member.
func (c *Config) placeIn(path, key string) tree.Place {
	if o := c.from[path+"."+key]; o != (From{}) {
		return c.place(path + "." + key)
	}
	return c.place(path)
}

// named wants that a member of a group can be said; spare is the table of another one.
func (k *partCheck) named(kind, group string, b binding, spare table) {
	k.path = group
	if err := checkName(kind, b.name); err != nil {
		k.fail("", "%s", err)
		return
	}
	k.path += "." + b.name
	for _, s := range b.table {
		k.sayable(s, spare)
	}
}

// sayable wants that the text of s can be set, which it tries at the same key of spare.
func (k *partCheck) sayable(s setting, spare table) {
	same, _ := spare.find(s.key)
	to, isList := same.value.(List)
	if !isList {
		if err := same.value.Set(s.value.String()); err != nil {
			k.fail(strings.TrimPrefix(s.key, "relay."), "%s", err)
		}
		return
	}
	for _, item := range s.value.(List).Items() {
		if err := to.Add(item); err != nil {
			k.fail(s.key, "%s", err)
		}
	}
}
