//go:build e2e && linux

package e2e

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"sluice/internal/testkit"
)

// testOriginCertificates: a new certificate is in use as soon as its files are there, one that is of no use is not, and what is
// being uploaded and read goes on through it all.
func testOriginCertificates(t *testing.T) {
	ca, addr, dir := newAuthority(t), freePort(t), t.TempDir()
	o := startOriginAt(t, addr, "--listen", "https://"+addr, "--cert", ca.path("server.pem"), "--pkey", ca.path("server.key"), "--wdir", dir, dir)
	o.url, o.web = "https://"+addr, ca.client()
	u := o.beginSeen("/seg-1.m4s", "one")
	f := o.follow("/seg-1.m4s")
	f.hears("one")
	serials := func(want int64) {
		t.Helper()
		testkit.Eventually(t, func() error {
			w, got := secureWire(t, ca, addr)
			defer w.Close()
			if got != want {
				return fmt.Errorf("it has certificate %d, want %d", got, want)
			}
			return nil
		})
	}
	first := ca.last
	serials(first)
	if err := errors.Join(os.Rename(ca.path("server.key"), ca.path("old.key")), os.WriteFile(ca.path("server.key"), []byte("nonsense"), 0o600)); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, func() error {
		serials(first)
		if !strings.Contains(o.proc.Output(), "certificate not read again: the one before stays") {
			return errors.New("a key that is of no use is not told of")
		}
		return nil
	})
	serials(ca.renew())
	o.proc.WaitLine(`certificate read again.*server\.pem`)
	u.says("two")
	f.hears("two")
	u.ends(201)
	f.hearsEnd(false)
}

// testOriginHook: a service is asked before anything is read, written or removed; where it does not answer nobody is let in.
func testOriginHook(t *testing.T) {
	var mu sync.Mutex // guards asked
	var asked []string
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q struct{ Peer, Source, Listener string }
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil || r.Method != http.MethodPost || !strings.HasPrefix(q.Peer, "127.0.0.1:") {
			t.Errorf("the hook was asked by %s for %+v (%v)", r.Method, q, err)
		}
		mu.Lock()
		asked = append(asked, q.Listener+" "+q.Source)
		mu.Unlock()
		switch {
		case q.Source == "/closed.txt", q.Listener == "origin-write" && !strings.HasPrefix(q.Source, "/open/"):
			w.WriteHeader(http.StatusForbidden)
		case q.Source == "/who.txt":
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	t.Cleanup(hook.Close)
	o, dir := startOriginDir(t, "--auth-hook", hook.URL+"/may")
	for _, name := range []string{"open.txt", "closed.txt", "who.txt"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	o.get("/open.txt", 200)
	o.get("/closed.txt", 403)
	o.get("/who.txt", 401)
	o.put("/open/new.txt", "new", 201)
	o.put("/open.txt", "new", 403)
	if a := o.ask(http.MethodDelete, "/open.txt", ""); a.StatusCode != 403 {
		t.Errorf("DELETE that the hook forbids: %s", a.Status)
	}
	o.get("/open/new.txt?x=1", 200)
	o.ask(http.MethodOptions, "/closed.txt", "", "Origin", "http://other.example", "Access-Control-Request-Method", "GET").has(t, "Access-Control-Allow-Origin", "http://other.example")
	if b := readFile(t, filepath.Join(dir, "open.txt")); b != "open.txt" {
		t.Errorf("what the hook forbids to write reads %q", b)
	}
	mu.Lock()
	said := strings.Join(asked, "\n")
	mu.Unlock()
	for _, want := range []string{"origin /open.txt", "origin-write /open/new.txt", "origin-write /open.txt"} {
		if !strings.Contains(said, want) {
			t.Errorf("the hook was not asked for %q, but\n%s", want, said)
		}
	}
	hook.Close()
	o.get("/open/other.txt", 504)
	o.proc.WaitLine(`authorization hook does not answer`)
}

// testUsersOfGPAC: their users log in with the passwords that they had, and one whom `sluice user add` gave another with that.
func testUsersOfGPAC(t *testing.T) {
	dir, files := t.TempDir(), t.TempDir()
	const salt = "0123456789abcdef0123456789abcdef"
	theirs := ""
	for _, name := range []string{"alice", "bob"} {
		theirs += fmt.Sprintf("[%s]\npassword=%x\nsalt=%x\npass_date=1\nlast_auth=0\n\n", name, sha256.Sum256([]byte(name+"s@"+salt)), salt)
	}
	from, to, rules := filepath.Join(dir, "users.cfg"), filepath.Join(dir, "users"), filepath.Join(dir, "rules")
	put(t, from, theirs)
	put(t, rules, fmt.Sprintf("[%s]\nru=alice,bob\n", files))
	put(t, filepath.Join(files, "a.txt"), "a")
	if _, msg, code := output(program(), "user", "import", from, to); code != 0 {
		t.Fatalf("sluice user import: %d, %s", code, msg)
	}
	if b := readFile(t, to); strings.Contains(b, "alices") || !strings.Contains(b, "alice:") {
		t.Errorf("the users are %q", b)
	}
	o := startOrigin(t, "--rdirs", rules, "--users", to)
	as := func(name, password string, status int) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, o.url+"/a.txt", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.SetBasicAuth(name, password)
		resp, err := o.web.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != status {
			t.Errorf("%s with the password %q: %s, want %d", name, password, resp.Status, status)
		}
	}
	as("alice", "alices", 200)
	as("bob", "bobs", 200)
	as("bob", "alices", 401)
	as("eve", "", 401)

	command := exec.Command(program(), "user", "add", to, "bob")
	command.Stdin = strings.NewReader("another\n")
	if msg, err := command.CombinedOutput(); err != nil {
		t.Fatalf("sluice user add: %v, %s", err, msg)
	}
	o.reread(runOriginRereadLine)
	as("bob", "another", 200)
	as("bob", "bobs", 401)
	as("alice", "alices", 200)
}

// testDefaultPorts: of those who are told no port.
func testDefaultPorts(t *testing.T) {
	ca, dir := newAuthority(t), t.TempDir()
	put(t, filepath.Join(dir, "a.txt"), "a")
	startOriginAt(t, "127.0.0.1:8080", dir).get("/a.txt", 200)
	secure := startOriginAt(t, "127.0.0.1:8443", "--cert", ca.path("server.pem"), "--pkey", ca.path("server.key"), dir)
	secure.url, secure.web = "https://"+secure.addr, ca.client()
	secure.get("/a.txt", 200)
}
