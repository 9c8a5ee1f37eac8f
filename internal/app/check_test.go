package app

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// fileWith writes a configuration file of that name.
func fileWith(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCheckListsWhatHolds(t *testing.T) {
	path := fileWith(t, "sluice.yaml", "engines: 2\nchannels:\n  news: {source: 'http://user:word@tv.example/a?key=1'}\n")
	code, stdout, stderr := call("check", "-C", path)
	if code != 0 || stderr != "" {
		t.Fatalf("exit %d, %s", code, stderr)
	}
	for _, want := range []string{
		`(?m)^SETTING +FROM +VALUE$`, `(?m)^engines +` + path + `:1 +2$`, `(?m)^listen +default +:4046$`,
		`(?m)^channels\.news\.source +` + path + `:3 +http://-@tv\.example:80/a\?-$`,
	} {
		if !regexp.MustCompile(want).MatchString(stdout) {
			t.Errorf("%s is missing in\n%s", want, stdout)
		}
	}
}

func TestCheckTellsAllMistakes(t *testing.T) {
	path := fileWith(t, "sluice.yaml", "engine: 2\nlinger: 10\n")
	code, stdout, stderr := call("check", "-C", path)
	want := "error: " + path + ":1:1: unknown key \"engine\" (did you mean engines?)\n   1 | engine: 2\n     | ^\n" +
		"error: " + path + ":2:9: linger: \"10\" has no unit: write 10s for seconds\n   2 | linger: 10\n     |         ^\n"
	if code != 1 || stdout != "" || stderr != want {
		t.Errorf("exit %d, %s%s", code, stdout, stderr)
	}
}

func TestCheckLooksAtFiles(t *testing.T) {
	path := fileWith(t, "sluice.yaml", "auth: {tokens: /nowhere/tokens}\naccess_log: {file: /nowhere/log}\n")
	code, stdout, stderr := call("check", "-C", path)
	if code != 1 || stdout != "" || !strings.Contains(stderr, "error: "+path+":1:8: auth.tokens: open /nowhere/tokens: ") ||
		!strings.Contains(stderr, "error: "+path+":2:14: access_log.file: stat /nowhere: ") {
		t.Errorf("exit %d, %s%s", code, stdout, stderr)
	}
}

func TestCheckReadsGigapxysFiles(t *testing.T) {
	path := fileWith(t, "gigapxy.conf", "ws : { gone = 1; };\nng : { gone = 2; log : { max_files = 3; }; };\n")
	code, stdout, stderr := call("check", "-C", path, "--for", "gng")
	if code != 0 || stderr != "warning: "+path+":2:8: unknown setting ng.gone; left out\n   2 | ng : { gone = 2; log : { max_files = 3; }; };\n     |        ^\n" {
		t.Errorf("exit %d, %s", code, stderr)
	}
	if !regexp.MustCompile(`(?m)^log\.max_files +` + path + `:2 +3$`).MatchString(stdout) {
		t.Errorf("%s", stdout)
	}
}

// An interface that is not there may come, but is more often a mistake.
func TestCheckLooksForTheInterface(t *testing.T) {
	path := fileWith(t, "sluice.yaml", "interface: nowhere0\n")
	said := regexp.MustCompile(`^warning: interface: no interface "nowhere0" \(there are .*\); no group can be joined until it comes\n$`)
	if code, _, stderr := call("check", "-C", path); code != 0 || !said.MatchString(stderr) {
		t.Errorf("exit %d, %s", code, stderr)
	}
	if code, _, stderr := call("check", "-C", path, "--for", "gws"); code != 0 || stderr != "" {
		t.Errorf("gws joins nothing: exit %d, %s", code, stderr)
	}
	p := sluice(t, "run", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--run-dir", runDirOf(t), "--interface", "nowhere0")
	p.WaitLine(`level=WARN .*interface: no interface .*nowhere0`)
	p.Signal(syscall.SIGTERM)
	if err := p.Wait(); err != nil {
		t.Error(err)
	}
}

func TestCheckMisused(t *testing.T) {
	if code, _, stderr := call("check", "--for", "ws"); code != 2 || !strings.Contains(stderr, `bad --for "ws"`) {
		t.Errorf("exit %d, %s", code, stderr)
	}
	if code, _, stderr := call("check", "-C", "/nowhere/sluice.yaml"); code != 1 || !strings.HasPrefix(stderr, "sluice: configuration: open /nowhere/") {
		t.Errorf("5: exit %d, %s", code, stderr)
	}
}
