package iothread

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"sluice/internal/flow"
	"sluice/internal/testkit"
)

// fewEnv makes the test binary a relay with few descriptors, for TestFewDescriptors.
const fewEnv = "SLUICE_TEST_FEW"

// TestFewDescriptors: without descriptors clients wait, one line a second says so, nothing
// turns in circles; when there are some again all are served.
func TestFewDescriptors(t *testing.T) {
	if os.Getenv(fewEnv) != "" {
		few(t)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestFewDescriptors$")
	cmd.Env = append(os.Environ(), fewEnv+"=1")
	orders, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	p := testkit.StartCommand(t, cmd)
	addr := must(p.WaitLine(`^listens on (\S+)$`)[1])
	var clients []halfConn
	for range 40 {
		clients = append(clients, dialTo(t, addr))
	}
	p.WaitLine(`clients wait: cannot accept.*too many open files.*ulimit`)
	p.WaitLine(`clients wait: cannot accept.*repeated=\d+`) // a second later
	fmt.Fprintln(orders, "figures")
	var accepted, failed int
	fmt.Sscan(p.WaitLine(`^figures (\d+ \d+)$`)[1], &accepted, &failed)
	if accepted == 0 || accepted >= 40 || failed < 2 || failed > 12 { // 10, 20, 40, … ms apart
		t.Errorf("%d were accepted, which failed %d times", accepted, failed)
	}
	for _, c := range clients {
		c.CloseWrite()
	}
	for i, c := range clients {
		if _, err := io.Copy(io.Discard, c); err != nil {
			t.Errorf("client %d: %v", i, err)
		}
	}
	orders.Close()
	if err := p.Wait(); err != nil {
		t.Error(err)
	}
}

// few relays to nobody with 20 descriptors, until its input ends.
func few(t *testing.T) {
	d := &desk{
		open: func(*flow.Session) flow.Plan { return flow.Plan{Step: flow.Look} },
		look: func(*flow.Session, []byte, bool) flow.Plan { return flow.Plan{Cause: flow.CauseLimit} },
	}
	threads, err := New(Config{}, d, slog.New(slog.NewTextHandler(os.Stdout, nil)))
	if err != nil {
		t.Fatal(err)
	}
	start(t, threads)
	addr := listen(t, threads, flow.Listener{})
	limit := uint64(descriptors(t) + 12)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: limit, Max: limit}); err != nil {
		t.Fatal(err)
	}
	fmt.Printf("\nlistens on %s\n", addr)
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		f := threads.Figures()
		fmt.Printf("figures %d %d\n", f.Accepted, f.AcceptErrors)
	}
	closed(t, d, 40)
}

// TestNoDescriptorToDial: the Desk is told that there is no descriptor for a connection.
func TestNoDescriptorToDial(t *testing.T) {
	if !testkit.InNamespace(t) { // a process of its own, whose limit may be changed
		return
	}
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer gone.Close()
	d := &desk{target: &flow.Target{Addr: flow.FromNet(gone.Addr())}}
	var old unix.Rlimit
	unix.Getrlimit(unix.RLIMIT_NOFILE, &old)
	d.open = func(*flow.Session) flow.Plan {
		unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 3, Max: old.Max})
		return d.dial()
	}
	d.failed = func(_ *flow.Session, err error) flow.Plan {
		unix.Setrlimit(unix.RLIMIT_NOFILE, &old)
		return flow.Plan{Cause: flow.CauseError, Err: err}
	}
	c := dialTo(t, listen(t, run(t, Config{}, d), flow.Listener{}))
	reads(t, c, "")
	if end := closed(t, d, 1)[0]; end.Cause != flow.CauseError || !errors.Is(end.Err, syscall.EMFILE) {
		t.Errorf("cause %s, %v", end.Cause, end.Err)
	}
}

// TestNoDescriptorToRun: threads that could not begin answer all the same.
func TestNoDescriptorToRun(t *testing.T) {
	if !testkit.InNamespace(t) { // a process of its own, whose limit may be changed
		return
	}
	threads, err := New(Config{Threads: 2}, &desk{}, quiet())
	if err != nil {
		t.Fatal(err)
	}
	addr := listen(t, threads, flow.Listener{})
	last := 0
	for last < 64 { // no number below is free
		if last, err = unix.Dup(0); err != nil {
			t.Fatal(err)
		}
		defer unix.Close(last)
	}
	var old unix.Rlimit
	unix.Getrlimit(unix.RLIMIT_NOFILE, &old)
	defer unix.Setrlimit(unix.RLIMIT_NOFILE, &old)
	few := unix.Rlimit{Cur: uint64(last + 1 + 3), Max: old.Max} // of four that they need
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &few); err != nil {
		t.Fatal(err)
	}
	if err := threads.Run(t.Context()); !errors.Is(err, syscall.EMFILE) || !strings.HasPrefix(err.Error(), "I/O thread 1: ") {
		t.Errorf("run: %v", err)
	}
	threads.Close("test", addr)
	threads.Pause("test", true)
	if n := len(threads.Views()); n != 0 {
		t.Errorf("%d sessions", n)
	}
}
