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

// MaxHeader bounds the headers that Parse takes, in bytes.
const MaxHeader = 4096

// ErrMore says that the bytes are the beginning of a header, and that more are needed.
var ErrMore = errors.New("the header is not whole")

// Parse reads the header that b begins with and says how long it is. When b begins with
// none, the Header is the zero one and n is 0. It returns ErrMore when b may become a header
// (also when it is empty), and another error for one that is broken. Nothing in Header
// refers to b.
func Parse(b []byte) (h Header, n int, err error) { panic("not built yet") }

// Append writes h. Version 1 has no TLVs and says UNKNOWN for what is not TCP over IPv4 or
// IPv6 both ends alike; version 2 says LOCAL for Local and family UNSPEC for the rest.
func Append(b []byte, h Header) []byte { panic("not built yet") }
