package httpx

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"sluice/internal/testkit"
)

const proxySignature2 = "\r\n\r\n\x00\r\nQUIT\n"

// header2 is a header of version 2.
func header2(command, family byte, body []byte) string {
	b := append([]byte(proxySignature2), command, family)
	return string(append(binary.BigEndian.AppendUint16(b, uint16(len(body))), body...))
}

// block is an address block from there to 192.0.2.1:80, or [2001:db8::1]:80.
func block(from string) []byte {
	a := netip.MustParseAddrPort(from)
	to := netip.MustParseAddr("192.0.2.1")
	if a.Addr().Is6() {
		to = netip.MustParseAddr("2001:db8::1")
	}
	b := append(a.Addr().AsSlice(), to.AsSlice()...)
	return binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(b, a.Port()), 80)
}

// longest is the longest line that there is, as the specification has it.
const longest = "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"

func TestProxyHeaders(t *testing.T) {
	if len(longest) != 107 {
		t.Fatalf("the longest line has %d bytes", len(longest))
	}
	four, six := block("198.51.100.7:5000"), block("[2001:db8::7]:5000")
	for in, want := range map[string]string{ // "" = no address
		"PROXY TCP4 198.51.100.7 192.0.2.1 5000 80\r\n":               "198.51.100.7:5000",
		"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n":  "255.255.255.255:65535",
		"PROXY TCP6 2001:db8::7 2001:db8::1 5000 80\r\n":              "[2001:db8::7]:5000",
		"PROXY TCP6 ::ffff:198.51.100.7 ::ffff:192.0.2.1 5000 80\r\n": "198.51.100.7:5000",
		"PROXY UNKNOWN\r\n":       "",
		longest:                   "",
		header2(0x21, 0x11, four): "198.51.100.7:5000",
		header2(0x21, 0x11, append(four[:12:12], 4, 0, 4, 1, 2, 3, 4)):       "198.51.100.7:5000", // a fact behind it
		header2(0x21, 0x11, append(four[:12:12], make([]byte, 65535-12)...)): "198.51.100.7:5000",
		header2(0x21, 0x21, six):                "[2001:db8::7]:5000",
		header2(0x20, 0x00, nil):                "", // the proxy's own
		header2(0x20, 0x11, four):               "",
		header2(0x21, 0x00, []byte("whatever")): "",
		header2(0x21, 0x12, four):               "", // UDP
		header2(0x21, 0x31, make([]byte, 216)):  "", // a Unix socket
	} {
		for name, pieces := range map[string]func(io.Reader) io.Reader{"whole": as, "in bytes": iotest.OneByteReader} {
			rest := strings.NewReader(in + "GET / HTTP/1.1\r\n\r\n")
			from, begun, err := readProxyHeader(pieces(rest))
			if got := text(from); got != want || err != nil || len(begun) > 0 {
				t.Errorf("%.60q %s: %q, %q, %v; want %q", in, name, got, begun, err, want)
			}
			if left, _ := io.ReadAll(rest); string(left) != "GET / HTTP/1.1\r\n\r\n" {
				t.Errorf("%.60q %s: %q is left", in, name, left)
			}
		}
	}
}

func as(r io.Reader) io.Reader { return r }

func text(a netip.AddrPort) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

func TestBrokenProxyHeaders(t *testing.T) {
	for in, want := range map[string]string{
		"P":                   "cut off",
		"PROXY TCP4":          "cut off",
		"PROXY UNKNOWN":       "cut off",
		longest[:106] + " \r": "more than 107",
		"PROXY TCP4 198.51.100.7 192.0.2.1 5000 80\n" + strings.Repeat("x", 100):     "more than 107",
		"PROXY TCP4 198.51.100.7 192.0.2.1 5000\r\n":                                 "bad line",
		"PROXY TCP4 198.51.100.7 192.0.2.1 5000 80 \r\n":                             "bad line",
		"PROXY TCP4  198.51.100.7 192.0.2.1 5000 80\r\n":                             "bad line",
		"PROXY TCP5 198.51.100.7 192.0.2.1 5000 80\r\n":                              "bad line",
		"PROXY / HTTP/1.1\r\n":                                                       "bad line",
		"PROXY TCP4 2001:db8::7 192.0.2.1 5000 80\r\n":                               "no address",
		"PROXY TCP4 198.51.100.7 tv.example 5000 80\r\n":                             "no address",
		"PROXY TCP6 198.51.100.7 192.0.2.1 5000 80\r\n":                              "no address",
		"PROXY TCP6 fe80::7%eth0 2001:db8::1 5000 80\r\n":                            "no address",
		"PROXY TCP4 198.51.100.7 192.0.2.1 05000 80\r\n":                             "no port",
		"PROXY TCP4 198.51.100.7 192.0.2.1 5000 80000\r\n":                           "no port",
		"PROXY TCP4 198.51.100.7 192.0.2.1 5000 -1\r\n":                              "no port",
		proxySignature2[:7]:                                                          "cut off",
		proxySignature2 + "\x21":                                                     "cut off",
		header2(0x31, 0x11, block("198.51.100.7:5000")):                              "version or command",
		header2(0x22, 0x11, block("198.51.100.7:5000")):                              "version or command",
		header2(0x21, 0x41, block("198.51.100.7:5000")):                              "family or protocol",
		header2(0x21, 0x13, block("198.51.100.7:5000")):                              "family or protocol",
		header2(0x21, 0x21, block("198.51.100.7:5000")):                              "12 bytes for addresses",
		header2(0x21, 0x11, append(block("198.51.100.7:5000"), 3, 0, 4, 1, 2, 3, 4)): "checksum is wrong",
		header2(0x21, 0x11, nil):                                                     "0 bytes for addresses",
		header2(0x21, 0x11, block("198.51.100.7:5000"))[:20]:                         "cut off",
		header2(0x21, 0x11, append(block("198.51.100.7:5000"), 1, 2, 3))[:30]:        "cut off",
	} {
		from, begun, err := readProxyHeader(strings.NewReader(in))
		if err == nil || !strings.Contains(err.Error(), want) || from.IsValid() || len(begun) > 0 {
			t.Errorf("%q: %v, %q, %v; want %q", in, from, begun, err, want)
		}
	}
}

// TestNoProxyHeader: what is no header is not lost.
func TestNoProxyHeader(t *testing.T) {
	for _, in := range []string{"GET / HTTP/1.0\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00", "PROPFIND / HTTP/1.0", "\r\n\r\nGET /", "X"} {
		r := strings.NewReader(in)
		from, begun, err := readProxyHeader(iotest.HalfReader(r))
		rest, _ := io.ReadAll(r)
		if err != nil || from.IsValid() || len(begun) > len(proxySignature2) || string(begun)+string(rest) != in {
			t.Errorf("%q: %v, %q and %q, %v", in, from, begun, rest, err)
		}
	}
	if _, _, err := readProxyHeader(strings.NewReader("")); !errors.Is(err, errSilent) {
		t.Errorf("nothing at all: %v", err)
	}
}

func FuzzProxyHeader(f *testing.F) {
	for _, s := range []string{
		"PROXY TCP4 198.51.100.7 192.0.2.1 5000 80\r\nGET /", longest, "GET / HTTP/1.1\r\n", "PROXY UNKNOWN\r\n",
		header2(0x21, 0x11, block("198.51.100.7:5000")) + "GET /", header2(0x21, 0x21, block("[2001:db8::7]:1")), header2(0x20, 0, nil),
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		r := bytes.NewReader(in)
		from, begun, err := readProxyHeader(r)
		if err != nil {
			if from.IsValid() || begun != nil {
				t.Errorf("%v, %q beside the error %v", from, begun, err)
			}
			return
		}
		took := len(in) - r.Len()
		if begun != nil && !bytes.Equal(begun, in[:took]) {
			t.Errorf("%q was read, %q is given back", in[:took], begun)
		}
		again, _, err := readProxyHeader(iotest.OneByteReader(bytes.NewReader(in[:took])))
		if begun == nil && (err != nil || again != from) {
			t.Errorf("%v, but alone %v, %v", from, again, err)
		}
	})
}

// pipe is a connection from a trusted proxy without a network, and its other end.
func pipe(t *testing.T, broken func(error)) (*proxyConn, net.Conn) {
	ours, theirs := net.Pipe()
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	return &proxyConn{Conn: ours, broken: broken}, theirs
}

// TestProxyHeaderInTime: a header that does not come ends the connection, and is told;
// one who says nothing at all is not worth a word.
func TestProxyHeaderInTime(t *testing.T) {
	for said, tells := range map[string]int{"PROXY TCP4 198.51.100.7 ": 1, "": 0} {
		synctest.Test(t, func(t *testing.T) {
			var told []error
			c, proxy := pipe(t, func(err error) { told = append(told, err) })
			var wg sync.WaitGroup
			wg.Go(func() { io.WriteString(proxy, said); io.Copy(io.Discard, proxy) })
			began := time.Now()
			n, err := c.Read(make([]byte, 10))
			if n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != proxyPatience {
				t.Errorf("after %q: %d bytes, %v after %v", said, n, err, time.Since(began))
			}
			wg.Wait() // the connection was closed
			if len(told) != tells {
				t.Errorf("after %q: told %v", said, told)
			}
		})
	}
}

// TestProxyHeaderLeavesNoDeadline: who has said who it is for may take its time.
func TestProxyHeaderLeavesNoDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, proxy := pipe(t, func(err error) { t.Error(err) })
		var wg sync.WaitGroup
		wg.Go(func() {
			io.WriteString(proxy, "PROXY TCP4 198.51.100.7 192.0.2.1 5000 80\r\n")
			time.Sleep(time.Hour)
			io.WriteString(proxy, "late")
			proxy.Close()
		})
		if got := c.RemoteAddr().String(); got != "198.51.100.7:5000" {
			t.Errorf("from %s", got)
		}
		if got, err := io.ReadAll(c); string(got) != "late" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		wg.Wait()
	})
}

// whoServer answers with the address that it sees.
func whoServer(t *testing.T, proxies []netip.Prefix, broken func(error)) (addr string) {
	t.Helper()
	testkit.NoLeaks(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, ClientAddr(r).String())
	}), Options{}, slog.New(slog.DiscardHandler))
	ended := make(chan error, 1)
	go func() {
		ended <- s.Serve(ProxyListener(l, func() []netip.Prefix { return proxies }, broken))
	}()
	t.Cleanup(func() {
		s.Close()
		<-ended
	})
	return l.Addr().String()
}

const plainGet = "GET / HTTP/1.0\r\n\r\n"

func TestAcceptance126ProxyListener(t *testing.T) {
	var broken lockedErrors
	addr := whoServer(t, prefixes(t, "127.0.0.0/8"), broken.add)
	for _, first := range []string{"PROXY TCP4 198.51.100.7 192.0.2.1 5000 80\r\n", header2(0x21, 0x11, block("198.51.100.7:5000"))} {
		if _, body := ask(t, addr, first+plainGet); body != "198.51.100.7:5000" {
			t.Errorf("after %.20q: %s", first, body)
		}
	}
	for _, first := range []string{"", "PROXY UNKNOWN\r\n", header2(0x20, 0, nil)} {
		if _, body := ask(t, addr, first+plainGet); !strings.HasPrefix(body, "127.0.0.1:") {
			t.Errorf("after %.20q: %s", first, body)
		}
	}
	// Somebody who is slow with his header holds nobody up.
	slow, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	io.WriteString(slow, "PROXY ")
	if _, body := ask(t, addr, plainGet); !strings.HasPrefix(body, "127.0.0.1:") {
		t.Errorf("beside a slow one: %s", body)
	}
	if all := broken.all(); len(all) > 0 {
		t.Errorf("told %v", all)
	}
	untilLost(t, addr, "PROXY TCP4 nonsense\r\n"+plainGet)
	testkit.Eventually(t, func() error { // it is told of when it is lost already
		if len(broken.all()) == 0 {
			return errors.New("nothing is told")
		}
		return nil
	})
	if all := broken.all(); len(all) != 1 || !strings.Contains(all[0].Error(), "127.0.0.1:") || !strings.Contains(all[0].Error(), "nonsense") {
		t.Errorf("told %v", all)
	}
}

type lockedErrors struct {
	mu   sync.Mutex
	list []error // guarded by mu
}

func (e *lockedErrors) add(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(e.list, err)
}

func (e *lockedErrors) all() []error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.list
}

// TestProxyHeaderOfStrangers: from others it is no header, but a request that makes no
// sense.
func TestProxyHeaderOfStrangers(t *testing.T) {
	addr := whoServer(t, prefixes(t, "10.0.0.0/8"), func(err error) { t.Error(err) })
	if r, _ := ask(t, addr, "PROXY TCP4 198.51.100.7 192.0.2.1 5000 80\r\n"+plainGet); r.StatusCode != 400 {
		t.Errorf("answered with %d", r.StatusCode)
	}
	if _, body := ask(t, addr, plainGet); !strings.HasPrefix(body, "127.0.0.1:") {
		t.Errorf("seen as %s", body)
	}
}

// TestProxyConnIsASocket: what gws hands over is the socket, and nothing of it was read
// beyond the header.
func TestProxyConnIsASocket(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	l = ProxyListener(l, func() []netip.Prefix { return prefixes(t, "127.0.0.0/8") }, func(err error) { t.Error(err) })
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	io.WriteString(client, header2(0x21, 0x11, block("198.51.100.7:5000"))+"request")
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := c.RemoteAddr().String(); got != "198.51.100.7:5000" {
		t.Fatalf("from %s", got)
	}
	raw, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 100)
	n := 0
	if err := raw.Read(func(fd uintptr) bool {
		n, err = syscall.Read(int(fd), got)
		return !errors.Is(err, syscall.EAGAIN)
	}); err != nil || string(got[:n]) != "request" {
		t.Errorf("in the socket: %q, %v", got[:n], err)
	}
	if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Error(err)
	}
	if rest, err := io.ReadAll(client); len(rest) > 0 || err != nil {
		t.Errorf("the client read %q, %v", rest, err)
	}
	other, _ := pipe(t, nil)
	if _, err := other.SyscallConn(); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("a pipe is a socket: %v", err)
	}
	if err := other.CloseWrite(); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("a pipe has two ends: %v", err)
	}
}

// TestCurlSpeaksProxy: version 1 as curl writes it.
func TestCurlSpeaksProxy(t *testing.T) {
	testkit.Need(t, "curl")
	addr := whoServer(t, prefixes(t, "127.0.0.0/8"), func(err error) { t.Error(err) })
	out, err := exec.Command("curl", "-sS", "--haproxy-protocol", "http://"+addr+"/").CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "127.0.0.1:") {
		t.Errorf("%s, %v", out, err)
	}
}

// TestHaproxy: both versions as haproxy writes them; what the server sees is the client's
// own address and port.
func TestHaproxy(t *testing.T) {
	testkit.Need(t, "haproxy")
	addr := whoServer(t, prefixes(t, "127.0.0.0/8"), func(err error) { t.Error(err) })
	for _, how := range []string{"send-proxy", "send-proxy-v2"} {
		front, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer front.Close()
		socket, err := front.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		defer socket.Close()
		file := filepath.Join(t.TempDir(), "haproxy.cfg")
		conf := "defaults\n mode tcp\n timeout connect 10s\n timeout client 1m\n timeout server 1m\n" +
			"listen it\n bind fd@3\n server s " + addr + " " + how + "\n"
		if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("haproxy", "-db", "-f", file)
		cmd.ExtraFiles = []*os.File{socket}
		testkit.StartCommand(t, cmd)
		c, err := net.Dial("tcp", front.Addr().String()) // it waits until haproxy is there
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		io.WriteString(c, plainGet)
		answer, err := io.ReadAll(c)
		if err != nil || !strings.HasSuffix(string(answer), "\r\n\r\n"+c.LocalAddr().String()) {
			t.Errorf("%s: %q, %v; want %s", how, answer, err, c.LocalAddr())
		}
	}
}
