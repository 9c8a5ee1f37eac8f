package proxyproto

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sluice/internal/testkit"
)

// haproxy starts one with a listening socket as its descriptor 3, and says where that is.
func haproxy(t *testing.T, config string) (addr string) {
	t.Helper()
	testkit.Need(t, "haproxy")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	socket, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	file := filepath.Join(t.TempDir(), "haproxy.cfg")
	config = "defaults\n timeout connect 10s\n timeout client 1m\n timeout server 1m\n" + config
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("haproxy", "-db", "-f", file)
	cmd.ExtraFiles = []*os.File{socket}
	testkit.StartCommand(t, cmd)
	return l.Addr().String()
}

// TestHaproxyWrites: what haproxy says of a client, with a checksum of its own reckoning.
func TestHaproxyWrites(t *testing.T) {
	testkit.Need(t, "haproxy")
	back, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer back.Close()
	for how, version := range map[string]Version{"send-proxy": V1, "send-proxy-v2": V2, "send-proxy-v2 proxy-v2-options crc32c,unique-id": V2} {
		front := haproxy(t, "listen it\n mode tcp\n unique-id-format a-name\n bind fd@3\n server s "+back.Addr().String()+" "+how+"\n")
		c, err := net.Dial("tcp", front)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		io.WriteString(c, "request")
		s, err := back.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		h, rest := read(t, s, len("request"))
		if h.Version != version || h.From != addrPort(t, c.LocalAddr()) || h.To != addrPort(t, c.RemoteAddr()) || rest != "request" {
			t.Errorf("%s: %+v, then %q; want %s to %s", how, h, rest, c.LocalAddr(), c.RemoteAddr())
		}
		types := ""
		for _, tlv := range h.TLVs {
			types += string(tlv.Type)
		}
		if strings.Contains(how, "crc32c") && !strings.Contains(types, string(rune(TypeCRC32C))) {
			t.Errorf("%s: there is no checksum in %+v", how, h)
		}
	}
}

// read reads a header, and what is left when more bytes than that are there.
func read(t *testing.T, r io.Reader, more int) (h Header, rest string) {
	t.Helper()
	var b []byte
	for {
		part := make([]byte, 1000)
		n, err := r.Read(part)
		b = append(b, part[:n]...)
		h, n, bad := Parse(b)
		if bad == nil && len(b) == n+more {
			return h, string(b[n:])
		}
		if err != nil || bad != nil && !errors.Is(bad, ErrMore) {
			t.Fatalf("%q: %v, %v", b, bad, err)
		}
	}
}

func addrPort(t *testing.T, a net.Addr) netip.AddrPort {
	t.Helper()
	return netip.MustParseAddrPort(a.String())
}

// TestHaproxyReads: what we write is what haproxy believes; it checks the checksum, too.
func TestHaproxyReads(t *testing.T) {
	back := haproxy(t, "frontend it\n mode http\n bind fd@3 accept-proxy\n http-request return status 200 content-type text/plain lf-string \"%[src] %[src_port] %[dst] %[fc_pp_authority]\"\n")
	crc := []TLV{{TypeAuthority, []byte("tv.example")}, {Type: TypeCRC32C}}
	for _, tt := range []struct {
		h    Header
		want string
	}{
		{Header{Version: V1, From: from4, To: to4}, "198.51.100.7 5000 192.0.2.1 "},
		{Header{Version: V1, From: from6, To: to6}, "2001:db8::7 65535 2001:db8::1 "},
		{Header{Version: V1, Local: true}, "127.0.0.1 "},
		{Header{Version: V2, From: from4, To: to4, TLVs: crc}, "198.51.100.7 5000 192.0.2.1 tv.example"},
		{Header{Version: V2, From: from6, To: to6, TLVs: crc}, "2001:db8::7 65535 2001:db8::1 tv.example"},
		{Header{Version: V2, From: from6, To: to4}, "2001:db8::7 65535 ::ffff:192.0.2.1 "},
		{Header{Version: V1, From: from4, To: to6}, "::ffff:198.51.100.7 5000 2001:db8::1 "},
		{Header{Version: V2, From: from4}, "127.0.0.1 "},
		{Header{Version: V2, Local: true}, "127.0.0.1 "},
	} {
		c, err := net.Dial("tcp", back)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.Write(append(Append(nil, tt.h), "GET / HTTP/1.0\r\n\r\n"...))
		answer, err := io.ReadAll(c)
		_, body, _ := strings.Cut(string(answer), "\r\n\r\n")
		if err != nil || !strings.HasPrefix(body, tt.want) {
			t.Errorf("%+v: %q, %v; want %q", tt.h, answer, err, tt.want)
		}
	}
}
