package config

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"sluice/internal/config/tree"
)

// Files of gigapxy have a section for each module, ws for gws and ng for gng. What is
// known of it is read with its names, defaults and meanings; each is another name for a
// key of ours, which overrules it.
//
// One default is not kept: gigapxy's modules find each other at /var/run/gpx-ngcomm.socket,
// where no process can make or remove a socket that has given up root, and nobody else asks
// for it there. Where nothing is said ours holds, whichever sections there are.

// synonym is a setting of gigapxy's.
type synonym struct {
	name    string                       // with its section: ws.ng.socket_path
	key     string                       // of ours
	convert func(string) (string, error) // to the text of the key; nil = as it is
}

func synonyms() []synonym {
	list := []synonym{
		{name: "ws.ng.socket_path", key: "socket"},
		{name: "ws.ng.force_shutdown", key: "force_shutdown"},
		{name: "ws.ng.pick_method", key: "spread"},
		{name: "ws.ng.accept_min_attached", key: "min_engines"},
		{name: "ws.split_channels", key: "split_channels"},
		{name: "ws.report.cache_timeout_ms", key: "report.cache", convert: milliseconds},
		{name: "ws.auth.aux_params", key: "auth.listener_alias", convert: listenerAlias},
		{name: "ng.ng_socket_path", key: "socket"},
	}
	for _, section := range []string{"ws", "ng"} {
		list = append(
			list,
			synonym{name: section + ".log.level_default", key: "log.level"},
			synonym{name: section + ".log.file", key: "log.file"},
			synonym{name: section + ".log.max_size_mb", key: "log.max_size", convert: mebibytes},
			synonym{name: section + ".log.max_files", key: "log.max_files"},
			synonym{name: section + ".log.time_format", key: "log.time"},
		)
	}
	return list
}

func milliseconds(text string) (string, error) {
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		return "", fmt.Errorf("bad number %q: want milliseconds, without a unit", text)
	}
	if n > uint64(maxTime/time.Millisecond) {
		return "", fmt.Errorf("bad number %q: want %d milliseconds at most", text, maxTime/time.Millisecond)
	}
	return (time.Duration(n) * time.Millisecond).String(), nil
}

func mebibytes(text string) (string, error) {
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil || n == 0 {
		return "", fmt.Errorf("bad number %q: want 1 or more (MiB), without a unit", text)
	}
	return strconv.FormatUint(n, 10) + "MiB", nil
}

// listenerAlias reads the names of the fields that requests to helpers have besides, of
// which one is known.
func listenerAlias(text string) (string, error) {
	words := strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == ',' })
	for _, w := range words {
		if w != "listener-alias" {
			return "", fmt.Errorf("unknown field %q: want listener-alias", w)
		}
	}
	return strconv.FormatBool(len(words) > 0), nil
}

func isSection(name string) bool { return name == "ws" || name == "ng" }

// ownSections are those that a role reads; it does not look at the other.
func ownSections(role Role) []string {
	switch role {
	case GWS:
		return []string{"ws"}
	case GNG:
		return []string{"ng"}
	case Relay, OriginRole:
		return nil
	}
	return []string{"ws", "ng"}
}

// sections sets what the role's sections say.
func (d *decoder) sections(top *tree.Node) {
	if !d.lenient {
		return
	}
	for _, name := range ownSections(d.config.role) {
		for _, m := range top.Members {
			if m.Name == name {
				d.section(m, "")
			}
		}
	}
}

// section sets a member of a section that stands below path.
func (d *decoder) section(m tree.Member, path string) {
	path += m.Name
	list := synonyms()
	i := slices.IndexFunc(list, func(s synonym) bool { return s.name == path })
	switch {
	case i >= 0:
		d.synonym(list[i], m)
	case !slices.ContainsFunc(list, func(s synonym) bool { return strings.HasPrefix(s.name, path+".") }):
		d.unknown(m.Place, "unknown setting %s", path)
	case m.Value.Kind != tree.Group:
		d.wantKeys(m, path)
	default:
		d.config.note(path, From{Place: m.Place})
		for _, x := range m.Value.Members {
			d.section(x, path+".")
		}
	}
}

// synonym sets our key to what another name of it says; what was said by then stays.
func (d *decoder) synonym(s synonym, m tree.Member) {
	own, _ := d.config.settings().find(s.key)
	before, said := own.value.String(), d.config.from[s.key]
	text, err := joined(m.Value)
	if err == nil && s.convert != nil {
		text, err = s.convert(text)
	}
	if err == nil {
		err = own.value.Set(text)
	}
	switch {
	case err != nil:
		d.fail(m.Value.Place, "%s: %s", s.name, err)
	case said.Place.Line == 0:
		d.config.note(s.key, From{Place: m.Place})
	case own.value.String() != before:
		d.warn(m.Place, "%s is left out: %s in %s is another name for it, and one holds for all", s.name, s.key, said)
		_ = own.value.Set(before) // as it was
	}
}

// joined is a value as one text, the items of a list with blanks between them.
func joined(n *tree.Node) (string, error) {
	if n.Kind.Scalar() {
		return n.Text, nil
	}
	var words []string
	for _, item := range n.Items {
		if !item.Kind.Scalar() {
			return "", errors.New("want a list of texts")
		}
		words = append(words, item.Text)
	}
	if n.Kind != tree.List {
		return "", errors.New("want one value")
	}
	return strings.Join(words, " "), nil
}

// overrule warns when a key of ours stands beside another name for it.
func (d *decoder) overrule(key string, place tree.Place) {
	if said := d.config.from[key]; said.Place.Line > 0 {
		d.warn(said.Place, "this is left out: %s is set in %s", key, place)
	}
}

// Mandatory says what has to be set and is not, with the place where it belongs: a daemon
// needs a log file.
func (c *Config) Mandatory(daemon bool) error {
	if !daemon || c.Log.File != "" {
		return nil
	}
	name, place := "log.file", c.place("log")
	for _, section := range ownSections(c.role) {
		for _, at := range []string{section, section + ".log"} {
			if o, ok := c.from[at]; ok && c.from["log"].Place.Line == 0 {
				name, place = section+".log.file", o.Place
			}
		}
	}
	if o := c.from["log.file"]; o.Place.Line != 0 { // it is said to be empty
		place = o.Place
	}
	if c.file == "" {
		return errors.New("log.file is not set: a daemon needs a log file (no configuration file was found; --logfile FILE, or -T to stay in the foreground)")
	}
	return place.Errorf("%s is not set: a daemon needs a log file (or --logfile FILE, or -T to stay in the foreground)", name)
}
