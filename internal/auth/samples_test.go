package auth

import (
	"context"
	"encoding/hex"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/testkit"
)

// TestSampleHelpers: the helpers that come with sluice, as an operator has them.
func TestSampleHelpers(t *testing.T) {
	testkit.Need(t, "python3")
	for _, name := range []string{"helper.sh", "helper.py"} {
		t.Run(name, func(t *testing.T) {
			tokens := write(t, "# NAME TOKEN\nbob sesame\n\neve a.third\nmallory #x\n")
			sample := filepath.Join("..", "..", "dist", "auth", name)
			g := guard(t, Config{Helper: []string{sample, tokens}, Helpers: 2, ListenerAlias: true, DeniedFor: -1})
			for source, code := range map[string]int{
				"udp://239.1.1.1:5000?auth=sesame":            ok,
				"udp://239.1.1.1:5000?x=1&auth=a.third&auth=": ok,
				"$news?auth=#x":                      ok,
				"udp://239.1.1.1:5000":               denied,
				"udp://239.1.1.1:5000?auth=":         denied,
				"udp://239.1.1.1:5000?auth=Sesame":   denied,
				"udp://239.1.1.1:5000?auth=s*":       denied,
				"udp://239.1.1.1:5000?auth=?????e":   denied,
				"udp://239.1.1.1:5000?auth=[s]esame": denied,
				"udp://239.1.1.1:5000?xauth=sesame":  denied,
				"udp://239.1.1.1:5000?auth=sesame.":  denied,
				"udp://239.1.1.1:5000auth=sesame":    denied,
				"udp://auth=sesame/?&&=&auth":        denied,
				`$x?auth=$(exit)`:                    denied,
				"$x?auth=`exit`;exit":                denied,
				`$x?auth="&auth='&auth=\`:            denied,
				`$x?auth=%s%n\n-n`:                   denied,
				"$x?auth=#":                          denied,
			} {
				g.want(code, question(source))
			}
			if err := os.WriteFile(tokens, []byte("bob changed\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			g.want(denied, question("$news?auth=sesame"))
			g.want(ok, question("$news?auth=changed"))
			if err := os.Remove(tokens); err != nil {
				t.Fatal(err)
			}
			g.want(denied, question("$news?auth=changed"))
			g.logged("authorization helper says")
			if text := g.log.String(); strings.Contains(text, "another one") {
				t.Error("a helper had to be replaced")
			}
		})
	}
}

// TestSamplePatterns: the channels of a token, which helper.py knows.
func TestSamplePatterns(t *testing.T) {
	testkit.Need(t, "python3")
	tokens := write(t, "bob sesame udp://239.1.1.* udp://[ff15::1]:5000 $news\n")
	g := guard(t, Config{Helper: []string{"../../dist/auth/helper.py", tokens}, Helpers: 1})
	for source, code := range map[string]int{
		"udp://239.1.1.7:5000": ok, "udp://[ff15::1]:5000": ok, "$news": ok,
		"udp://239.1.2.7:5000": denied, "udp://f:5000": denied, "$newsflash": denied,
	} {
		g.want(code, question(source+"?auth=sesame"))
	}
}

// TestSampleEnds: a sample without its file says so, and ends with its input.
func TestSampleEnds(t *testing.T) {
	for _, sample := range []string{"helper.sh", "helper.py"} {
		cmd := exec.Command(filepath.Join("..", "..", "dist", "auth", sample))
		if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "usage: "+sample+" TOKEN-FILE") {
			t.Errorf("%s without a file: %v, %s", sample, err, out)
		}
		cmd = exec.Command(cmd.Path, write(t, "bob sesame\n"))
		if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%s without input: %v, %s", sample, err, out)
		}
	}
}

// examples are the fenced blocks of docs/auth.md with that word behind the fence.
func examples(t *testing.T, word string) (blocks []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "auth.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("(?ms)^```"+word+"\n(.*?)^```$").FindAllStringSubmatch(string(text), -1) {
		blocks = append(blocks, m[1])
	}
	if len(blocks) == 0 {
		t.Fatalf("docs/auth.md has no example %q", word)
	}
	return blocks
}

// TestManual: the examples of docs/auth.md. Those of the configuration and of sluice sign
// are run where these are (internal/app).
func TestManual(t *testing.T) {
	testkit.Need(t, "python3")
	t.Run("tokens", func(t *testing.T) {
		got, err := ReadTokens(write(t, examples(t, "text tokens")[0]))
		if diff := cmp.Diff([]Token{{"bob", "7f3c9ad2e5b14c60"}, {"eve", "b0e1d5c38a7f4296"}}, got); err != nil || diff != "" {
			t.Error(err, diff)
		}
	})
	t.Run("sign in Python", testPythonSign)
	t.Run("body of the hook", func(t *testing.T) {
		q := question("$news?key=BF09")
		q.Listener = "bb1"
		body, err := q.json()
		if err != nil {
			t.Fatal(err)
		}
		same(t, string(body), examples(t, "json")[0])
	})
	t.Run("hook in Python", func(t *testing.T) {
		p := testkit.Start(t, "python3", "-c", examples(t, "python hook")[0], "0")
		g := guard(t, Config{Hook: p.WaitLine(`^(http://\S+)$`)[1]})
		g.want(ok, question("$news?pass=9b74c989"))
		g.want(denied, question("$news?pass=9b74c98"))
		g.want(denied, question("$news"))
		g.want(ok, question("$news?pass=5d41402a"))
	})
	t.Run("lines of A1P", testManualLines)
	t.Run("helper in the shell", func(t *testing.T) {
		g := guard(t, Config{Helper: sh("", examples(t, "sh helper")[0])})
		q := question("$news")
		g.want(ok, q)
		q.Peer = netip.MustParseAddrPort("192.0.3.7:50905")
		g.want(denied, q)
	})
	t.Run("lines of the log", testManualLog)
}

func testPythonSign(t *testing.T) {
	g, err := New(Config{Secrets: [][]byte{key}}, discard())
	if err != nil {
		t.Fatal(err)
	}
	script := examples(t, "python sign")[0] + fmt.Sprintf("\nimport sys\nprint(sign(b%q, sys.argv[1], 600, sys.argv[2]))\n", key)
	for _, ip := range []string{"", "192.0.2.7", "2001:db8::7"} {
		out, err := exec.Command("python3", "-c", script, "/$news", ip).Output()
		if err != nil {
			t.Fatal(err)
		}
		path, query, _ := strings.Cut(strings.TrimSpace(string(out)), "?")
		q := request(path, query)
		if ip != "" {
			q.Peer = netip.AddrPortFrom(netip.MustParseAddr(ip), 1)
		}
		if a := g.Ask(context.Background(), q); a != (Answer{}) {
			t.Errorf("%s: %+v", out, a)
		}
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		addr, _ := netip.ParseAddr(ip)
		var seconds int64
		fmt.Sscan(values.Get("expires"), &seconds)
		same(t, query, Sign(key, path, time.Unix(seconds, 0), addr))
	}
}

// testManualLines: questions are what sluice writes, answers what it reads.
func testManualLines(t *testing.T) {
	all := strings.Split(strings.TrimSpace(examples(t, "text a1p")[0]), "\n")
	for i := 0; i < len(all); i += 2 {
		f := strings.Split(all[i], " ")
		q := Question{Peer: netip.MustParseAddrPort(f[1]), Source: f[2], Destination: strings.TrimPrefix(f[3], "-")}
		if len(f) == 5 {
			q.Listener = f[4]
		}
		same(t, requestID(uint64(3404+i/2))+" "+q.fields(len(f) == 5), all[i])
		allowed, valid := parseAnswer(all[i+1], f[0])
		if !valid || allowed != (i == 0) {
			t.Errorf("%s: allowed %t, valid %t", all[i+1], allowed, valid)
		}
	}
	bytes, err := hex.DecodeString(strings.Join(strings.Fields(examples(t, "text bytes")[0]), ""))
	if err != nil {
		t.Fatal(err)
	}
	same(t, string(bytes), all[1]+"\n")
}

// testManualLog: the messages of the manual are those of the program.
func testManualLog(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "auth.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## In the log\n")
	told := ""
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)`").FindAllStringSubmatch(section, -1) {
		told += m[1] + "\n"
	}
	said := ""
	for _, name := range []string{"keeper.go", "helper.go", "pool.go", "hook.go"} {
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`\.Warn\("([^"]+)"`).FindAllStringSubmatch(string(source), -1) {
			said += m[1] + "\n"
		}
	}
	sorted := func(text string) []string {
		list := strings.Split(strings.TrimSpace(text), "\n")
		slices.Sort(list)
		return slices.Compact(list)
	}
	if diff := cmp.Diff(sorted(said), sorted(told)); diff != "" {
		t.Errorf("said by the program (-), told by the manual (+):\n%s", diff)
	}
}
