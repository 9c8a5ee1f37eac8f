package origin

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sluice/internal/testkit"
)

// segmentsTo is how many segments with data have come to a connection.
func segmentsTo(t *testing.T, c net.Conn) (n uint32) {
	t.Helper()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var info *unix.TCPInfo
	var failed error
	err = raw.Control(func(fd uintptr) { info, failed = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) })
	if err != nil || failed != nil {
		t.Fatal(err, failed)
	}
	return info.Data_segs_in
}

// TestHeadGoesWithFile: an answer that fits into a segment is one, head and file, and what comes next on its connection is another.
func TestHeadGoesWithFile(t *testing.T) {
	content := strings.Repeat("0123456789", 2*minJoined/10)
	r := start(t, Config{Read: []Mount{mountOf(t, "", dir(t, map[string]string{"f.ts": content}))}}, nil)
	for _, ask := range []struct{ header, want string }{
		{"X-Whole: 1", content},
		{"Range: bytes=5-" + fmt.Sprint(5+minJoined-1), content[5 : 5+minJoined]},
		{"Range: bytes=5-9", content[5:10]},
	} {
		// The kernel waits for what follows no longer than 200 ms: a test that was not run for so long tries again.
		testkit.Eventually(t, func() error {
			c := r.dial()
			defer c.Close()
			for i := range uint32(3) {
				if _, body := c.ask("GET /f.ts", ask.header); body != ask.want {
					t.Fatalf("%s: %d bytes, want %d", ask.header, len(body), len(ask.want))
				}
				if n := segmentsTo(t, c.Conn); n != i+1 {
					return fmt.Errorf("%s: answer %d: %d segments in all", ask.header, i+1, n)
				}
			}
			return nil
		})
	}
}

// TestWriteMore: what waits for more goes out whole, also when the client takes it slowly, and on what is not TCP.
func TestWriteMore(t *testing.T) {
	testkit.NoLeaks(t)
	for _, network := range []string{"tcp4", "unix"} {
		at := "127.0.0.1:0"
		if network == "unix" {
			at = t.TempDir() + "/s"
		}
		l := listen(t, network, at)
		other, err := net.Dial(network, l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		const size = 16 << 20 // more than the buffers of both ends
		done := make(chan error, 1)
		go func() {
			n, err := writeMore(c, make([]byte, size))
			if err == nil && n != size {
				err = fmt.Errorf("%d bytes were taken, want %d", n, size)
			}
			c.Close()
			done <- err
		}()
		n, err := io.Copy(io.Discard, other)
		if n != size || err != nil {
			t.Errorf("%s: %d bytes came, %v", network, n, err)
		}
		if err := <-done; err != nil {
			t.Errorf("%s: %v", network, err)
		}
		other.Close()
	}
}

// TestWriteMoreGone: who has gone is told of, and a time that is over.
func TestWriteMoreGone(t *testing.T) {
	l := listen(t, "tcp4", "127.0.0.1:0")
	other, err := net.Dial("tcp4", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if n, err := writeMore(c, []byte("x")); n != 0 || err == nil {
		t.Errorf("to a closed connection: %d, %v", n, err)
	}
}
