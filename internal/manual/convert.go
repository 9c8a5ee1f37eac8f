package manual

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// date is that of the pages, which belong to a version and not to a day.
const date = "2026-11-22"

// Convert makes the page of its Markdown. It knows the part of Markdown that docs has:
// headings, paragraphs, lists with dashes, tables, code in fences or indented by four
// spaces, and in a line code, bold, italics and links. The title is dropped; what stands
// before the first heading is the description. Of a table the first column becomes the
// terms and the others what is said of them, each with its title before it if there are
// several. An error names the line that is none of this.
func Convert(p Page, markdown []byte) ([]byte, error) {
	w := &writer{page: p}
	fmt.Fprintf(&w.out, ".\\\" Made from docs/%s by make docs.\n", p.Source)
	fmt.Fprintf(&w.out, ".TH %s %d %s sluice\n", strings.ToUpper(p.Name), p.Section, date)
	w.heading(1, "Name")
	fmt.Fprintf(&w.out, "%s \\- %s\n", strings.Join(append([]string{p.Name}, p.Also...), ", "), text(p.About))
	lines := strings.Split(string(markdown), "\n")
	for at := 0; at < len(lines); {
		n, err := w.block(lines[at:])
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", p.Source, at+1, err)
		}
		at += n
	}
	w.heading(1, "See also")
	var refs []string
	for _, other := range Pages() {
		if other.Name != p.Name {
			refs = append(refs, fmt.Sprintf(".BR %s (%d)", other.Name, other.Section))
		}
	}
	w.out.WriteString(strings.Join(refs, " ,\n") + "\n")
	return w.out.Bytes(), nil
}

// writer is a page that is being made.
type writer struct {
	page  Page
	out   bytes.Buffer
	began bool // there was a heading
	fresh bool // a heading was the last: no space is wanted
}

// block writes the block that lines begin with and returns how many of them it has.
func (w *writer) block(lines []string) (n int, err error) {
	switch first := lines[0]; {
	case first == "":
		return 1, nil
	case strings.HasPrefix(first, "# "):
		return 1, nil
	case strings.HasPrefix(first, "<!--"):
		return comment(lines)
	case strings.HasPrefix(first, "## "):
		w.heading(1, first[3:])
		return 1, nil
	case strings.HasPrefix(first, "### "):
		w.heading(2, first[4:])
		return 1, nil
	}
	if !w.began {
		w.heading(1, "Description")
	}
	switch first := lines[0]; {
	case strings.HasPrefix(first, "```"):
		return w.fence(lines)
	case strings.HasPrefix(first, "|"):
		return w.table(lines)
	case strings.HasPrefix(first, "- "):
		return w.list(lines), nil
	case strings.HasPrefix(first, "    "):
		n = run(lines, func(l string) bool { return strings.HasPrefix(l, "    ") })
		plain := make([]string, n)
		for i := range plain {
			plain[i] = lines[i][4:]
		}
		w.literal(plain)
		return n, nil
	}
	n = run(lines, isText)
	w.space()
	w.paragraph(lines[:n])
	return n, nil
}

// run is how many of the lines, from the first on, hold.
func run(lines []string, holds func(string) bool) int {
	n := slices.IndexFunc(lines, func(l string) bool { return !holds(l) })
	if n < 0 {
		return len(lines)
	}
	return n
}

// isText reports whether a line goes on with a paragraph.
func isText(l string) bool {
	return l != "" && !slices.ContainsFunc([]string{"```", "|", "- ", "#", "<!--"}, func(p string) bool { return strings.HasPrefix(l, p) })
}

// comment is what begins with <!-- and ends, with a line, with -->.
func comment(lines []string) (n int, err error) {
	end := slices.IndexFunc(lines, func(l string) bool { return strings.HasSuffix(l, "-->") })
	if end < 0 {
		return 0, fmt.Errorf("comment without an end")
	}
	return end + 1, nil
}

func (w *writer) heading(level int, title string) {
	macro := map[int]string{1: "SH", 2: "SS"}[level]
	if level == 1 {
		title = strings.ToUpper(strings.ReplaceAll(title, "`", ""))
	}
	fmt.Fprintf(&w.out, ".%s %s\n", macro, w.inline(title))
	w.began, w.fresh = w.began || title != "NAME", true
}

// space parts what comes from what was before.
func (w *writer) space() {
	if !w.fresh {
		w.out.WriteString(".PP\n")
	}
	w.fresh = false
}

// paragraph writes lines of text.
func (w *writer) paragraph(lines []string) {
	for _, l := range strings.Split(w.inline(strings.Join(lines, "\n")), "\n") {
		fmt.Fprintf(&w.out, "%s\n", guarded(strings.TrimSpace(l)))
	}
}

// guarded keeps a line of text from being a request.
func guarded(l string) string {
	if strings.HasPrefix(l, ".") || strings.HasPrefix(l, "'") {
		return `\&` + l
	}
	return l
}

func (w *writer) fence(lines []string) (n int, err error) {
	end := slices.Index(lines[1:], "```")
	if end < 0 {
		return 0, fmt.Errorf("code without an end")
	}
	w.literal(lines[1 : 1+end])
	return end + 2, nil
}

// literal writes lines as they are, indented by four.
func (w *writer) literal(lines []string) {
	w.space()
	w.out.WriteString(".RS 4\n.nf\n")
	for _, l := range lines {
		fmt.Fprintf(&w.out, "%s\n", guarded(code(l)))
	}
	w.out.WriteString(".fi\n.RE\n")
}

func (w *writer) list(lines []string) int {
	n := run(lines, func(l string) bool { return strings.HasPrefix(l, "- ") || strings.HasPrefix(l, "  ") })
	for at := 0; at < n; {
		length := 1 + run(lines[at+1:n], func(l string) bool { return strings.HasPrefix(l, "  ") })
		w.out.WriteString(".IP \\(bu 2\n")
		w.paragraph(append([]string{lines[at][2:]}, lines[at+1:at+length]...))
		at += length
	}
	w.fresh = false
	return n
}

func (w *writer) table(lines []string) (n int, err error) {
	n = run(lines, func(l string) bool { return strings.HasPrefix(l, "|") })
	if n < 3 {
		return 0, fmt.Errorf("table of %d lines: want titles, dashes and rows", n)
	}
	titles := cells(lines[0])
	for i, l := range lines[2:n] {
		row := cells(l)
		if len(row) != len(titles) {
			return 0, fmt.Errorf("row %d of the table has %d cells, want %d", i+1, len(row), len(titles))
		}
		w.row(titles, row)
	}
	w.fresh = false
	return n, nil
}

// row writes a term and what is said of it: first what has no title.
func (w *writer) row(titles, cells []string) {
	fmt.Fprintf(&w.out, ".TP\n%s\n", guarded(w.inline(cells[0])))
	var said, titled []string
	for i := 1; i < len(cells); i++ {
		switch {
		case cells[i] == "":
		case titles[i] == "" || len(cells) == 2:
			said = append(said, cells[i])
		default:
			titled = append(titled, titles[i]+": "+cells[i])
		}
	}
	if len(said)+len(titled) == 0 {
		w.out.WriteString("\\&\n")
	}
	if len(said) > 0 {
		w.paragraph(said)
	}
	if len(said) > 0 && len(titled) > 0 {
		w.out.WriteString(".br\n")
	}
	if len(titled) > 0 {
		w.paragraph([]string{"(" + strings.Join(titled, "; ") + ")"})
	}
}

// cells are those of a line of a table; \| is a bar.
func cells(line string) []string {
	const bar = "\x00"
	line = strings.ReplaceAll(strings.TrimSpace(line), `\|`, bar)
	list := strings.Split(strings.Trim(line, "|"), "|")
	for i := range list {
		list[i] = strings.TrimSpace(strings.ReplaceAll(list[i], bar, "|"))
	}
	return list
}

// inlines is what is more than text inside of a line: code, bold, italics, or a link.
var inlines = regexp.MustCompile("(?s)``? ?(.+?) ?``?|\\*\\*(.+?)\\*\\*|\\*(\\w.*?)\\*|\\[([^]]+)\\]\\([^)]*\\)")

// inline is text with fonts.
func (w *writer) inline(s string) string {
	s = w.named(s)
	var b strings.Builder
	for {
		m := inlines.FindStringSubmatchIndex(s)
		if m == nil {
			return b.String() + text(s)
		}
		b.WriteString(text(s[:m[0]]))
		switch {
		case m[2] >= 0:
			b.WriteString(`\fB` + code(s[m[2]:m[3]]) + `\fR`)
		case m[4] >= 0:
			b.WriteString(`\fB` + strings.ReplaceAll(w.inline(s[m[4]:m[5]]), `\fR`, `\fB`) + `\fR`) // code in it is bold anyway
		case m[6] >= 0:
			b.WriteString(`\fI` + text(s[m[6]:m[7]]) + `\fR`)
		default:
			b.WriteString(w.inline(s[m[8]:m[9]]))
		}
		s = s[m[1]:]
	}
}

// named is text in which pages have their own names: who reads the manual has no docs.
func (w *writer) named(s string) string {
	for _, p := range Pages() {
		s = strings.ReplaceAll(s, "docs/"+p.Source, p.Ref())
	}
	return s
}

// text is s as text of man(7).
func text(s string) string {
	return marks(strings.NewReplacer(`\`, `\e`, "~", `\(ti`, "^", `\(ha`, "`", `\(ga`).Replace(s))
}

// code is s as code, in which a dash and a quote are no others.
func code(s string) string {
	return marks(strings.NewReplacer(`\`, `\e`, "~", `\(ti`, "^", `\(ha`, "`", `\(ga`, "'", `\(aq`, "-", `\-`).Replace(s))
}

// marks names what is not ASCII.
func marks(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r < 0x80 {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, `\[u%04X]`, r)
		}
	}
	return b.String()
}
