//go:build e2e

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"sluice/internal/report"
	"sluice/internal/testkit"
)

func program() string { return os.Getenv(programEnv) }

// product is one `sluice run`.
type product struct {
	t       *testing.T
	proc    *testkit.Proc
	dir     string // run directory
	user    string // address of the user port
	admin   string
	secure  string // address of the user port over TLS; "" = there is none
	web     *http.Client
	engines int
	config  string   // path
	args    []string // beside those that product sets
	through []string // program that runs it in its own place, with arguments
	stopped bool
}

// settings of a product; zero values are the defaults of the program, but for engines.
type settings struct {
	engines int    // if zero 1
	config  string // YAML
	args    []string
	through []string
	user    string     // address of the user port; if empty, a free one
	tls     *authority // of a second user port, and of the admin port; if nil, there is no TLS
}

// run starts the program. At the end of the test it is stopped and must leave nothing
// behind.
func run(t *testing.T, s settings) *product {
	t.Helper()
	dir := shortDir(t)
	p := &product{
		t: t, dir: filepath.Join(dir, "run"), user: s.user, admin: freePort(t), web: http.DefaultClient,
		engines: max(s.engines, 1), config: filepath.Join(dir, "sluice.yaml"), args: s.args, through: s.through,
	}
	if p.user == "" {
		p.user = freePort(t)
	}
	if s.tls != nil {
		p.secure, p.web = freePort(t), s.tls.client()
		s.config += s.tls.config()
	}
	if err := os.WriteFile(p.config, []byte(s.config), 0o600); err != nil {
		t.Fatal(err)
	}
	p.start()
	return p
}

// shortDir is a t.TempDir with a short path: that of a Unix socket has room for 107 bytes.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sluice-run-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// start starts `sluice run` on the product's ports and directory and waits until all
// engines are there.
func (p *product) start() {
	p.t.Helper()
	args := append(slices.Clone(p.through), []string{
		program(), "run", "-C", p.config, "--run-dir", p.dir,
		"--listen", p.doors(), "--admin", strings.TrimPrefix(p.adminURL(""), "http://"), "--engines", strconv.Itoa(p.engines),
	}...)
	args = append(args, p.args...)
	p.proc = testkit.Start(p.t, args[0], args[1:]...)
	p.t.Cleanup(p.cleanup) // before the program is killed, each time it was started
	testkit.Eventually(p.t, func() error {
		st, err := p.tryStatus()
		if err != nil {
			return err
		}
		if len(st.Engines) != p.engines {
			return fmt.Errorf("%d engines attached, want %d", len(st.Engines), p.engines)
		}
		for _, e := range st.Engines {
			if e.Error != "" {
				return fmt.Errorf("engine %s: %s", e.ID, e.Error)
			}
		}
		return nil
	})
}

// stop ends the program as an operator does and judges what is left.
func (p *product) stop() {
	p.t.Helper()
	p.stopped = true
	pids := append(p.lockedPIDs(), p.proc.PID())
	p.proc.Signal(syscall.SIGTERM)
	if err := p.proc.Wait(); err != nil {
		p.t.Errorf("sluice run after TERM: %v", err)
	}
	for _, pid := range pids {
		if alive(pid) {
			p.t.Errorf("process %d is left after TERM", pid)
		}
	}
	p.nothingLeft()
}

// nothingLeft checks that neither sockets nor files of the run stand around.
func (p *product) nothingLeft() {
	p.t.Helper()
	for _, addr := range []string{p.user, p.admin} {
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			p.t.Errorf("%s still answers after TERM", addr)
		}
	}
	left, err := os.ReadDir(p.dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		p.t.Error(err)
	}
	for _, f := range left {
		p.t.Errorf("%s is left in the run directory after TERM", f.Name())
	}
}

// cleanup stops the program if the test has not, and reads what it said.
func (p *product) cleanup() {
	if !p.stopped {
		if p.t.Failed() {
			p.kill()
		} else {
			p.stop()
		}
	}
	p.readOutput()
}

// kill ends all processes of a run whose test has failed, the supervisor first: it would
// start the others again.
func (p *product) kill() {
	for _, pid := range append([]int{p.proc.PID()}, p.lockedPIDs()...) {
		_ = syscall.Kill(pid, syscall.SIGKILL) // gone already is fine
	}
}

var alarming = regexp.MustCompile(`(?m)^.*(DATA RACE|^panic:|fatal error:|goroutine \d+ \[).*$`)

// readOutput fails the test for what no run may say, whoever of its processes said it.
func (p *product) readOutput() {
	if line := alarming.FindString(p.proc.Output()); line != "" {
		p.t.Errorf("the program under test said %q:\n%s", line, p.proc.Output())
	}
}

// lockedPIDs are the processes whose lock files stand in the run directory: the
// supervisor and the engines, adopted ones too.
func (p *product) lockedPIDs() []int {
	files, _ := filepath.Glob(filepath.Join(p.dir, "*.lock"))
	var pids []int
	for _, f := range files {
		b, _ := os.ReadFile(f)
		if pid, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil && alive(pid) {
			pids = append(pids, pid)
		}
	}
	return pids
}

func (p *product) url(path string) string { return "http://" + p.user + path }

// doors are the addresses for users, as the setting listen has them.
func (p *product) doors() string {
	if p.secure != "" {
		return p.user + ",secure=https://" + p.secure
	}
	return p.user
}

// adminURL is the URL of something at the admin port.
func (p *product) adminURL(path string) string {
	if p.secure != "" {
		return "https://" + p.admin + path
	}
	return "http://" + p.admin + path
}

func (p *product) tryStatus() (report.Status, error) {
	var st report.Status
	resp, err := p.web.Get(p.adminURL("/status?format=json"))
	if err != nil {
		return st, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return st, fmt.Errorf("/status: %s", resp.Status)
	}
	return st, json.NewDecoder(resp.Body).Decode(&st)
}

// status is what the program says it does. An engine that did not answer in time is asked again: nothing is known of its channels.
func (p *product) status() (st report.Status) {
	p.t.Helper()
	testkit.Eventually(p.t, func() (err error) {
		if st, err = p.tryStatus(); err != nil {
			p.t.Fatal(err)
		}
		for _, e := range st.Engines {
			if e.Error != "" {
				return fmt.Errorf("engine %s: %s", e.ID, e.Error)
			}
		}
		return nil
	})
	return st
}

// channel finds a channel of the status by its group, and its engine.
func channel(st report.Status, group string) (report.Channel, report.Engine, error) {
	for _, e := range st.Engines {
		for _, c := range e.Channels {
			if strings.HasSuffix(c.Tag, group) {
				return c, e, nil
			}
		}
	}
	return report.Channel{}, report.Engine{}, fmt.Errorf("no channel %s", group)
}

// eventually waits until the status satisfies want.
func (p *product) eventually(want func(report.Status) error) {
	p.t.Helper()
	testkit.Eventually(p.t, func() error {
		st, err := p.tryStatus()
		if err != nil {
			return err
		}
		return want(st)
	})
}

// lifetime bounds what a test does with one connection, from its first word to its last: on a busy machine each step may
// take its time, and Patience is for one. It is there for what hangs; no test measures time against it.
const lifetime = 5 * testkit.Patience

var ports atomic.Uint32

// freePort is a loopback address that nobody listens on. Nobody but this test's processes
// lives in the namespace; each port is given once, and none that the system gives to
// those who connect (net.ipv4.ip_local_port_range begins at 32768). Meanwhile nobody forks:
// the child would have the socket, and hold the port, until it is a program.
func freePort(t *testing.T) string {
	t.Helper()
	const first, past = 10_000, 32_768
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	for {
		port := first + ports.Add(1)
		if port >= past {
			t.Fatal("no port is left")
		}
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
		return l.Addr().String()
	}
}

// alive says whether a process exists and is no zombie.
func alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	return !strings.HasPrefix(rest, "Z")
}

// answer is an HTTP answer that has an end.
type answer struct {
	code   int
	header http.Header
	body   string
}

// request asks for a URL whose answer has an end.
func request(t *testing.T, method, url string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	return answer{resp.StatusCode, resp.Header, string(body)}
}
