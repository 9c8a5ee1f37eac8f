package config

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"sluice/internal/resolve"
)

// orNever is a time; 0 says that it never ends, which is negative in *to.
type orNever struct{ to *time.Duration }

func (v orNever) String() string { return duration{to: new(max(*v.to, 0))}.String() }

// Type implements Value.
func (v orNever) Type() string { return "time" }

func (v orNever) Set(text string) error {
	if err := (duration{to: v.to, least: time.Millisecond, zero: true}).Set(text); err != nil {
		return err
	}
	if *v.to == 0 {
		*v.to = -1
	}
	return nil
}

// orNone is a number; 0 says that there is none, which is negative in *to.
type orNone struct {
	to   *int
	most int
}

func (v orNone) String() string { return strconv.Itoa(max(*v.to, 0)) }

// Type implements Value.
func (v orNone) Type() string { return "number" }

func (v orNone) Set(text string) error {
	if err := (count{v.to, 0, v.most}).Set(text); err != nil {
		return err
	}
	if *v.to == 0 {
		*v.to = -1
	}
	return nil
}

// buffer is a size that memory is taken for; 0 is left to others if it may be said.
type buffer struct {
	to   *int
	zero bool
}

// Bounds of buffers.
const (
	minBuffer = 1 << 10
	maxBuffer = 64 << 20
)

func (v buffer) String() string { return bytesScale().text(int64(*v.to)) }

// Type implements Value.
func (v buffer) Type() string { return "size" }

func (v buffer) Set(text string) error {
	n, err := bytesScale().parse(text)
	if err != nil {
		return err
	}
	if (n != 0 || !v.zero) && (n < minBuffer || n > maxBuffer) {
		return fmt.Errorf("bad size %q: want %s to %s", text, bytesScale().text(minBuffer), bytesScale().text(maxBuffer))
	}
	*v.to = int(n)
	return nil
}

// perSecond is how often something may be in a second.
type perSecond struct{ to *float64 }

func (v perSecond) String() string { return strconv.FormatFloat(*v.to, 'f', -1, 64) }

// Type implements Value.
func (v perSecond) Type() string { return "number" }

func (v perSecond) Set(text string) error {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(n) || n < 0 || n > maxCount || n > 0 && n < 1e-6 {
		return fmt.Errorf("bad number %q: want so many a second, such as 100 or 0.5", text)
	}
	*v.to = n + 0 // no -0
	return nil
}

// assumed is true or false, and true where nothing is said.
type assumed struct{ to **bool }

func (v assumed) String() string { return strconv.FormatBool(*v.to == nil || **v.to) }

// Type implements Value.
func (v assumed) Type() string { return "true or false" }

func (v assumed) Set(text string) error {
	var b bool
	if err := (boolean{&b}).Set(text); err != nil {
		return err
	}
	*v.to = nil
	if !b {
		*v.to = &b
	}
	return nil
}

// port is that of a remote; 0 is none.
type port struct{ to *uint16 }

func (v port) String() string { return strconv.Itoa(int(*v.to)) }

// Type implements Value.
func (v port) Type() string { return "port" }

func (v port) Set(text string) error {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return fmt.Errorf("bad port %q: want 0 to 65535", text)
	}
	*v.to = uint16(n)
	return nil
}

// address is one without a port; "" is none.
type address struct{ to *netip.Addr }

func (v address) String() string {
	if !v.to.IsValid() {
		return ""
	}
	return v.to.String()
}

// Type implements Value.
func (v address) Type() string { return "address" }

func (v address) Set(text string) error {
	if text == "" {
		*v.to = netip.Addr{}
		return nil
	}
	a, err := netip.ParseAddr(text)
	if err != nil {
		return fmt.Errorf("bad address %q: want one of this machine, without a port", text)
	}
	*v.to = a.Unmap()
	return nil
}

// mode is the permissions of a file.
type mode struct{ to *uint32 }

func (v mode) String() string { return fmt.Sprintf("%04o", *v.to) }

// Type implements Value.
func (v mode) Type() string { return "mode" }

func (v mode) Set(text string) error {
	n, err := strconv.ParseUint(text, 8, 32)
	if err != nil || n == 0 || n > 0o777 {
		return fmt.Errorf("bad mode %q: want 0001 to 0777", text)
	}
	*v.to = uint32(n)
	return nil
}

// version is one of TLS; "" is none.
type version struct{ to *uint16 }

// String is 1.2 for tls.VersionTLS12.
func (v version) String() string {
	if *v.to == 0 {
		return ""
	}
	return "1." + strconv.Itoa(int(*v.to)-tls.VersionTLS10)
}

// Type implements Value.
func (v version) Type() string { return "version" }

func (v version) Set(text string) error {
	switch text {
	case "":
		*v.to = 0
	case "1.0", "1.1", "1.2", "1.3":
		*v.to = tls.VersionTLS10 + uint16(text[2]-'0')
	default:
		return fmt.Errorf("bad version %q: want 1.0, 1.1, 1.2 or 1.3", text)
	}
	return nil
}

// family is the addresses that names are asked for.
type family struct{ to *resolve.Config }

func (v family) String() string {
	switch {
	case v.to.IPv4 && !v.to.IPv6:
		return "ipv4"
	case v.to.IPv6 && !v.to.IPv4:
		return "ipv6"
	}
	return "any"
}

// Type implements Value.
func (v family) Type() string { return "any, ipv4, ipv6" }

func (v family) Set(text string) error {
	switch text {
	case "any", "ipv4", "ipv6":
		v.to.IPv4, v.to.IPv6 = text == "ipv4", text == "ipv6"
		return nil
	}
	return fmt.Errorf("bad value %q: want any, ipv4 or ipv6", text)
}

// checkNameServer permits HOST:PORT with an address for the host.
func checkNameServer(s string) error {
	if a, err := netip.ParseAddrPort(s); err != nil || a.Port() == 0 {
		if a, err := netip.ParseAddr(s); err == nil {
			return fmt.Errorf("%q has no port: write %s", s, net.JoinHostPort(a.String(), "53"))
		}
		return fmt.Errorf("bad name server %q: want ADDRESS:PORT, such as 192.0.2.1:53", s)
	}
	return nil
}

// door is a Door that need not be.
type door struct{ to *Door }

func (v door) String() string { return v.to.String() }

// Type implements Value.
func (v door) Type() string { return "address" }

func (v door) Set(text string) error {
	*v.to = Door{}
	if text == "" {
		return nil
	}
	d, err := parseDoor(text)
	*v.to = d
	return err
}

// bytesText is bytes as a text in which \r, \n, \t, \\ and \xHH are one byte each.
type bytesText struct{ to *[]byte }

func (v bytesText) String() string {
	var b strings.Builder
	for _, c := range *v.to {
		switch {
		case c == '\r':
			b.WriteString(`\r`)
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\t':
			b.WriteString(`\t`)
		case c == '\\':
			b.WriteString(`\\`)
		case c < ' ' || c > '~':
			fmt.Fprintf(&b, `\x%02x`, c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// Type implements Value.
func (v bytesText) Type() string { return "text" }

// maxTalk bounds what is sent to a remote and looked for in its answer, in bytes.
const maxTalk = 4 << 10

func (v bytesText) Set(text string) error {
	var b bytes.Buffer
	for rest := text; rest != ""; {
		if rest[0] != '\\' {
			b.WriteByte(rest[0])
			rest = rest[1:]
			continue
		}
		c, length, err := unescape(rest)
		if err != nil {
			return fmt.Errorf("bad text %q: %w", text, err)
		}
		b.WriteByte(c)
		rest = rest[length:]
	}
	if b.Len() > maxTalk {
		return fmt.Errorf("a text of %d bytes: want %d at most", b.Len(), maxTalk)
	}
	*v.to = b.Bytes()
	return nil
}

// unescape reads the escape that s begins with, and says how long it is.
func unescape(s string) (c byte, length int, err error) {
	bad := errors.New(`behind a backslash want r, n, t, a backslash or xHH`)
	if len(s) < 2 {
		return 0, 0, bad
	}
	switch s[1] {
	case 'r':
		return '\r', 2, nil
	case 'n':
		return '\n', 2, nil
	case 't':
		return '\t', 2, nil
	case '\\':
		return '\\', 2, nil
	case 'x':
		if len(s) >= 4 {
			if n, err := strconv.ParseUint(s[2:4], 16, 8); err == nil {
				return byte(n), 4, nil
			}
		}
	}
	return 0, 0, bad
}
