package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// contestant is a server to measure: sluice, a yardstick, or a peer.
type contestant struct {
	name      string
	command   []string          // {PORT}, {ADMIN}, {TLS} and {DIR} stand for free ports and a directory of its own
	beside    [][]string        // further commands, with the same words; they belong to the server
	files     map[string]string // what stands in {DIR} at the start, by name; the same words are filled in
	port      int               // where it is asked, if its configuration says so; 0 is {PORT}
	probe     string            // HEAD of this path is answered with 200 once it serves; "" = the port accepts
	refused   string            // GET of this path is answered with 403; "" = there is none
	face      face              // front-tls: how streams are asked for
	longer    list              // front-load: what the list becomes
	cores     []int             // it may run on; nil = the server's
	yardstick bool
}

// anyGroup is a group that nobody sends.
const anyGroup = "/udp/239.0.0.1:5000"

// sluiceOf is the product with one engine, a configuration and more arguments.
func sluiceOf(binary, config string, more ...string) contestant {
	return contestant{name: "sluice", probe: anyGroup, command: append([]string{
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
	addr   netip.AddrPort
	admin  netip.AddrPort // where it reports, if it does
	tls    netip.AddrPort // where it speaks TLS, if it does
	cmd    *exec.Cmd
	beside []*exec.Cmd
	dir    string
	fill   *strings.Replacer // of the words of a contestant
	errs   *tail
	done   chan error    // the end of cmd
	begun  int64         // clock() before the first process was started
	served time.Duration // since then, until it answered
}

// start runs a contestant on the server's core and waits until its port answers.
func (c contestant) start(ctx context.Context) (*server, error) {
	s, err := c.place()
	if err != nil {
		return nil, err
	}
	if err := s.launch(c); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", c.name, err), s.Close())
	}
	if err := s.ready(ctx, c); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w: %s", c.name, err, s.errs), s.Close())
	}
	s.served = time.Duration(clock() - s.begun)
	return s, nil
}

// place makes a directory with the files of a contestant, and finds ports.
func (c contestant) place() (*server, error) {
	ports, err := freePorts()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "sluice-bench-")
	if err != nil {
		return nil, err
	}
	user := cmp.Or(c.port, ports[0])
	s := &server{
		addr: onLoopback(user), admin: onLoopback(ports[1]), tls: onLoopback(ports[2]),
		dir: dir, errs: &tail{}, done: make(chan error, 1),
		fill: strings.NewReplacer("{PORT}", strconv.Itoa(user), "{ADMIN}", strconv.Itoa(ports[1]),
			"{TLS}", strconv.Itoa(ports[2]), "{DIR}", dir),
	}
	for name := range c.files {
		if err := s.put(name, c.files[name]); err != nil {
			return nil, errors.Join(err, os.RemoveAll(dir))
		}
	}
	return s, nil
}

// put writes a file of the server's directory, all of it at once.
func (s *server) put(name, content string) error {
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path+".new", []byte(s.fill.Replace(content)), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// launch starts all processes.
func (s *server) launch(c contestant) error {
	s.begun = clock()
	cmd, err := s.startOne(c.command, c.cores)
	if err != nil {
		return err
	}
	s.cmd = cmd
	go func() { s.done <- cmd.Wait() }()
	for _, words := range c.beside {
		cmd, err := s.startOne(words, c.cores)
		if err != nil {
			return err
		}
		s.beside = append(s.beside, cmd)
	}
	return nil
}

func (s *server) startOne(words []string, cores []int) (*exec.Cmd, error) {
	if cores == nil {
		cores = []int{serverCore}
	}
	args := make([]string, len(words))
	for i, w := range words {
		args[i] = s.fill.Replace(w)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = s.errs, s.errs
	cmd.WaitDelay = time.Second // for a child that outlives it and holds its stderr
	return cmd, startOn(cmd, cores...)
}

// ready waits until the contestant can be asked.
func (s *server) ready(ctx context.Context, c contestant) error {
	err := s.until(ctx, s.addr, c.probe)
	if err == nil && c.face != plainFace {
		err = s.until(ctx, s.tls, "")
	}
	return err
}

// startPatience is how long a server may take to start, or to serve what is new.
const startPatience = 30 * time.Second

// until waits until a port accepts and, with a probe, until HEAD of it is answered with 200.
func (s *server) until(ctx context.Context, addr netip.AddrPort, probe string) error {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	for {
		if accepts(ctx, addr, probe) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for port %d: %w", addr.Port(), ctx.Err())
		case err := <-s.done:
			s.done <- err
			return fmt.Errorf("ended at its start: %w", err)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func accepts(ctx context.Context, addr netip.AddrPort, probe string) bool {
	if probe == "" {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp4", addr.String())
		return err == nil && conn.Close() == nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, "http://"+addr.String()+probe, nil)
	if err != nil {
		return false
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	return err == nil && resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
}

// pids are the server's processes with all that descend from them.
func (s *server) pids() ([]int, error) {
	var pids []int
	for _, cmd := range s.commands() {
		some, err := family(cmd.Process.Pid)
		if err != nil {
			return nil, err
		}
		pids = append(pids, some...)
	}
	return pids, nil
}

func (s *server) commands() []*exec.Cmd {
	if s.cmd == nil {
		return nil
	}
	return append([]*exec.Cmd{s.cmd}, s.beside...)
}

// Close ends the server and all its processes: TERM, and after 15 seconds KILL.
func (s *server) Close() error {
	defer os.RemoveAll(s.dir)
	pids, err := s.pids()
	if err != nil {
		return err
	}
	for _, cmd := range s.commands() {
		_ = cmd.Process.Signal(unix.SIGTERM) // it may have ended by itself
	}
	late := time.AfterFunc(15*time.Second, func() {
		for _, pid := range pids {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	})
	if s.cmd != nil {
		<-s.done
	}
	for _, cmd := range s.beside {
		_ = cmd.Wait() // killed or not, it has ended
	}
	if !late.Stop() {
		return errors.New("the server did not end within 15 s of TERM and was killed")
	}
	return nil
}

func onLoopback(port int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(port))
}

// freePorts finds three ports; nobody else takes ports in this namespace.
func freePorts() (ports [3]int, err error) {
	for i := range ports {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			return ports, fmt.Errorf("find a free port: %w", err)
		}
		defer l.Close()
		ports[i] = l.Addr().(*net.TCPAddr).Port
	}
	return ports, nil
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
