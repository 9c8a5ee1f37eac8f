package logs

import (
	"fmt"
	"strconv"
)

// apacheTime is %t of Apache's formats.
const apacheTime = "[02/Jan/2006:15:04:05 -0700]"

// appendEntry appends e as one line: Apache's combined format
// (https://httpd.apache.org/docs/2.4/mod/mod_log_config.html), then key=value of what is
// ours. Everything that somebody else has written is escaped as Apache does it, so that
// no line can be forged. docs/access-log.md is for those who read it.
func appendEntry(b []byte, e AccessEntry) []byte {
	b = appendWord(b, e.Peer)
	b = appendWord(append(b, " - "...), e.User)
	b = e.Time.AppendFormat(append(b, ' '), apacheTime)
	b = appendQuoted(append(b, ' '), e.Request)
	b = appendNumber(append(b, ' '), uint64(max(e.Status, 0)))
	b = appendNumber(append(b, ' '), e.Bytes)
	b = appendQuoted(append(b, ' '), e.Referer)
	b = appendQuoted(append(b, ' '), e.UserAgent)
	b = appendWord(append(b, " event="...), e.Event)
	b = appendQuoted(append(b, " listener="...), e.Listener)
	b = appendQuoted(append(b, " channel="...), e.Channel)
	b = appendQuoted(append(b, " client="...), e.Client)
	b = appendQuoted(append(b, " engine="...), e.Engine)
	b = fmt.Appendf(b, " duration=%.3f", max(e.Duration, 0).Seconds())
	b = appendQuoted(append(b, " reason="...), e.Reason)
	return append(b, '\n')
}

// appendNumber appends n, and Apache's dash for none.
func appendNumber(b []byte, n uint64) []byte {
	if n == 0 {
		return append(b, '-')
	}
	return strconv.AppendUint(b, n, 10)
}

// appendWord appends s in a place that has no quotes: a space is escaped as well.
func appendWord(b []byte, s string) []byte {
	if s == "" {
		return append(b, '-')
	}
	return appendEscaped(b, s, ' ')
}

func appendQuoted(b []byte, s string) []byte {
	if s == "" {
		s = "-"
	}
	return append(appendEscaped(append(b, '"'), s, '"'), '"')
}

// appendEscaped writes what is not printable ASCII, and the byte also, as \xHH, and
// quotes and backslashes with a backslash.
func appendEscaped(b []byte, s string, also byte) []byte {
	const hex = "0123456789abcdef"
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ' || c > '~' || c == also:
			b = append(b, '\\', 'x', hex[c>>4], hex[c&15])
		default:
			b = append(b, c)
		}
	}
	return b
}
