package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"sluice/internal/uri"
)

// list is a List whose items are read by parse and written by write.
type list[T any] struct {
	to    *[]T
	parse func(string) (T, error)
	write func(T) string
}

func (v list[T]) String() string { return strings.Join(v.Items(), ",") }

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
	for item := range strings.SplitSeq(text, ",") {
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
	return list[netip.Prefix]{to, parsePrefix, func(p netip.Prefix) string {
		if p.IsSingleIP() {
			return p.Addr().String()
		}
		return p.String()
	}}
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
	return list[uri.Source]{to, uri.ParseSource, uri.Source.String}
}
