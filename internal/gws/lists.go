package gws

import (
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"strings"

	"sluice/internal/auth"
	"sluice/internal/endpoint"
	"sluice/internal/lineup"
	"sluice/internal/request"
	"sluice/internal/uri"
)

// find is the channel that is asked for. What may be asked for by its address is a
// setting, unless who asks is trusted; what stands in the configuration may be watched, and so
// may uploads: what they are is what the origin lets in.
func find(conf *Config, req request.Request, trusted bool) (lineup.Channel, *refusal) {
	if req.Source == nil {
		ch, ok := conf.Lineup.Named(req.Name)
		if !ok {
			return ch, &refusal{code: http.StatusNotFound, text: "no channel has this name"}
		}
		return withParams(ch, req.Params)
	}
	ch := conf.Lineup.From(req.Source)
	if ch.Name != "" {
		return ch, nil
	}
	if trusted {
		ch.Trusted = true
		return ch, nil
	}
	for _, end := range req.Source {
		if hint := sourcesOf(conf).forbid(end); hint != "" {
			return ch, &refusal{code: http.StatusForbidden, text: "this source is not served here", hint: hint}
		}
	}
	return ch, nil
}

// permitTarget says whether a stream may be sent where a request wants it.
func permitTarget(conf *Config, to *endpoint.Target) *refusal {
	if to == nil {
		return nil
	}
	if hint := targetsOf(conf).forbid(to.End); hint != "" {
		return &refusal{code: http.StatusForbidden, text: "nothing is sent to this target from here", hint: hint}
	}
	return nil
}

// withoutOwn is a target without what is for authorization here: its server is not to learn
// of it.
func withoutOwn(to *endpoint.Target) *endpoint.Target {
	if to == nil {
		return nil
	}
	other := *to
	other.End.Query = notOwn(to.End.Query)
	return &other
}

// lists bound what a request may name, as a source or as a target.
type lists struct {
	networks    []netip.Prefix
	directories []string
	network     string // name of the setting, for hints
	directory   string // likewise
}

func sourcesOf(c *Config) lists {
	return lists{c.Sources, c.ReadFrom, "sources", "files.read"}
}

func targetsOf(c *Config) lists {
	return lists{c.Targets, c.WriteTo, "targets", "files.write"}
}

// forbid says why a request may not name e, and "" if it may, as far as its words tell:
// the engine looks up the address of a host by its name, and where a path in a permitted
// directory leads, and judges both.
func (l lists) forbid(e uri.End) (hint string) {
	tag := cut(e.Tag(), maxPath)
	switch e.Scheme {
	case uri.Upload:
		return ""
	case uri.File:
		for _, dir := range l.directories {
			if below(dir, e.Path) {
				return ""
			}
		}
		return tag + " is in no directory of the setting " + l.directory
	}
	if ip := e.IP(); ip.IsValid() && contains(l.networks, ip) || !ip.IsValid() && len(l.networks) > 0 {
		return ""
	}
	return tag + " is in no network of the setting " + l.network
}

// below reports whether a clean path is that of something in dir, at any depth.
func below(dir, name string) bool {
	return strings.HasPrefix(name, strings.TrimSuffix(path.Clean(dir), "/")+"/")
}

// withParams is ch with what a client wrote behind its name added to the URLs of its
// sources: a channel of its own, configured and so trusted as ch is, but not pinned. Where
// the first source is none of the web nothing is added: two channels that differ in their
// back-ups alone would have one tag.
func withParams(ch lineup.Channel, params string) (lineup.Channel, *refusal) {
	more := notOwn(params)
	if !ch.Params || more == "" || !ch.Sources[0][0].Web() {
		return ch, nil
	}
	sources := make([]uri.Source, len(ch.Sources))
	for i, source := range ch.Sources {
		var err error
		if sources[i], err = source.WithQuery(more); err != nil {
			return ch, &refusal{code: http.StatusRequestURITooLong, text: err.Error()}
		}
	}
	ch.Sources, ch.Pinned = sources, false
	return ch, nil
}

// notOwn is a query without the parameters that are for authorization here.
func notOwn(query string) string {
	var kept []string
	for pair := range strings.SplitSeq(query, "&") {
		escaped, _, _ := strings.Cut(pair, "=")
		key, err := url.QueryUnescape(escaped)
		if pair != "" && (err != nil || !auth.Own(key)) {
			kept = append(kept, pair)
		}
	}
	return strings.Join(kept, "&")
}
