package creds

import (
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Users are a file of users. They do not change: a file that has changed is read again.
type Users struct {
	known   map[string]user
	dummy   hash // what is compared for who is not known; it costs as much as the dearest of the known
	turns   *turns
	memory  *memory
	secrets [32]byte // the key of what memory keeps
}

// user is somebody who is known.
type user struct {
	hash   hash
	groups []string
}

// String tells how many there are, and nothing of them.
func (u *Users) String() string { return fmt.Sprintf("%d users", len(u.known)) }

// GoString is String: %#v shows no secrets either.
func (u *Users) GoString() string { return u.String() }

// ReadUsers reads a file of users, of 1 MiB at most: ours, or GPAC's users.cfg, which begins with a [section]. Errors name file and
// line, and show no hash.
func ReadUsers(path string) (*Users, error) {
	text, err := readFile(path)
	if err != nil {
		return nil, err
	}
	known, err := parseUsers(path, text)
	if err != nil {
		return nil, err
	}
	return newUsers(known), nil
}

func newUsers(known map[string]user) *Users {
	cost := 0
	for _, one := range known {
		cost = max(cost, one.hash.cost())
	}
	if cost == 0 {
		cost = newCost
	}
	u := &Users{known: known, dummy: nobodys(cost), turns: newTurns(), memory: newMemory()}
	rand.Read(u.secrets[:]) // never fails
	return u
}

// parseUsers reads either kind of file.
func parseUsers(file string, text []byte) (map[string]user, error) {
	if isGPAC(text) {
		return parseGPAC(file, text)
	}
	f, err := parseFile(file, text)
	return f.users, err
}

// usersFile is a file of ours: what it says, and its lines as they stand there.
type usersFile struct {
	users map[string]user
	lines []string
	at    map[string]int // users' places in lines
}

func parseFile(file string, text []byte) (usersFile, error) {
	f := usersFile{users: make(map[string]user), at: make(map[string]int)}
	for line := range strings.Lines(strings.TrimPrefix(string(text), "\ufeff")) {
		line = strings.TrimRight(line, " \t\r\n")
		f.lines = append(f.lines, line)
		if strings.TrimSpace(line) == "" || strings.TrimSpace(line)[0] == '#' {
			continue
		}
		name, one, err := parseUser(line)
		if _, twice := f.users[name]; twice && err == nil {
			err = fmt.Errorf("%s stands in line %d already", name, f.at[name]+1)
		}
		if err != nil {
			return usersFile{}, &lineError{file: file, line: len(f.lines), why: err}
		}
		f.users[name], f.at[name] = one, len(f.lines)-1
	}
	return f, nil
}

// parseUser reads a line: NAME:HASH or NAME:HASH:GROUP,GROUP.
func parseUser(line string) (name string, one user, err error) {
	fields := strings.Split(line, ":")
	if len(fields) != 2 && len(fields) != 3 {
		return "", user{}, errors.New("want NAME:HASH or NAME:HASH:GROUP,GROUP")
	}
	if err := checkName("user", fields[0]); err != nil {
		return "", user{}, errors.New("this begins with no name of a user; want NAME:HASH or NAME:HASH:GROUP,GROUP")
	}
	if one.hash, err = parseHash(fields[1]); err != nil {
		return "", user{}, fmt.Errorf("the password of %s: %w", fields[0], err)
	}
	if len(fields) == 3 {
		if one.groups, err = parseGroups(strings.Split(fields[2], ",")); err != nil {
			return "", user{}, err
		}
	}
	return fields[0], one, nil
}

// parseGroups checks names of groups, each once; users is everybody's and said of nobody.
func parseGroups(names []string) ([]string, error) {
	var groups []string
	for _, name := range names {
		name = strings.TrimSpace(name)
		if name == "" || name == everybody || slices.Contains(groups, name) {
			continue
		}
		if err := checkName("group", name); err != nil {
			return nil, err
		}
		groups = append(groups, name)
	}
	return groups, nil
}

// set has a user be what one says.
func (f *usersFile) set(name string, one user) {
	line := name + ":" + one.hash.String()
	if len(one.groups) > 0 {
		line += ":" + strings.Join(one.groups, ",")
	}
	if at, there := f.at[name]; there {
		f.lines[at] = line
	} else {
		f.at[name] = len(f.lines)
		f.lines = append(f.lines, line)
	}
	f.users[name] = one
}

// text is the file.
func (f *usersFile) text() string { return strings.Join(f.lines, "\n") + "\n" }

// isGPAC says whether a file of users is GPAC's: what it says first is a section.
func isGPAC(text []byte) bool {
	for line := range strings.Lines(strings.TrimPrefix(string(text), "\ufeff")) {
		line = strings.TrimSpace(line)
		if line != "" && line[0] != '#' && line[0] != ';' {
			return line[0] == '['
		}
	}
	return false
}

// parseGPAC reads GPAC's users.cfg: a section for each user with password and salt (and dates, which nobody needs), and a
// section groups with the members of each.
func parseGPAC(file string, text []byte) (map[string]user, error) {
	sections, err := readINI(file, text)
	if err != nil {
		if at, ok := errors.AsType[*lineError](err); ok {
			at.text = "" // a hash, perhaps
		}
		return nil, err
	}
	users := make(map[string]user)
	for _, s := range sections {
		if s.name == "groups" {
			continue
		}
		err := checkName("user", s.name)
		var h hash
		if err == nil {
			h, err = parseSalted(s.value("salt"), s.value("password"))
		}
		if err != nil {
			return nil, &lineError{file: file, line: s.line, why: fmt.Errorf("the user %q: %w", s.name, err)}
		}
		users[s.name] = user{hash: h}
	}
	return users, addGroups(file, users, sections)
}

// addGroups gives users their groups. Members that are no users are none.
func addGroups(file string, users map[string]user, sections []section) error {
	at := slices.IndexFunc(sections, func(s section) bool { return s.name == "groups" })
	if at < 0 {
		return nil
	}
	for _, group := range sections[at].keys {
		names, err := parseGroups([]string{group.name})
		if err != nil {
			return &lineError{file: file, line: group.line, why: err}
		}
		for member := range strings.SplitSeq(group.value, ",") {
			member = strings.TrimSpace(member)
			if one, known := users[member]; known {
				one.groups = append(one.groups, names...)
				users[member] = one
			}
		}
	}
	return nil
}
