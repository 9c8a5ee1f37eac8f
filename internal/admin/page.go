package admin

import (
	"cmp"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"strconv"
	"strings"
	"time"

	"sluice/internal/report"
)

var (
	//go:embed page.html
	pageHTML string
	//go:embed relay.html
	relayHTML string
	//go:embed origin.html
	originHTML string
	//go:embed troubles.html
	troublesHTML string
	//go:embed report.html
	reportHTML string
	//go:embed page.css
	pageCSS string
	//go:embed page.js
	pageJS string
)

// maxShown is how many clients of a channel, sessions of a relay and uploads of an origin a page lists; JSON has more.
const maxShown = 100

// page is the status, or the report, as HTML: one document, nothing loaded from elsewhere.
type page struct {
	tmpl   *template.Template
	report *template.Template
	policy string // Content-Security-Policy: only the page's own style and script
}

func newPage() *page {
	funcs := template.FuncMap{
		"behind": behind, "title": title, "explain": explain, "class": class, "datagrams": datagrams,
		"sourceTroubles": sourceTroubles, "legTroubles": legTroubles, "healthTroubles": healthTroubles, "refusedTroubles": refusedTroubles,
		"shown": func(list []report.Client) []report.Client { return list[:min(len(list), maxShown)] },
	}
	return &page{tmpl: document(pageHTML, funcs), report: document(reportHTML, funcs), policy: policy()}
}

// document makes a page of its text. Beside funcs it has what all pages have.
func document(text string, funcs template.FuncMap) *template.Template {
	common := template.FuncMap{
		"rate": rate, "size": size, "number": number, "plural": plural,
		"style": func() template.CSS { return template.CSS(pageCSS) },
		"js":    func() template.JS { return template.JS(pageJS) },
		"since": func(now, then time.Time) string { return span(now.Sub(then)) },
		"minus": func(a, b int) int { return a - b },
	}
	t := template.Must(template.New("troubles").Parse(troublesHTML))
	return template.Must(t.New("page").Funcs(common).Funcs(funcs).Parse(text))
}

// policy is the Content-Security-Policy of all pages.
func policy() string {
	return fmt.Sprintf("default-src 'none'; style-src '%s'; script-src '%s'; connect-src 'self'; img-src data:; "+
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'", hash(pageCSS), hash(pageJS))
}

// hash names an inline text in a Content-Security-Policy.
func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

func (p *page) write(w io.Writer, st report.Status) error { return p.tmpl.Execute(w, st) }

func (p *page) writeTraffic(w io.Writer, t traffic) error { return p.report.Execute(w, t) }

// title is what a channel is called: its name, or its tag when it has none.
func title(ch report.Channel) string { return cmp.Or(ch.Name, ch.Tag) }

// explain says what the state of a channel or of a source means, "" where the word is
// enough.
func explain(state string) string {
	return map[string]string{
		"joining":   "nothing has come yet",
		"silent":    "nothing comes",
		"backup":    "the first source does not deliver",
		"lingering": "nobody watches any more",
		"closed":    "clients get what is left",
		"trial":     "received, not sent",
		"standby":   "not received",
	}[state]
}

// class makes a state the name of a class of the style sheet.
func class(state string) string { return strings.ReplaceAll(state, " ", "-") }

// datagrams sums over the legs of a source.
func datagrams(s report.Source) (n uint64) {
	for _, l := range s.Legs {
		n += l.Datagrams
	}
	return n
}

// behind writes how far a client lags, as bytes and, when the channel's rate is known,
// as time.
func behind(lag, bps uint64) string {
	if bps == 0 {
		return size(lag)
	}
	seconds, digits := float64(lag)*8/float64(bps), 1
	if seconds < 1 {
		digits = 2
	}
	return fmt.Sprintf("%s, %.*f\u202fs", size(lag), digits, seconds)
}

// number writes n with its digits in groups of three.
func number(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "\u202f" + s[i:]
	}
	return s
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
	return fmt.Sprintf("%d %s", n, many(word))
}

// many is the plural of word.
func many(word string) string {
	if strings.HasSuffix(word, "s") {
		return word + "es"
	}
	return word + "s"
}
