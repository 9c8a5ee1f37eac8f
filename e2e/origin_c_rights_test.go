//go:build e2e && linux

package e2e

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sluice/internal/testkit"
)

// addUser has `sluice user add` add a user, in these groups.
func addUser(t *testing.T, file, name, password string, groups ...string) {
	t.Helper()
	cmd := exec.Command(program(), "user", "add", file, name, "--group", strings.Join(groups, ","))
	cmd.Stdin = strings.NewReader(password + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("sluice user add: %v: %s", err, out)
	}
}

// as is the header of who says he is name.
func as(name, password string) []string {
	return []string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+password))}
}

// houses are users, as sluice, htpasswd and GPAC write them, and directories with rules: of each kind one.
func houses(t *testing.T) (root, rules, users string) {
	t.Helper()
	testkit.Need(t, "htpasswd")
	root = t.TempDir()
	users = filepath.Join(root, "users")
	addUser(t, users, "alice", "wonder:land", "staff")
	addUser(t, users, "bob", "builder")
	if out, err := exec.Command("htpasswd", "-bB", users, "carol", "Ünïcode").CombinedOutput(); err != nil {
		t.Fatalf("htpasswd: %v: %s", err, out)
	}
	const salt = "0123456789abcdef0123456789abcdef"
	sum := sha256.Sum256([]byte("secret@" + salt))
	gpac := put(t, filepath.Join(root, "users.cfg"), fmt.Sprintf(
		"[dave]\npassword=%s\nsalt=%x\npass_date=1\nlast_auth=0\n\n[groups]\nstaff=dave\n", hex.EncodeToString(sum[:]), salt))
	if out, err := exec.Command(program(), "user", "import", gpac, users).CombinedOutput(); err != nil {
		t.Fatalf("sluice user import: %v: %s", err, out)
	}
	var text strings.Builder
	for _, r := range []struct{ dir, rule string }{
		{"open", ""},
		{"alices", "ru=alice\nwu=alice\n"},
		{"alices/shared", "ru=alice,bob\n"},
		{"alices/shared/bobs", "ru=bob\n"},
		{"staff", "rg=staff\nwg=staff\n"},
		{"known", "ru=$ALL\nwu=bob\n"},
		{"nobodys", "ru=$NONE\nwu=$NONE\n"},
		{"drop", "ru=alice\nwu=$ALL\n"},
		{"tv", "name=channels\nru=carol\n"},
		{"rtsp", "ru=alice\nfilters=rtspout\n"},
	} {
		dir := filepath.Join(root, "srv", r.dir)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		put(t, filepath.Join(dir, "a.txt"), r.dir)
		fmt.Fprintf(&text, "[%s]\n%s", dir, r.rule)
		if !strings.Contains(r.dir, "/") && !strings.Contains(r.rule, "name=") {
			fmt.Fprintf(&text, "name=%s\n", r.dir)
		}
		text.WriteString("\n")
	}
	return root, put(t, filepath.Join(root, "rules"), text.String()), users
}

// testOriginRules: who may read and write what.
func testOriginRules(t *testing.T) {
	root, rules, users := houses(t)
	o := startOrigin(t, "--users", users, "--realm", `a "house"`, rules)
	nobody, alice, bob, carol, dave := []string(nil), as("alice", "wonder:land"), as("bob", "builder"), as("carol", "Ünïcode"), as("dave", "secret")
	for _, c := range []struct {
		request string
		who     []string
		status  int
	}{
		{"GET /open/a.txt", nobody, 200},
		{"PUT /open/b.txt", nobody, 403},
		{"GET /alices/a.txt", nobody, 401},
		{"GET /alices/a.txt", alice, 200},
		{"GET /alices/a.txt", bob, 403},
		{"GET /alices/a.txt", as("alice", "guess"), 401},
		{"GET /alices/a.txt", as("eve", "wonder:land"), 401},
		{"GET /alices/a.txt", []string{"Authorization", "Bearer x"}, 401},
		{"GET /alices/a.txt", []string{"Authorization", "Basic %%%"}, 400},
		{"HEAD /alices/a.txt", nobody, 401},
		{"GET /alices/no", nobody, 401},
		{"PUT /alices/b.txt", nobody, 401},
		{"PUT /alices/b.txt", bob, 403},
		{"PUT /alices/b.txt", alice, 201},
		{"DELETE /alices/b.txt", bob, 403},
		{"DELETE /alices/b.txt", alice, 200},
		{"GET /alices/shared/a.txt", bob, 200},
		{"PUT /alices/shared/b.txt", alice, 403},
		{"GET /alices/shared/bobs/a.txt", bob, 200},
		{"GET /alices/shared/bobs/a.txt", alice, 403},
		{"GET /staff/a.txt", alice, 200},
		{"GET /staff/a.txt", bob, 403},
		{"GET /staff/a.txt", dave, 200},
		{"PUT /staff/b.txt", dave, 201},
		{"GET /known/a.txt", nobody, 401},
		{"GET /known/a.txt", carol, 200},
		{"PUT /known/b.txt", bob, 201},
		{"PUT /known/b.txt", carol, 403},
		{"GET /nobodys/a.txt", nobody, 403},
		{"GET /nobodys/a.txt", alice, 403},
		{"PUT /nobodys/b.txt", alice, 403},
		{"PUT /drop/b.txt", nobody, 201},
		{"GET /drop/b.txt", nobody, 401},
		{"GET /channels/a.txt", carol, 200},
		{"GET /channels/a.txt", bob, 403},
		{"GET /tv/a.txt", carol, 404},
	} {
		method, path, _ := strings.Cut(c.request, " ")
		body := ""
		if method == "PUT" {
			body = "new"
		}
		a := o.ask(method, path, body, c.who...)
		if a.StatusCode != c.status {
			t.Errorf("%s as %v: %s %q, want %d", c.request, c.who, a.Status, a.body, c.status)
		}
		asks := ""
		if c.status == 401 {
			asks = `Basic realm="a \"house\"", charset="UTF-8"`
		}
		a.has(t, "WWW-Authenticate", asks)
		if strings.Contains(a.body, root) {
			t.Errorf("%s: the answer tells where things are: %q", c.request, a.body)
		}
	}
	for _, secret := range []string{"wonder:land", "guess", as("alice", "guess")[1], as("alice", "wonder:land")[1]} {
		if strings.Contains(o.proc.Output(), secret) {
			t.Errorf("the log has %q", secret)
		}
	}
	if code, _ := curl(t, "-o", "/dev/null", "-u", "alice:wonder:land", o.url+"/alices/a.txt"); code != 200 {
		t.Errorf("curl -u gets %d", code)
	}
	testWrongRules(t, rules, users)
	testForbid(t)
}

// testWrongRules: what is wrong in rules is told at the start, with its place.
func testWrongRules(t *testing.T, rules, users string) {
	if said := startsNot(t, "--wdir", rules); !strings.Contains(said, "rdirs") {
		t.Errorf("rules as wdir: it is not said where they belong: %s", said)
	}
	dir := t.TempDir()
	bad := put(t, filepath.Join(dir, "bad"), "["+dir+"]\nru=\n")
	if said := startsNot(t, "--users", users, bad); !strings.Contains(said, bad+":2") {
		t.Errorf("a rule for nobody: the place is not said: %s", said)
	}
	odd := put(t, filepath.Join(dir, "odd"), "["+dir+"]\nru=alice\nreaders=bob\n")
	if said := startsNot(t, "--users", users, odd); !strings.Contains(said, odd+":3") {
		t.Errorf("a key that is none: the place is not said: %s", said)
	}
	if said := startsNot(t, "--users", rules+".no", rules); !strings.Contains(said, "rules.no") {
		t.Errorf("no file of users: it is not said which: %s", said)
	}
}

// testForbid: the answer to a wrong password can be 403, as DASH-IF ingest has it.
func testForbid(t *testing.T) {
	rules, users := secretDir(t)
	o := startOrigin(t, "--users", users, "--wrong-password", "403", rules)
	o.get("/a.txt", 403, as("alice", "guess")...)
	o.get("/a.txt", 401)
}

// testReloadRights: rules, users and certificates are exchanged on HUP; connections and what is being read on them stay.
func testReloadRights(t *testing.T) {
	dir, ca := t.TempDir(), newAuthority(t)
	users := filepath.Join(dir, "users")
	addUser(t, users, "alice", "wonderland")
	rules := put(t, filepath.Join(dir, "rules"), "["+dir+"/srv]\nru=alice\nwu=$ALL\n")
	if err := os.Mkdir(filepath.Join(dir, "srv"), 0o755); err != nil {
		t.Fatal(err)
	}
	plain, secure := freePort(t), freePort(t)
	o := startOriginAt(t, plain, "--listen", plain+",https://"+secure, "--cert", ca.path("server.pem"), "--pkey", ca.path("server.key"), "--users", users, "--timeout", "0", rules)
	alice, bob := "Authorization: "+as("alice", "wonderland")[1], "Authorization: "+as("bob", "builder")[1]
	u := o.begin("/live.ts", "one")
	f := func() *follower {
		testkit.Eventually(t, func() error {
			if a := o.ask("HEAD", "/live.ts", "", as("alice", "wonderland")...); a.StatusCode != 200 {
				return fmt.Errorf("HEAD: %s", a.Status)
			}
			return nil
		})
		return o.follow("/live.ts", as("alice", "wonderland")...)
	}()
	f.hears("one")
	w := wireTo(t, plain, "")
	s, before := secureWire(t, ca, secure)
	for _, c := range []*wire{w, s} {
		c.wants(404, "GET /no", alice)
		c.wants(401, "GET /no", bob)
	}

	put(t, rules, "["+dir+"/srv]\nru=bob\nwu=$NONE\n")
	addUser(t, users, "bob", "builder")
	after := ca.renew()
	o.reread(relayRereadLine)
	for _, c := range []*wire{w, s} {
		c.wants(403, "GET /no", alice)
		c.wants(404, "GET /no", bob)
	}
	o.put("/late.ts", "x", 403)
	testkit.Eventually(t, func() error {
		if _, now := secureWire(t, ca, secure); now != after || now == before {
			return fmt.Errorf("the certificate is number %d, want %d and not %d", now, after, before)
		}
		return nil
	})
	u.says("two")
	f.hears("two")
	u.ends(201)
	f.hearsEnd(false)

	put(t, rules, "["+dir+"/srv]\nru=\nwho=bob\n")
	o.reread(relayKeptLine)
	for _, c := range []*wire{w, s} {
		c.wants(403, "GET /no", alice)
		c.wants(200, "GET /live.ts", bob)
	}
}
