package serve

import (
	"bufio"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"sluice/internal/store"
)

// style is all that a listing has besides its text.
const style = `:root{color-scheme:light dark}
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.3rem;overflow-wrap:anywhere}
table{border-collapse:collapse;width:100%}
th{text-align:left;font-weight:600}
th,td{padding:.25rem .75rem .25rem 0;border-bottom:1px solid #8884}
td:first-child{overflow-wrap:anywhere}
td:nth-child(n+2){white-space:nowrap;font-variant-numeric:tabular-nums;color:GrayText}
td:last-child,th:last-child{text-align:right;padding-right:0}
a{text-decoration:none}a:hover{text-decoration:underline}
footer{margin-top:1rem;font-size:.85rem;color:GrayText}`

// List answers with a listing of a directory; names are escaped, hidden ones left out. where is what the client asked for, footer the
// last line. Sizes are in bytes, times in UTC.
func List(w http.ResponseWriter, r *http.Request, where string, list []store.Info, footer string) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", listPolicy())
	setDefault(h, "Cache-Control", "no-cache")
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return
	}
	b := bufio.NewWriter(w)
	writeList(b, path.Clean("/"+where), list, footer)
	_ = b.Flush() // the client may be gone; there is nobody else to tell
}

// listPolicy permits a page nothing but its own style.
func listPolicy() string {
	sum := sha256.Sum256([]byte(style))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}

// writeList writes the page of a directory; dir is a clean path.
func writeList(b *bufio.Writer, dir string, list []store.Info, footer string) {
	title := html.EscapeString("Index of " + dir)
	fmt.Fprintf(b, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"+
		"<meta name=\"viewport\" content=\"width=device-width\">\n<title>%s</title>\n<style>%s</style>\n</head>\n<body>\n<h1>%s</h1>\n<table>\n"+
		"<tr><th>Name</th><th>Modified (UTC)</th><th>Bytes</th></tr>\n", title, style, title)
	if dir != "/" {
		writeRow(b, directory(path.Dir(dir)), "..", "", "")
	}
	for _, i := range list {
		name := path.Base(i.Name)
		switch link := path.Join(dir, name); {
		case strings.HasPrefix(name, "."):
		case i.Dir:
			writeRow(b, directory(link), name+"/", moment(i.Modified), "")
		case i.Growing:
			writeRow(b, link, name, moment(i.Modified), fmt.Sprintf("%d, growing", i.Size))
		default:
			writeRow(b, link, name, moment(i.Modified), fmt.Sprint(i.Size))
		}
	}
	fmt.Fprintf(b, "</table>\n<footer>%s</footer>\n</body>\n</html>\n", html.EscapeString(footer))
}

// writeRow writes an entry: where it leads to, and what is known of it.
func writeRow(b *bufio.Writer, link, name, modified, size string) {
	fmt.Fprintf(b, "<tr><td><a href=\"%s\">%s</a></td><td>%s</td><td>%s</td></tr>\n",
		html.EscapeString((&url.URL{Path: link}).EscapedPath()), html.EscapeString(name), modified, size)
}

// directory is a path with a slash at its end.
func directory(clean string) string { return strings.TrimSuffix(clean, "/") + "/" }

func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.DateTime)
}
