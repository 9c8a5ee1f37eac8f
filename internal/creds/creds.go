// Package creds is who may read and write which directory, as GPAC's creds module has it: a
// file of rules, a file of users with their groups. It decides; it opens nothing but these files.
package creds

import "net/http"

// Right is what somebody wants to do.
type Right uint8

// The rights.
const (
	Read Right = iota
	Write
)

// Rule is one section of a rule file: a directory and who may have it.
type Rule struct {
	Dir         string // absolute and clean; a virtual service's has no directory
	Exists      bool   // whether it is a directory
	Name        string // name=: where it is mounted, "/NAME/"; "" = at the root, or it lies in another one
	Parent      string // Dir of the rule that this one lies in; "" = none. Such a one is no mount but says the rights
	Read, Write Who
	Writable    bool // it has wu or wg
}

// Who is a list of users and groups; the zero Who of reading is everybody, of writing nobody.
type Who struct {
	All, None     bool // $ALL, $NONE
	Users, Groups []string
}

// Rules are a rule file.
type Rules struct{}

// ReadRules reads a rule file. Errors name file and line.
func ReadRules(path string) (*Rules, error) { panic("not built yet") }

// IsRules says whether path is a file that reads like rules (then it is not a directory).
func IsRules(path string) bool { panic("not built yet") }

// Rules lists the rules whose filters name httpout, sorted by Dir.
func (r *Rules) Rules() []Rule { panic("not built yet") }

// Of is the rule that holds for a file of the disk: that of the longest directory it lies in; false if none.
func (r *Rules) Of(file string) (Rule, bool) { panic("not built yet") }

// Users are a file of users.
type Users struct{}

// ReadUsers reads a file of users: ours (bcrypt) or GPAC's users.cfg (salted SHA-256), told apart entry by entry.
func ReadUsers(path string) (*Users, error) { panic("not built yet") }

// Verdict is what is decided of a request.
type Verdict struct {
	Status int    // 0 = it may; 400 bad credentials blob, 401 who are you, 403 not you
	User   string // "" = nobody has said
	Reason string // for the log
}

// Judge decides: who is asked for (Authorization: Basic), and whether the rule lets him. Passwords are compared in constant time;
// those that were good lately are not hashed again. Wrong says the status of a wrong password: 401, or 403 as DASH-IF wants it.
func (u *Users) Judge(r *http.Request, rule Rule, want Right, wrong int) Verdict {
	panic("not built yet")
}

// Add adds a user to a file of users, or changes his password, groups or both; the file is made, mode 0600, replaced whole.
func Add(path, user, password string, groups []string) error { panic("not built yet") }

// Import adds the users of GPAC's users.cfg at from to the file at to. Their passwords stay hashed as they were until they are next set.
func Import(from, to string) (users int, err error) { panic("not built yet") }
