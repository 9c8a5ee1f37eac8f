package relay

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"sluice/internal/flow"
	"sluice/internal/pool"
	"sluice/internal/proxyproto"
	"sluice/internal/testkit"
)

// headed reads a PROXY header, says what it is and echoes the rest.
func headed(c net.Conn) {
	b := bufio.NewReaderSize(c, proxyproto.MaxHeader)
	for n := 1; ; n++ {
		head, err := b.Peek(n)
		if err != nil {
			return
		}
		h, k, err := proxyproto.Parse(head)
		if errors.Is(err, proxyproto.ErrMore) {
			continue
		}
		if err != nil || k == 0 {
			fmt.Fprintf(c, "no header: %v", err)
			return
		}
		_, _ = b.Discard(k)
		fmt.Fprintf(c, "v%d local=%v %s %s;", h.Version, h.Local, h.From, h.To)
		break
	}
	_, _ = io.Copy(c, b)
}

const (
	v1Header = "PROXY TCP4 192.0.2.7 192.0.2.8 1234 80\r\n"
	v6Header = "PROXY TCP6 2001:db8::7 2001:db8::8 1234 80\r\n"
)

func v2Header(t *testing.T) string {
	t.Helper()
	return string(proxyproto.Append(nil, proxyproto.Header{
		Version: proxyproto.V2, From: netip.MustParseAddrPort("192.0.2.7:1234"), To: netip.MustParseAddrPort("192.0.2.8:80"),
		TLVs: []proxyproto.TLV{{Type: 0xe0, Value: []byte("own")}},
	}))
}

// Lines 42 and 43: headers of both versions are read, and written to the remote.
func TestProxyHeaders(t *testing.T) {
	s := serve(t, headed)
	for _, x := range []struct {
		name, head string
		out        ProxyOut
		want       string
		client     string
	}{
		{"v1 to v2", v1Header, ProxyV2, "v2 local=false 192.0.2.7:1234 192.0.2.8:80;hello", "client=192.0.2.7:1234"},
		{"v2 to v1", v2Header(t), ProxyV1, "v1 local=false 192.0.2.7:1234 192.0.2.8:80;hello", "client=192.0.2.7:1234"},
		{"IPv6", v6Header, ProxyV2, "v2 local=false [2001:db8::7]:1234 [2001:db8::8]:80;hello", "client=[2001:db8::7]:1234"},
	} {
		t.Run(x.name, func(t *testing.T) {
			c := one(s.remote("a"))
			c.Listeners[0].Proxy, c.Pools[0].Proxy = ProxyRequired, x.out
			h := open(t, c)
			if got := talk(t, h.dial(0), x.head+"hello"); got != x.want {
				t.Errorf("got %q, want %q", got, x.want)
			}
			h.records.wait(t, "peer=127.0.0.1:", x.client, "up=5")
		})
	}
}

// A header that comes byte by byte is whole in the end, and who speaks for itself is itself.
func TestProxyHeaderInPieces(t *testing.T) {
	s := serve(t, headed)
	c := one(s.remote("a"))
	c.Listeners[0].Proxy, c.Pools[0].Proxy = ProxyRequired, ProxyV1
	h := open(t, c)
	client := h.dial(0)
	for _, b := range []byte("PROXY UNKNOWN\r\n") {
		if _, err := client.Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
	}
	want := fmt.Sprintf("v1 local=false %s %s;x", client.LocalAddr(), client.RemoteAddr())
	if got := talk(t, client, "x"); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Line 42: who has no header, a broken one, or is not believed, is closed. Rules are about
// the client that the header names.
func TestBadProxyHeaders(t *testing.T) {
	s := serve(t, named("a"))
	for _, x := range []struct {
		name, say string
		change    func(*Listener)
		cause     string
	}{
		{"none", "GET / HTTP/1.0\r\n\r\n", nil, "cause=header"},
		{"broken", "PROXY TCP4 192.0.2.7\r\n", nil, "cause=header"},
		{"partial", "PROXY TCP4 192.0", nil, "cause=header"},
		{"silent", "", nil, "cause=header"},
		{"not believed", v1Header, func(l *Listener) { l.Proxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")} }, "cause=denied"},
		{"denied", v1Header, func(l *Listener) { l.Rules = []Rule{rule("deny 192.0.2.7/32"), rule("0.0.0.0/0")} }, "cause=denied"},
	} {
		t.Run(x.name, func(t *testing.T) {
			c := one(s.remote("a"))
			c.Listeners[0].Proxy = ProxyRequired
			if x.change != nil {
				x.change(&c.Listeners[0])
			}
			h := open(t, c)
			client := h.dial(0)
			_, _ = io.WriteString(client, x.say) // may be refused before
			_ = client.(*net.TCPConn).CloseWrite()
			if got, _ := io.ReadAll(client); len(got) > 0 {
				t.Errorf("got %q", got)
			}
			h.records.wait(t, x.cause, "remote=-")
		})
	}
}

// Where a header may come, a client without one is relayed as it is, whatever it says first.
func TestProxyHeaderIsOptional(t *testing.T) {
	s := serve(t, named("a"))
	c := one(s.remote("a"))
	c.Listeners[0].Proxy, c.Listeners[0].Proxies = ProxyAccepted, []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	c.Listeners[0].Rules = []Rule{rule("127.0.0.1/32"), rule("192.0.2.7/32")}
	h := open(t, c)
	for say, want := range map[string]string{"hello": "a:hello", "PRO": "a:PRO", v1Header + "x": "a:x", "": "a:"} {
		if got := talk(t, h.dial(0), say); got != want {
			t.Errorf("%q: got %q, want %q", say, got, want)
		}
	}
	// Who waits for the server to speak is not kept waiting for long.
	if got := first(t, h.dial(0), 2); got != "a:" {
		t.Errorf("got %q", got)
	}
}

// Where a header may come, what a client without one says first is looked at for its ClientHello, too.
func TestNoProxyHeaderBeforeTLS(t *testing.T) {
	id := newIdentity(t, "a.example.com")
	plain, own := serve(t, named("a")), serve(t, id.over(named("own")))
	c := one(plain.remote("a"))
	c.Pools = append(c.Pools, Pool{Config: pool.Config{Name: "own"}, Remotes: []Remote{own.remote("own")}})
	trusted := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	c.Listeners = []Listener{
		{Name: "tls", Pool: "app", TLS: id.listener()},
		{Name: "auto", Pool: "app", TLS: id.listener()},
		{Name: "route", Routes: []Route{{Names: []string{"a.example.com"}, Pool: "own", Pass: true}}},
	}
	c.Listeners[1].TLS.Auto = true
	for i := range c.Listeners {
		l := &c.Listeners[i]
		l.Addrs, l.Proxy, l.Proxies, l.Hello = local(), ProxyAccepted, trusted, 2*testkit.Patience
	}
	h := open(t, c)
	for i, want := range []string{"a:x", "a:x", "own:x"} {
		if got := talk(t, h.dialTLS(i, id.client("a.example.com")), "x"); got != want {
			t.Errorf("listener %d: got %q, want %q", i, got, want)
		}
	}
	if got := talk(t, h.dial(1), "x"); got != "a:x" {
		t.Errorf("plain: got %q", got)
	}
	if got := first(t, h.dial(1), 2); got != "a:" {
		t.Errorf("silent: got %q", got)
	}
}

// Who says nothing where TLS is wanted, and a header may come, has all the time for it.
func TestSilenceBeforeHeaderAndTLS(t *testing.T) {
	c := one(serve(t, named("a")).remote("a"))
	l := &c.Listeners[0]
	l.TLS = newIdentity(t, "a.example.com").listener()
	l.Proxy, l.Proxies, l.Hello = ProxyAccepted, []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, silentFor+100*time.Millisecond
	h := open(t, c)
	begun := time.Now()
	if got := rest(t, h.dial(0)); got != "" {
		t.Errorf("got %q", got)
	}
	if took := time.Since(begun); took < l.Hello {
		t.Errorf("over after %v", took)
	}
	h.records.wait(t, "cause=hello", `error="not in time"`)
}

// Clients of UNIX sockets have no address that a header could name.
func TestProxyHeaderOfUnixClients(t *testing.T) {
	s := serve(t, headed)
	c := one(s.remote("a"))
	c.Listeners[0].Addrs = []Socket{{Addr: flow.Addr{Network: flow.Unix, Path: t.TempDir() + "/s"}}}
	c.Pools[0].Proxy = ProxyV2
	h := open(t, c)
	if got, want := talk(t, h.dial(0), "x"), "v2 local=true invalid AddrPort invalid AddrPort;x"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
