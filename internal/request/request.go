// Package request reads the URLs with which a client asks for a stream:
//
//	/udp/239.1.1.1:5000              a multicast group
//	/udp/10.0.0.7@239.1.1.1:5000     a group, one source only (SSM)
//	/udp/[ff15::1]:5000              IPv6; with a source /udp/[fd00::7]@[ff35::1]:5000
//	/udp/239.1.1.1:5000|239.2.1.1:5000   two legs that carry the same RTP packets, merged
//	/udp/239.1.1.1%5000              udpxy's other separators before the port: any of :%~+-^
//	/rtp/…                           the same channel as /udp/…: RTP is detected by itself
//	/$news                           the channel of that name in the configuration
//	/$news?key=BF09                  parameters that are not ours are for the channel's URL
//	/src/SOURCE/dst/TARGET?PARAMETERS
//
// SOURCE is the URL of an end (package uri) with its own query, or $NAME?PARAMETERS.
// TARGET is the URL of an end, or nothing for the connection of the request; then /dst,
// /dst/ and /dst/?x=y mean the same. The last "/dst" that is followed by "/", "?" or
// nothing ends the source; a source that has such a thing of its own at its end is written
// with one of its letters percent-encoded (/%64st), which is decoded once.
//
// Parameters of the session, behind TARGET or in the other forms behind the only question
// mark, say how this one client is to be served; without them it is as the channel has it:
//
//	start=live       begin at the newest byte
//	start=key        begin at the newest key frame
//	start=30s        begin 30 seconds back, or as far as the history reaches
//	slow=skip        when too slow, go on at the newest key frame
//	slow=disconnect  when too slow, be disconnected
//	write=append     to a file that exists: behind its end
//	write=truncate   to a file that exists: in place of what it holds
//	method=POST      to an HTTP server: not with PUT
//	bitrate=8M       to UDP: at that pace, in bits a second (k, M), not that of the stream
//
// write, method and bitrate are of a TARGET only, and are not sent to it.
//
// A slash at the end of the path is tolerated and percent-encoding is decoded, since
// players and playlists write both. Other parameters are not looked at: players append
// their own. One of ours with a bad value, or twice, is an error.
//
// The package decides from the words alone; it opens nothing, and knows no channel.
package request

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"sluice/internal/endpoint"
	"sluice/internal/lineup"
	"sluice/internal/uri"
)

// Request is what a client asks for: a Name or a Source.
type Request struct {
	Name   string     // a name that a channel can have; "" when it is asked for by its source
	Source uri.Source // nil when it is asked for by its name

	// Params are to be added to the URL that Name stands for: all that was written behind it
	// but the session's parameters, as it was written; "" for none.
	Params string

	Target *endpoint.Target // where the stream goes; nil = to the connection of the request

	Start *lineup.Start // nil = as the channel has it
	Slow  *lineup.Slow  // likewise

	// What authorization is about. Both are printable ASCII without spaces: what is not was
	// percent-encoded.

	Asked string     // the source as the client wrote it, its query included: udp://224.0.2.12:5011?auth=ef03, $news?key=BF09
	Query url.Values // every parameter of the request, those of the source too
}

// Error says why a URL is no request.
type Error struct {
	Status int    // the HTTP status to answer with: 400 or 404
	Text   string // one line for the client
}

func (e *Error) Error() string { return e.Text }

// forms is the hint that goes with a path that is none of them.
const forms = "want /udp/GROUP:PORT, /udp/SOURCE@GROUP:PORT or /$NAME"

const (
	maxAddress = 256 // far above the longest pair of addresses, both in IPv6: an error repeats it
	maxValue   = 64  // far above the longest value of a parameter: likewise
)

// Parse reads the target of a request line, path and query as the client has encoded them.
// An error is an *Error: 404 for a path of another form, 400 for an address, a name or a
// parameter that is none.
func Parse(target string) (Request, error) {
	escapedPath, rawQuery, _ := strings.Cut(target, "?")
	r, err := parsePath(escapedPath)
	if err != nil {
		return Request{}, err
	}
	if err := r.parameters(rawQuery); err != nil {
		return Request{}, err
	}
	return r, nil
}

func parsePath(escaped string) (Request, error) {
	command, rest, found := strings.Cut(strings.TrimPrefix(escaped, "/"), "/")
	command, err := url.PathUnescape(command)
	name, named := strings.CutPrefix(command, "$")
	if !named {
		rest = strings.TrimSuffix(rest, "/")
	}
	switch {
	case err != nil || !named && command != "udp" && command != "rtp":
		return Request{}, &Error{http.StatusNotFound, "no such path: " + forms}
	case strings.Contains(rest, "/") || named && rest != "":
		return Request{}, &Error{http.StatusNotFound, "no such path, what is asked for is followed by more: " + forms}
	case named:
		return byName(name)
	case !found || rest == "":
		return Request{}, bad("no address: %s", forms)
	}
	return byAddress(rest)
}

func byName(name string) (Request, error) {
	if err := lineup.CheckName(name); err != nil {
		return Request{}, bad("%v", err)
	}
	return Request{Name: name}, nil
}

func byAddress(escaped string) (Request, error) {
	address, err := unescape(escaped)
	if err != nil {
		return Request{}, err
	}
	source, err := uri.ParseSourceAddr(uri.UDP, address)
	if err != nil {
		return Request{}, bad("%v", err)
	}
	return Request{Source: source}, nil
}

// unescape decodes an address. No part of one is outside printable ASCII, and a slash
// that was hidden is none.
func unescape(s string) (string, error) {
	if len(s) > 3*maxAddress { // three characters stand for one at most
		return "", bad("address of %d characters: %s", len(s), forms)
	}
	s, err := url.PathUnescape(s)
	if err != nil {
		return "", bad("%v in the address", err)
	}
	if len(s) > maxAddress {
		return "", bad("address of %d characters: %s", len(s), forms)
	}
	if strings.ContainsFunc(s, func(r rune) bool { return notPrintable(r) || r > '~' || r == '/' }) {
		return "", bad("bad character in address %q: %s", s, forms)
	}
	return s, nil
}

// parameters reads those that are known; each may be there once.
func (r *Request) parameters(rawQuery string) error {
	if strings.ContainsFunc(rawQuery, notPrintable) {
		return bad("space or control character in the query")
	}
	for pair := range strings.SplitSeq(rawQuery, "&") {
		key, escaped, _ := strings.Cut(pair, "=")
		if key != "start" && key != "slow" {
			continue
		}
		value, err := url.QueryUnescape(escaped)
		switch {
		case err != nil:
			return bad("%v in the parameter %s", err, key)
		case len(value) > maxValue:
			return bad("parameter %s of %d characters: want at most %d", key, len(value), maxValue)
		case key == "start" && r.Start == nil:
			r.Start = new(lineup.Start)
			*r.Start, err = lineup.ParseStart(value)
		case key == "slow" && r.Slow == nil:
			r.Slow = new(lineup.Slow)
			*r.Slow, err = lineup.ParseSlow(value)
		default:
			return bad("parameter %s is there twice", key)
		}
		if err != nil {
			return bad("parameter %s: %v", key, err)
		}
	}
	return nil
}

func notPrintable(r rune) bool { return r <= ' ' || r == 0x7f }

func bad(format string, args ...any) error {
	return &Error{http.StatusBadRequest, fmt.Sprintf(format, args...)}
}
