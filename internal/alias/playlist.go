package alias

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"unicode/utf8"

	"sluice/internal/lineup"
	"sluice/internal/uri"
)

// ParsePlaylist reads a playlist in M3U; where is the file or URL that it is from, to which
// relative URLs in it relate. See LoadPlaylist.
func ParsePlaylist(where string, text []byte, all lineup.Settings) (List, error) {
	from := origin{text: text, base: where}
	if isURL(where) {
		end, err := uri.Parse(where)
		from.foreign = err != nil || !isLocal(end)
	}
	return parsePlaylist(where, from, all)
}

func parsePlaylist(where string, from origin, all lineup.Settings) (List, error) {
	p := playlist{
		where: where, origin: from, list: List{Name: uri.Mask(where)}, all: all,
		names: names{taken: make(map[string]bool), next: make(map[string]int)},
		tags:  make(map[string]int),
	}
	s := strings.TrimPrefix(string(from.text), "\ufeff")
	if !utf8.ValidString(s) {
		p.warn("not in UTF-8: letters are lost")
		s = strings.ToValidUTF8(s, "\ufffd")
	}
	for line := range strings.Lines(s) {
		p.number++
		if err := p.read(strings.TrimSpace(line)); err != nil {
			return List{}, fmt.Errorf("playlist %s, line %d: %w", p.list.Name, p.number, err)
		}
	}
	if more := p.warnings - len(p.list.Warnings); more > 0 {
		p.list.Warnings = append(p.list.Warnings, fmt.Sprintf("%s: %d more warnings", p.list.Name, more))
	}
	switch {
	case len(p.list.Channels) > 0:
		return p.list, nil
	case !p.header && p.entries > 0:
		return List{}, fmt.Errorf("playlist %s: no URL of a channel in it: is it M3U at all?", p.list.Name)
	case len(p.list.Warnings) > 0:
		return List{}, fmt.Errorf("playlist %s: no channel in it can be used: %s", p.list.Name, p.list.Warnings[0])
	}
	return List{}, fmt.Errorf("playlist %s: no channel in it", p.list.Name)
}

// playlist reads line by line.
type playlist struct {
	where string // as it is configured
	origin
	all lineup.Settings

	number   int  // of the line
	header   bool // #EXTM3U or #EXTINF was there: it is M3U
	entries  int
	warnings int            // those that are beyond maxWarnings too
	next     lineup.Listing // what was said of the next entry
	tvgName  string         // likewise

	names names
	tags  map[string]int // the lines that first sources stand in
	list  List
}

// maxWarnings leaves room for one that says how many more there are.
const maxWarnings = 99

func (p *playlist) warn(format string, args ...any) {
	if p.warnings++; p.warnings <= maxWarnings {
		p.list.Warnings = append(p.list.Warnings, p.list.Name+": "+fmt.Sprintf(format, args...))
	}
}

// read reads one line. An error means that the whole is no list of channels.
func (p *playlist) read(line string) error {
	switch {
	case line == "":
	case strings.HasPrefix(line, "#EXTM3U"):
		p.header = true
	case strings.HasPrefix(line, "#EXTINF:"):
		p.header = true
		p.info(line[len("#EXTINF:"):])
	case strings.HasPrefix(line, "#EXTGRP:"):
		if p.next.Group == "" { // else group-title has said it
			p.next.Group = oneLine(line[len("#EXTGRP:"):])
		}
	case strings.HasPrefix(line, "#EXT-X-TARGETDURATION"), strings.HasPrefix(line, "#EXT-X-STREAM-INF"):
		return errors.New("this is one stream of HLS, not a list of channels")
	case line[0] == '#':
	default:
		p.entry(line)
		p.next, p.tvgName = lineup.Listing{}, ""
	}
	return nil
}

// info reads what stands behind #EXTINF: a duration, attributes, a comma, and the title.
func (p *playlist) info(s string) {
	group := p.next.Group
	attributes, title := cutTitle(s)
	a := readAttributes(attributes)
	p.tvgName = oneLine(a["tvg-name"])
	p.next = lineup.Listing{
		Group: oneLine(a["group-title"]), Title: oneLine(title), Guide: oneLine(a["tvg-id"]), Logo: uri.Printable(a["tvg-logo"]),
	}
	if p.next.Group == "" {
		p.next.Group = group
	}
	if lineup.CheckLogo(p.next.Logo) != nil {
		p.next.Logo = ""
	}
}

// cutTitle cuts at the first comma that is not in quotes; where these do not match, at the
// last one.
func cutTitle(s string) (attributes, title string) {
	quoted, at := false, -1
	for i := 0; i < len(s) && at < 0; i++ {
		switch {
		case s[i] == '"':
			quoted = !quoted
		case s[i] == ',' && !quoted:
			at = i
		}
	}
	if at < 0 {
		at = strings.LastIndexByte(s, ',')
	}
	if at < 0 {
		return s, ""
	}
	return s[:at], s[at+1:]
}

// readAttributes reads KEY="VALUE" and KEY=VALUE.
func readAttributes(s string) map[string]string {
	a := make(map[string]string)
	for {
		key, rest, found := strings.Cut(s, "=")
		if !found {
			return a
		}
		key = strings.ToLower(key[strings.LastIndexAny(key, " \t")+1:])
		if inside, quoted := strings.CutPrefix(rest, `"`); quoted {
			a[key], s, _ = strings.Cut(inside, `"`)
		} else {
			a[key], s, _ = strings.Cut(rest, " ")
		}
	}
}

// entry adds a channel, or warns why it cannot.
func (p *playlist) entry(line string) {
	p.entries++
	if p.entries > MaxEntries {
		p.warn("line %d: more than %d entries: left out", p.number, MaxEntries)
		return
	}
	ch := lineup.Channel{Trusted: true, NotLocal: p.foreign, Settings: p.all, Listing: p.next}
	if ch.Title == "" {
		ch.Title = p.tvgName
	}
	source, err := p.source(line)
	if err != nil {
		p.warn("line %d: %sleft out: %v", p.number, titled(ch.Title), err)
		return
	}
	tag := source.Tag()
	if line, taken := p.tags[tag]; taken {
		p.warn("line %d: %sleft out: the channel of line %d has the same source", p.number, titled(ch.Title), line)
		return
	}
	ch.Sources, ch.Name = []uri.Source{source}, p.names.of(ch.Title)
	if err := check(ch); err != nil {
		p.warn("line %d: left out: %v", p.number, err)
		return
	}
	p.tags[tag] = p.number
	p.list.Channels = append(p.list.Channels, ch)
}

// titled is a title as a warning names it.
func titled(s string) string {
	if s == "" {
		return ""
	}
	return fmt.Sprintf("%q ", clip(s, 80))
}

// absolute is how a URL with a scheme begins (RFC 3986, 3.1).
var absolute = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*://`)

// source reads the URL of an entry, in the spellings that playlists have.
func (p *playlist) source(line string) (uri.Source, error) {
	text, err := p.resolve(line)
	if err != nil {
		return nil, err
	}
	scheme, rest, _ := strings.Cut(text, "://")
	switch scheme = strings.ToLower(scheme); uri.Scheme(scheme) {
	case uri.UDP, uri.RTP:
		rest, _, _ = strings.Cut(strings.TrimPrefix(rest, "@"), "?") // VLC writes @, ffmpeg options behind ?
		text = scheme + "://" + rest
	case uri.HTTP, uri.HTTPS:
		rest, _, _ = strings.Cut(rest, "#")
		rest, _, _ = strings.Cut(rest, "|") // Kodi's headers
		text = scheme + "://" + uri.Printable(rest)
	}
	source, err := uri.ParseSource(text)
	if err != nil {
		return nil, err
	}
	for _, e := range source {
		if err := p.permit(e); err != nil {
			return nil, err
		}
	}
	return source, nil
}

// resolve makes a relative URL absolute.
func (p *playlist) resolve(line string) (string, error) {
	switch {
	case absolute.MatchString(line):
		return line, nil
	case !p.header: // a page that says that something is wrong has such lines, too
		return "", errors.New("a relative URL, and neither #EXTM3U nor #EXTINF before it")
	case isURL(p.base):
		base, err := url.Parse(p.base)
		if err != nil {
			return "", withoutURL(err)
		}
		reference, err := url.Parse(uri.Printable(line))
		if err != nil {
			return "", withoutURL(err)
		}
		to := base.ResolveReference(reference)
		if to.Host == base.Host && to.Scheme == base.Scheme {
			to.User = base.User
		}
		return to.String(), nil
	}
	name, err := filepath.Abs(filepath.Join(filepath.Dir(p.where), line))
	if filepath.IsAbs(line) {
		name, err = filepath.Clean(line), nil
	}
	return uri.End{Scheme: uri.File, Path: name}.String(), err
}

// permit refuses what nobody would want of a list: HLS, which is no stream; and, from a
// list of the net, files of this machine and what listens on it only, unless the list is
// of this machine itself.
func (p *playlist) permit(e uri.End) error {
	if e.Web() && strings.HasSuffix(strings.ToLower(e.Path), ".m3u8") {
		return errors.New("a playlist of HLS, which cannot be relayed")
	}
	switch {
	case isURL(p.where) && e.Scheme == uri.File:
		return errors.New("a list from the net cannot name files of this machine")
	case p.foreign && isLocal(e):
		return errors.New("a list from the net cannot name addresses of this machine")
	}
	return nil
}

// isLocal says whether an end is on this machine or link only, as far as its name tells;
// what a name stands for shows when it is asked for (lineup.Channel.NotLocal).
func isLocal(e uri.End) bool {
	host, _, _ := strings.Cut(e.Host, ":")
	host = strings.TrimSuffix(host, ".")
	a := e.IP()
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || isLocalAddr(a)
}

func isLocalAddr(a netip.Addr) bool {
	return a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsValid() && a.IsUnspecified()
}
