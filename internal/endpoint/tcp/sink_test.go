package tcp_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"sluice/internal/endpoint"
	"sluice/internal/endpoint/endtest"
	"sluice/internal/endpoint/tcp"
	"sluice/internal/testkit"
	"sluice/internal/uri"
)

// receiver takes one connection and what comes on it, unless it is held.
type receiver struct {
	l    *net.TCPListener
	conn *net.TCPConn
	met  chan struct{} // closed when conn is there
	held sync.Mutex    // while it is locked nothing is read
	all  chan []byte   // what came, when the peer has ended
}

func receive(t *testing.T) *receiver {
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	r := &receiver{l: l, met: make(chan struct{}), all: make(chan []byte, 1)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.run()
	}()
	t.Cleanup(func() {
		l.Close()
		select {
		case <-r.met:
			r.conn.Close()
		default:
		}
		<-done
	})
	return r
}

func (r *receiver) run() {
	c, err := r.l.AcceptTCP()
	if err != nil {
		return
	}
	defer c.Close()
	r.conn = c
	close(r.met)
	r.held.Lock()
	defer r.held.Unlock()
	b, err := io.ReadAll(c)
	if err == nil {
		r.all <- b
	}
}

func (r *receiver) target(t *testing.T) endpoint.Target {
	e, err := uri.Parse("tcp://" + r.l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return endpoint.Target{End: e}
}

func TestSinkSuite(t *testing.T) {
	endtest.RunSink(t, endtest.Sinks{
		Opener: &tcp.SinkOpener{Allow: loopback},
		Size:   5 << 20,
		Make: func(t *testing.T) endtest.Far {
			r := receive(t)
			return endtest.Far{
				Target: r.target(t),
				All:    func(*testing.T, int) []byte { return <-r.all },
				Hold: func(*testing.T) (release func()) {
					r.held.Lock()
					return r.held.Unlock
				},
				Break: func(t *testing.T) {
					<-r.met
					if err := errors.Join(r.conn.SetLinger(0), r.conn.Close()); err != nil {
						t.Fatal(err)
					}
				},
			}
		},
	})
}

// TestSinkTellsTheReset: a reset by the peer is what the session ends with.
func TestSinkTellsTheReset(t *testing.T) {
	r := receive(t)
	r.held.Lock()
	defer r.held.Unlock()
	s := endtest.Sinks{Opener: &tcp.SinkOpener{Allow: loopback}}
	sink, _ := s.OpenSink(t, r.target(t))
	<-r.met
	if err := errors.Join(r.conn.SetLinger(0), r.conn.Close()); err != nil {
		t.Fatal(err)
	}
	if err := sink.Wait(); !errors.Is(err, unix.ECONNRESET) || err.Error() != r.target(t).End.Tag()+": connection reset by peer" {
		t.Errorf("got %v", err)
	}
}

// TestSinkOfATalker: what the target sends is read away, its shutting down its own side ends
// nothing, and the end is one in order all the same.
func TestSinkOfATalker(t *testing.T) {
	r := receive(t)
	s := endtest.Sinks{Opener: &tcp.SinkOpener{Allow: loopback}}
	sink, socket := s.OpenSink(t, r.target(t))
	<-r.met
	waited := make(chan error, 1)
	go func() { waited <- sink.Wait() }()
	if _, err := r.conn.Write(make([]byte, 16<<20)); err != nil { // more than buffers hold
		t.Fatal(err)
	}
	if err := r.conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	want := "still there"
	if err := errors.Join(endtest.Feed(socket, []byte(want)), unix.Shutdown(socket, unix.SHUT_WR)); err != nil {
		t.Fatal(err)
	}
	if got := <-r.all; string(got) != want {
		t.Errorf("the target got %q", got)
	}
	if err := <-waited; err != nil {
		t.Error(err)
	}
}

func TestSinkRefusals(t *testing.T) {
	l := receive(t)
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0) // has a port, and does not listen
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	at, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	closed, err := uri.Parse(fmt.Sprintf("tcp://127.0.0.1:%d", at.(*unix.SockaddrInet4).Port))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		allow  []netip.Prefix
		to     endpoint.Target
		status int
	}{
		"not permitted":   {nil, l.target(t), http.StatusForbidden},
		"nobody listens":  {loopback, endpoint.Target{End: closed}, http.StatusServiceUnavailable},
		"of the operator": {nil, endpoint.Target{End: l.target(t).End, Trusted: true}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			testkit.NoLeaks(t)
			sink, err := (&tcp.SinkOpener{Allow: c.allow}).OpenSink(t.Context(), c.to)
			var refusal *endpoint.Refusal
			switch {
			case c.status == 0 && err == nil:
				unix.Close(sink.Socket())
				sink.Close()
			case !errors.As(err, &refusal) || refusal.Status != c.status:
				t.Errorf("got %v, want a refusal with %d", err, c.status)
			}
		})
	}
}
