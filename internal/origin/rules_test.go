package origin

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"sluice/internal/creds"
)

// readUsers is a file of users whose passwords are their names; bob is of the staff. Their hashes are cheap.
func readUsers(t *testing.T, names ...string) *creds.Users {
	t.Helper()
	var text strings.Builder
	for _, name := range names {
		hash, err := bcrypt.GenerateFromPassword([]byte(name), bcrypt.MinCost)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&text, "%s:%s", name, hash)
		if name == "bob" {
			text.WriteString(":staff")
		}
		text.WriteByte('\n')
	}
	file := filepath.Join(dir(t, map[string]string{"users": text.String()}), "users")
	users, err := creds.ReadUsers(file)
	if err != nil {
		t.Fatal(err)
	}
	return users
}

func basic(user, password string) string {
	r := http.Request{Header: http.Header{}}
	r.SetBasicAuth(user, password)
	return "Authorization: " + r.Header.Get("Authorization")
}

// TestRules: who may read and write what, by the longest rule (59); nobody's business is opened.
func TestRules(t *testing.T) {
	root := dir(t, map[string]string{"vod/a": "x", "vod/private/a": "x", "vod/staff/a": "x", "vod/nobody/a": "x", "vod/known/a": "x", "up/a": "x"})
	rules := readRules(t, root, "[vod]\nname=v\n[vod/private]\nru=alice\n[vod/staff]\nrg=staff\n[vod/nobody]\nru=$NONE\n[vod/known]\nru=$ALL\n[up]\nname=up\nru=alice\nwu=alice\nwg=staff\n")
	c := Config{
		Read:  []Mount{mountOf(t, "v", filepath.Join(root, "vod")), mountOf(t, "up", filepath.Join(root, "up"))},
		Rules: rules, Users: readUsers(t, "alice", "bob", "carol"), Realm: "the house", Log: RequestLog{All: true},
	}
	r := start(t, c, nil)
	for _, x := range []struct {
		first, user, password string
		want                  int
	}{
		{"GET /v/a", "", "", 200},
		{"GET /v/private/a", "", "", 401},
		{"GET /v/private/a", "alice", "alice", 200},
		{"GET /v/private/a", "alice", "wrong", 401},
		{"GET /v/private/a", "bob", "bob", 403},
		{"GET /v/private/none", "", "", 401},
		{"GET /v/private", "", "", 401},
		{"GET /v/staff/a", "bob", "bob", 200},
		{"GET /v/staff/a", "carol", "carol", 403},
		{"GET /v/staff/a", "mallory", "m", 401},
		{"GET /v/nobody/a", "alice", "alice", 403},
		{"GET /v/known/a", "carol", "carol", 200},
		{"GET /v/known/a", "", "", 401},
		{"PUT /up/b", "", "", 401},
		{"PUT /up/b", "carol", "carol", 403},
		{"PUT /up/b", "alice", "alice", 201},
		{"PUT /up/b", "bob", "bob", 200},
		{"GET /up/b", "bob", "bob", 403},
		{"DELETE /up/b", "carol", "carol", 403},
		{"DELETE /up/b", "alice", "alice", 200},
		{"PUT /v/b", "alice", "alice", 403},
		{"OPTIONS /v/private/a", "", "", 200},
	} {
		lines := []string{"Content-Length: 0"}
		if x.user != "" {
			lines = append(lines, basic(x.user, x.password))
		}
		res, _ := r.ask(x.first, lines...)
		if res.StatusCode != x.want {
			t.Errorf("%s as %q: %d, want %d", x.first, x.user, res.StatusCode, x.want)
		}
		if got := res.Header.Get("WWW-Authenticate"); (res.StatusCode == 401) != (got == `Basic realm="the house", charset="UTF-8"`) {
			t.Errorf("%s as %q: WWW-Authenticate %q", x.first, x.user, got)
		}
	}
	if res, _ := r.ask("GET /v/private/a", "Authorization: Basic !!!"); res.StatusCode != 400 {
		t.Errorf("credentials that are none: %d", res.StatusCode)
	}
	if strings.Contains(r.logged(), "Basic") || strings.Contains(r.logged(), "YWxpY2U") {
		t.Errorf("credentials are in the log: %s", r.logged())
	}
	c.Ingest = true
	if err := r.Reload(c); err != nil {
		t.Fatal(err)
	}
	if res, _ := r.ask("PUT /up/b.m4s", "Content-Length: 0", basic("alice", "wrong")); res.StatusCode != 403 {
		t.Errorf("a wrong password as DASH-IF wants it: %d", res.StatusCode)
	}
}

// TestWrongPasswordIsLogged: many a client tries without a password at first; that does not hold back the line of a wrong one.
func TestWrongPasswordIsLogged(t *testing.T) {
	root := dir(t, map[string]string{"a/x": "x"})
	rules := readRules(t, root, "[a]\nru=alice\n")
	r := start(t, Config{Read: []Mount{mountOf(t, "a", filepath.Join(root, "a"))}, Rules: rules, Users: readUsers(t, "alice")}, nil)
	c := r.dial()
	for _, headers := range [][]string{nil, {basic("alice", "guessed")}} {
		if res, _ := c.ask("GET /a/x", headers...); res.StatusCode != 401 {
			t.Fatalf("%d", res.StatusCode)
		}
	}
	for line := range strings.Lines(r.log()) {
		if strings.Contains(line, "level=INFO") && strings.Contains(line, "wrong password") {
			return
		}
	}
	t.Errorf("a wrong password is not in the log:\n%s", r.log())
}

// TestRulesOfMergedDirectories: the rule is that of the directory that has the object, and lists show nothing of others that are not permitted.
func TestRulesOfMergedDirectories(t *testing.T) {
	root := dir(t, map[string]string{"open/d/a": "x", "shut/b": "x", "shut/d/c": "x"})
	r := start(t, Config{
		Read:  []Mount{mountOf(t, "", filepath.Join(root, "open")), mountOf(t, "", filepath.Join(root, "shut"))},
		Merge: true, Listing: true, Rules: readRules(t, root, "[open]\n[shut]\nru=alice\n"), Users: readUsers(t, "alice"),
	}, nil)
	for path, want := range map[string]int{"/d/a": 200, "/b": 401, "/d/c": 401, "/none": 404} {
		if res, _ := r.ask("GET " + path); res.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, res.StatusCode, want)
		}
	}
	if res, _ := r.ask("GET /b", basic("alice", "alice")); res.StatusCode != 200 {
		t.Errorf("%d", res.StatusCode)
	}
	_, nobody := r.ask("GET /d")
	_, alice := r.ask("GET /d", basic("alice", "alice"))
	if strings.Contains(nobody, "/d/c") || !strings.Contains(nobody, "/d/a") || !strings.Contains(alice, "/d/c") {
		t.Errorf("%s\n%s", nobody, alice)
	}
}

// TestReload: rules, users and limits change for requests that come later; connections stay, and what runs goes on (60).
func TestReload(t *testing.T) {
	root := dir(t, map[string]string{"d/a": "x"})
	m, mem := mountOf(t, "d", filepath.Join(root, "d")), memory(t)
	c := Config{Read: []Mount{m, mem}}
	r := start(t, c, nil)
	kept := r.dial()
	if res, _ := kept.ask("GET /d/a"); res.StatusCode != 200 {
		t.Fatal(res.StatusCode)
	}
	up := begin(t, mem.Store, "seg.m4s")
	io.WriteString(up, "1")
	reading := r.dial().say("GET /gmem/seg.m4s")
	res := reading.hear("GET")
	c.Rules, c.Users = readRules(t, root, "[d]\nname=d\nru=alice\n"), readUsers(t, "alice")
	if err := r.Reload(c); err != nil {
		t.Fatal(err)
	}
	if res, _ := kept.ask("GET /d/a"); res.StatusCode != 401 {
		t.Errorf("%d", res.StatusCode)
	}
	if res, _ := kept.ask("GET /d/a", basic("alice", "alice")); res.StatusCode != 200 {
		t.Errorf("%d", res.StatusCode)
	}
	bad := c
	bad.Headers = [][2]string{{"", ""}}
	if r.Reload(bad) == nil {
		t.Error("a configuration that makes no sense was taken")
	}
	if res, _ := kept.ask("GET /d/a"); res.StatusCode != 401 {
		t.Errorf("after a reload that failed: %d", res.StatusCode)
	}
	io.WriteString(up, "2")
	up.End()
	if b, err := io.ReadAll(res.Body); string(b) != "12" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
}

// asked is an Authorizer that turns away who is not from a network, and writers.
type asked struct{}

func (asked) Ask(r *http.Request, peer netip.AddrPort, user string, write bool) (int, string) {
	switch {
	case write:
		return 403, "no writers, not even " + user
	case peer.Addr() != netip.MustParseAddr("192.0.2.9"):
		return 429, "too many of " + peer.Addr().String()
	}
	return 0, ""
}

func TestAuthorizer(t *testing.T) {
	m := mountOf(t, "", dir(t, map[string]string{"a": "x"}))
	r := start(t, Config{Read: []Mount{m}, Write: &m, Hook: asked{}, Proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}, nil)
	for _, x := range []struct {
		first, from string
		want        int
	}{{"GET /a", "192.0.2.9", 200}, {"GET /a", "192.0.2.8", 429}, {"PUT /a", "192.0.2.9", 403}} {
		if res, _ := r.ask(x.first, "Content-Length: 0", "X-Forwarded-For: "+x.from); res.StatusCode != x.want {
			t.Errorf("%s from %s: %d", x.first, x.from, res.StatusCode)
		}
	}
}

// selfSigned is a certificate for 127.0.0.1.
func selfSigned(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "h"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, pool
}

// TestTLS: plain and TLS doors in one process, ALPN h2 (61); limits count both.
func TestTLS(t *testing.T) {
	cert, pool := selfSigned(t)
	l := listen(t, "tcp", "127.0.0.1:0")
	m := mountOf(t, "", dir(t, map[string]string{"a": "x"}))
	r := start(t, Config{Read: []Mount{m}, MaxConns: 2}, nil,
		Door{Listener: l, TLS: &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2", "http/1.1"}}})
	for major, set := range map[int]func(*http.Protocols){
		1: func(p *http.Protocols) { p.SetHTTP1(true) }, 2: func(p *http.Protocols) { p.SetHTTP2(true) },
	} {
		c := r.client(set, &tls.Config{RootCAs: pool})
		res, err := c.Get("https://" + l.Addr().String() + "/a")
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(res.Body)
		res.Body.Close()
		if res.ProtoMajor != major || string(b) != "x" || err != nil {
			t.Errorf("%s %q %v", res.Proto, b, err)
		}
	}
	if res, _ := r.ask("GET /a"); res.StatusCode != 503 {
		t.Errorf("beside two by TLS: %d", res.StatusCode)
	}
	res, err := r.client(func(p *http.Protocols) { p.SetHTTP2(true) }, &tls.Config{RootCAs: pool}).Get("https://" + l.Addr().String() + "/a")
	if err != nil || res.StatusCode != 503 || res.Header.Get("Retry-After") == "" {
		t.Fatalf("%v %v", res, err)
	}
	res.Body.Close()
}

func TestConfigurationsThatMakeNoSense(t *testing.T) {
	m := Mount{Dir: os.TempDir()}
	for _, c := range []Config{
		{},
		{Read: []Mount{m}, Headers: [][2]string{{"a b", "c"}}},
		{Read: []Mount{m}, Sources: []string{"up"}},
		{Write: &m},
		{Read: []Mount{m}, Time: "time"},
		{Read: []Mount{m, m}},
		{Read: []Mount{m}, Records: map[string]Record{"a": {}}},
	} {
		o := Options{}
		if err := c.check(o); err == nil {
			s := &site{conf: c}
			if s.layOut() == nil {
				t.Errorf("%+v is fine", c)
			}
		}
	}
}
