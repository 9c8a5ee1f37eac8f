package uri

import (
	"fmt"
	"slices"
	"strings"
)

// MaxLegs is how many ends of the same stream a Source may have.
const MaxLegs = 2

// legSeparator stands between the legs of a written Source.
const legSeparator = "|"

// Source is where a channel's bytes come from: one end, or two legs of UDP that carry the
// same RTP packets over different ways and are merged packet by packet (as in SMPTE ST
// 2022-7). It is written as its ends with a bar between: udp://A|udp://B. The zero
// Source is not valid, and a Source is never modified.
type Source []End

// ParseSource reads "udp://…", "udp://…|udp://…", or an end of another scheme. In a URL of
// the web a bar belongs to it.
func ParseSource(s string) (Source, error) {
	if scheme, _, ok := strings.Cut(s, "://"); ok && Scheme(strings.ToLower(scheme)) != UDP && Scheme(strings.ToLower(scheme)) != RTP {
		e, err := Parse(s)
		if err != nil {
			return nil, err
		}
		return Source{e}, nil
	}
	return parseLegs(s, Parse)
}

// ParseSourceAddr reads the part behind "scheme://", "[source@]address:port" or two of
// them with a bar between.
func ParseSourceAddr(scheme Scheme, s string) (Source, error) {
	return parseLegs(s, func(leg string) (End, error) { return ParseAddr(scheme, leg) })
}

func parseLegs(s string, parse func(string) (End, error)) (Source, error) {
	legs := strings.Split(s, legSeparator)
	if len(legs) > MaxLegs {
		return nil, fmt.Errorf("%d legs in %q: at most %d can be merged", len(legs), Shown(s), MaxLegs)
	}
	source := make(Source, 0, len(legs))
	for _, leg := range legs {
		e, err := parse(leg)
		switch {
		case err != nil:
			return nil, err
		case len(legs) > 1 && !e.Datagrams():
			return nil, fmt.Errorf("%s cannot be merged with another leg: want udp or rtp", e.Tag())
		case slices.ContainsFunc(source, func(other End) bool { return other.Tag() == e.Tag() }):
			return nil, fmt.Errorf("%s is named twice in %q", e.Tag(), Shown(s))
		}
		source = append(source, e)
	}
	return source, nil
}

// String is what ParseSource reads back.
func (s Source) String() string { return s.join(End.String) }

// Tag is the name of the source in reports and orders: the tags of its ends.
func (s Source) Tag() string { return s.join(End.Tag) }

// WithQuery is s with more parameters behind those that it has; see End.WithQuery.
func (s Source) WithQuery(more string) (Source, error) {
	out := slices.Clone(s)
	for i := range out {
		var err error
		if out[i], err = out[i].WithQuery(more); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (s Source) join(name func(End) string) string {
	if len(s) == 1 {
		return name(s[0])
	}
	names := make([]string, len(s))
	for i, e := range s {
		names[i] = name(e)
	}
	return strings.Join(names, legSeparator)
}
