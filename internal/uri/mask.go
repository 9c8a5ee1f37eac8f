package uri

import (
	"fmt"
	"strings"
)

// Mask is text as errors, logs and reports may show it: in the URLs that stand in it, and
// in what looks like one, a dash takes the place of credentials and queries.
//
//	http://-@tv.example/live.ts?-
func Mask(text string) string {
	parts := strings.Split(text, "://")
	for i, part := range parts {
		scheme := ""
		if i > 0 {
			scheme = parts[i-1]
		}
		parts[i] = maskPart(part, namesDatagrams(scheme))
	}
	return strings.Join(parts, "://")
}

// maskPart masks what stands behind a scheme; a source address before the @ stays.
func maskPart(s string, addresses bool) string {
	base, query, found := strings.Cut(s, "?")
	rest := ""
	if found {
		if i := strings.IndexAny(query, " \t"); i >= 0 {
			query, rest = query[:i], query[i:]
		}
	}
	at := strings.LastIndexByte(base, '@')
	switch {
	case at >= 0 && strings.TrimSpace(base[:at]) == "": // @include of a configuration
	case at >= 0 && !(addresses && !strings.ContainsFunc(base[:at], notOfAddresses)):
		base = "-" + base[at:]
	case at < 0 && strings.Contains(query, "@"): // a question mark in a password, maybe
		base = "-"
	}
	if !found {
		return base
	}
	return base + "?-" + maskPart(rest, false)
}

// namesDatagrams says whether text ends with udp or rtp.
func namesDatagrams(text string) bool {
	text = strings.ToLower(text)
	return strings.HasSuffix(text, string(UDP)) || strings.HasSuffix(text, string(RTP))
}

// maxShown is how much of a text an error repeats, in bytes.
const maxShown = 80

// Shown is one URL, or a part of one, as an error may repeat it: its query does not end at
// a blank.
func Shown(s string) string {
	base, query, found := strings.Cut(s, "?")
	if found {
		base += "?" + strings.Join(strings.Fields(query), "")
	}
	s = Mask(base)
	if len(s) > maxShown {
		s = strings.ToValidUTF8(s[:maxShown], "") + "…"
	}
	return s
}

// Printable is s with each byte percent-encoded that is not printable ASCII, or is a
// space: what may stand in a line of HTTP, of a helper or of a playlist.
func Printable(s string) string {
	if !strings.ContainsFunc(s, notPrintable) {
		return s
	}
	var b strings.Builder
	for i := range len(s) {
		if notPrintable(rune(s[i])) {
			fmt.Fprintf(&b, "%%%02X", s[i])
		} else {
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

func notPrintable(r rune) bool { return r <= ' ' || r > '~' }
