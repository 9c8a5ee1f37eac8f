// Package request reads the URLs with which a client asks for a stream:
//
//	/udp/239.1.1.1:5000              a multicast group
//	/udp/10.0.0.7@239.1.1.1:5000     a group, one source only (SSM)
//	/udp/[ff15::1]:5000              IPv6; with a source /udp/[fd00::7]@[ff35::1]:5000
//	/udp/239.1.1.1:5000|239.2.1.1:5000   two legs that carry the same RTP packets, merged
//	/udp/239.1.1.1%5000              udpxy's other separators before the port: any of :%~+-^;
//	                                 a bare % with a port behind it is one, not an encoded letter
//	/rtp/…                           the same channel as /udp/…: RTP is detected by itself
//	/upload/live/cam.ts              what is uploaded to the origin as /live/cam.ts, while it is
//	/$news                           the channel of that name in the configuration
//	/$news?key=BF09                  parameters that are not ours are for the channel's URL
//	/src/SOURCE/dst/TARGET?PARAMETERS
//
// SOURCE is the URL of an end (package uri) with its own query, or $NAME?PARAMETERS.
// TARGET is the URL of an end, or nothing for the connection of the request; then /dst,
// /dst/ and /dst/?x=y mean the same. The last "/dst" that is followed by "/", "?" or
// nothing ends the source; where SOURCE or TARGET has such a thing of its own that is not
// to end anything, it is written with one of its letters percent-encoded (/%64st), which
// is decoded once. Or SOURCE or TARGET is percent-encoded as a whole, its :// too, and
// then is decoded once as a whole. Else what is in the path and the query of an http URL
// stays as it is, byte for byte. The query of a source of another scheme is for
// authorization only.
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
// write, method and bitrate are of a TARGET only, and are not sent to it; what else stands
// behind a TARGET of http is.
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
	// but the session's parameters, as it was written (uri.Source.WithQuery); "" for none.
	Params string

	Target *endpoint.Target // where the stream goes; nil = to the connection of the request

	Start *lineup.Start // nil = as the channel has it
	Slow  *lineup.Slow  // likewise

	// What authorization is about. Both are printable ASCII without spaces: what is not was
	// percent-encoded. In Query the rest is decoded, but a plus is a plus, as base64 has it.

	Asked string     // the source as the client wrote it, its query included: udp://224.0.2.12:5011?auth=ef03, $news?key=BF09
	Query url.Values // every parameter of the request, those of the source too, behind those of the session
}

// Error says why a URL is no request.
type Error struct {
	Status int    // the HTTP status to answer with: 400 or 404
	Text   string // one line for the client; of a parameter of the session it may repeat the value
	Logged string // the same for logs, without the value; "" = Text
}

func (e *Error) Error() string { return e.Text }

// forms is the hint that goes with a path that is none of them.
const forms = "want /udp/GROUP:PORT, /udp/SOURCE@GROUP:PORT, /$NAME, /upload/PATH or /src/SOURCE/dst/TARGET"

const (
	maxAddress = 256 // far above the longest pair of addresses, both in IPv6: an error repeats it
	maxValue   = 64  // far above the longest value of a parameter: likewise
)

// Parse reads the target of a request line, path and query as the client has encoded them;
// a proxy's client writes http://HOST before it, which is not looked at. An error is an
// *Error: 404 for a path of another form, 400 for an address, a name or a parameter that
// is none. It repeats no credentials, and of a query nothing but what Error says.
func Parse(target string) (Request, error) {
	target = OriginForm(target)
	if strings.ContainsFunc(target, notPrintable) {
		return Request{}, bad("space or control character in the URL: write %%20 and the like")
	}
	target = uri.Printable(target)
	path, query, _ := strings.Cut(target, "?")
	first, rest, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	command := commandOf(path)
	name, named := strings.CutPrefix(command, "$")
	switch {
	case command == "udp" || command == "rtp":
		return byAddress(command, rest, query)
	case command == "upload":
		return byUpload(rest, query)
	case named && rest != "":
		return Request{}, notFound("no such path, the name is followed by more")
	case named:
		return byName(name, query)
	case command == "src":
		return byPair(strings.TrimPrefix(target[1+len(first):], "/"))
	}
	return Request{}, notFound("no such path")
}

// commandOf is the first word of a path, decoded; "" if there is none.
func commandOf(path string) string {
	path, rooted := strings.CutPrefix(path, "/")
	first, _, _ := strings.Cut(path, "/")
	command, err := url.PathUnescape(first)
	if err != nil || !rooted {
		return ""
	}
	return command
}

// Ours says whether the target of a request line has the first word of one of the forms, so
// that it is for Parse to say what it asks for.
func Ours(target string) bool {
	path, _, _ := strings.Cut(OriginForm(target), "?")
	switch command := commandOf(path); command {
	case "udp", "rtp", "upload", "src":
		return true
	default:
		return strings.HasPrefix(command, "$")
	}
}

// OriginForm is the target of a request line without scheme and host (RFC 9112, 3.2.2).
func OriginForm(target string) string {
	scheme, rest, found := strings.Cut(target, "://")
	if !found || !strings.EqualFold(scheme, "http") && !strings.EqualFold(scheme, "https") {
		return target
	}
	if i := strings.IndexAny(rest, "/?"); i >= 0 && rest[i] == '/' {
		return rest[i:]
	}
	return "/"
}

// byName is /$NAME?QUERY; the name is decoded.
func byName(name, query string) (Request, error) {
	r, err := named(name, query)
	if err != nil {
		return Request{}, err
	}
	r.Params, err = r.session(query)
	return r, err
}

// named is the channel of that name, without parameters.
func named(name, query string) (Request, error) {
	if err := lineup.CheckName(name); err != nil {
		return Request{}, bad("%v", err)
	}
	r := Request{Name: name, Asked: withQuery("$"+uri.Printable(name), query), Query: make(url.Values)}
	r.collect(query)
	return r, nil
}

// byAddress is /udp/ADDRESS?QUERY.
func byAddress(command, rest, query string) (Request, error) {
	rest = strings.TrimSuffix(rest, "/")
	switch {
	case rest == "":
		return Request{}, bad("no address: %s", forms)
	case strings.Contains(rest, "/"):
		return Request{}, notFound("no such path, the address is followed by more")
	}
	address, err := decodeAddress(rest)
	if err != nil {
		return Request{}, err
	}
	source, err := uri.ParseSourceAddr(uri.UDP, address)
	if err != nil {
		return Request{}, bad("%v", err)
	}
	r := Request{Source: source, Asked: withQuery(command+"://"+rest, query), Query: make(url.Values)}
	r.collect(query)
	_, err = r.session(query)
	return r, err
}

// byUpload is /upload/PATH?QUERY.
func byUpload(rest, query string) (Request, error) {
	rest = strings.TrimSuffix(rest, "/")
	source, err := uri.ParseSource("upload:///" + rest)
	if err != nil {
		return Request{}, bad("%v", err)
	}
	r := Request{Source: source, Asked: withQuery("upload:///"+rest, query), Query: make(url.Values)}
	r.collect(query)
	_, err = r.session(query)
	return r, err
}

func withQuery(s, query string) string {
	if query == "" {
		return s
	}
	return s + "?" + query
}

func notPrintable(r rune) bool { return r <= ' ' || r == 0x7f }

func notFound(text string) error {
	return &Error{Status: http.StatusNotFound, Text: text + ": " + forms}
}

func bad(format string, args ...any) error {
	return &Error{Status: http.StatusBadRequest, Text: fmt.Sprintf(format, args...)}
}
