package netx

import (
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestTCPWritten(t *testing.T) {
	client, server := tcpPair(t)
	written := func() uint64 {
		t.Helper()
		n, err := TCPWritten(server)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	start := written()
	if n := written(); n != start {
		t.Errorf("%d, then %d, with nothing written", start, n)
	}
	if _, err := client.Write([]byte("GET / HTTP/1.1\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(server, make([]byte, 18)); err != nil {
		t.Fatal(err)
	}
	if n := written(); n != start {
		t.Errorf("what the client sent was counted: %d", n-start)
	}
	var total uint64
	for _, size := range []int{1, 1000, 100_000} {
		// The client reads nothing: the last write waits in part.
		if _, err := server.Write(make([]byte, size)); err != nil {
			t.Fatal(err)
		}
		total += uint64(size)
		if n := written() - start; n != total {
			t.Errorf("counted %d bytes, wrote %d", n, total)
		}
	}
	if _, err := io.CopyN(io.Discard, client, int64(total)); err != nil {
		t.Fatal(err)
	}
	if n := written() - start; n != total {
		t.Errorf("counted %d bytes after all were read, wrote %d", n, total)
	}
	server.Close()
	if _, err := TCPWritten(server); err == nil {
		t.Error("a closed socket was counted")
	}
}

// TestTCPWrittenByAnother: it is the socket that counts, not the descriptor.
func TestTCPWrittenByAnother(t *testing.T) {
	gws, engine := unixPair(t)
	_, server := tcpPair(t)
	before, err := TCPWritten(server)
	if err != nil {
		t.Fatal(err)
	}
	if err := SendFD(gws, []byte("attach"), server); err != nil {
		t.Fatal(err)
	}
	_, fd, err := RecvFD(engine, make([]byte, 8))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := unix.Write(fd, []byte("half a head")); err != nil {
		t.Fatal(err)
	}
	unix.Close(fd) // the engine dies
	if after, err := TCPWritten(server); err != nil || after != before+11 {
		t.Errorf("%d, then %d, %v, want 11 more", before, after, err)
	}
}

func TestPrepareClient(t *testing.T) {
	type values map[string]int
	for _, tt := range []struct {
		name string
		o    ClientOptions
		want values
	}{
		{"usual", ClientOptions{}, values{
			"notsent": 256 << 10, "rcvbuf": 2 * 16 << 10, "timeout": 60_000, "nodelay": 1, "keepalive": 1, "idle": 15, "interval": 15,
		}},
		{"chosen", ClientOptions{NotSent: 4096, ReceiveBuffer: 32 << 10, Timeout: 1500 * time.Millisecond, KeepAlive: 2500 * time.Millisecond}, values{
			"notsent": 4096, "rcvbuf": 2 * 32 << 10, "timeout": 1500, "nodelay": 1, "keepalive": 1, "idle": 3, "interval": 3,
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, server := tcpPair(t)
			if err := prepare(t, server, tt.o); err != nil {
				t.Fatal(err)
			}
			got := clientOptions(t, server)
			for k, want := range tt.want {
				if got[k] != want {
					t.Errorf("%s is %d, want %d", k, got[k], want)
				}
			}
		})
	}
	t.Run("left alone", func(t *testing.T) {
		_, server := tcpPair(t)
		before := clientOptions(t, server)
		if err := prepare(t, server, ClientOptions{NotSent: -1, ReceiveBuffer: -1, Timeout: -1, KeepAlive: -1}); err != nil {
			t.Fatal(err)
		}
		after := clientOptions(t, server)
		for k := range before {
			if before[k] != after[k] {
				t.Errorf("%s was %d, is %d", k, before[k], after[k])
			}
		}
	})
}

func prepare(t *testing.T, c *net.TCPConn, o ClientOptions) error {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var set error
	if err := raw.Control(func(fd uintptr) { set = PrepareClient(int(fd), o) }); err != nil {
		t.Fatal(err)
	}
	return set
}

func clientOptions(t *testing.T, c *net.TCPConn) map[string]int {
	t.Helper()
	return map[string]int{
		"notsent":   optionOf(t, c, unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT),
		"rcvbuf":    optionOf(t, c, unix.SOL_SOCKET, unix.SO_RCVBUF),
		"timeout":   optionOf(t, c, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT),
		"nodelay":   optionOf(t, c, unix.IPPROTO_TCP, unix.TCP_NODELAY),
		"keepalive": optionOf(t, c, unix.SOL_SOCKET, unix.SO_KEEPALIVE),
		"idle":      optionOf(t, c, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE),
		"interval":  optionOf(t, c, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL),
	}
}

// TestPrepareClientSocketPair: what stands in for a TCP connection is accepted and
// becomes non-blocking.
func TestPrepareClientSocketPair(t *testing.T) {
	p, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(p[0])
	defer unix.Close(p[1])
	if err := PrepareClient(p[0], ClientOptions{}); err != nil {
		t.Fatal(err)
	}
	if fcntl(t, p[0], unix.F_GETFL)&unix.O_NONBLOCK == 0 {
		t.Error("still blocking")
	}
	if err := PrepareClient(-1, ClientOptions{}); err == nil {
		t.Error("no descriptor was accepted")
	}
}
