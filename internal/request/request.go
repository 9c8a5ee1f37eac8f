// Package request reads the URLs with which a client asks for a stream:
//
//	/udp/239.1.1.1:5000              a multicast group
//	/udp/10.0.0.7@239.1.1.1:5000     a group, one source only (SSM)
//	/udp/[ff15::1]:5000              IPv6; with a source /udp/[fd00::7]@[ff35::1]:5000
//	/rtp/…                           the same channel as /udp/…: RTP is detected by itself
//
// A slash at the end is tolerated and percent-encoding is decoded, since players and
// playlists write both. What follows a question mark is not part of the address:
// players append parameters of their own.
//
// The package decides from the words alone; it opens nothing.
package request

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"sluice/internal/uri"
)

// Request is what a client asks for.
type Request struct {
	Source uri.End // always of scheme udp
	Query  string  // as sent, without the question mark; may hold tokens, never log it
}

// Error says why a URL is no request.
type Error struct {
	Status int    // the HTTP status to answer with: 400 or 404
	Text   string // one line for the client
}

func (e *Error) Error() string { return e.Text }

// forms is the hint that goes with a path that is none of them.
const forms = "want /udp/GROUP:PORT or /udp/SOURCE@GROUP:PORT"

// maxAddress is far above the longest address, both in IPv6: an error repeats it.
const maxAddress = 256

// Parse reads the path and the query of a URL, both as the client has encoded them. An
// error is an *Error: 404 for a path of another form, 400 for an address that is none.
func Parse(escapedPath, rawQuery string) (Request, error) {
	command, rest, found := strings.Cut(strings.TrimPrefix(escapedPath, "/"), "/")
	if command, err := url.PathUnescape(command); err != nil || command != "udp" && command != "rtp" {
		return Request{}, &Error{http.StatusNotFound, "no such path: " + forms}
	}
	if rest = strings.TrimSuffix(rest, "/"); !found || rest == "" {
		return Request{}, bad("no address: %s", forms)
	}
	if strings.Contains(rest, "/") {
		return Request{}, &Error{http.StatusNotFound, "no such path, the address is followed by more: " + forms}
	}
	address, err := unescape(rest)
	if err != nil {
		return Request{}, err
	}
	source, err := uri.ParseAddr(uri.UDP, address)
	if err != nil {
		return Request{}, bad("%v", err)
	}
	if strings.ContainsFunc(rawQuery, notPrintable) {
		return Request{}, bad("space or control character in the query")
	}
	return Request{Source: source, Query: rawQuery}, nil
}

// unescape decodes an address. No part of one is outside printable ASCII, and a slash
// that was hidden is none.
func unescape(s string) (string, error) {
	if len(s) > maxAddress {
		return "", bad("address of %d characters: %s", len(s), forms)
	}
	s, err := url.PathUnescape(s)
	if err != nil {
		return "", bad("%v in the address", err)
	}
	if strings.ContainsFunc(s, func(r rune) bool { return notPrintable(r) || r > '~' || r == '/' }) {
		return "", bad("bad character in address %q: %s", s, forms)
	}
	return s, nil
}

func notPrintable(r rune) bool { return r <= ' ' || r == 0x7f }

func bad(format string, args ...any) error {
	return &Error{http.StatusBadRequest, fmt.Sprintf(format, args...)}
}
