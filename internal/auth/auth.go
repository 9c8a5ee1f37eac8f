// Package auth decides who may watch what: by static tokens, by signed URLs that expire,
// by an HTTP service, and by helper programs. What is configured must agree, all of it, in
// that order; what is cheap and local is asked first.
//
//	Ask ─► token or signature ─► denied lately? ─► hook ─► helper ─► access
//	            │ 401, 403            │ 401, 403      │ 401, 403, 504
//
// docs/auth.md is the manual of all of it, with the lines that helpers read and write.
package auth

import (
	"net/netip"
	"net/url"
	"time"
)

// Question is one request for access.
type Question struct {
	Peer        netip.AddrPort // who asks
	Source      string         // what was asked for, as it was written (request.Request.Asked): printable ASCII, no spaces
	Destination string         // URI of the client, "" for the connection of the request
	Listener    string         // alias of the listener that was asked; "" for none
	Path        string         // of the request, as it was sent, without its parameters (gws.SignedPath): what a signature is of
	Query       url.Values     // every parameter of the request
}

// Answer is what is decided.
type Answer struct {
	// Code is 0 for access, else the status of HTTP to answer with: 401 (a token or signature
	// is missing), 403 (denied) or 504 (whoever decides did not answer in time).
	Code int
	// Reason is for the log: who decided, and why. It holds no token.
	Reason string
	// User is the name of the token that was used, also when somebody else then denied; "" else.
	User string
}

// Config says who decides. The zero Config lets everybody in.
type Config struct {
	Tokens []Token // one of these, as ?token=…; if empty, none is asked for

	// Secrets are the keys of signed URLs: a request has ?expires=SECONDS&sign=HEX, where
	// SECONDS is the time since 1970 and HEX the HMAC-SHA256 over PATH, a newline and SECONDS
	// (and, if there is an ip= parameter, a newline and its value, which then is the only
	// address that may use the URL). Any of the keys will do, so that one can be replaced; 16
	// bytes at least. If empty, nothing need be signed. A request that has a good token need
	// not be signed, and the other way round.
	Secrets [][]byte

	Hook    string        // URL that is asked by POST, see docs/auth.md; if empty, none
	Timeout time.Duration // for Hook and Helper to answer, together; if zero 5 s

	Helper        []string // command of a helper and its arguments; no shell takes part. If empty, none
	Helpers       int      // how many run, so many requests are asked about at once; if zero 4
	CRLF          bool     // requests to helpers end with CR LF, not with LF
	ListenerAlias bool     // a fifth field: the alias of the listener

	DeniedFor     time.Duration // a request that was denied by Hook or Helper is not asked about again for so long; if zero 60 s, if negative every time
	DeniedEntries int           // how many of these are remembered; if zero 10 000
}

// Token is one of the static tokens.
type Token struct {
	Name  string // for logs; it is no secret
	Value string
}

// Own says that a parameter of a request is for this package alone: it is not added to
// the URL of any source.
func Own(parameter string) bool {
	switch parameter {
	case paramToken, paramExpires, paramSign, paramIP:
		return true
	}
	return false
}
