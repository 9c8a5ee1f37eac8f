//go:build !linux

package testkit

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"testing"
)

const needsLinux = "private networks need Linux"

// MainInNamespace needs Linux: it fails here.
func MainInNamespace(*testing.M) {
	fmt.Fprintln(os.Stderr, needsLinux)
	os.Exit(1)
}

// InNamespace needs Linux: the test is left out here (see Need).
func InNamespace(t *testing.T) (inside bool) {
	leaveOut(t, needsLinux)
	return false
}

// Hosts is a pair of namespaces; there is none here.
type Hosts struct{ Here, There End }

// End is one end of the cable.
type End struct {
	Interface string
	V4, V6    netip.Addr
}

// TwoHosts needs Linux: the test is left out here (see Need).
func TwoHosts(t testing.TB) *Hosts {
	leaveOut(t, needsLinux)
	return nil
}

// Command is never reached here: TwoHosts gives no Hosts.
func (h *Hosts) Command(name string, args ...string) *exec.Cmd { return exec.Command(name, args...) }

// Do is never reached here: TwoHosts gives no Hosts.
func (h *Hosts) Do(_ testing.TB, f func()) { f() }

// SmallDisk needs Linux: the test is left out here (see Need).
func SmallDisk(t testing.TB, _ int) string {
	leaveOut(t, needsLinux)
	return ""
}

// MainInVM runs the tests here.
func MainInVM(m *testing.M) { os.Exit(m.Run()) }

// InVM needs Linux: the test is left out here (see Need).
func InVM(t *testing.T, _ ...string) (inside bool) {
	leaveOut(t, "virtual machines need Linux")
	return false
}
