// Package proxyproto reads and writes the headers by which a proxy says for whom it speaks
// (haproxy, "The PROXY protocol", versions 1 and 2). It knows bytes only; who is believed
// is up to others.
package proxyproto

import (
	"errors"
	"net/netip"
)

// Version is that of a header.
type Version uint8

// The versions.
const (
	None Version = iota
	V1           // one line of text (2.1)
	V2           // binary (2.2)
)

// Header is what a proxy says.
type Header struct {
	Version Version // of Parse: None when there is no header
	Local   bool    // the proxy speaks for itself: LOCAL, or UNKNOWN of version 1
	From    netip.AddrPort
	To      netip.AddrPort // both are zero with Local, and for families that are not TCP over IP
	TLVs    []TLV          // of version 2; what is not known is kept
}

// TLV is a further fact of version 2 (2.2.1 to 2.2.7).
type TLV struct {
	Type  byte
	Value []byte
}

// The types of TLVs that are written.
const (
	TypeALPN      = 0x01
	TypeAuthority = 0x02 // the server name that the client asked for
	TypeCRC32C    = 0x03
	TypeSSL       = 0x20
)

// MaxHeader bounds the headers that Parse takes, in bytes: it is what the format has room for.
const MaxHeader = headSize2 + 0xffff

// ErrMore says that the bytes are the beginning of a header, and that more are needed.
var ErrMore = errors.New("the header is not whole")

// Parse reads the header that b begins with and says how long it is. When b begins with
// none, the Header is the zero one and n is 0. It returns ErrMore when b may become a header
// (also when it is empty), and another error for one that is broken. Nothing in Header
// refers to b. IPv4 addresses in IPv6 form become IPv4.
func Parse(b []byte) (h Header, n int, err error) {
	switch {
	case begins(b, signature1):
		return parse1(b)
	case begins(b, signature2):
		return parse2(b)
	}
	return Header{}, 0, nil
}

// Missing is how many bytes may be read, at most, after Parse has returned ErrMore for b, if
// nothing beyond the header is to be read: it has at least so many more.
func Missing(b []byte) int {
	switch {
	case len(b) < len(signature2): // both are longer
		return len(signature2) - len(b)
	case begins(b, signature2):
		return missing2(b)
	case b[len(b)-1] == '\r':
		return 1
	}
	return len("\r\n")
}

// begins reports whether b is, or can become, something that has that signature.
func begins(b []byte, signature string) bool {
	n := min(len(b), len(signature))
	return string(b[:n]) == signature[:n]
}

// Append writes h. Without both addresses version 1 says UNKNOWN and version 2 LOCAL, as
// with Local (PROXY with family UNSPEC would be right too, but haproxy resets such a
// connection). When one end is IPv4 and the other IPv6, both are written as IPv6.
//
// Version 1 has no TLVs. In version 2 one of TypeCRC32C gets the checksum as its value, and
// those for which the format has no room are left out. Of Version None nothing is written.
func Append(b []byte, h Header) []byte {
	switch h.Version {
	case V1:
		return append1(b, h)
	case V2:
		return append2(b, h)
	}
	return b
}

// ends are the addresses as they are written, of one family; ok says that there are some.
func (h Header) ends() (from, to netip.AddrPort, ok bool) {
	if h.Local || !h.From.IsValid() || !h.To.IsValid() {
		return netip.AddrPort{}, netip.AddrPort{}, false
	}
	from, to = plain(h.From), plain(h.To)
	if from.Addr().Is4() != to.Addr().Is4() {
		from, to = wide(from), wide(to)
	}
	return from, to, true
}

// plain is an address without a zone, and not an IPv4 address in IPv6 form.
func plain(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}

// wide is an address in IPv6 form.
func wide(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom16(a.Addr().As16()), a.Port())
}
