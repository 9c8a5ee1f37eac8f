package config

import (
	"fmt"
	"sort"
	"strings"

	"sluice/internal/config/tree"
)

// decoder sets what one file says. It goes on after a mistake, so that all are found.
type decoder struct {
	config  *Config
	lenient bool // an unknown name is a warning
	errs    Errors
	later   map[string][]tree.Member // by its key, a group whose members the user names
	named   map[string][]tree.Place  // by the key of the group, its names
}

// The groups whose members are named by the user.
const (
	channelsKey  = "channels"
	routesKey    = "routes"
	listenersKey = "relay.listeners"
	poolsKey     = "relay.pools"
	sinksKey     = "origin.sinks"
	recordsKey   = "origin.records"
	pushesKey    = "origin.push"
)

// decode sets what the file says: first the sections of gigapxy, which everything else
// overrules; what the user names last, since it begins with what holds for all.
func (d *decoder) decode(top *tree.Node) {
	if top == nil {
		return
	}
	if top.Kind != tree.Group {
		d.fail(top.Place, "want keys with values, such as \"engines: 2\"")
		return
	}
	d.sections(top)
	d.later, d.named = map[string][]tree.Member{}, map[string][]tree.Place{}
	groups := d.config.groups()
	for _, n := range groups {
		d.later[n.key] = nil
	}
	sc := scope{table: d.config.settings()}
	for _, m := range top.Members {
		if !d.lenient || !isSection(m.Name) {
			d.member(m, sc)
		}
	}
	for _, n := range groups {
		for _, m := range d.later[n.key] {
			d.each(n, m)
		}
	}
	if len(d.errs) == 0 {
		d.check()
	}
}

func (d *decoder) fail(place tree.Place, format string, args ...any) {
	d.errs = append(d.errs, place.Errorf(format, args...))
}

func (d *decoder) warn(place tree.Place, format string, args ...any) {
	d.config.warnings = append(d.config.warnings, place.Errorf(format, args...))
}

// unknown is a name without a meaning.
func (d *decoder) unknown(place tree.Place, format string, args ...any) {
	if d.lenient {
		d.warn(place, format+"; left out", args...)
		return
	}
	d.fail(place, format, args...)
}

// each adds every member of a group whose names are the user's. It may be a list
// of groups, too, each of which has a name: in libconfig not all names can stand before =.
func (d *decoder) each(n named, m tree.Member) {
	switch m.Value.Kind {
	case tree.Group:
		for _, x := range m.Value.Members {
			d.name(n, x)
		}
	case tree.List:
		for _, item := range m.Value.Items {
			if x, ok := d.nameless(n.key, item); ok {
				d.name(n, x)
			}
		}
	default:
		d.wantKeys(m, n.key)
	}
}

// name adds a member of the group n and sets what is said of it.
func (d *decoder) name(n named, m tree.Member) {
	t, err := n.add(m.Name)
	if err != nil {
		d.fail(m.Place, "%s", err)
		return
	}
	path := n.key + "." + m.Name
	d.named[n.key] = append(d.named[n.key], m.Place)
	d.config.note(path, From{Place: m.Place})
	errs := len(d.errs)
	d.group(m, scope{path: path + ".", table: t})
	if n.need == nil || len(d.errs) > errs {
		return
	}
	if err := n.need(); err != nil {
		d.fail(m.Place, "%s", err)
	}
}

// nameless is an item of a list as a member of a group: its name is one of its keys.
func (d *decoder) nameless(list string, item *tree.Node) (tree.Member, bool) {
	var m tree.Member
	if item.Kind != tree.Group {
		d.fail(item.Place, "want a group with a name in the list %s", list)
		return m, false
	}
	rest := *item
	rest.Members = nil
	for _, x := range item.Members {
		if x.Name == "name" && x.Value.Kind.Scalar() {
			m = tree.Member{Name: x.Value.Text, Place: x.Value.Place, Value: &rest}
		} else {
			rest.Members = append(rest.Members, x)
		}
	}
	if m.Value == nil {
		d.fail(item.Place, "a group of the list %s has no name", list)
	}
	return m, m.Value != nil
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
		for i, r := range key {
			if r == '.' {
				keys = append(keys, key[:i])
			}
		}
		keys = append(keys, key)
	}
	if s.path == "" {
		keys = append(keys, listenersKey, poolsKey, sinksKey, recordsKey, pushesKey, channelsKey, routesKey)
	}
	return keys
}

// group sets the members of a group.
func (d *decoder) group(m tree.Member, sc scope) {
	if m.Value.Kind != tree.Group {
		below := strings.TrimSuffix(sc.path+sc.group, ".")
		if sc.path != "" && sc.group == "" { // it has a name, as channels have
			below += ", such as " + sc.table[0].key
		}
		d.wantKeys(m, below)
		return
	}
	for _, x := range m.Value.Members {
		d.member(x, sc)
	}
}

func (d *decoder) wantKeys(m tree.Member, below string) {
	place := m.Value.Place
	if m.Value.Kind == tree.Nothing {
		place = m.Place
	}
	d.fail(place, "want keys with values below %s", below)
}

func (d *decoder) member(m tree.Member, sc scope) {
	key := sc.group + m.Name
	if s, ok := sc.table.find(key); ok {
		s.key = sc.path + key
		d.overrule(s.key, m.Place)
		if d.setting(s, m) {
			d.config.note(s.key, From{Place: m.Place})
		}
		return
	}
	if _, ok := d.later[key]; ok && sc.path == "" {
		d.later[key] = append(d.later[key], m)
		return
	}
	if sc.table.hasGroup(key) {
		sc.group = key + "."
		d.config.note(sc.path+key, From{Place: m.Place})
		d.group(m, sc)
		return
	}
	if _, ofChannel := new(Channel).settings().find(key); ofChannel && sc.path == "" {
		d.unknown(m.Place, "%q is said of one channel: write it as %s.NAME.%s", key, channelsKey, key)
		return
	}
	d.unknown(m.Place, "unknown key %q%s", sc.path+key, didYouMean(key, sc.keys()))
}

// setting sets s, whose key is the whole path of it here. It reports whether that worked.
func (d *decoder) setting(s setting, m tree.Member) bool {
	list, isList := s.value.(List)
	switch {
	case isList && m.Value.Kind == tree.List:
		return d.list(s.key, list, m)
	case m.Value.Kind == tree.List:
		d.fail(m.Value.Place, "%s: want one value, not a list", s.key)
		return false
	}
	return d.scalar(s.key, m.Place, m.Value, s.value.Set)
}

func (d *decoder) list(key string, list List, m tree.Member) bool {
	if len(m.Value.Items) == 0 && list.Set("") != nil {
		d.fail(m.Value.Place, "%s: the list is empty: want one at least", key)
		return false
	}
	list.Clear()
	for i, item := range m.Value.Items {
		if item.Kind == tree.Group { // as [127.0.0.1:80] is, to the parser of YAML
			d.fail(item.Place, "%s[%d]: want one value; one with a colon has to stand in quotes here", key, i)
			return false
		}
		if !d.scalar(fmt.Sprintf("%s[%d]", key, i), m.Place, item, list.Add) {
			return false
		}
	}
	return true
}

// scalar gives a single value to set; name is where its key stands.
func (d *decoder) scalar(key string, name tree.Place, n *tree.Node, set func(string) error) bool {
	switch {
	case n.Kind == tree.Nothing:
		d.fail(name, "%s has no value; leave the key out for the default", key)
		return false
	case !n.Kind.Scalar():
		d.fail(n.Place, "%s: want one value", key)
		return false
	}
	if err := set(n.Text); err != nil {
		d.fail(n.Place, "%s: %s", key, err)
		return false
	}
	return true
}

// check finds what is right for itself and does not fit together.
func (d *decoder) check() {
	if d.errs = d.config.mismatches(); len(d.errs) == 0 {
		d.checkChannels()
	}
}

// checkChannels says which of the channels does not fit to those above it.
func (d *decoder) checkChannels() {
	_, err := d.config.lineup()
	if err == nil {
		return
	}
	places := d.named[channelsKey]
	if len(places) == 0 {
		d.fail(d.config.place(""), "%s", err)
		return
	}
	some := *d.config
	i := sort.Search(len(places)-1, func(i int) bool {
		some.Channels = d.config.Channels[:i+1]
		_, err := some.lineup()
		return err != nil
	})
	d.fail(places[i], "%s", err)
}
