package auth

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sluice/internal/logs"
	"sluice/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// guarded is a Guard at work.
type guarded struct {
	*Guard
	t    *testing.T
	log  *transcript
	stop func() // ends Run and awaits it
}

// guard runs a Guard of c until the test is over. If c has no time-out, no request has.
func guard(t *testing.T, c Config) *guarded {
	t.Helper()
	return patientGuard(t, c, helperPatience)
}

// patientGuard is a guard whose helpers may take so long to end.
func patientGuard(t *testing.T, c Config, patience time.Duration) *guarded {
	t.Helper()
	if c.Timeout == 0 {
		c.Timeout = testkit.Patience
	}
	out := &transcript{}
	g, err := New(c, logs.New(out, "gws", slog.LevelDebug))
	if err != nil {
		t.Fatal(err)
	}
	if g.helpers != nil {
		g.helpers.patience = patience
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(func() {
		stop()
		if t.Failed() {
			t.Logf("log:\n%s", out)
		}
	})
	return &guarded{g, t, out, stop}
}

// want asks q and compares the code of the answer.
func (g *guarded) want(code int, q Question) Answer {
	g.t.Helper()
	a := g.Ask(g.t.Context(), q)
	if a.Code != code {
		g.t.Errorf("%q by %v: %d (%s), want %d", q.Source, q.Peer, a.Code, a.Reason, code)
	}
	return a
}

// refuses asks q until a line of the log has all the words; no answer may be another than
// 504. On a slow machine it may take more than one request.
func (g *guarded) refuses(q Question, words ...string) {
	g.t.Helper()
	testkit.Eventually(g.t, func() error {
		g.t.Helper()
		g.want(timeout, q)
		return g.hasLine(words)
	})
}

// logged waits for a line of the log that has all the words.
func (g *guarded) logged(words ...string) {
	g.t.Helper()
	testkit.Eventually(g.t, func() error { return g.hasLine(words) })
}

func (g *guarded) hasLine(words []string) error {
	for line := range strings.Lines(g.log.String()) {
		found := true
		for _, w := range words {
			found = found && strings.Contains(line, w)
		}
		if found {
			return nil
		}
	}
	return fmt.Errorf("no line with %q in the log", words)
}

// later is an Ask that goes on.
func (g *guarded) later(q Question) <-chan Answer {
	answer := make(chan Answer, 1)
	go func() { answer <- g.Ask(context.Background(), q) }()
	return answer
}

// transcript is a log that a test looks at while it is written.
type transcript struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *transcript) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

func (o *transcript) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// question is one for a source, query and all.
func question(source string) Question {
	_, query, _ := strings.Cut(source, "?")
	values, _ := url.ParseQuery(query)
	return Question{Peer: netip.MustParseAddrPort("192.0.2.7:50905"), Source: source, Query: values}
}

// sh is a helper in the shell's language; dir is its $1.
func sh(dir, script string) []string { return []string{"sh", "-c", script, "helper", dir} }

// obedient writes down what it is asked in $1/asked. It allows what has "yes" in it.
const obedient = `
while IFS= read -r line; do
	printf '%s\n' "$line" >>"$1/asked"
	case $line in
	*yes*) echo "${line%% *} 0" ;;
	*) echo "${line%% *} 210045" ;;
	esac
done`

// gated waits, for each request, until the test opens its gate: the FIFO $1/ID. What it
// reads there is the result.
const gated = `
while read -r id rest; do
	read -r result <"$1/$id"
	echo "$id $result"
done`

// gates makes the FIFOs of the first n requests.
func gates(t *testing.T, n int) (dir string) {
	dir = t.TempDir()
	for i := range n {
		if err := syscall.Mkfifo(filepath.Join(dir, fmt.Sprintf("A%d", i+1)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// gate waits until a helper has the n-th request.
func gate(t *testing.T, dir string, n int) *os.File {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(dir, fmt.Sprintf("A%d", n)), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// open lets the helper behind the gate answer.
func open(t *testing.T, gate *os.File, result string) {
	t.Helper()
	if _, err := gate.WriteString(result + "\n"); err != nil {
		t.Fatal(err)
	}
	gate.Close()
}

// read is a file that a helper writes, nothing if it is not there.
func read(dir, name string) string {
	text, _ := os.ReadFile(filepath.Join(dir, name))
	return string(text)
}

// lines waits until a file that helpers write has n lines, and returns them.
func lines(t *testing.T, dir, name string, n int) (list []string) {
	t.Helper()
	testkit.Eventually(t, func() error {
		list = strings.Split(strings.TrimSuffix(read(dir, name), "\n"), "\n")
		if len(list) < n || list[0] == "" {
			return fmt.Errorf("%s has %q, want %d lines", name, list, n)
		}
		return nil
	})
	return list
}
