package creds

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"sluice/internal/testkit"
)

// cheap is a hash of bcrypt that costs little.
func cheap(t testing.TB, password string) string {
	t.Helper()
	text, err := bcrypt.GenerateFromPassword([]byte(password), minCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func low(t testing.TB, password string) hash { return bcrypted{cheap(t, password), minCost} }

// theirs is a section as GPAC writes it; older versions wrote SHA-1 and a salt of 16 bytes.
func theirs(name, password string, old bool) string {
	salt := []byte("0123456789abcdef0123456789abcdef")
	sum := sha256.Sum256([]byte(password + "@" + string(salt)))
	hashed := hex.EncodeToString(sum[:])
	if old {
		salt = salt[:16]
		sum := sha1.Sum([]byte(password + "@" + string(salt)))
		hashed = hex.EncodeToString(sum[:])
	}
	return fmt.Sprintf("[%s]\npassword=%s\nsalt=%x\npass_date=1\nlast_auth=0\n\n", name, hashed, salt)
}

func TestHtpasswdIsRead(t *testing.T) {
	testkit.Need(t, "htpasswd")
	path := filepath.Join(t.TempDir(), "users")
	for i, args := range [][]string{{"-cbB", path, "alice", "wonder:land"}, {"-bBC", "6", path, "bob", "builder"}} {
		if out, err := exec.Command("htpasswd", args...).CombinedOutput(); err != nil {
			t.Fatalf("%d: %v %s", i, err, out)
		}
	}
	if err := Add(path, "alice", "", []string{"staff"}); err != nil {
		t.Fatal(err)
	}
	users := read(t, path)
	if !users.match("alice", "wonder:land") || !users.match("bob", "builder") || users.match("bob", "wonder:land") || users.match("eve", "builder") {
		t.Error("the passwords are not those of htpasswd")
	}
	if err := Add(path, "carol", "added", nil); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("htpasswd", "-vb", path, "carol", "added").CombinedOutput(); err != nil {
		t.Errorf("htpasswd does not take what we have added: %s", out)
	}
}

func TestUsersOfGPACAreRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users.cfg")
	write(t, path, "[groups]\nusers=alice,bob\nstaff= alice ,ghost\n\n"+theirs("alice", "a@b", false)+theirs("bob", "old", true))
	users := read(t, path)
	if !users.match("alice", "a@b") || !users.match("bob", "old") || users.match("alice", "old") || users.match("ghost", "") {
		t.Error("the passwords are not those of GPAC")
	}
	if a, b := users.known["alice"].groups, users.known["bob"].groups; fmt.Sprint(a, b) != "[staff] []" {
		t.Errorf("groups %v %v", a, b)
	}
	if err := Add(path, "eve", "x", nil); err == nil || !strings.Contains(err.Error(), "import it") {
		t.Error(err)
	}
}

func TestImport(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "users.cfg"), filepath.Join(dir, "users")
	write(t, from, theirs("alice", "one", false)+theirs("bob", "two", true)+"[groups]\nstaff=alice,bob\nadmin=alice\n")
	if err := set(to, "bob", low(t, "mine"), nil, false); err != nil {
		t.Fatal(err)
	}
	for i, want := range []int{1, 0} {
		if n, err := Import(from, to); n != want || err != nil {
			t.Fatalf("import %d: %d %v", i, n, err)
		}
	}
	users := read(t, to)
	if !users.match("alice", "one") || !users.match("bob", "mine") || users.match("bob", "two") {
		t.Error("a password is not what it was")
	}
	if got := fmt.Sprint(users.known["alice"].groups, users.known["bob"].groups); got != "[staff admin] []" {
		t.Error(got)
	}
	if err := set(to, "alice", low(t, "better"), nil, false); err != nil {
		t.Fatal(err)
	}
	users = read(t, to)
	if !users.match("alice", "better") || users.match("alice", "one") || fmt.Sprint(users.known["alice"].groups) != "[staff admin]" {
		t.Errorf("%v", users.known["alice"].groups)
	}
	if _, err := Import(to, from); err == nil {
		t.Error("what is not GPAC's was imported")
	}
}

func TestAddKeepsTheRest(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "users")
	old := "# the staff\nalice:" + cheap(t, "a") + ":staff\n\n# guests\nbob:" + cheap(t, "b") + "\n"
	write(t, path, old)
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink("users", link); err != nil {
		t.Fatal(err)
	}
	if err := Add(link, "bob", "", []string{"guests", "users", "guests"}); err != nil {
		t.Fatal(err)
	}
	text, _ := os.ReadFile(path)
	if want := strings.TrimSuffix(old, "\n") + ":guests\n"; string(text) != want {
		t.Errorf("%s\nwant\n%s", text, want)
	}
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != 0o640 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	if err := Add(path, "alice", "", []string{}); err != nil {
		t.Fatal(err)
	}
	if got := read(t, path).known["alice"].groups; len(got) != 0 {
		t.Errorf("alice is still in %v", got)
	}
	made := filepath.Join(dir, "made")
	if err := Add(made, "eve", "x", nil); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(made); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	if list, _ := filepath.Glob(filepath.Join(dir, "*.new")); len(list) != 0 {
		t.Errorf("left behind: %v", list)
	}
}

func TestAddRefuses(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "users")
	for _, c := range []struct{ name, password, group, want string }{
		{"", "x", "", "without a name"},
		{"a:b", "x", "", "no name of a user"},
		{"#a", "x", "", "no name of a user"},
		{"a\nb", "x", "", "no name of a user"},
		{strings.Repeat("a", maxName+1), "x", "", "129 bytes"},
		{"alice", strings.Repeat("p", 73), "", "73 bytes, want 1 to 72"},
		{"alice", "", "", "no user alice yet"},
		{"alice", "x", "a,b", "no name of a group"},
	} {
		err := Add(path, c.name, c.password, []string{c.group})
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "ppp") {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if list, _ := os.ReadDir(dir); len(list) != 0 {
		t.Errorf("something was written: %v", list)
	}
	write(t, path+".new", "")
	if err := Add(path, "alice", "x", nil); err == nil || !strings.Contains(err.Error(), "being changed by somebody else") {
		t.Error(err)
	}
	if _, err := os.Stat(path + ".new"); err != nil {
		t.Error("the lock of somebody else was taken away")
	}
}

func TestWrongUsers(t *testing.T) {
	good := cheap(t, "x")
	for text, want := range map[string]string{
		"alice":                             "u:1: want NAME:HASH",
		"alice:" + good + ":a:b":            "u:1: want NAME:HASH",
		"\n#\nalice:s3cret":                 "u:3: the password of alice: no bcrypt hash; make the line with: htpasswd -B",
		"alice:$apr1$s3cret$s3cret":         "no bcrypt hash",
		"alice:" + good[:59]:                "no bcrypt hash",
		"alice:" + good + "\nalice:" + good: "u:2: alice stands in line 1 already",
		"alice:$2y$31$" + good[7:]:          "cost 31, want 4 to 14",
		"alice:$2y$03$" + good[7:]:          "cost 03, want 4 to 14",
		":" + good:                          "u:1: this begins with no name",
		"s3cret\x00:" + good:                "u:1: this begins with no name",
		"alice:$gpac$s3cret$s3cret":         "no salt of GPAC",
		"alice:$gpac$00$s3cret":             "no hash of GPAC",
		"alice:" + good + ":$x":             "no name of a group",
		"[alice]\npassword=s3cret":          `u:1: the user "alice": no salt of GPAC`,
		"[alice]\nsalt=00\npassword=00":     "no hash of GPAC",
		"[alice]\ns3cret":                   "u:2: want KEY=VALUE",
		"[a:b]":                             "no name of a user",
		"[groups]\n$a=b":                    "u:2: \"$a\" is no name of a group",
	} {
		_, err := parseUsers("u", []byte(text))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), good[7:]) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func TestUsersShowNoSecrets(t *testing.T) {
	users := newUsers(map[string]user{"alice": {hash: nobodys(minCost)}})
	for _, form := range []string{"%v", "%+v", "%#v", "%s"} {
		if got := fmt.Sprintf(form, users); got != "1 users" {
			t.Errorf("%s: %s", form, got)
		}
	}
}

func FuzzUsers(f *testing.F) {
	hash := nobodys(minCost).String()
	for _, s := range []string{"alice:" + hash + ":a,b\n", "# x\n\nbob:$gpac$00$" + strings.Repeat("0", 64), theirs("alice", "x", true) + "[groups]\na=alice\n", "[", ":::", "\ufeffa:" + hash} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		known, err := parseUsers("file", []byte(text))
		if err != nil {
			if !strings.HasPrefix(err.Error(), "file:") || strings.Contains(err.Error(), "\n") {
				t.Errorf("%q is no line with a place", err)
			}
			return
		}
		again, err := parseFile("file", nil)
		for name, one := range known {
			again.set(name, one)
		}
		if err == nil {
			again, err = parseFile("file", []byte(again.text()))
		}
		if err != nil || len(again.users) != len(known) {
			t.Errorf("%d users became %d: %v", len(known), len(again.users), err)
		}
	})
}

func read(t *testing.T, path string) *Users {
	t.Helper()
	users, err := ReadUsers(path)
	if err != nil {
		t.Fatal(err)
	}
	users.dummy = nobodys(minCost) // what it costs has a test of its own
	return users
}
