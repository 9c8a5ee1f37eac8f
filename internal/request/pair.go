package request

import (
	"net/url"
	"regexp"
	"slices"
	"strings"

	"sluice/internal/endpoint"
	"sluice/internal/uri"
)

// byPair is SOURCE/dst/TARGET?PARAMETERS.
func byPair(s string) (Request, error) {
	source, rest, found := cutTarget(s)
	switch {
	case !found:
		return Request{}, bad("no /dst behind the source: want /src/SOURCE/dst/TARGET, or /src/SOURCE/dst/ for this connection")
	case source == "":
		return Request{}, bad("no source between /src and /dst: want such as /src/udp://GROUP:PORT/dst/")
	}
	r, err := parseSource(source)
	if err != nil {
		return Request{}, err
	}
	target, query, _ := strings.Cut(strings.TrimPrefix(rest, "/"), "?")
	if err := r.setTarget(target); err != nil {
		return Request{}, err
	}
	r.collectFirst(query) // the source's may be for its own server
	others, err := r.session(query)
	if err != nil || r.Target == nil {
		return r, err
	}
	if r.Target.End, err = r.Target.End.WithQuery(others); err != nil {
		return Request{}, bad("destination: %v", err)
	}
	return r, nil
}

// cutTarget cuts around the last "/dst" that is followed by "/", "?" or nothing.
func cutTarget(s string) (source, rest string, found bool) {
	const dst = "/dst"
	for end := len(s); ; {
		i := strings.LastIndex(s[:end], dst)
		if i < 0 {
			return "", "", false
		}
		if rest := s[i+len(dst):]; rest == "" || rest[0] == '/' || rest[0] == '?' {
			return s[:i], rest, true
		}
		end = i
	}
}

// parseSource reads $NAME?QUERY or a URL.
func parseSource(s string) (Request, error) {
	if isName(s) {
		return parseName(s)
	}
	s, err := decoded(s)
	if err != nil {
		return Request{}, err
	}
	end, query := s, ""
	if !web(s) {
		end, query, _ = strings.Cut(s, "?")
	}
	source, err := uri.ParseSource(end)
	if err != nil {
		return Request{}, bad("source: %v", err)
	}
	r := Request{Source: source, Asked: uri.Printable(s), Query: make(url.Values)}
	r.collect(query)
	r.collect(source[0].Query)
	return r, nil
}

func isName(s string) bool { return strings.HasPrefix(s, "$") || strings.HasPrefix(s, "%24") }

// parseName reads $NAME?QUERY, where all of the query is for the channel.
func parseName(s string) (Request, error) {
	name, params, found := strings.Cut(s, "?")
	name, err := url.PathUnescape(name)
	if err != nil {
		return Request{}, bad("%v in the name", err)
	}
	if !found { // it was encoded as a whole
		name, params, _ = strings.Cut(name, "?")
		params = uri.Printable(params)
	}
	r, err := named(strings.TrimSuffix(strings.TrimPrefix(name, "$"), "/"), params)
	r.Params = params
	return r, err
}

// setTarget reads the URL of a destination; "" and "/" are none.
func (r *Request) setTarget(s string) error {
	switch {
	case strings.Trim(s, "/") == "":
		return nil
	case isName(s):
		return bad("a channel cannot be a destination: want /dst/ for this connection, or the URL of a file or a peer")
	}
	s, err := decoded(s)
	if err != nil {
		return err
	}
	end, err := uri.ParseTarget(s)
	switch {
	case err != nil:
		return bad("destination: %v", err)
	case end.Source.IsValid():
		return bad("destination %s: only a source has an address before the @", end.Tag())
	}
	r.Target = &endpoint.Target{End: end}
	r.collect(end.Query)
	return nil
}

// decoded is the URL of an end, as package uri reads it.
func decoded(s string) (string, error) {
	var err error
	switch {
	case !strings.Contains(s, "://"):
		s, err = url.PathUnescape(s)
	case web(s):
		s = decodeDst(s)
	case !hasScheme(s, uri.File, uri.Upload): // whose name is decoded by package uri
		s, err = decodeBefore(s, "?")
	}
	if err != nil {
		return "", bad("%v in the URL of a source or destination", err)
	}
	return s, nil
}

// decodeBefore decodes what stands before the separator.
func decodeBefore(s, separator string) (string, error) {
	before, after, found := strings.Cut(s, separator)
	before, err := url.PathUnescape(before)
	if found {
		before += separator + after
	}
	return before, err
}

func web(s string) bool { return hasScheme(s, uri.HTTP, uri.HTTPS) }

func hasScheme(s string, list ...uri.Scheme) bool {
	scheme, _, _ := strings.Cut(s, "://")
	return slices.Contains(list, uri.Scheme(strings.ToLower(scheme)))
}

// hiddenDst is "/dst" with any of its letters encoded, once or several times.
var hiddenDst = regexp.MustCompile("/(d|%(25)*64)(s|%(25)*73)(t|%(25)*74)")

// decodeDst takes one level of encoding off each hidden "/dst", so that a chain of several
// relays can be written.
func decodeDst(s string) string {
	level := strings.NewReplacer("%25", "%", "%64", "d", "%73", "s", "%74", "t")
	return hiddenDst.ReplaceAllStringFunc(s, level.Replace)
}
