// Package creds is who may read and write which directory, as GPAC's creds module has it: a
// file of rules, a file of users with their groups. It decides; it opens nothing but these files.
//
// # Rules
//
// A file of rules has a section for each directory; relative ones are below the directory of the file. A line
// that begins with # or ; says nothing.
//
//	[/srv/video]
//	name=vod          URLs begin with /vod/; without a name the directory is at the root
//	ru=alice,bob      users who may read
//	rg=staff          groups who may read; with neither ru nor rg everybody may, unasked
//	wu=alice          users who may write
//	wg=editors        groups who may write; with neither wu nor wg nobody may
//	filters=httpout   whom of GPAC's servers the rule is for; absent, * and all: everyone, so this one too
//	mcast=…           of no meaning here
//
//	[/srv/video/private]   of two rules that a file lies in, that of the longer directory holds, and it alone
//	ru=alice
//
// The section gmem, and what is below it (gmem/live), is the store in memory. A directory that does not exist is
// no mistake: its rule gives rights to what a script answers.
//
// $NONE is nobody, whatever he knows. $ALL means what it means to GPAC: reading, everybody who is known (ask nobody
// by leaving ru and rg out); writing, everybody, unasked. The group users is everybody who is known.
//
// # Users
//
// A file of users has a line for each, as htpasswd -B makes them, and behind that his groups, if he has any:
//
//	alice:$2y$10$R4sTbJ8QAoXwwZEEcX3d0u…:staff,editors
//	bob:$gpac$SALT$SUM
//
// The hash is bcrypt, of cost 14 at most, or one that Import took over from GPAC: the hexadecimal digits of a salt
// and of the SHA-256 (or, of older versions, SHA-1) of PASSWORD@SALT. GPAC's own users.cfg is read as well.
package creds

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Right is what somebody wants to do.
type Right uint8

// The rights.
const (
	Read Right = iota
	Write
)

// Memory is the directory of rules for the store in memory.
const Memory = "gmem"

// Rule is one section of a rule file: a directory and who may have it.
type Rule struct {
	Dir         string // absolute and clean, or below Memory; a virtual service's has no directory
	Exists      bool   // whether it is a directory
	Name        string // name=: where it is mounted, /NAME/: elements of a path, not escaped, no slash around them; "" = at the root, or it lies in another one
	Parent      string // Dir of the rule that this one lies in; "" = none. Such a one is no mount but says the rights
	Read, Write Who
	Writable    bool // it has wu or wg, and not $NONE
}

// OfMemory says whether it is a rule of the store in memory.
func (r Rule) OfMemory() bool { return r.Dir == Memory || strings.HasPrefix(r.Dir, Memory+"/") }

// Who is a list of users and groups; the zero Who of reading is everybody, of writing nobody.
type Who struct {
	All, None     bool // $ALL, $NONE: nobody is named besides
	Users, Groups []string
}

// unsaid says whether w is the zero Who.
func (w Who) unsaid() bool { return !w.All && !w.None && len(w.Users)+len(w.Groups) == 0 }

// has says whether somebody who is known is on the list.
func (w Who) has(user string, groups []string) bool {
	return w.All || slices.Contains(w.Users, user) || slices.Contains(w.Groups, everybody) ||
		slices.ContainsFunc(w.Groups, func(g string) bool { return slices.Contains(groups, g) })
}

// everybody is the group of all who are known.
const everybody = "users"

// maxName bounds the names of users and groups, in bytes.
const maxName = 128

// checkName checks the name of a user or group: what can stand in all the files, in a log and in Basic.
func checkName(what, name string) error {
	switch {
	case name == "":
		return fmt.Errorf("a %s without a name", what)
	case len(name) > maxName:
		return fmt.Errorf("the name of a %s has %d bytes, %d at most", what, len(name), maxName)
	case !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }):
		return fmt.Errorf("%q is no name of a %s: want printable characters", name, what)
	case strings.ContainsAny(name, ":,=[]") || strings.ContainsAny(name[:1], "$#;@ ") || strings.HasSuffix(name, " "):
		return fmt.Errorf("%q is no name of a %s: none of : , = [ ], neither $ # ; @ in front nor blanks around it", name, what)
	}
	return nil
}
