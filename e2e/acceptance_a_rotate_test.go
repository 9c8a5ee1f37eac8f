//go:build e2e

package e2e

import (
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"sluice/internal/testkit"
)

func testLogIsRotatedAtOnce(t *testing.T) {
	for name, test := range map[string]func(*testing.T){
		"gws": testGWSRotates, "gng": testGNGRotates, "logrotate": testLogrotate,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t)
		})
	}
}

// asker sends requests with numbers, one after the other, until it is stopped.
type asker struct {
	asked atomic.Int64 // so many were answered
	stop  chan struct{}
	done  chan struct{}
}

func ask404s(p *product) *asker {
	a := &asker{stop: make(chan struct{}), done: make(chan struct{})}
	go a.run(p)
	p.t.Cleanup(func() { a.end() })
	return a
}

func (a *asker) run(p *product) {
	defer close(a.done)
	for {
		select {
		case <-a.stop:
			return
		default:
		}
		resp, err := p.web.Get(p.url(fmt.Sprintf("/%d", a.asked.Load())))
		if err != nil {
			p.t.Error(err)
			return
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		a.asked.Add(1)
	}
}

// more waits for n more answers.
func (a *asker) more(t *testing.T, n int64) {
	t.Helper()
	want := a.asked.Load() + n
	testkit.Eventually(t, func() error {
		if got := a.asked.Load(); got < want {
			return fmt.Errorf("%d answers, want %d", got, want)
		}
		return nil
	})
}

// end stops it, and says how many were answered.
func (a *asker) end() int {
	select {
	case <-a.stop:
	default:
		close(a.stop)
	}
	<-a.done
	return int(a.asked.Load())
}

// testGWSRotates has gws write an access log all the time.
func testGWSRotates(t *testing.T) {
	p := newDuo(t, "")
	log, access := p.path("log"), p.path("access.log")
	p.write(fmt.Sprintf("log: {file: %s}\naccess_log: {file: %s}\n", log, access))
	p.startGWS()
	awaitLog(t, log, `gws: ready`)
	asker := ask404s(p.product)
	for n := range 8 {
		asker.more(t, 30)
		p.gws.Signal(syscall.SIGUSR1)
		awaitFile(t, fmt.Sprintf("%s.%d", access, n+1))
	}
	asked := asker.end()
	stopNow(t, p.gws, syscall.SIGTERM)
	if numbers := numberedEntries(t, access); !slices.Equal(numbers, upTo(0, asked)) {
		t.Errorf("of %d requests the access log tells %v", asked, numbers)
	}
	lines := wholeLines(t, log)
	if ready := slices.IndexFunc(lines, func(s string) bool { return strings.Contains(s, "gws: ready") }); ready < 0 || !strings.Contains(lines[len(lines)-1], "gws: stopped") {
		t.Errorf("the log is not whole:\n%s", strings.Join(lines, ""))
	}
	if _, err := os.Stat(log + ".1"); err != nil {
		t.Errorf("the log was not rotated: %v", err)
	}
}

func awaitFile(t *testing.T, path string) {
	t.Helper()
	testkit.Eventually(t, func() error {
		_, err := os.Stat(path)
		return err
	})
}

// testGNGRotates has an engine tell of a channel between every two signals.
func testGNGRotates(t *testing.T) {
	p := newDuo(t, "")
	log := p.path("log")
	p.startGWS()
	p.startGNG("-l", log, "-vv")
	p.attached(p.gng.PID())
	var groups []string
	for n := range 5 {
		groups = append(groups, source(t))
		p.wants(200, "/udp/"+groups[n])
		p.gng.Signal(syscall.SIGUSR1)
		awaitFile(t, fmt.Sprintf("%s.%d", log, n+1))
	}
	stopNow(t, p.gng, syscall.SIGTERM)
	lines := wholeLines(t, log)
	for _, group := range groups {
		for _, what := range []string{"channel opened", "client started", "client ended", "channel ended"} {
			re := regexp.MustCompile(` gng: ` + what + ` .*channel=UDP://` + regexp.QuoteMeta(group) + `\b`)
			n := 0
			for _, line := range lines {
				if re.MatchString(line) {
					n++
				}
			}
			if n != 1 {
				t.Errorf("the log says %d times: %s of %s\n%s", n, what, group, strings.Join(lines, ""))
			}
		}
	}
}

// testLogrotate has logrotate rotate with the sample of dist, while gws writes; it knows
// nothing of that.
func testLogrotate(t *testing.T) {
	testkit.Need(t, "logrotate")
	m := newMachine(t)
	m.account()
	p := onMachine(t)
	m.put("/etc/sluice.yaml", modulesConf(p, "log: {file: /var/log/sluice/gws.log, max_files: 0}\naccess_log: {file: /var/log/sluice/access.log, max_files: 0}\n"))
	m.put("/etc/logrotate-sluice", readFile(t, "../dist/logrotate"))
	pid := m.daemon("/run/sluice/gws.pid", "gws", "-p", "/run/sluice/gws.pid")
	asker := ask404s(p)
	for range 4 {
		asker.more(t, 30)
		if said := m.sh(`logrotate --force --state /run/logrotate.state /etc/logrotate-sluice`); said != "" {
			t.Fatalf("logrotate: %s", said)
		}
	}
	asker.more(t, 1)
	asked := asker.end()
	m.signal(pid, syscall.SIGTERM)
	awaitGone(t, pid)

	var numbers []int
	for n := 4; n >= 0; n-- {
		for line := range strings.Lines(rotated(t, m.path("/var/log/sluice/access.log"), n)) {
			var number int
			if _, err := fmt.Sscanf(regexp.MustCompile(`GET /\d+ `).FindString(line), "GET /%d ", &number); err != nil || !accessLine.MatchString(line) {
				t.Fatalf("file %d: %q, %v", n, line, err)
			}
			numbers = append(numbers, number)
		}
	}
	if !slices.Equal(numbers, upTo(0, asked)) {
		t.Errorf("of %d requests the access log tells %v", asked, numbers)
	}
	if text := rotated(t, m.path("/var/log/sluice/gws.log"), 0); !strings.Contains(text, "gws: stopped") {
		t.Errorf("the log after it: %q", text)
	}
	if own, _ := filepath.Glob(m.path("/var/log/sluice") + "/access.log.*"); len(own) != 4 {
		t.Errorf("%q, want 4 that logrotate has put aside", own)
	}
}

// rotated is a log that logrotate has put aside n times; the older ones are compressed.
func rotated(t *testing.T, path string, n int) string {
	t.Helper()
	if n == 0 {
		return readFile(t, path)
	}
	path = fmt.Sprintf("%s.%d", path, n)
	if n == 1 {
		return readFile(t, path)
	}
	f, err := os.Open(path + ".gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
