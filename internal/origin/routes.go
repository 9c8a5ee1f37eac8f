package origin

import (
	"io/fs"
	"net/url"
	"path"
	"path/filepath"
	"strings"

	"sluice/internal/creds"
)

// mount is a Mount at its place.
type mount struct {
	Mount
	at    string // the beginning of its paths, no slash around it; "" = the root
	shelf *shelf // nil without a store
}

// place is a name in a mount.
type place struct {
	*mount
	name string
}

// parsePath makes the name of an object of the path of a URL, "." of the root. directory says that the path ended with a slash. What is
// not exactly one object, however it is spelled, is no name: empty elements, dots, and slashes, backslashes or NUL that were escaped.
func parsePath(u *url.URL) (name string, directory, ok bool) {
	p, rooted := strings.CutPrefix(u.Path, "/")
	escaped := strings.ToLower(u.EscapedPath())
	if !rooted || strings.Contains(escaped, "%2f") || strings.ContainsAny(p, "\\\x00") {
		return "", false, false
	}
	if p == "" {
		return ".", true, true
	}
	p, directory = strings.CutSuffix(p, "/")
	return p, directory, p != "." && fs.ValidPath(p)
}

// placesToRead are where an object may be, in the order in which it is looked for; only with Config.Merge there are several.
func (s *site) placesToRead(name string) []place {
	for _, m := range s.mounts {
		if rest, ok := below(name, m.at); ok && m.at != "" {
			return []place{{m, rest}}
		}
	}
	var all []place
	for _, m := range s.mounts {
		if m.at == "" {
			all = append(all, place{m, name})
		}
	}
	return all
}

// placeToWrite is where an upload goes: into a named mount whose rule speaks of writing, else into the write directory, else into a mount at the
// root whose rule does. Whether this one may write there is for the rule to say.
func (s *site) placeToWrite(name string) (place, bool) {
	places := s.placesToRead(name)
	claimed := func(p place) bool {
		rule, ok := s.ruleOf(p)
		return ok && (rule.Writable || rule.Write.None)
	}
	if len(places) == 1 && places[0].at != "" && claimed(places[0]) {
		return places[0], true
	}
	if s.write != nil {
		return place{s.write, name}, true
	}
	for _, p := range places {
		if p.at == "" && claimed(p) {
			return p, true
		}
	}
	return place{}, false
}

// below is the rest of a name below a directory; "." of itself.
func below(name, dir string) (rest string, ok bool) {
	if name == dir {
		return ".", true
	}
	return strings.CutPrefix(name, dir+"/")
}

// ruleOf is the rule that holds at a place.
func (s *site) ruleOf(p place) (creds.Rule, bool) {
	if s.conf.Rules == nil || p.mount == nil {
		return creds.Rule{}, false
	}
	if p.Dir == "" {
		return s.conf.Rules.Of(path.Join(creds.Memory, p.name))
	}
	return s.conf.Rules.Of(filepath.Join(p.Dir, filepath.FromSlash(p.name)))
}

// writable says whether anything may be uploaded by anybody.
func (s *site) writable() bool {
	if s.write != nil {
		return true
	}
	if s.conf.Rules == nil {
		return false
	}
	for _, rule := range s.conf.Rules.Rules() {
		if rule.Writable || rule.Write.None {
			return true
		}
	}
	return false
}

// isSource says whether an upload to a path is a channel.
func (s *site) isSource(p string) bool {
	for _, prefix := range s.conf.Sources {
		if strings.HasPrefix(p, prefix) && len(p) > len(prefix) {
			return true
		}
	}
	return false
}
