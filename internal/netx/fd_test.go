package netx

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// unixPair is two ends of a SEQPACKET connection.
func unixPair(t testing.TB) (a, b *net.UnixConn) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := ListenHandoff(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dialled, err := net.Dial("unixpacket", path)
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := l.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dialled.Close(); accepted.Close() })
	return dialled.(*net.UnixConn), accepted
}

// tcpPair is a client and the server's end of its connection.
func tcpPair(t testing.TB) (client, server *net.TCPConn) {
	t.Helper()
	l, err := ListenTCP("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.AcceptTCP()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); s.Close() })
	return c.(*net.TCPConn), s
}

// TestSendFD hands a connection over while the sender goes on using it: the
// receiver's writes arrive, and both descriptors stay non-blocking.
func TestSendFD(t *testing.T) {
	gws, engine := unixPair(t)
	client, server := tcpPair(t)
	if err := SendFD(gws, []byte("attach"), server); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 64)
	n, fd, err := RecvFD(engine, buf)
	if err != nil || string(buf[:n]) != "attach" || fd < 0 {
		t.Fatalf("received %q, descriptor %d, %v", buf[:n], fd, err)
	}
	defer unix.Close(fd)
	if flags := fcntl(t, fd, unix.F_GETFL); flags&unix.O_NONBLOCK == 0 {
		t.Error("the passed descriptor is blocking")
	}
	if flags := fcntl(t, fd, unix.F_GETFD); flags&unix.FD_CLOEXEC == 0 {
		t.Error("the passed descriptor is without close-on-exec")
	}
	if _, err := unix.Write(fd, []byte("from the engine")); err != nil {
		t.Fatal(err)
	}
	if err := server.Close(); err != nil { // the sender's copy alone
		t.Fatal(err)
	}
	got := make([]byte, 15)
	if _, err := io.ReadFull(client, got); err != nil || string(got) != "from the engine" {
		t.Errorf("client read %q, %v", got, err)
	}
}

func fcntl(t *testing.T, fd, cmd int) int {
	t.Helper()
	flags, err := unix.FcntlInt(uintptr(fd), cmd, 0)
	if err != nil {
		t.Fatal(err)
	}
	return flags
}

func TestMessagesWithoutDescriptor(t *testing.T) {
	a, b := unixPair(t)
	if err := SendFD(a, nil, nil); err == nil {
		t.Error("an empty message was sent")
	}
	big := bytes.Repeat([]byte("x"), 32<<10)
	for _, msg := range [][]byte{[]byte("hello"), big} {
		if err := SendFD(a, msg, nil); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, len(big))
		if n, fd, err := RecvFD(b, buf); err != nil || fd != -1 || !bytes.Equal(buf[:n], msg) {
			t.Errorf("received %d bytes, descriptor %d, %v", n, fd, err)
		}
	}
	a.Close()
	if n, fd, err := RecvFD(b, make([]byte, 8)); err != io.EOF || n != 0 || fd != -1 { //nolint:errorlint // io.EOF itself is the contract
		t.Errorf("at the end: %d, %d, %v, want io.EOF", n, fd, err)
	}
	if err := SendFD(b, []byte("x"), nil); err == nil {
		t.Error("sent to a closed peer")
	}
}

func TestRecvFDRefuses(t *testing.T) {
	for _, tt := range []struct {
		name string
		fds  int
		msg  string
	}{
		{"two descriptors", 2, "m"},
		{"more than there is room for", 40, "m"},
		{"a long message with a descriptor", 1, "message"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, b := unixPair(t)
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			fds := make([]int, tt.fds)
			for i := range fds {
				fds[i] = int(w.Fd())
			}
			if _, _, err := a.WriteMsgUnix([]byte(tt.msg), unix.UnixRights(fds...), nil); err != nil {
				t.Fatal(err)
			}
			if n, fd, err := RecvFD(b, make([]byte, 3)); err == nil || errors.Is(err, io.EOF) || n != 0 || fd != -1 {
				t.Errorf("received %d bytes, descriptor %d, %v", n, fd, err)
			}
			// Whatever came is closed: with the test's own end closed as well, the
			// pipe has no writer left.
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			if err := unix.SetNonblock(int(r.Fd()), true); err != nil {
				t.Fatal(err)
			}
			if n, err := unix.Read(int(r.Fd()), make([]byte, 1)); n != 0 || err != nil {
				t.Errorf("the pipe still has a writer: %d, %v", n, err)
			}
		})
	}
}

// TestRecvFDWithoutRoom: a process at its limit of descriptors still gets the message,
// and the connection goes on.
func TestRecvFDWithoutRoom(t *testing.T) {
	a, b := unixPair(t)
	_, server := tcpPair(t)
	if err := SendFD(a, []byte("first"), server); err != nil {
		t.Fatal(err)
	}
	if err := SendFD(a, []byte("second"), server); err != nil {
		t.Fatal(err)
	}
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 3, Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 16)
	n, fd, err := RecvFD(b, buf)
	if restore := unix.Setrlimit(unix.RLIMIT_NOFILE, &old); restore != nil {
		t.Fatal(restore)
	}
	if !errors.Is(err, ErrNoRoom) || string(buf[:n]) != "first" || fd != -1 {
		t.Errorf("received %q, descriptor %d, %v; want ErrNoRoom", buf[:n], fd, err)
	}
	n, fd, err = RecvFD(b, buf)
	if err != nil || string(buf[:n]) != "second" || fd < 0 {
		t.Fatalf("then %q, descriptor %d, %v", buf[:n], fd, err)
	}
	unix.Close(fd)
}
