package hello

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os/exec"
	"reflect"
	"strings"
	"sync"
	"testing"

	"sluice/internal/testkit"
)

// goHello is what crypto/tls says first.
func goHello(t testing.TB, c *tls.Config) []byte {
	t.Helper()
	ours, theirs := net.Pipe()
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := tls.Client(theirs, c).HandshakeContext(t.Context()); err == nil {
			t.Error("the handshake was made with nobody")
		}
		theirs.Close()
	})
	defer wg.Wait()
	defer ours.Close()
	return readHello(t, ours)
}

// readHello reads as long as Parse wants more.
func readHello(t testing.TB, r io.Reader) []byte {
	t.Helper()
	var b []byte
	for part := make([]byte, 700); ; {
		_, err := Parse(b)
		if err == nil {
			return b
		}
		if !errors.Is(err, ErrMore) {
			t.Fatalf("%x: %v", b, err)
		}
		n, err := r.Read(part)
		b = append(b, part[:n]...)
		if err != nil {
			t.Fatalf("%x: %v", b, err)
		}
	}
}

var all = []uint16{tls.VersionTLS13, tls.VersionTLS12, tls.VersionTLS11, tls.VersionTLS10}

func TestGo(t *testing.T) {
	many := make([]string, 400) // more than 2 KiB
	for i := range many {
		many[i] = strings.Repeat("x", 1+i%30)
	}
	for _, tt := range []struct {
		config *tls.Config
		want   Hello
	}{
		{&tls.Config{ServerName: "TV.Example."}, Hello{Name: "tv.example", Versions: all[:2]}},
		{&tls.Config{ServerName: "192.0.2.1"}, Hello{Versions: all[:2]}},
		{&tls.Config{ServerName: "a_b.xn--bcher-kva.example", MinVersion: tls.VersionTLS10}, Hello{Name: "a_b.xn--bcher-kva.example", Versions: all}},
		{&tls.Config{ServerName: "a", MaxVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}, Hello{Name: "a", Versions: all[1:2], Protocols: []string{"h2", "http/1.1"}}},
		{&tls.Config{ServerName: "a", MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10}, Hello{Name: "a", Versions: all[3:]}},
		{&tls.Config{ServerName: "a", MinVersion: tls.VersionTLS13, CurvePreferences: []tls.CurveID{tls.X25519MLKEM768}, NextProtos: many}, Hello{Name: "a", Versions: all[:1], Protocols: many}},
		{&tls.Config{ServerName: "secret.example", MinVersion: tls.VersionTLS13, EncryptedClientHelloConfigList: echConfig(t, "public.example")}, Hello{Name: "public.example", Versions: all[:1]}},
	} {
		tt.config.InsecureSkipVerify = true
		b := goHello(t, tt.config)
		if h, err := Parse(b); err != nil || !reflect.DeepEqual(h, tt.want) {
			t.Errorf("%d bytes: %+v, %v; want %+v", len(b), h, err, tt.want)
		}
		for _, size := range []int{1, 2, 3, 4, 5, 7, 100, len(b)} {
			cut := cutUp(b, size)
			if len(cut) > MaxHello {
				continue
			}
			if h, err := Parse(cut); err != nil || !reflect.DeepEqual(h, tt.want) {
				t.Errorf("in records of %d bytes: %+v, %v", size, h, err)
			}
		}
	}
}

// echConfig is the offer of a server to hide names (RFC 9849, 4), whose own is public.
func echConfig(t *testing.T, public string) []byte {
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	vector := func(b []byte) []byte { return append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...) }
	c := []byte{1, 0, 0x20} // id, DHKEM(X25519)
	c = append(c, vector(key.PublicKey().Bytes())...)
	c = append(c, vector([]byte{0, 1, 0, 1})...) // HKDF-SHA256, AES-128-GCM
	c = append(c, 0, byte(len(public)))          // longest name
	c = append(c, public...)
	c = append(c, 0, 0) // extensions
	return vector(append([]byte{0xfe, 0x0d}, vector(c)...))
}

// cutUp cuts what is in the records of b into records of that size.
func cutUp(b []byte, size int) []byte {
	var out []byte
	for len(b) > 0 {
		n := int(binary.BigEndian.Uint16(b[3:]))
		for part := b[5 : 5+n]; len(part) > 0; {
			k := min(size, len(part))
			out = append(append(out, 22, 3, 1, byte(k>>8), byte(k)), part[:k]...)
			part = part[k:]
		}
		b = b[5+n:]
	}
	return out
}

// TestPrograms: what others say first.
func TestPrograms(t *testing.T) {
	testkit.Need(t, "openssl", "curl")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	addr := l.Addr().String()
	_, port, _ := net.SplitHostPort(addr)
	for command, want := range map[string]Hello{
		"openssl s_client -connect " + addr + " -servername tv.example -alpn h2,http/1.1":            {Name: "tv.example", Protocols: []string{"h2", "http/1.1"}, Versions: all[:1]},
		"openssl s_client -connect " + addr + " -noservername -tls1_2":                               {Versions: all[1:2]},
		"openssl s_client -connect " + addr + " -servername tv.example -tls1_3 -split_send_frag 512": {Name: "tv.example", Versions: all[:1]},
		"curl -sk --http1.1 --connect-to ::" + addr + " https://tv.example:" + port + "/":            {Name: "tv.example", Protocols: []string{"http/1.1"}, Versions: all[:1]},
	} {
		words := strings.Fields(command)
		testkit.StartCommand(t, exec.Command(words[0], words[1:]...))
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		h, err := Parse(readHello(t, c))
		c.Close()
		h.Versions = h.Versions[:min(1, len(h.Versions))] // how old ones may be is the system's policy
		if err != nil || !reflect.DeepEqual(h, want) {
			t.Errorf("%s: %+v, %v; want %+v", command, h, err, want)
		}
	}
}

// made is a ClientHello with these extensions, in one record.
func made(extensions string) []byte {
	body := "\x03\x03" + strings.Repeat("r", 32) + "\x00" + "\x00\x02\x13\x01" + "\x01\x00"
	if extensions != "" {
		body += vector(extensions)
	}
	return []byte(inRecord("\x01\x00" + vector(body)))
}

func vector(s string) string            { return string(binary.BigEndian.AppendUint16(nil, uint16(len(s)))) + s }
func inRecord(s string) string          { return "\x16\x03\x01" + vector(s) }
func ext(kind byte, data string) string { return "\x00" + string([]byte{kind}) + vector(data) }
func sni(names ...string) string {
	list := ""
	for _, n := range names {
		list += "\x00" + vector(n)
	}
	return ext(extName, vector(list))
}

func TestFields(t *testing.T) {
	old := []uint16{0x303, 0x302, 0x301}
	for in, want := range map[string]Hello{
		"":                                    {Versions: old},
		sni("A.Example"):                      {Name: "a.example", Versions: old},
		sni("::1"):                            {Versions: old},
		sni("192.0.2.1"):                      {Versions: old},
		ext(extName, vector("\x07\x00\x01x")): {Versions: old}, // a name of another type
		ext(0x1a, "") + "\x0a\x0a\x00\x00" + sni("a"):                                 {Name: "a", Versions: old},
		ext(extProtocols, vector("\x02\x0a\x0a\x02h2")):                               {Protocols: []string{"\x0a\x0a", "h2"}, Versions: old},
		ext(extVersions, "\x08\x0a\x0a\x03\x03\x03\x04\x7f\x1c"):                      {Versions: []uint16{0x304, 0x303}},
		ext(extVersions, "\x02\x0a\x0a"):                                              {},
		sni("a") + ext(0xff, "") + ext(21, strings.Repeat("\x00", 15_000)):            {Name: "a", Versions: old},
		sni(strings.Repeat(strings.Repeat("x", 63)+".", 3) + strings.Repeat("x", 61)): {Name: strings.Repeat(strings.Repeat("x", 63)+".", 3) + strings.Repeat("x", 61), Versions: old},
	} {
		h, err := Parse(made(in))
		if err != nil || !reflect.DeepEqual(h, want) && !(len(want.Versions) == 0 && len(h.Versions) == 0) {
			t.Errorf("%.80q: %+v, %v; want %+v", in, h, err, want)
		}
	}
}

func TestBroken(t *testing.T) {
	whole := string(made(sni("a.example")))
	long := strings.Repeat("x", 64)
	for in, want := range map[string]string{
		"GET / HTTP/1.1\r\n":                 "no TLS",
		"\x80\x2e\x01\x03\x01\x00\x15":       "no TLS", // SSL 2.0
		"\x16\x02":                           "no TLS",
		"\x15\x03\x01\x00\x02\x01\x00":       "no TLS", // an alert
		"\x16\x03\x01\x00\x00":               "a record of 0 bytes",
		"\x16\x03\x01\x40\x01":               "a record of 16385 bytes",
		inRecord("\x02"):                     "no ClientHello but of type 2",
		inRecord("\x01\x00\x40\x00"):         "more than 16384 bytes",
		inRecord("\x01\xff\xff\xff"):         "more than 16384 bytes",
		whole[:5] + "\x01\x00\x00":           "", // wants more
		inRecord(whole[5:20]) + "\x15\x03":   "between the pieces of the ClientHello: a record of another kind",
		inRecord(whole[5:20]) + "GET /":      "a record of another kind",
		inRecord(whole[5:20]) + inRecord(""): "between the pieces of the ClientHello: a record of 0 bytes",
		inRecord("\x01\x00" + vector("")):    "is broken",
		inRecord("\x01\x00" + vector("\x03\x03"+strings.Repeat("r", 32)+"\x00\x00\x00\x01\x00")):                  "is broken", // no cipher suites
		inRecord("\x01\x00" + vector("\x03\x03"+strings.Repeat("r", 32)+"\x00\x00\x03abc\x01\x00")):               "is broken",
		inRecord("\x01\x00" + vector("\x03\x03"+strings.Repeat("r", 32)+"\x00\x00\x02ab\x00")):                    "is broken",
		inRecord("\x01\x00" + vector("\xfe\xfd"+strings.Repeat("r", 32)+"\x00\x00\x02ab\x01\x00")):                "is broken", // DTLS
		inRecord("\x01\x00" + vector("\x03\x03"+strings.Repeat("r", 32)+"\x21"+long[:33]+"\x00\x02ab\x01\x00")):   "is broken",
		inRecord("\x01\x00" + vector("\x03\x03"+strings.Repeat("r", 32)+"\x00\x00\x02ab\x01\x00"+vector("")+"x")): "do not end where it ends",
		string(made("\x00\x00\x00\x05abc")):                   "is cut off",
		string(made("\x00")):                                  "is cut off",
		string(made(sni())):                                   "extension 0 of the ClientHello: it is broken",
		string(made(sni(""))):                                 "extension 0 of the ClientHello: it is broken",
		string(made(sni("a", "b"))):                           "two host names",
		string(made(sni("a") + sni("a"))):                     "there twice",
		string(made(sni("."))):                                "is no host name",
		string(made(sni("a..b"))):                             "is no host name",
		string(made(sni("a b"))):                              "is no host name",
		string(made(sni("a\x00.example"))):                    "is no host name",
		string(made(sni("a\n.example"))):                      `"a\n.example" is no host name`,
		string(made(sni("../../etc/passwd"))):                 "is no host name",
		string(made(sni("b\xfccher.example"))):                "is no host name",
		string(made(sni("*.example"))):                        "is no host name",
		string(made(sni(long))):                               "is no host name",
		string(made(sni(strings.Repeat("x.", 130)))):          "of 259 bytes",
		string(made(ext(extProtocols, vector("")))):           "extension 16 of the ClientHello: it is broken",
		string(made(ext(extProtocols, vector("\x00")))):       "it is broken",
		string(made(ext(extProtocols, vector("\x05h2")))):     "it is broken",
		string(made(ext(extProtocols, vector("\x02h2")+"x"))): "it is broken",
		string(made(ext(extVersions, "\x00"))):                "extension 43 of the ClientHello: it is broken",
		string(made(ext(extVersions, "\x03\x03\x04\x03"))):    "it is broken",
	} {
		h, err := Parse([]byte(in))
		if want == "" {
			want = ErrMore.Error()
		}
		if err == nil || !strings.Contains(err.Error(), want) || !reflect.DeepEqual(h, Hello{}) || errors.Is(err, ErrNotTLS) != (want == "no TLS") {
			t.Errorf("%.80q: %+v, %v; want %q", in, h, err, want)
		}
	}
}

// TestEndless: whoever never comes to an end is noticed when MaxHello bytes are there, and
// one that has exactly so many is read.
func TestEndless(t *testing.T) {
	// A message of 16128 bytes, one in each record.
	drip := append([]byte(inRecord("\x01\x00\x3f\x00")), bytes.Repeat([]byte(inRecord("\x00")), MaxHello)...)
	for n := 0; n < MaxHello; n += 997 {
		if _, err := Parse(drip[:n]); !errors.Is(err, ErrMore) {
			t.Fatalf("after %d bytes: %v", n, err)
		}
	}
	for _, n := range []int{MaxHello, MaxHello + 1, 2 * MaxHello} {
		if _, err := Parse(drip[:n]); !errors.Is(err, errTooLong) {
			t.Errorf("after %d bytes: %v", n, err)
		}
	}
	most := made(ext(21, strings.Repeat("\x00", MaxHello-len(made(ext(21, ""))))))
	if _, err := Parse(most); len(most) != MaxHello || err != nil {
		t.Errorf("%d bytes: %v", len(most), err)
	}
	if _, err := Parse(append(made(ext(21, strings.Repeat("\x00", MaxHello-len(made(ext(21, "")))+1))), "more"...)); !errors.Is(err, errTooLong) {
		t.Errorf("a byte more: %v", err)
	}
}

// prefixes: each beginning of b wants more until an answer is there; then that is the
// answer, whatever follows.
func prefixes(t *testing.T, b []byte) {
	t.Helper()
	h, err := Parse(b)
	answered := false
	for n := range len(b) + 1 {
		part, bad := Parse(b[:n])
		if errors.Is(bad, ErrMore) {
			if answered {
				t.Fatalf("there was an answer, and %d bytes want more", n)
			}
			continue
		}
		answered = true
		if !reflect.DeepEqual(part, h) || (bad == nil) != (err == nil) || bad != nil && bad.Error() != err.Error() {
			t.Fatalf("%d bytes: %+v, %v; all of them: %+v, %v", n, part, bad, h, err)
		}
	}
}

func TestPrefixes(t *testing.T) {
	b := goHello(t, &tls.Config{ServerName: "tv.example", NextProtos: []string{"h2"}, InsecureSkipVerify: true, CurvePreferences: []tls.CurveID{tls.X25519}})
	for _, size := range []int{1, 9, len(b)} {
		prefixes(t, append(cutUp(b, size), "more"...))
	}
}

func FuzzParse(f *testing.F) {
	b := goHello(f, &tls.Config{ServerName: "tv.example", NextProtos: []string{"h2"}, InsecureSkipVerify: true, CurvePreferences: []tls.CurveID{tls.X25519}})
	for _, s := range [][]byte{
		b, cutUp(b, 1), cutUp(b, 50), append(bytes.Clone(b), "more"...), made(""), made(sni("a.example") + ext(extVersions, "\x02\x03\x04")),
		[]byte("GET / HTTP/1.1\r\n"), []byte("\x80\x2e\x01\x03\x01"), []byte(inRecord("\x01\x00\x40\x00")),
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		h, err := Parse(in)
		switch {
		case err != nil && !reflect.DeepEqual(h, Hello{}):
			t.Fatalf("%+v beside the error %v", h, err)
		case errors.Is(err, ErrMore) && len(in) >= MaxHello:
			t.Fatalf("%d bytes, and more are wanted", len(in))
		case strings.Trim(h.Name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") != "":
			t.Fatalf("the name %q", h.Name)
		}
		if len(in) < 2000 {
			prefixes(t, in)
		}
	})
}
