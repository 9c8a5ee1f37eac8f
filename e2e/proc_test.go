//go:build e2e

package e2e

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"

	"sluice/internal/testkit"
)

// What the kernel says about multicast in this namespace, IPv4 as in /proc/net.

// members is how many sockets have joined a group, on all interfaces.
func members(t *testing.T, group string) int {
	t.Helper()
	want := hexAddr(t, group)
	n := 0
	for line := range strings.Lines(readFile(t, "/proc/net/igmp")) {
		if f := strings.Fields(line); len(f) >= 2 && f[0] == want {
			users, err := strconv.Atoi(f[1])
			if err != nil {
				t.Fatalf("/proc/net/igmp: %q", line)
			}
			n += users
		}
	}
	return n
}

// joined waits until somebody has joined a group.
func joined(t *testing.T, group string) {
	t.Helper()
	testkit.Eventually(t, func() error {
		if n := members(t, group); n != 1 {
			return fmt.Errorf("%d memberships of %s, want 1", n, group)
		}
		return nil
	})
}

// bound is how many UDP sockets are bound to exactly this address and port.
func bound(t *testing.T, group string) int {
	t.Helper()
	addr := netip.MustParseAddrPort(group)
	want := fmt.Sprintf("%s:%04X", hexAddr(t, group), addr.Port())
	n := 0
	for line := range strings.Lines(readFile(t, "/proc/net/udp")) {
		if f := strings.Fields(line); len(f) >= 2 && f[1] == want {
			n++
		}
	}
	return n
}

// sourceFilter is how many sockets include the source in the group (SSM).
func sourceFilter(t *testing.T, group, source string) int {
	t.Helper()
	hex := func(a netip.Addr) string { return fmt.Sprintf("0x%08x", binary.BigEndian.Uint32(a.AsSlice())) }
	g, s := hex(netip.MustParseAddrPort(group).Addr()), hex(netip.MustParseAddr(source))
	n := 0
	for line := range strings.Lines(readFile(t, "/proc/net/mcfilter")) {
		// Idx Device MCA SRC INC EXC
		if f := strings.Fields(line); len(f) == 6 && f[2] == g && f[3] == s {
			inc, err := strconv.Atoi(f[4])
			if err != nil {
				t.Fatalf("/proc/net/mcfilter: %q", line)
			}
			n += inc
		}
	}
	return n
}

// hexAddr writes the address of "address:port" as the kernel does: the number in the
// byte order of the machine, upper case.
func hexAddr(t *testing.T, group string) string {
	t.Helper()
	a := netip.MustParseAddrPort(group).Addr().As4()
	return fmt.Sprintf("%08X", binary.NativeEndian.Uint32(a[:]))
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
