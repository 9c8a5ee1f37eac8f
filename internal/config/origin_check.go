package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"sluice/internal/creds"
)

// originCheck finds what of the origin does not fit together.
type originCheck struct{ partCheck }

// originMismatches are the settings of the origin that do not fit together.
func (c *Config) originMismatches() Errors {
	k := &originCheck{partCheck{c: c, path: "origin"}}
	k.doors()
	k.places()
	if err := checkHeaders(c.Origin.Headers); err != nil {
		k.fail("hdrs", "%s", err)
	}
	if c.Origin.JS == "" && c.Origin.JSWorkers != 0 {
		k.fail("js_workers", "there is no script; want origin.js")
	}
	seen := map[string]bool{}
	k.sinks(seen)
	k.records(seen)
	k.pushes(seen)
	if len(k.errs) == 0 {
		k.channels()
	}
	return k.errs
}

// add notes a mistake that knows its place.
func (k *originCheck) add(err error) {
	var bad *Error
	if !errors.As(err, &bad) {
		bad = k.c.place(k.path).Errorf("%s: %s", k.path, err)
	}
	k.errs = append(k.errs, bad)
}

func (k *originCheck) doors() {
	o := &k.c.Origin
	if (o.Cert == "") != (o.Key == "") {
		k.fail("cert", "want both cert and pkey")
	}
	for _, at := range []struct {
		key   string
		doors []Door
		have  string
		want  string
	}{
		{"listen", o.Listen, k.c.OriginTLS().Certificate, "origin.cert and origin.pkey"},
		{"admin", []Door{o.Admin}, k.c.TLS.Certificate, "tls.certificate and tls.key"},
	} {
		if i := slices.IndexFunc(at.doors, func(d Door) bool { return d.TLS }); i >= 0 && at.have == "" {
			k.fail(at.key, "%s needs a certificate and its key, as %s have them", at.doors[i], at.want)
		}
	}
}

// places finds directories that are there for nothing, or twice.
func (k *originCheck) places() {
	o := &k.c.Origin
	for i, dir := range o.ReadDirs {
		if slices.Contains(o.ReadDirs[:i], dir) {
			k.fail("rdirs", "%s is there twice", dir)
		}
	}
	if len(o.Points) > 0 && !o.Ingest {
		k.fail("ingest_points", "there are no publishing points without the ingest profile; want origin.ingest: true")
	}
	if o.WriteDir == GMem && !slices.Contains(o.ReadDirs, GMem) {
		k.fail("wdir", "what is uploaded into the memory can be read by nobody; want gmem in rdirs, too")
	}
}

func (k *originCheck) sinks(seen map[string]bool) {
	paths := map[string]string{}
	for _, s := range k.c.Origin.SinkList {
		k.enter(sinksKey, s.Name, seen)
		k.madePath(s.path(), s.Path)
		if other, taken := paths[s.path()]; taken {
			k.fail("path", "%s is that of the sink %s, too", s.path(), other)
		}
		paths[s.path()] = s.Name
		if err := checkHeaders(s.Headers); err != nil {
			k.fail("headers", "%s", err)
		}
	}
}

// madePath wants that a name alone makes a path.
func (k *originCheck) madePath(made, said string) {
	if said == "" {
		if err := checkPlainPath(made); err != nil {
			k.fail("", "%s; want path", err)
		}
	}
}

func (k *originCheck) records(seen map[string]bool) {
	objects := map[string]string{}
	for _, r := range k.c.Origin.RecordList {
		k.enter(recordsKey, r.Name, seen)
		k.madePath("/"+r.object(), r.Path)
		if other, taken := objects[r.object()]; taken {
			k.fail("path", "the record %s writes into %s, too", other, r.object())
		}
		objects[r.object()] = r.Name
	}
}

func (k *originCheck) pushes(seen map[string]bool) {
	for _, p := range k.c.Origin.PushList {
		k.enter(pushesKey, p.Name, seen)
		if len(p.To) == 0 {
			k.fail("", "it goes nowhere; it wants a key such as to: [http://cdn.example/live/]")
		}
		if p.From == GMem && !slices.Contains(k.c.Origin.readDirs(), GMem) {
			k.fail("from", "there is nothing in the memory; want gmem in origin.rdirs")
		}
		if err := checkHeaders(p.Headers); err != nil {
			k.fail("headers", "%s", err)
		}
		if p.CA != "" && !p.Verify {
			k.fail("ca", "certificates are not looked at; want verify: true")
		}
	}
}

// originWarnings are what of the origin is odd and no mistake.
func (c *Config) originWarnings() (warnings []*Error) {
	o := &c.Origin
	warn := func(key, format string, args ...any) {
		warnings = append(warnings, c.place("origin."+key).Errorf("origin.%s: %s", key, fmt.Sprintf(format, args...)))
	}
	if o.UsersFile != "" && !slices.ContainsFunc(o.ReadDirs, func(dir string) bool { return dir != GMem && creds.IsRules(dir) }) {
		warn("users", "no file of rules names them; want one in rdirs")
	}
	for _, text := range o.oddRules() {
		warn("rdirs", "%s", text)
	}
	if o.UserPort && !c.HasOrigin() {
		warn("user_port", "there is nothing that the user ports could carry; want rdirs, sinks or the like")
	}
	return warnings
}

// oddRules tells of rules that serve nothing, and of names in them that nobody has.
func (o *OriginPart) oddRules() (odd []string) {
	_, rules, err := o.mounts()
	if err != nil || rules == nil {
		return nil
	}
	for _, r := range rules.Rules() {
		if !r.Exists && r.Parent == "" && !r.OfMemory() && o.JS == "" {
			odd = append(odd, fmt.Sprintf("there is no directory %s, for which there is a rule: nobody is served it", r.Dir))
		}
	}
	var users *creds.Users
	if o.UsersFile != "" {
		if users, err = creds.ReadUsers(o.UsersFile); err != nil {
			return odd
		}
	}
	switch strangers := rules.Strangers(users); {
	case len(strangers) > 0 && users == nil:
		odd = append(odd, "the rules want to know "+listed(strangers)+", and there is no file of users; want origin.users")
	case len(strangers) > 0:
		odd = append(odd, "the rules want to know "+listed(strangers)+", and "+o.UsersFile+" does not")
	}
	return odd
}

// listed are the first few of many names.
func listed(names []string) string {
	const most = 5
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

// origin looks at the files of the origin.
func (k *fileCheck) origin() {
	o := &k.c.Origin
	k.pair("origin.cert", o.Cert, o.Key)
	_, err := k.c.OriginConfig()
	var bad *Error
	if errors.As(err, &bad) {
		k.errs = append(k.errs, bad)
		return
	}
	k.fail("origin", err)
}
