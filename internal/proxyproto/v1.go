package proxyproto

import (
	"bytes"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

const (
	signature1 = "PROXY "
	maxLine    = 107 // bytes of a header of version 1, its end included (2.1)
)

// parse1 reads a line that begins with signature1, as far as it is there.
func parse1(b []byte) (Header, int, error) {
	end := bytes.Index(b[:min(len(b), maxLine)], []byte("\r\n"))
	switch {
	case end < 0 && len(b) >= maxLine:
		return Header{}, 0, fmt.Errorf("line of more than %d bytes", maxLine)
	case end < 0:
		return Header{}, 0, ErrMore
	}
	h, err := parseLine(string(b[:end]))
	if err != nil {
		return Header{}, 0, err
	}
	return h, end + len("\r\n"), nil
}

// parseLine reads "PROXY TCP4 SOURCE DESTINATION PORT PORT"; behind "PROXY UNKNOWN"
// anything may stand.
func parseLine(line string) (Header, error) {
	f := strings.Split(line, " ")
	if len(f) >= 2 && f[1] == "UNKNOWN" {
		return Header{Version: V1, Local: true}, nil
	}
	if len(f) != 6 || f[1] != "TCP4" && f[1] != "TCP6" {
		return Header{}, fmt.Errorf("bad line %q", line)
	}
	from, err := parseAddr(f[2], f[4], f[1] == "TCP4")
	if err != nil {
		return Header{}, fmt.Errorf("bad line %q: %w", line, err)
	}
	to, err := parseAddr(f[3], f[5], f[1] == "TCP4")
	if err != nil {
		return Header{}, fmt.Errorf("bad line %q: %w", line, err)
	}
	return Header{Version: V1, From: from, To: to}, nil
}

func parseAddr(addr, port string, four bool) (netip.AddrPort, error) {
	a, err := netip.ParseAddr(addr)
	if err != nil || a.Zone() != "" || a.Is4() != four {
		return netip.AddrPort{}, fmt.Errorf("no address of that family: %q", addr)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || strconv.FormatUint(n, 10) != port {
		return netip.AddrPort{}, fmt.Errorf("no port: %q", port)
	}
	return plain(netip.AddrPortFrom(a, uint16(n))), nil
}

func append1(b []byte, h Header) []byte {
	from, to, ok := h.ends()
	if !ok {
		return append(b, signature1+"UNKNOWN\r\n"...)
	}
	family := "TCP4"
	if from.Addr().Is6() {
		family = "TCP6"
	}
	return fmt.Appendf(b, signature1+"%s %s %s %d %d\r\n", family, from.Addr(), to.Addr(), from.Port(), to.Port())
}
