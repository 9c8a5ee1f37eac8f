package creds

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Verdict is what is decided of a request.
type Verdict struct {
	Status int    // 0 = it may; 400 bad credentials blob, 401 who are you, 403 not you, 503 too many ask at once
	User   string // who has shown that it is him; "" = nobody was asked, or nobody has
	Reason string // for the log: no secret, one line
}

// Judge decides: who is asked for (Authorization: Basic), and whether the rule lets him. Passwords are compared in constant time, and
// a user who is not known takes as long as one who is; those that were good lately are not hashed again. Wrong says the status of a
// wrong password: 401, or 403 as DASH-IF wants it. A nil or zero Users knows nobody.
func (u *Users) Judge(r *http.Request, rule Rule, want Right, wrong int) Verdict {
	who, verb := rule.Read, "read"
	if want == Write {
		who, verb = rule.Write, "write"
	}
	switch {
	case who.None, want == Write && who.unsaid():
		return Verdict{Status: http.StatusForbidden, Reason: "nobody may " + verb + " here"}
	case want == Read && who.unsaid(), want == Write && who.All:
		return Verdict{}
	}
	name, password, status := credentials(r)
	if status != 0 {
		return Verdict{Status: status, Reason: http.StatusText(status) + ": Basic credentials are asked for"}
	}
	groups, err := u.identify(r.Context(), name, password)
	switch {
	case errors.Is(err, errUnknown):
		return Verdict{Status: wrong, Reason: err.Error()}
	case err != nil:
		return Verdict{Status: http.StatusServiceUnavailable, Reason: err.Error()}
	case !who.has(name, groups):
		return Verdict{Status: http.StatusForbidden, User: name, Reason: name + " may not " + verb + " here"}
	}
	return Verdict{User: name}
}

// maxBlob bounds the credentials of a request, in bytes of base64.
const maxBlob = 2048

// credentials are the name and the password of a request (RFC 7617), or the status of the answer to what is neither.
func credentials(r *http.Request) (name, password string, status int) {
	header := r.Header.Get("Authorization")
	scheme, blob, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Basic") {
		return "", "", http.StatusUnauthorized
	}
	blob = strings.TrimSpace(blob)
	text, err := base64.StdEncoding.DecodeString(blob)
	name, password, found := strings.Cut(string(text), ":")
	unprintable := func(r rune) bool { return !unicode.IsPrint(r) }
	if err != nil || len(blob) > maxBlob || !found || !utf8.ValidString(name) || strings.ContainsFunc(name, unprintable) {
		return "", "", http.StatusBadRequest
	}
	return name, password, 0
}

var errUnknown = errors.New("unknown user or wrong password")

// identify is the groups of who knows the password: errUnknown, errBusy, or the error of ctx.
func (u *Users) identify(ctx context.Context, name, password string) ([]string, error) {
	if u == nil || len(u.known) == 0 {
		return nil, errUnknown
	}
	seen := u.sum(name, password)
	if u.memory.has(seen) {
		return u.known[name].groups, nil
	}
	if err := u.turns.take(ctx); err != nil {
		return nil, err
	}
	defer u.turns.give()
	if !u.memory.has(seen) { // it may have become good while this one waited
		if !u.match(name, password) {
			return nil, errUnknown
		}
		u.memory.add(seen)
	}
	return u.known[name].groups, nil
}

// match compares a password. What is wrong has cost as much as u.dummy, whoever was named.
func (u *Users) match(name, password string) bool {
	one, known := u.known[name]
	if known && one.hash.match(password) {
		return true
	}
	if !known || one.hash.cost() < u.dummy.cost() {
		u.dummy.match(password)
	}
	return false
}
