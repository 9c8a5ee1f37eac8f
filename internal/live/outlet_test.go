package live

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"
)

// TestSilence: a channel may be silent for longer than a client may take nothing; what comes then, and its end, reach the client.
func TestSilence(t *testing.T) {
	for _, more := range []string{"more", ""} {
		synctest.Test(t, func(t *testing.T) {
			station := newStation("video/mp2t")
			near, far := net.Pipe()
			door := &oneConn{conn: near, over: make(chan struct{})}
			server := &http.Server{Handler: NewPlayer(Sink{Channel: "$news"}, station, time.Second, discard)}
			go server.Serve(door)
			defer server.Close()
			defer far.Close()
			go httptest.NewRequest(http.MethodGet, "http://example.com/news.ts", nil).Write(far)
			v := <-station.viewers
			go v.write(t, []byte("first"))
			answer, err := http.ReadResponse(bufio.NewReader(far), nil)
			if err != nil {
				t.Fatal(err)
			}
			read(t, answer.Body, []byte("first"))
			time.Sleep(time.Minute)
			go func() {
				v.write(t, []byte(more))
				v.Close()
			}()
			if rest, err := io.ReadAll(answer.Body); string(rest) != more || err != nil {
				t.Errorf("%q %v, want %q and the end", rest, err, more)
			}
		})
	}
}

// oneConn is a listener of one connection.
type oneConn struct {
	conn net.Conn // nil = it was accepted
	over chan struct{}
}

func (l *oneConn) Accept() (net.Conn, error) {
	if c := l.conn; c != nil {
		l.conn = nil
		return c, nil
	}
	<-l.over
	return nil, net.ErrClosed
}

func (l *oneConn) Close() error {
	close(l.over)
	return nil
}

func (l *oneConn) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }
