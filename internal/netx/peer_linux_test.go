package netx

import (
	"net"
	"os"
	"path/filepath"
	"testing"
)

func TestPeerPID(t *testing.T) {
	l, err := ListenHandoff(filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	there, err := net.Dial("unixpacket", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	here, err := l.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	if pid, err := PeerPID(here); err != nil || pid != os.Getpid() {
		t.Errorf("%d, %v, want %d", pid, err, os.Getpid())
	}
	there.Close()
	if pid, err := PeerPID(here); err != nil || pid != os.Getpid() {
		t.Errorf("after it has closed: %d, %v", pid, err)
	}
	here.Close()
	if _, err := PeerPID(here); err == nil {
		t.Error("a closed socket has a peer")
	}
}
