package netx

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestHeldIsNotPolled: clients of a socket that is held, or was just opened, do not wake the
// runtime, whose poller is an epoll set of this process.
func TestHeldIsNotPolled(t *testing.T) {
	opened, err := ListenStream(StreamSocket{Addr: netip.MustParseAddrPort("127.0.0.1:0")})
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	if polled(t, int(opened.Fd())) {
		t.Error("a socket that was opened is polled")
	}
	l, err := ListenTCP("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, err := l.File() // as one that is inherited non-blocking
	if err != nil {
		t.Fatal(err)
	}
	held, err := Hold(f)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	if polled(t, held.FD()) {
		t.Error("a socket that is held is polled")
	}
	again, err := held.File()
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if got, err := net.FileListener(again); err != nil || got.Addr().String() != l.Addr().String() {
		t.Errorf("the copy: %v, %v, want %v", got, err, l.Addr())
	} else {
		got.Close()
	}
}

// polled says whether an epoll set of this process has the descriptor.
func polled(t *testing.T, fd int) bool {
	t.Helper()
	sets, err := filepath.Glob("/proc/self/fdinfo/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, set := range sets {
		text, err := os.ReadFile(set)
		if err != nil {
			continue // of the glob itself
		}
		for line := range strings.Lines(string(text)) {
			var n int
			if _, err := fmt.Sscanf(line, "tfd: %d", &n); err == nil && n == fd {
				return true
			}
		}
	}
	return false
}
