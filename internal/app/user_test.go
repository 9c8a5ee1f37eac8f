package app

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sluice/internal/creds"
)

// userCommand runs `sluice user`, which reads the password from its standard input.
func userCommand(t *testing.T, stdin string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command(os.Args[0], append([]string{"user"}, args...)...)
	cmd.Env = append(cmd.Environ(), asSluice+"=1")
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// A user that was added is let in with his password, and what is shown has none.
func TestUserAdd(t *testing.T) {
	users := filepath.Join(t.TempDir(), "users")
	for _, tt := range []struct {
		stdin string
		args  []string
		good  bool
	}{
		{"open sesame\n", []string{"add", users, "alice", "--group", "editors"}, true},
		{"", []string{"add", users, "alice", "--group", "editors,viewers", "--keep"}, true},
		{"\n", []string{"add", users, "bob"}, false},
		{"", []string{"add", users, "bob", "--keep"}, false},
		{"word\n", []string{"add", users}, false},
		{"word\n", []string{"add", users, "b:b"}, false},
	} {
		out, err := userCommand(t, tt.stdin, tt.args...)
		if (err == nil) != tt.good || strings.Contains(out, "sesame") {
			t.Errorf("%v: %v, %s", tt.args, err, out)
		}
	}
	for _, args := range [][]string{{"add", users, "b:b"}, {"add", users, "bob", "--group", "a:b"}} { // before he is asked for a password
		if out, err := userCommand(t, "", args...); err == nil || !strings.Contains(out, "is no name of a") {
			t.Errorf("%q: %v, %s", args, err, out)
		}
	}
	known, err := creds.ReadUsers(users)
	if err != nil {
		t.Fatal(err)
	}
	rule := creds.Rule{Read: creds.Who{Groups: []string{"viewers"}}}
	for password, want := range map[string]int{"open sesame": 0, "sesame": 401} {
		r := &http.Request{Header: http.Header{}}
		r.SetBasicAuth("alice", password)
		if v := known.Judge(r, rule, creds.Read, 401); v.Status != want {
			t.Errorf("alice with %q: %d %s, want %d", password, v.Status, v.Reason, want)
		}
	}
}

func TestUserImport(t *testing.T) {
	dir := t.TempDir()
	theirs, ours := filepath.Join(dir, "users.cfg"), filepath.Join(dir, "users")
	write(t, theirs, "[alice]\npassword="+strings.Repeat("0", 64)+"\nsalt="+strings.Repeat("0", 32)+"\n")
	if out, err := userCommand(t, "", "import", theirs, ours); err != nil || !strings.Contains(out, ": 1 added") {
		t.Errorf("%v: %s", err, out)
	}
	if out, err := userCommand(t, "", "import", ours, theirs); err == nil {
		t.Errorf("a file that is not GPAC's is taken: %s", out)
	}
}
