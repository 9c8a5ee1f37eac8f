package alias

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"sluice/internal/lineup"
)

// names makes names of titles. The same titles give the same names in the same order.
type names struct {
	taken map[string]bool
	next  map[string]int // the number for the next one, by what stands before it
}

// maxNumber is how long the number is that a name may end with: there are MaxEntries.
const maxNumber = len("-20000")

// of is a name for a title that no other has: with underscores for blanks, without what no
// name may have, and with -2, -3 and so on behind one that is taken.
func (n *names) of(title string) string {
	name := nameOf(title)
	stem := clip(name, lineup.MaxName-maxNumber) // all that begin so share the numbers, and each is tried once
	for i := max(n.next[stem], 2); n.taken[name]; i++ {
		name = fmt.Sprintf("%s-%d", stem, i)
		n.next[stem] = i + 1
	}
	n.taken[name] = true
	return name
}

// untitled is the name of a channel whose title has nothing that a name may have.
const untitled = "channel"

func nameOf(title string) string {
	var b strings.Builder
	for _, word := range strings.FieldsFunc(title, unicode.IsSpace) {
		word = strings.Map(func(r rune) rune {
			if lineup.InName(r) {
				return r
			}
			return -1
		}, word)
		if word != "" && b.Len() > 0 {
			b.WriteByte('_')
		}
		b.WriteString(word)
	}
	if b.Len() == 0 {
		return untitled
	}
	return clip(b.String(), lineup.MaxName)
}

// clip is s, at most n bytes of it, of whole letters.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// oneLine is a text as a Listing may have it.
func oneLine(s string) string { return clip(withoutLines(s), lineup.MaxText) }

// withoutLines is s without line ends, other control characters and lost letters.
func withoutLines(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r == utf8.RuneError || unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp) {
			return -1
		}
		return r
	}, s))
}
