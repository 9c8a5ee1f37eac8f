package auth

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice/internal/testkit"
)

// TestNastyHelpers: each is replaced, for this reason.
func TestNastyHelpers(t *testing.T) {
	for name, c := range map[string]struct {
		script, reason string
		asked          bool // only then it is nasty
	}{
		"greets":               {`echo ready; cat`, errUnasked.Error(), false},
		"answers in advance":   {`echo A1 0; cat`, errUnasked.Error(), false},
		"a flood of lines":     {`yes; cat`, errUnasked.Error(), false},
		"a flood, no lines":    {`tr '\0' x </dev/zero`, errTooLong.Error(), false},
		"closes its output":    {`exec >&-; cat`, errEnded.Error(), false},
		"dies of a signal":     {`kill -SEGV $$`, "signal: segmentation fault", false},
		"a flood when asked":   {`read -r line; yes`, errGarbage.Error(), true},
		"answers twice":        {`while read -r id rest; do printf '%s 0\n%s 0\n' "$id" "$id"; done`, errUnasked.Error(), true},
		"ends when asked":      {`read -r line`, "exit status 0", true},
		"half a line, then no": {`read -r id rest; printf %s "$id 0"`, errEnded.Error(), true},
	} {
		t.Run(name, func(t *testing.T) {
			testkit.NoLeaks(t)
			g := guard(t, Config{Helper: sh("", c.script), Helpers: 1, Timeout: short})
			reason := []string{"level=WARN", "starting another one", c.reason}
			if c.asked {
				g.refuses(question("$news?auth=secret"), reason...)
			} else {
				g.logged(reason...)
			}
			g.stop()
			if strings.Contains(g.log.String(), "secret") {
				t.Error("the log has the token")
			}
		})
	}
}

// TestAnswerAndEnd: a helper may end with each answer.
func TestAnswerAndEnd(t *testing.T) {
	g := guard(t, Config{Helper: sh("", `read -r id rest; echo "$id 0"`), Helpers: 1})
	for range 3 {
		g.want(ok, question("$news"))
	}
}

// TestHelperSays: what a helper writes on standard error is in the log, line by line, cut
// off, without queries and credentials, a line a second.
func TestHelperSays(t *testing.T) {
	script := `echo "no database at http://user:secret@db.example/x?key=secret for udp://239.1.1.1:5000?auth=secret" >&2
		read -r id rest; for i in 1 2 3 4 5 6 7 8 9; do head -c 100000 /dev/zero | tr '\0' x >&2; printf '\n\033[2Jx\n' >&2; done; echo "$id 0"; cat`
	g := guard(t, Config{Helper: sh("", script), Helpers: 1})
	g.logged("level=WARN", `text="no database at http://-@db.example/x?- for udp://239.1.1.1:5000?-"`)
	g.want(ok, question("$news"))
	g.stop()
	if text := g.log.String(); len(text) > 3000 || strings.Contains(text, "secret") || strings.Contains(text, "\033") {
		t.Errorf("log:\n%s", text)
	}
}

func TestMasked(t *testing.T) {
	for text, want := range map[string]string{
		"":                                  "",
		"  two \t words\r":                  "two words",
		"udp://10.0.0.7@239.1.1.1:5000":     "udp://-@239.1.1.1:5000",
		"http://u:p@ss@h/x@y?z=1 $news?k=1": "http://-@h/x@y?- $news?-",
		"a?b?c d?":                          "a?- d?-",
		"ftp://u:p@h":                       "ftp://-@h",
	} {
		same(t, masked(text), want)
	}
}

// TestSurroundings: what a helper is given, and what not.
func TestSurroundings(t *testing.T) {
	t.Setenv("SLUICE_SECRET", "hidden")
	t.Setenv("LANG", "C.UTF-8")
	held, err := os.Create(filepath.Join(t.TempDir(), "held"))
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	dir := t.TempDir()
	script := `env >"$1/env"; ls -l /proc/$$/fd >"$1/fds"; echo $$ >"$1/pid"; cat`
	g := guard(t, Config{Helper: sh(dir, script), Helpers: 1})
	pid, err := strconv.Atoi(lines(t, dir, "pid", 1)[0])
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(read(dir, "env")) {
		switch name, _, _ := strings.Cut(line, "="); name {
		case "PATH", "LANG":
		case "PWD", "OLDPWD", "SHLVL", "_": // the shell's own
		default:
			t.Errorf("environment has %q", line)
		}
	}
	if !strings.Contains(read(dir, "env"), "LANG=C.UTF-8\n") || !strings.Contains(read(dir, "env"), "PATH="+os.Getenv("PATH")+"\n") {
		t.Errorf("environment:\n%s", read(dir, "env"))
	}
	if fds := read(dir, "fds"); strings.Contains(fds, "held") || strings.Contains(fds, "socket:") || strings.Contains(fds, "eventpoll") {
		t.Errorf("descriptors:\n%s", fds)
	}
	group, err := syscall.Getpgid(pid)
	if err != nil || group != pid {
		t.Errorf("process %d is in group %d (%v), want its own", pid, group, err)
	}
	g.stop()
	if err := isGone(pid); err != nil {
		t.Error(err)
	}
}

// TestEndInOrder: the end of its input is enough for a helper that looks; TERM comes
// then, and KILL in the end. Children go with it, and those that left the group hold
// nobody up.
func TestEndInOrder(t *testing.T) {
	const soon, late = time.Millisecond, testkit.Patience
	for name, c := range map[string]struct {
		script, want string
		patience     time.Duration
	}{
		"ends with its input": {`trap 'echo term >>"$1/end"; exit' TERM; echo up >>"$1/up"; while read -r line; do :; done; echo eof >>"$1/end"`, "eof\n", late},
		"leaves a child":      {`sleep 600 & echo up >>"$1/up"; cat; echo eof >>"$1/end"`, "eof\n", late},
		"ends by TERM":        {`trap 'echo term >>"$1/end"; exit' TERM; echo up >>"$1/up"; while :; do sleep 600 & wait; done`, "term\n", helperPatience},
		"has to be killed":    {`trap '' TERM; echo up >>"$1/up"; while :; do sleep 600 & wait; done`, "", soon},
		"leaves a stranger":   {`setsid sleep 600 & echo $! >>"$1/stranger"; echo up >>"$1/up"; cat`, "", soon},
	} {
		t.Run(name, func(t *testing.T) {
			testkit.NoLeaks(t)
			dir := t.TempDir()
			g := patientGuard(t, Config{Helper: sh(dir, c.script), Helpers: 2}, c.patience)
			lines(t, dir, "up", 2)
			g.stop()
			same(t, read(dir, "end"), strings.Repeat(c.want, 2))
			for line := range strings.Lines(read(dir, "stranger")) {
				pid, err := strconv.Atoi(strings.TrimSpace(line))
				if err != nil {
					t.Fatal(err)
				}
				syscall.Kill(pid, syscall.SIGKILL)
			}
		})
	}
}

// TestEndWhileAsked: who is asked about when the Guard ends is answered, if the helper
// does it soon; the others are told.
func TestEndWhileAsked(t *testing.T) {
	dir := gates(t, 2)
	g := guard(t, Config{Helper: sh(dir, gated), Helpers: 2})
	one, two := g.later(question("one")), g.later(question("one"))
	first := gate(t, dir, 1)
	gate(t, dir, 2)
	ended := make(chan struct{})
	go func() { g.stop(); close(ended) }()
	open(t, first, "0")
	<-ended
	codes := fmt.Sprint((<-one).Code + (<-two).Code) // one of them each
	if codes != fmt.Sprint(ok+timeout) {
		t.Errorf("sum of the codes: %s", codes)
	}
	g.want(timeout, question("late"))
}

// TestBigRequest: longer than a pipe holds, and to a helper that does not read at all.
func TestBigRequest(t *testing.T) {
	source := "http://192.0.2.1/" + strings.Repeat("x", 1<<17) + "?yes"
	dir := t.TempDir()
	g := guard(t, Config{Helper: sh(dir, obedient), Helpers: 1})
	g.want(ok, question(source))
	if want := "A1 192.0.2.7:50905 " + source + " -\n"; read(dir, "asked") != want {
		t.Errorf("%d bytes arrived, want %d", len(read(dir, "asked")), len(want))
	}
	g = guard(t, Config{Helper: []string{"sleep", "600"}, Helpers: 1, Timeout: short})
	g.want(timeout, question(source))
	g.logged("helper is slow")
}
