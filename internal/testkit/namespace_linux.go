package testkit

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// insideEnv tells a re-executed test binary which namespace it was started from,
// so that it prepares a network only when it is really in another one.
const insideEnv = "SLUICE_TEST_OUTER_NETWORK"

// MainInNamespace runs all tests of a package inside a private network namespace:
//
//	func TestMain(m *testing.M) { testkit.MainInNamespace(m) }
//
// The namespace has a loopback interface and nothing else; IPv4 and IPv6 work on
// it, multicast is on and is routed to it (IPv6 multicast is sent, but Linux does
// not loop it on lo: see TwoHosts). What is mounted inside is not seen outside. The test binary starts itself once more with
// the same arguments and exits with the outcome. It needs root, or a system that
// lets users make namespaces, and the program ip (package iproute2); without them
// it fails.
func MainInNamespace(m *testing.M) {
	inside, err := isInside()
	if err == nil && inside {
		if err = prepare(); err == nil {
			os.Exit(m.Run())
		}
	}
	if err == nil {
		err = reexec(os.Args[1:])
	}
	var exit *exec.ExitError
	switch {
	case err == nil:
		os.Exit(0)
	case errors.As(err, &exit) && exit.ExitCode() > 0:
		os.Exit(exit.ExitCode())
	}
	fmt.Fprintln(os.Stderr, "tests in a private network:", err)
	os.Exit(1)
}

// InNamespace runs one top-level test inside a private network namespace, as
// MainInNamespace does for a package. It reports whether the caller is inside:
//
//	if !testkit.InNamespace(t) {
//		return
//	}
//
// Outside, the test binary has then run this one test inside, and its failure or
// skip has become that of t.
func InNamespace(t *testing.T) (inside bool) {
	t.Helper()
	if strings.Contains(t.Name(), "/") {
		t.Fatal("InNamespace is for top-level tests")
	}
	inside, err := isInside()
	if err != nil {
		t.Fatal(err)
	}
	if inside {
		if err := prepare(); err != nil {
			t.Fatal(err)
		}
		return true
	}
	cmd, err := command(oneTest(t))
	if err != nil {
		t.Fatal(err)
	}
	out, err := output(cmd)
	switch {
	case err != nil:
		t.Fatalf("inside the namespace: %v\n%s", err, out)
	case strings.Contains(out, "--- SKIP: "+t.Name()+" "):
		leaveOut(t, out)
	case testing.Verbose():
		t.Log(out)
	}
	return false
}

// oneTest is the argument list for this one test: the flags of package testing that
// say what to show, and all flags of the package's own.
func oneTest(t *testing.T) []string {
	args := []string{"-test.run=^" + t.Name() + "$", "-test.v=true", fmt.Sprintf("-test.short=%v", testing.Short())}
	if end, ok := t.Deadline(); ok {
		args = append(args, "-test.timeout="+time.Until(end).String())
	}
	for _, a := range os.Args[1:] {
		if !strings.HasPrefix(a, "-test.") {
			args = append(args, a)
		}
	}
	return args
}

func networkName() (string, error) { return os.Readlink("/proc/self/ns/net") }

// isInside reports whether this process was started by command.
func isInside() (bool, error) {
	outer := os.Getenv(insideEnv)
	if outer == "" {
		return false, nil
	}
	here, err := networkName()
	if err != nil {
		return false, err
	}
	if here == outer {
		return false, fmt.Errorf("%s is set, but the network is still the outer one", insideEnv)
	}
	return true, nil
}

// command starts this program again, in a new network namespace and, without the
// rights for that, in a new user namespace where it has them.
func command(args []string) (*exec.Cmd, error) {
	outer, err := networkName()
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), insideEnv+"="+outer)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	return cmd, nil
}

// reexec runs this program again in a namespace, on the same standard streams.
func reexec(args []string) error {
	cmd, err := command(args)
	if err != nil {
		return err
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	// The death signal is bound to the thread that forks.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	return explain(cmd.Run())
}

func output(cmd *exec.Cmd) (string, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	out, err := cmd.CombinedOutput()
	return string(out), explain(err)
}

func explain(err error) error {
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("%w (run as root, or allow user namespaces: sysctl kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns)", err)
	}
	return err
}

// prepare brings the loopback interface up with multicast, and keeps mounts inside.
func prepare() error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("keep mounts inside: %w", err)
	}
	return ipBatch(exec.Command("ip", "-batch", "-"), `
link set lo up multicast on
route replace 224.0.0.0/4 dev lo
route replace ff00::/8 dev lo table local
`)
}

// ipBatch feeds commands of ip(8), one a line, to cmd.
func ipBatch(cmd *exec.Cmd, lines string) error {
	cmd.Stdin = strings.NewReader(strings.TrimSpace(lines) + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("set up the network: %w (does it need package iproute2?)\n%s", err, out)
	}
	return nil
}
