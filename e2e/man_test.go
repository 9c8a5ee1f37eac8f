//go:build e2e

package e2e

import (
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sluice/internal/testkit"
)

// pages are the texts whose examples are run, most of them the sources of manual pages.
var pages = []string{
	"README.md", "docs/sluice.md", "docs/gws.md", "docs/gng.md", "docs/reference.md", "docs/channels.md", "docs/auth.md", "docs/migration.md",
	"docs/relay.md", "docs/relay-admin.md", "docs/tcprelay.md", "docs/origin.md", "docs/origin-admin.md", "docs/origin-users.md", "docs/origin-script.md",
}

// elsewhere are the kinds of examples that are no programs and no configurations of ours,
// with what they are tried by.
var elsewhere = map[string]string{
	"text synopsis": "internal/app: TestManualHasTheCommands",
	"text tokens":   "internal/auth: TestManual",
	"text a1p":      "internal/auth: TestManual",
	"text bytes":    "internal/auth: TestManual",
	"json":          "internal/auth: TestManual",
	"json origin":   "internal/app: TestManualHasTheQuestion",
	"python sign":   "internal/auth: TestManual",
	"python hook":   "internal/auth: TestManual",
	"sh helper":     "internal/auth: TestManual",
	"text":          "internal/alias: TestDocsError",
	"sh build":      "TestMain, and make",
	"text session":  "internal/relay: TestManual",
	"text requests": "internal/origin: TestManual",
	"text picture":  "nothing: it is a picture",
}

// stage runs a page as a machine of its own would: with its own network, processes and
// system directories.
//
//go:embed stage.sh
var stage string

// TestManual runs the examples of each page in their order: programs that go on beside
// the others, commands to their end, files where they are said to be, and configurations
// through sluice check.
func TestManual(t *testing.T) {
	testkit.Need(t, "unshare", "curl", "ffmpeg", "ffprobe", "openssl", "ss", "python3")
	film, err := filepath.Abs(h264.file(t))
	if err != nil {
		t.Fatal(err)
	}
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range pages {
		t.Run(page, func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(filepath.Join(root, page))
			if err != nil {
				t.Fatal(err)
			}
			script, err := act(string(text))
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "act.sh"), []byte(stage+script), 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "bash", "act.sh")
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), "PROGRAM="+program(), "FILM="+film, "DIST="+filepath.Join(root, "dist"))
			p := testkit.StartCommand(t, cmd)
			if err := p.Wait(); err != nil {
				t.Fatalf("%v\n%s", err, p.Output())
			}
			if line := alarming.FindString(p.Output()); line != "" {
				t.Errorf("the program under test said %q:\n%s", line, p.Output())
			}
		})
	}
}

// example is a block of code of a page, with the words behind its fence.
var example = regexp.MustCompile("(?ms)^```([^\n]*)\n(.*?)^```$")

// act is what the stage does with the examples of a page, in calls of the functions of
// stage.sh. Files that others name come first, and configurations that no path is said of last:
// then all is there that they name.
func act(page string) (string, error) {
	var script, files, checks strings.Builder
	for i, m := range example.FindAllStringSubmatch(page, -1) {
		kind, path, _ := strings.Cut(m[1], " ")
		call := func(to *strings.Builder, function string) {
			fmt.Fprintf(to, "%s <<'END-OF-EXAMPLE-%d'\n%sEND-OF-EXAMPLE-%d\n", function, i, m[2], i)
		}
		switch {
		case m[1] == "":
			return "", fmt.Errorf("example %d is of no kind: %q", i, m[2])
		case m[1] == "sh":
			call(&script, "run")
		case m[1] == "sh serve":
			call(&script, "serve "+server(m[2]))
		case strings.HasPrefix(path, "/") && (kind == "yaml" || kind == "libconfig" || kind == "conf" || kind == "tcprelay" || kind == "js"):
			call(&script, "file "+path)
		case m[1] == "yaml" || m[1] == "libconfig" || m[1] == "conf" || m[1] == "m3u" || m[1] == "tcprelay":
			call(&checks, "check "+kind)
		case elsewhere[m[1]] == "":
			return "", fmt.Errorf("example %d is of the kind %q, which nothing runs", i, m[1])
		case m[1] == "text tokens":
			call(&files, "file /etc/sluice/tokens")
		}
	}
	return files.String() + script.String() + checks.String() + "end\n", nil
}

// server is what a command that goes on beside the others is: a sender, a server of streams, which
// is waited for until it has an engine, a relay or an origin, which listens, or another program, which a signal
// ends as it likes; so cproxy is. A client is another program that listens nowhere.
func server(command string) string {
	switch words := strings.Fields(command); {
	case words[0] == "tcprelay", words[0] == "spawnd":
		return "relay"
	case words[0] == "ffmpeg":
		return "client"
	case words[0] != "sluice" && words[0] != "gws" && words[0] != "gng":
		return "other"
	case words[1] == "relay" && (strings.HasPrefix(words[2], "-l") || strings.HasPrefix(words[2], "-r")):
		return "other"
	case words[1] == "send", words[1] == "origin" && slices.Contains(words, "push"):
		return "sender"
	case words[1] == "relay", words[1] == "tcprelay", words[1] == "origin":
		return "relay"
	}
	return "server"
}
