package netx

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestListenTCP(t *testing.T) {
	l, err := ListenTCP(":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"127.0.0.1", "::1"} {
		c, err := net.Dial("tcp", net.JoinHostPort(host, port))
		if err != nil {
			t.Errorf("connect to %s: %v", host, err)
			continue
		}
		c.Close()
	}
	for _, tt := range []struct {
		addr string
		is   syscall.Errno
		says string
	}{
		{":" + port, unix.EADDRINUSE, "another program listens there"},
		{"192.0.2.1:0", unix.EADDRNOTAVAIL, "no interface of this machine"},
	} {
		again, err := ListenTCP(tt.addr)
		if err == nil {
			again.Close()
			t.Errorf("%s was accepted", tt.addr)
			continue
		}
		if !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.addr) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %q, want %v and %q", tt.addr, err, tt.is, tt.says)
		}
	}
}

func TestListenHandoff(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gws.sock")
	l, err := ListenHandoff(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != fs.ModeSocket|0o600 {
		t.Errorf("mode %s, want a socket for its owner alone", info.Mode())
	}
	if _, err := ListenHandoff(path); !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("an active socket was not refused: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after Close: %v, want the file removed", err)
	}
}

func TestListenHandoffReplacesStale(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gws.sock")
	crashed, err := ListenHandoff(path)
	if err != nil {
		t.Fatal(err)
	}
	crashed.SetUnlinkOnClose(false)
	crashed.Close()
	l, err := ListenHandoff(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("unixpacket", path)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

func TestListenHandoffRefuses(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	stream := filepath.Join(dir, "stream")
	l, err := new(net.ListenConfig).Listen(context.Background(), "unix", stream)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, tt := range []struct{ path, says string }{
		{file, "no socket"},
		{stream, "in use"},
		{filepath.Join(dir, "no", "such"), "directory does not exist"},
		{filepath.Join(dir, strings.Repeat("x", 120)), "at most 107 bytes"},
	} {
		l, err := ListenHandoff(tt.path)
		if err == nil {
			l.Close()
			t.Errorf("%s was accepted", tt.path)
			continue
		}
		if !strings.Contains(err.Error(), tt.path) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%q does not say %q", err, tt.says)
		}
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "precious" {
		t.Errorf("the file was touched: %q, %v", b, err)
	}
}
