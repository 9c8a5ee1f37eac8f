package request

import (
	"net/url"
	"strconv"
	"strings"

	"sluice/internal/uri"
)

// separators may stand before a port, in place of the colon.
const separators = "%~+-^"

// decodeAddress is an address, or two legs, as package uri reads them: decoded, and with
// colons before the ports.
func decodeAddress(escaped string) (string, error) {
	if len(escaped) > 3*maxAddress { // three characters stand for one at most
		return "", bad("address of %d characters: %s", len(escaped), forms)
	}
	legs := strings.Split(strings.NewReplacer("%7C", "|", "%7c", "|").Replace(escaped), "|")
	for i, leg := range legs {
		var err error
		if legs[i], err = decodeLeg(leg); err != nil {
			return "", err
		}
	}
	address := strings.Join(legs, "|")
	if len(address) > maxAddress {
		return "", bad("address of %d characters: %s", len(address), forms)
	}
	return address, nil
}

func decodeLeg(escaped string) (string, error) {
	if i := strings.LastIndexByte(escaped, '%'); i >= 0 && isPort(escaped[i+1:]) { // a bare one
		if address, err := url.PathUnescape(escaped[:i]); err == nil && !hasPort(address) {
			return checked(address + ":" + escaped[i+1:])
		}
	}
	s, err := url.PathUnescape(escaped)
	if err != nil {
		return "", bad("%v in the address", err)
	}
	if i := strings.LastIndexAny(s, separators); i >= 0 && isPort(s[i+1:]) && !hasPort(s[:i]) {
		s = s[:i] + ":" + s[i+1:]
	}
	return checked(s)
}

func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0
}

// hasPort says whether a colon follows the address, be it of IPv4 or in brackets.
func hasPort(s string) bool { return strings.LastIndexByte(s, ':') > strings.LastIndexByte(s, ']') }

// checked refuses what is in no address: other letters than printable ASCII, and a slash
// that was hidden.
func checked(s string) (string, error) {
	if strings.ContainsFunc(s, func(r rune) bool { return notPrintable(r) || r > '~' || r == '/' }) {
		return "", bad("bad character in address %q: %s", uri.Shown(s), forms)
	}
	return s, nil
}
