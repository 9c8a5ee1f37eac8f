package config

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"

	"sluice/internal/uri"
)

// list is a List whose items are read by parse and written by write.
type list[T any] struct {
	to    *[]T
	parse func(string) (T, error)
	write func(T) string
	what  string
	some  bool // an empty one has no meaning
	lines bool // items may have commas: as one text they have line ends between them
}

func (v list[T]) separator() string {
	if v.lines {
		return "\n"
	}
	return ","
}

func (v list[T]) String() string { return strings.Join(v.Items(), v.separator()) }

// Type implements Value.
func (v list[T]) Type() string { return "list of " + v.what }

func (v list[T]) Clear() { *v.to = nil }

func (v list[T]) Items() []string {
	items := make([]string, 0, len(*v.to))
	for _, x := range *v.to {
		items = append(items, v.write(x))
	}
	return items
}

func (v list[T]) Set(text string) error {
	before := *v.to
	v.Clear()
	if text == "" && !v.some {
		return nil
	}
	for item := range strings.SplitSeq(text, v.separator()) {
		if err := v.Add(strings.TrimSpace(item)); err != nil {
			*v.to = before
			return err
		}
	}
	return nil
}

func (v list[T]) Add(item string) error {
	x, err := v.parse(item)
	if err != nil {
		return err
	}
	*v.to = append(slices.Clip(*v.to), x)
	return nil
}

// prefixes is a list of networks and single addresses.
func prefixes(to *[]netip.Prefix) List {
	return list[netip.Prefix]{to: to, parse: parsePrefix, write: writePrefix, what: "networks"}
}

func writePrefix(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

func parsePrefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil || p.Addr().Is4In6() {
		return netip.Prefix{}, fmt.Errorf("bad network %q: want an address or ADDRESS/BITS, such as 10.0.0.0/8", s)
	}
	if p != p.Masked() {
		return netip.Prefix{}, fmt.Errorf("bad network %q: the network is %s", s, p.Masked())
	}
	return p, nil
}

// sources is a list of sources.
func sources(to *[]uri.Source) List {
	return list[uri.Source]{to: to, parse: uri.ParseSource, write: uri.Source.String, what: "URLs", lines: true}
}

// paths is a list of files or directories.
func paths(to *[]string) List {
	return list[string]{to: to, parse: parsePath, write: same, what: "paths", lines: true}
}

func parsePath(s string) (string, error) {
	if s == "" {
		return "", errors.New("an empty path")
	}
	if err := printable(s); err != nil {
		return "", fmt.Errorf("bad path %q: %w", s, err)
	}
	return s, nil
}

// directories is a list of directories, which do not depend on where sluice was started.
func directories(to *[]string) List {
	return list[string]{to: to, parse: parseDirectory, write: same, what: "paths", lines: true}
}

func parseDirectory(s string) (string, error) {
	if !filepath.IsAbs(s) {
		return "", fmt.Errorf("bad directory %q: want an absolute path", s)
	}
	return parsePath(filepath.Clean(s))
}

// playlists is a list of files and URLs of the web.
func playlists(to *[]string) List {
	return list[string]{to: to, parse: parsePlaylist, write: same, what: "paths and URLs", lines: true}
}

func parsePlaylist(s string) (string, error) {
	if strings.Contains(s, "://") {
		return s, checkWeb(s)
	}
	return parsePath(s)
}

func same(s string) string { return s }
