package tools

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
)

// progress is one line of a terminal that is written over every second.
type progress struct {
	to    io.Writer // nil shows nothing
	shown time.Time
	wrote bool
}

// show renews the line when it is time to. A terminal that fails is not worth an error.
func (p *progress) show(line func() string) {
	if p.to == nil {
		return
	}
	now := time.Now()
	if p.shown.IsZero() {
		p.shown = now
	}
	if now.Sub(p.shown) < time.Second {
		return
	}
	p.shown, p.wrote = now, true
	fmt.Fprintf(p.to, "\r%s\x1b[K", line())
}

// clear takes the line away.
func (p *progress) clear() {
	if p.wrote {
		fmt.Fprint(p.to, "\r\x1b[K")
	}
}

func rateText(bits float64) string {
	switch {
	case bits >= 1e6:
		return fmt.Sprintf("%.2f Mbit/s", bits/1e6)
	case bits >= 1e3:
		return fmt.Sprintf("%.0f kbit/s", bits/1e3)
	}
	return fmt.Sprintf("%.0f bit/s", bits)
}

func bytesText(n uint64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.2f GB", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	case n >= 1e3:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%d bytes", n)
}

// harmless is a text of a stranger on one line of a terminal: no control characters, at
// most 200 characters.
func harmless(s string) string {
	const most = 200
	var b strings.Builder
	count := 0
	for _, r := range strings.TrimSpace(s) {
		if count++; count > most {
			b.WriteString("…")
			break
		}
		if !unicode.IsPrint(r) {
			r = '·'
		}
		b.WriteRune(r)
	}
	return b.String()
}
