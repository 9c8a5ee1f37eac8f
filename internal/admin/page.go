package admin

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"time"

	"sluice/internal/report"
)

var (
	//go:embed page.html
	pageHTML string
	//go:embed page.css
	pageCSS string
	//go:embed page.js
	pageJS string
)

// maxShown is how many clients of a channel the page lists; JSON has them all.
const maxShown = 100

// page is the status as HTML: one document, nothing loaded from elsewhere.
type page struct {
	tmpl   *template.Template
	policy string // Content-Security-Policy: only the page's own style and script
}

func newPage() *page {
	funcs := template.FuncMap{
		"rate": rate, "size": size, "troubles": troubles, "plural": plural,
		"shown": func(list []report.Client) []report.Client { return list[:min(len(list), maxShown)] },
		"style": func() template.CSS { return template.CSS(pageCSS) },
		"js":    func() template.JS { return template.JS(pageJS) },
		"since": func(now, then time.Time) string { return span(now.Sub(then)) },
		"minus": func(a, b int) int { return a - b },
	}
	return &page{
		tmpl: template.Must(template.New("page").Funcs(funcs).Parse(pageHTML)),
		policy: fmt.Sprintf("default-src 'none'; style-src '%s'; script-src '%s'; connect-src 'self'; img-src data:; "+
			"base-uri 'none'; form-action 'none'; frame-ancestors 'none'", hash(pageCSS), hash(pageJS)),
	}
}

// hash names an inline text in a Content-Security-Policy.
func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

func (p *page) write(w io.Writer, st report.Status) error { return p.tmpl.Execute(w, st) }

// trouble is a counter of a source that should be zero.
type trouble struct {
	Name  string
	Count string
	Hint  string // what it means for the operator
}

func troubles(s report.Source) []trouble {
	var out []trouble
	add := func(name string, n uint64, hint string) {
		if n > 0 {
			out = append(out, trouble{name, fmt.Sprint(n), hint})
		}
	}
	var sum report.Leg
	for _, l := range s.Legs {
		sum.KernelLost += l.KernelLost
		sum.Malformed += l.Malformed
		sum.Foreign += l.Foreign
		sum.Truncated += l.Truncated
	}
	add("lost by the kernel", sum.KernelLost, "datagrams; the receive buffer is too small: raise net.core.rmem_max")
	add("lost in RTP", s.RTPLost, "packets missing in the RTP sequence: lost on the way here")
	add("continuity errors", s.Continuity, "MPEG-TS packets missing or repeated: lost on the way, or at the encoder")
	add("transport errors", s.Transport, "packets that a receiver before us marked as broken")
	add("sync losses", s.SyncLost, "times that the stream was no MPEG-TS in between")
	if s.Skipped > 0 {
		out = append(out, trouble{"skipped", size(s.Skipped), "dropped while out of sync"})
	}
	add("malformed RTP", sum.Malformed, "datagrams dropped: their RTP header does not hold")
	add("foreign datagrams", sum.Foreign, "dropped: they came for another group or interface")
	add("truncated datagrams", sum.Truncated, "dropped: longer than 64 KiB")
	return out
}

// rate writes bits a second with three digits.
func rate(bps uint64) string {
	return scaled(float64(bps), 1000, "bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s")
}

// size writes bytes with three digits.
func size(n uint64) string { return scaled(float64(n), 1024, "B", "KiB", "MiB", "GiB", "TiB", "PiB") }

func scaled(v, base float64, units ...string) string {
	i := 0
	for v >= 999.5 && i < len(units)-1 {
		v /= base
		i++
	}
	switch {
	case i == 0 || v >= 99.95:
		return fmt.Sprintf("%.0f\u202f%s", v, units[i])
	case v >= 9.995:
		return fmt.Sprintf("%.1f\u202f%s", v, units[i])
	}
	return fmt.Sprintf("%.2f\u202f%s", v, units[i])
}

// span writes a length of time in its two largest units.
func span(d time.Duration) string {
	s := int64(max(0, d) / time.Second)
	switch {
	case s < 60:
		return fmt.Sprintf("%d\u202fs", s)
	case s < 3600:
		return fmt.Sprintf("%d\u202fmin %d\u202fs", s/60, s%60)
	case s < 86400:
		return fmt.Sprintf("%d\u202fh %d\u202fmin", s/3600, s%3600/60)
	}
	return fmt.Sprintf("%d\u202fd %d\u202fh", s/86400, s%86400/3600)
}

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}
