package creds

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
)

// maxRules bounds the sections of a rule file.
const maxRules = 10_000

// Rules are a rule file.
type Rules struct {
	list     []Rule         // by Dir
	at       map[string]int // their places, by Dir
	warnings []string
}

// ReadRules reads a rule file of 1 MiB and 10 000 sections at most. Errors name file and line.
func ReadRules(path string) (*Rules, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	text, err := readFile(path)
	if err != nil {
		return nil, err
	}
	return parseRules(path, text, func(dir string) bool {
		info, err := os.Stat(dir)
		return err == nil && info.IsDir()
	})
}

// IsRules says whether path is a file that reads like rules (then it is not a directory): what it says first is a [section].
func IsRules(path string) bool {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return false
	}
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		line := strings.TrimSpace(strings.TrimPrefix(lines.Text(), "\ufeff"))
		if line != "" && line[0] != '#' && line[0] != ';' {
			_, begins, err := sectionOf(line)
			return begins && err == nil
		}
	}
	return false
}

// Rules lists the rules whose filters name httpout, sorted by Dir.
func (r *Rules) Rules() []Rule { return slices.Clone(r.list) }

// Warnings tells what the file says that has no meaning here.
func (r *Rules) Warnings() []string { return slices.Clone(r.warnings) }

// Of is the rule that holds for a file of the disk: that of the longest directory it lies in; false if none. A file of
// the store in memory is below Memory. Links are not followed: the name decides.
func (r *Rules) Of(file string) (Rule, bool) {
	for dir := range upwards(filepath.Clean(file)) {
		if i, there := r.at[dir]; there {
			return r.list[i], true
		}
	}
	return Rule{}, false
}

// upwards yields a clean path and the directories it lies in, the longest first.
func upwards(path string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for path != "." && yield(path) {
			up := filepath.Dir(path)
			if up == path {
				return
			}
			path = up
		}
	}
}

// Strangers are the users and groups, sorted, that rules name and u does not know; of nil nobody is known.
func (r *Rules) Strangers(u *Users) []string {
	known := make(map[string]bool)
	if u != nil {
		known["group "+everybody] = true
		for name, one := range u.known {
			known["user "+name] = true
			for _, group := range one.groups {
				known["group "+group] = true
			}
		}
	}
	strangers := make(map[string]bool)
	see := func(what string, names []string) {
		for _, name := range names {
			if !known[what+name] {
				strangers[what+name] = true
			}
		}
	}
	for _, rule := range r.list {
		for _, who := range []Who{rule.Read, rule.Write} {
			see("user ", who.Users)
			see("group ", who.Groups)
		}
	}
	return slices.Sorted(maps.Keys(strangers))
}

// parseRules reads text; file is its absolute path, isDir says what is a directory.
func parseRules(file string, text []byte, isDir func(string) bool) (*Rules, error) {
	sections, err := readINI(file, text)
	if err != nil {
		return nil, err
	}
	if len(sections) > maxRules {
		return nil, fmt.Errorf("%s: %d sections, %d at most", file, len(sections), maxRules)
	}
	r := &Rules{at: make(map[string]int)}
	dirs, names := make(map[string]int), make(map[string]int) // the lines they stand in
	for _, s := range sections {
		rule, ours, err := r.rule(file, s)
		if err != nil {
			return nil, err
		}
		if !ours {
			continue
		}
		rule.Exists = isDir(rule.Dir)
		if line, taken := dirs[rule.Dir]; taken {
			return nil, fmt.Errorf("%s:%d: the directory %q has a section in line %d already", file, s.line, rule.Dir, line)
		}
		if line, taken := names[rule.Name]; taken && rule.Name != "" {
			return nil, fmt.Errorf("%s:%d: the name %q is that of the section in line %d already", file, s.line, rule.Name, line)
		}
		dirs[rule.Dir], names[rule.Name] = s.line, s.line
		r.list = append(r.list, rule)
	}
	r.sort()
	for _, rule := range r.list {
		if rule.Parent != "" && rule.Name != "" {
			r.warnings = append(r.warnings, fmt.Sprintf("%s:%d: the name %q is not used: the directory lies in %q, which has a section, too",
				file, dirs[rule.Dir], rule.Name, rule.Parent))
		}
	}
	return r, nil
}

// sort sorts the rules, and finds out which lies in which.
func (r *Rules) sort() {
	slices.SortFunc(r.list, func(a, b Rule) int { return cmp.Compare(a.Dir, b.Dir) })
	for i, rule := range r.list {
		r.at[rule.Dir] = i
	}
	for i, rule := range r.list {
		for dir := range upwards(rule.Dir) {
			if _, there := r.at[dir]; there && dir != rule.Dir {
				r.list[i].Parent = dir
				break
			}
		}
	}
}

var errKey = errors.New("there is no such key: want name, ru, rg, wu, wg, filters or mcast")

// rule makes the rule of a section; ours is false if its filters leave us out.
func (r *Rules) rule(file string, s section) (rule Rule, ours bool, err error) {
	rule, ours = Rule{Dir: dirOf(filepath.Dir(file), s.name)}, true
	for _, k := range s.keys {
		switch k.name {
		case "name":
			rule.Name, err = mountName(k.value)
		case "ru":
			err = rule.Read.add(&rule.Read.Users, "user", k.value)
		case "rg":
			err = rule.Read.add(&rule.Read.Groups, "group", k.value)
		case "wu":
			err = rule.Write.add(&rule.Write.Users, "user", k.value)
		case "wg":
			err = rule.Write.add(&rule.Write.Groups, "group", k.value)
		case "filters":
			ours = forUs(k.value)
		case "mcast":
		default:
			err = errKey // a mistyped ru would leave a directory open to everybody
		}
		if err != nil {
			return Rule{}, false, &lineError{file: file, line: k.line, text: k.name + "=" + k.value[:min(len(k.value), shown)], why: err}
		}
	}
	rule.Writable = !rule.Write.unsaid() && !rule.Write.None
	return rule, ours, nil
}

// dirOf is the directory that a section names in a file of the directory base.
func dirOf(base, name string) string {
	dir := filepath.Clean(filepath.FromSlash(name))
	if filepath.IsAbs(dir) || dir == Memory || strings.HasPrefix(dir, Memory+string(filepath.Separator)) {
		return dir
	}
	return filepath.Join(base, dir)
}

// mountName is the name of a mount: elements of a path, which may be escaped as in a URL.
func mountName(value string) (string, error) {
	name, err := url.PathUnescape(strings.Trim(value, "/"))
	if err != nil || !fs.ValidPath(name) || name == "." || strings.ContainsFunc(name, notInNames) {
		return "", errors.New("no name of a mount: want elements of a path, such as vod or live/tv")
	}
	return name, nil
}

func notInNames(r rune) bool { return r == '\\' || !unicode.IsPrint(r) }

func forUs(filters string) bool {
	for name := range strings.SplitSeq(filters, ",") {
		switch strings.TrimSpace(name) {
		case "httpout", "*", "all":
			return true
		}
	}
	return false
}

// add adds the names of a list, which is one of those of w.
func (w *Who) add(list *[]string, what, value string) error {
	said := 0
	for name := range strings.SplitSeq(value, ",") {
		name = strings.TrimSpace(name)
		if name == "" {
			continue
		}
		said++
		switch name {
		case "$ALL":
			w.All = true
		case "$NONE":
			w.None = true
		default:
			if err := checkName(what, name); err != nil {
				return err
			}
			*list = append(*list, name)
		}
	}
	switch names := len(w.Users) + len(w.Groups); {
	case said == 0:
		return errors.New("nobody is named: leave the line out, or say $NONE")
	case w.All && w.None, (w.All || w.None) && names > 0:
		return errors.New("$ALL and $NONE stand alone: there is no other name besides, of users or groups")
	}
	return nil
}
