package netx

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestAbstractName(t *testing.T) {
	l := listenOn(t, StreamSocket{Path: "@sluice-test"})
	echo(t, l, "unix", "@sluice-test")
	if _, err := ListenStream(StreamSocket{Path: "@sluice-test"}); !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("twice: %v", err)
	}
	if _, err := os.Lstat("@sluice-test"); err == nil {
		t.Error("an abstract name has become a file")
	}
}

func TestBacklog(t *testing.T) {
	most, err := os.ReadFile("/proc/sys/net/core/somaxconn")
	if err != nil {
		t.Fatal(err)
	}
	for backlog, want := range map[int]string{0: strings.TrimSpace(string(most)), 3: "3", 1 << 30: strings.TrimSpace(string(most))} {
		l := listenOn(t, StreamSocket{Addr: netip.MustParseAddrPort("127.0.0.1:0"), Backlog: backlog})
		if got := backlogOf(t, l); got != want {
			t.Errorf("backlog %d: %s, want %s", backlog, got, want)
		}
	}
}

// backlogOf asks the kernel; of a listening socket that is tcpi_sacked.
func backlogOf(t *testing.T, l net.Listener) (n string) {
	t.Helper()
	raw, err := l.(*net.TCPListener).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil {
			t.Fatal(err)
		}
		n = strconv.Itoa(int(info.Sacked))
	}); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestNoSCTP: a kernel without SCTP says so, once for each way in. One that has it is
// tested in a virtual machine (package sctptest).
func TestNoSCTP(t *testing.T) {
	if protocols, err := os.ReadFile("/proc/net/protocols"); err != nil || strings.Contains(string(protocols), "\nSCTP ") {
		t.Skipf("this kernel has SCTP, or does not say: %v", err)
	}
	addr := netip.MustParseAddrPort("127.0.0.1:1")
	_, listen := ListenStream(StreamSocket{Addr: addr, SCTP: true})
	_, dial := DialSCTP(t.Context(), netip.Addr{}, addr)
	for _, err := range []error{listen, dial} {
		if !errors.Is(err, ErrNoSCTP) || !strings.Contains(err.Error(), "modprobe sctp") {
			t.Errorf("%v", err)
		}
	}
	if !strings.HasPrefix(listen.Error(), "listen on sctp 127.0.0.1:1: this system has no SCTP") {
		t.Errorf("%v", listen)
	}
}
