package alias

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"net/url"
	"strings"

	"sluice/internal/lineup"
	"sluice/internal/uri"
)

// WritePlaylist writes the channels as M3U: each as base/$NAME?query. base is the URL of a
// user port, query may be "". No text of a channel can leave its place in its line. The
// error is that of w.
func WritePlaylist(w io.Writer, channels []lineup.Channel, base, query string) error {
	base = uri.Printable(strings.TrimSuffix(base, "/"))
	if query != "" {
		query = "?" + strings.ReplaceAll(uri.Printable(query), "#", "%23")
	}
	b := bufio.NewWriter(w)
	fmt.Fprint(b, "#EXTM3U\n") // an error stays until Flush
	for _, ch := range channels {
		title := cmp.Or(oneLine(ch.Title), ch.Name)
		fmt.Fprintf(b, "#EXTINF:-1%s%s%s%s,%s\n%s/$%s%s\n",
			attribute("tvg-id", ch.Guide), attribute("tvg-name", title), attribute("tvg-logo", strings.ReplaceAll(ch.Logo, ",", "%2C")), attribute("group-title", ch.Group),
			title, base, url.PathEscape(ch.Name), query)
	}
	return b.Flush()
}

// attribute is written only if there is something in it. M3U has no escape for quotes, and
// VLC ends an attribute at a comma.
func attribute(key, value string) string {
	if value = strings.NewReplacer(`"`, "'", ",", " ").Replace(withoutLines(value)); value == "" {
		return ""
	}
	return " " + key + `="` + strings.Join(strings.Fields(value), " ") + `"`
}
