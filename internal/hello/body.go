package hello

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// reader reads fields from the front of bytes. Once something was not there ok is false
// and all that it returns is empty.
type reader struct {
	b  []byte
	ok bool
}

func read(b []byte) reader { return reader{b, true} }

func (r *reader) take(n int) []byte {
	if len(r.b) < n {
		r.b, r.ok = nil, false
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) uint8() int {
	if b := r.take(1); r.ok {
		return int(b[0])
	}
	return 0
}

func (r *reader) uint16() int {
	if b := r.take(2); r.ok {
		return int(binary.BigEndian.Uint16(b))
	}
	return 0
}

// vector8 and vector16 are what a length of one byte or two stands before.
func (r *reader) vector8() []byte  { return r.take(r.uint8()) }
func (r *reader) vector16() []byte { return r.take(r.uint16()) }

// more says that there is something left to read.
func (r *reader) more() bool { return r.ok && len(r.b) > 0 }

// The extensions that are looked into.
const (
	extName      = 0  // RFC 6066, 3
	extProtocols = 16 // RFC 7301, 3.1
	extVersions  = 43 // RFC 8446, 4.2.1
)

// parseBody reads the fields of a ClientHello (RFC 8446, 4.1.2; before TLS 1.3 the
// extensions may be missing).
func parseBody(b []byte) (Hello, error) {
	r := read(b)
	legacy := r.uint16()
	r.take(32) // random
	session := r.vector8()
	suites := r.vector16()
	compressions := r.vector8()
	if !r.ok || legacy>>8 != 3 || len(session) > 32 || len(suites) == 0 || len(suites)%2 != 0 || len(compressions) == 0 {
		return Hello{}, errors.New("the ClientHello is broken")
	}
	h := Hello{Versions: upTo(uint16(legacy))}
	if len(r.b) == 0 {
		return h, nil
	}
	all := read(r.vector16())
	if !r.ok || r.more() {
		return Hello{}, errors.New("the extensions of the ClientHello do not end where it ends")
	}
	if err := h.extensions(all); err != nil {
		return Hello{}, err
	}
	return h, nil
}

func (h *Hello) extensions(r reader) (err error) {
	seen := make(map[int]bool, 3)
	for r.more() {
		kind, data := r.uint16(), read(r.vector16())
		if !r.ok {
			return errors.New("an extension of the ClientHello is cut off")
		}
		switch kind {
		case extName:
			h.Name, err = parseName(data)
		case extProtocols:
			h.Protocols, err = parseProtocols(data)
		case extVersions:
			h.Versions, err = parseVersions(data)
		default:
			continue
		}
		if err == nil && seen[kind] {
			err = errors.New("it is there twice")
		}
		if err != nil {
			return fmt.Errorf("extension %d of the ClientHello: %w", kind, err)
		}
		seen[kind] = true
	}
	return nil
}

var errBroken = errors.New("it is broken")

// parseName reads a list of names, of which one may be a host's.
func parseName(r reader) (name string, err error) {
	list := read(r.vector16())
	if !r.ok || r.more() || !list.more() {
		return "", errBroken
	}
	found := false
	for list.more() {
		host := list.uint8() == 0
		text := list.vector16()
		switch {
		case !list.ok || len(text) == 0:
			return "", errBroken
		case !host:
			continue
		case found:
			return "", errors.New("two host names")
		}
		found = true
		if name, err = hostName(string(text)); err != nil {
			return "", err
		}
	}
	return name, nil
}

// hostName is a name as Hello has it. An address is not permitted as a name (RFC 6066, 3);
// some clients send it all the same, and are taken for ones that send none.
func hostName(text string) (string, error) {
	if _, err := netip.ParseAddr(text); err == nil {
		return "", nil
	}
	name := strings.ToLower(strings.TrimSuffix(text, "."))
	if len(name) > 253 {
		return "", fmt.Errorf("a host name of %d bytes", len(name))
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return "", fmt.Errorf("%q is no host name", text)
		}
	}
	return name, nil
}

func parseProtocols(r reader) (all []string, err error) {
	list := read(r.vector16())
	if !r.ok || r.more() || !list.more() {
		return nil, errBroken
	}
	for list.more() {
		name := list.vector8()
		if len(name) == 0 {
			return nil, errBroken
		}
		all = append(all, string(name))
	}
	return all, nil
}

// parseVersions keeps those of SSL 3.0 and TLS: others are drafts, or there to keep
// servers tolerant (RFC 8701).
func parseVersions(r reader) (all []uint16, err error) {
	list := read(r.vector8())
	if !r.ok || r.more() || !list.more() {
		return nil, errBroken
	}
	for list.more() {
		v := list.uint16()
		if !list.ok {
			return nil, errBroken
		}
		if v>>8 == 3 {
			all = append(all, uint16(v))
		}
	}
	slices.Sort(all)
	all = slices.Compact(all)
	slices.Reverse(all)
	return all, nil
}

// upTo are the versions that a client offers without supported_versions: all up to the one
// that it names, TLS 1.2 at most (RFC 8446, 4.2.1).
func upTo(legacy uint16) []uint16 {
	const ssl30, tls10, tls12 = 0x300, 0x301, 0x303
	if legacy == ssl30 {
		return []uint16{ssl30}
	}
	var all []uint16
	for v := min(legacy, tls12); v >= tls10; v-- {
		all = append(all, v)
	}
	return all
}
