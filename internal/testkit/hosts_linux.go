package testkit

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Hosts is the test's own network namespace ("here") and a second one ("there"),
// joined by a cable: a veth pair with IPv4 and IPv6 addresses on both ends. Unlike
// lo, it carries IPv6 multicast from one to the other.
type Hosts struct {
	Here, There End
	netns       string // path of the second namespace
}

// End is one end of the cable.
type End struct {
	Interface string
	V4, V6    netip.Addr
}

// TwoHosts makes a second host and removes it when the test is over. The test must
// be in a private namespace already. In the second host, multicast is routed to
// the cable; here it stays routed to lo, so name the interface.
func TwoHosts(t testing.TB) *Hosts {
	t.Helper()
	if inside, err := isInside(); err != nil || !inside {
		t.Fatalf("TwoHosts needs a test in a private namespace: MainInNamespace or InNamespace (%v)", err)
	}
	Need(t, "ip", "nsenter")
	pid := holdNamespace(t)
	h := newHosts(pid)
	here := fmt.Sprintf("link add %s type veth peer name %s netns %d\n", h.Here.Interface, h.There.Interface, pid)
	if err := ipBatch(exec.Command("ip", "-batch", "-"), here+h.Here.setUp()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// The kernel would do it with the namespace, but at a time of its own: until
		// then, the addresses are chosen as the source of what the next test sends.
		if err := ipBatch(exec.Command("ip", "-batch", "-"), "link del "+h.Here.Interface); err != nil {
			t.Error(err)
		}
	})
	there := `
link set lo up
` + h.There.setUp() + `
route replace 224.0.0.0/4 dev ` + h.There.Interface + `
route replace ff00::/8 dev ` + h.There.Interface + ` table local
`
	if err := ipBatch(h.Command("ip", "-batch", "-"), there); err != nil {
		t.Fatal(err)
	}
	return h
}

// holdNamespace starts a process that keeps a new namespace alive until the test
// is over.
func holdNamespace(t testing.TB) (pid int) {
	t.Helper()
	cmd := exec.Command("cat") // ends with its standard input, so with this process
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	hold, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("make a second network namespace: %v", explain(err))
	}
	t.Cleanup(func() {
		hold.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the process that held the second network namespace: %v", err)
		}
	})
	return cmd.Process.Pid
}

// newHosts derives names and addresses from a process id, so that several pairs can
// live at once.
func newHosts(pid int) *Hosts {
	end := func(name string, last byte) End {
		hi, lo := byte(pid>>8), byte(pid)
		return End{
			Interface: fmt.Sprintf("%s%d", name, pid),
			V4:        netip.AddrFrom4([4]byte{10, hi, lo, last}),
			V6:        netip.AddrFrom16([16]byte{0: 0xfd, 6: hi, 7: lo, 15: last}),
		}
	}
	return &Hosts{
		Here:  end("here", 1),
		There: end("there", 2),
		netns: fmt.Sprintf("/proc/%d/ns/net", pid),
	}
}

// setUp gives the end its addresses. The link-local one is set by hand, too:
// the automatic one is not usable until duplicates have been looked for.
func (e End) setUp() string {
	return fmt.Sprintf(`
link set %[1]s addrgenmode none
link set %[1]s up
addr add %[2]s/24 dev %[1]s
addr add %[3]s/64 dev %[1]s nodad
addr add fe80::%[4]d/64 dev %[1]s nodad
`, e.Interface, e.V4, e.V6, e.V6.As16()[15])
}

// Command is exec.Command in the second host.
func (h *Hosts) Command(name string, args ...string) *exec.Cmd {
	return exec.Command("nsenter", append([]string{"--net=" + h.netns, "--", name}, args...)...)
}

// Do runs f in the second host: the sockets it opens stay there. Only the calling
// goroutine moves; those that f starts do not.
func (h *Hosts) Do(t testing.TB, f func()) {
	t.Helper()
	runtime.LockOSThread()
	back, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	defer back.Close()
	there, err := os.Open(h.netns)
	if err != nil {
		t.Fatal(err)
	}
	defer there.Close()
	if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
		t.Fatalf("enter the second network namespace: %v", err)
	}
	defer func() {
		// A thread that cannot come back stays locked: it ends with its goroutine.
		if err := unix.Setns(int(back.Fd()), unix.CLONE_NEWNET); err != nil {
			t.Fatalf("leave the second network namespace: %v", err)
		}
		runtime.UnlockOSThread()
	}()
	f()
}
