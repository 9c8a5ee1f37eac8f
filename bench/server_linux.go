package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// contestant is a server to measure: sluice, a yardstick, or a peer.
type contestant struct {
	name      string
	command   []string // {PORT}, {ADMIN} and {DIR} stand for free ports and an empty directory
	yardstick bool
	engines   bool // it answers HEAD with 503 until it can serve
}

// sluiceOf is the product with one engine, a configuration and more arguments.
func sluiceOf(binary, config string, more ...string) contestant {
	return contestant{name: "sluice", engines: true, command: append([]string{
		binary, "run", "--config", config, "--run-dir", "{DIR}",
		"--listen", "127.0.0.1:{PORT}", "--admin", "127.0.0.1:{ADMIN}", "--engines", "1",
	}, more...)}
}

// yardstickOf is a yardstick: this program again, in a process of its own.
func yardstickOf(self string, y yard) contestant {
	return contestant{
		name:      y.name,
		command:   append([]string{self, wordYardstick, "-listen", "127.0.0.1:{PORT}"}, y.args...),
		yardstick: true,
	}
}

// parsePeers reads BENCH_PEERS: NAME=COMMAND, several separated by semicolons. The
// command serves /udp/GROUP:PORT on {PORT}; it is split at blanks.
func parsePeers(s string) ([]contestant, error) {
	var peers []contestant
	for _, one := range strings.Split(s, ";") {
		if strings.TrimSpace(one) == "" {
			continue
		}
		name, command, _ := strings.Cut(one, "=")
		words := strings.Fields(command)
		if len(words) == 0 || !strings.Contains(command, "{PORT}") {
			return nil, fmt.Errorf("BENCH_PEERS: %q: want NAME=COMMAND with {PORT} in the command", one)
		}
		peers = append(peers, contestant{name: strings.TrimSpace(name), command: words})
	}
	return peers, nil
}

// server is a contestant that runs.
type server struct {
	addr  netip.AddrPort
	admin netip.AddrPort // where it reports, if it does
	cmd   *exec.Cmd
	dir   string
	errs  *tail
	done  chan error // the end of cmd
}

// start runs a contestant on the server's core and waits until its port answers.
func (c contestant) start(ctx context.Context) (*server, error) {
	dir, err := os.MkdirTemp("", "sluice-bench-")
	if err != nil {
		return nil, err
	}
	user, admin, err := freePorts()
	if err != nil {
		return nil, err
	}
	args := make([]string, len(c.command))
	fill := strings.NewReplacer("{PORT}", strconv.Itoa(user), "{ADMIN}", strconv.Itoa(admin), "{DIR}", dir)
	for i, a := range c.command {
		args[i] = fill.Replace(a)
	}
	s := &server{
		addr:  onLoopback(user),
		admin: onLoopback(admin),
		cmd:   exec.Command(args[0], args[1:]...),
		dir:   dir,
		errs:  &tail{},
		done:  make(chan error, 1),
	}
	s.cmd.Stderr = s.errs
	s.cmd.WaitDelay = time.Second // for a child that outlives it and holds its stderr
	if err := startOn(s.cmd, serverCore); err != nil {
		os.RemoveAll(dir)
		return nil, fmt.Errorf("start %s: %w", c.name, err)
	}
	go func() { s.done <- s.cmd.Wait() }()
	if err := s.ready(ctx, c.engines); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w: %s", c.name, err, s.errs), s.Close())
	}
	return s, nil
}

// ready waits until the port accepts and, with engines, until HEAD is answered with 200.
func (s *server) ready(ctx context.Context, engines bool) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		if s.accepts(ctx, engines) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for port %d: %w", s.addr.Port(), ctx.Err())
		case err := <-s.done:
			s.done <- err
			return fmt.Errorf("ended at its start: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (s *server) accepts(ctx context.Context, engines bool) bool {
	if !engines {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp4", s.addr.String())
		return err == nil && conn.Close() == nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, "http://"+s.addr.String()+"/udp/239.0.0.1:5000", nil)
	if err != nil {
		return false
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	return err == nil && resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
}

func (s *server) pids() ([]int, error) { return family(s.cmd.Process.Pid) }

// Close ends the server and all its processes: TERM, and after 15 seconds KILL.
func (s *server) Close() error {
	defer os.RemoveAll(s.dir)
	pids, err := s.pids()
	if err != nil {
		return err
	}
	_ = s.cmd.Process.Signal(unix.SIGTERM) // it may have ended by itself
	select {
	case <-s.done:
		return nil
	case <-time.After(15 * time.Second):
	}
	for _, pid := range pids {
		_ = unix.Kill(pid, unix.SIGKILL)
	}
	<-s.done
	return errors.New("the server did not end within 15 s of TERM and was killed")
}

func onLoopback(port int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(port))
}

// freePorts finds two ports; nobody else takes ports in this namespace.
func freePorts() (a, b int, err error) {
	var ports [2]int
	for i := range ports {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			return 0, 0, fmt.Errorf("find a free port: %w", err)
		}
		defer l.Close()
		ports[i] = l.Addr().(*net.TCPAddr).Port
	}
	return ports[0], ports[1], nil
}

// tailSize is how much a tail keeps at least, in bytes: minutes of a busy server.
const tailSize = 256 << 10

// tail keeps the last lines of what a server says, for the error that needs them.
type tail struct {
	mu   sync.Mutex // guards text
	text []byte
}

var _ io.Writer = (*tail)(nil)

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if over := len(t.text) - 2*tailSize; over > 0 {
		t.text = append(t.text[:0], t.text[over+tailSize:]...)
	}
	return len(p), nil
}

// about returns the kept lines that name something.
func (t *tail) about(name string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var b strings.Builder
	for line := range strings.Lines(string(t.text)) {
		if strings.Contains(line, name) {
			b.WriteString(line)
		}
	}
	return strings.TrimSpace(b.String())
}

// String is the last 2000 bytes.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.text[max(0, len(t.text)-2000):]))
}
