package handoff

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/internal/endpoint"
	"sluice/internal/netx"
)

// pair is an engine's end and gws's end of one connection.
func pair(t *testing.T) (engine, gws *Conn) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := netx.ListenHandoff(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	engine, err = Dial(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { engine.Close() })
	c, err := l.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	gws = NewConn(c)
	t.Cleanup(func() { gws.Close() })
	return engine, gws
}

// want receives one message and compares it.
func want(t *testing.T, c *Conn, m Message) {
	t.Helper()
	got, fd, err := c.Recv()
	if err != nil || fd != -1 || !reflect.DeepEqual(got, m) {
		t.Fatalf("received %#v, descriptor %d, %v; want %#v", got, fd, err, m)
	}
}

func TestConnCarriesEveryMessage(t *testing.T) {
	engine, gws := pair(t)
	for _, m := range messages() {
		if withSocket(m) {
			continue
		}
		if err := engine.Send(m); err != nil {
			t.Fatal(err)
		}
		want(t, gws, m)
	}
	longest := Bye{Reason: strings.Repeat("x", MaxMessage-4)}
	if err := gws.Send(longest); err != nil {
		t.Fatal(err)
	}
	want(t, engine, longest)
}

func TestConnHandsASocketOver(t *testing.T) {
	engine, gws := pair(t)
	client, served := tcpPair(t)
	m := Attach{ID: 1, Channel: fullChannel(), Peer: "p", Head: []byte("head")}
	if err := gws.SendSocket(m, served); err != nil {
		t.Fatal(err)
	}
	served.Close() // the engine's copy lives on
	got, fd, err := engine.Recv()
	if err != nil || fd < 0 || !reflect.DeepEqual(got, m) {
		t.Fatalf("received %#v, descriptor %d, %v", got, fd, err)
	}
	f := os.NewFile(uintptr(fd), "client")
	if _, err := f.WriteString("from the engine"); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if b, err := io.ReadAll(client); err != nil || string(b) != "from the engine" {
		t.Fatalf("the client got %q, %v", b, err)
	}
}

func tcpPair(t *testing.T) (client, served *net.TCPConn) {
	t.Helper()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	s, err := l.AcceptTCP()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return c.(*net.TCPConn), s
}

// A descriptor belongs to an Attach and an Attach has one; whatever else comes is
// refused and no descriptor is kept.
func TestConnRefusesWrongDescriptors(t *testing.T) {
	for name, m := range map[string]Message{
		"an attach without":   Attach{ID: 1, Channel: bareChannel()},
		"another message has": Started{ID: 1},
		"an order has":        Attach{ID: 1, Channel: bareChannel(), Target: &endpoint.Target{End: end("tcp://a:1")}},
	} {
		t.Run(name, func(t *testing.T) {
			engine, gws := pair(t)
			client, served := tcpPair(t)
			b, err := Encode(nil, m)
			if err != nil {
				t.Fatal(err)
			}
			if withSocket(m) {
				err = netx.SendFD(gws.c, b, nil)
			} else {
				err = netx.SendFD(gws.c, b, served)
			}
			if err != nil {
				t.Fatal(err)
			}
			if got, fd, err := engine.Recv(); !errors.Is(err, ErrDescriptor) || fd != -1 || got != nil {
				t.Fatalf("received %#v, descriptor %d, %v", got, fd, err)
			}
			served.Close()
			if n, err := client.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
				t.Fatalf("somebody holds the client's socket still: %d, %v", n, err)
			}
		})
	}
	_, gws := pair(t)
	if err := gws.Send(Attach{}); !errors.Is(err, ErrDescriptor) {
		t.Errorf("Send(Attach): %v", err)
	}
	if err := gws.SendSocket(Attach{}, nil); !errors.Is(err, ErrDescriptor) {
		t.Errorf("SendSocket(nil): %v", err)
	}
	_, served := tcpPair(t)
	if err := gws.SendSocket(Attach{Target: &endpoint.Target{}}, served); !errors.Is(err, ErrDescriptor) {
		t.Errorf("SendSocket of an order: %v", err)
	}
}

func TestConnRefusesNonsense(t *testing.T) {
	engine, gws := pair(t)
	if _, err := engine.c.Write([]byte("GET / HTTP/1.1\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := gws.Recv(); !errors.Is(err, ErrMalformed) {
		t.Errorf("got %v, want ErrMalformed", err)
	}
}

// What a peer sent before it was killed is received, although it left our messages
// unread: the system then reports a reset ahead of them.
func TestRecvAllThatWasSentBeforeTheEnd(t *testing.T) {
	engine, gws := pair(t)
	if err := gws.Send(Query{ID: 1}); err != nil {
		t.Fatal(err)
	}
	for id := range uint64(3) {
		if err := engine.Send(Started{ID: id}); err != nil {
			t.Fatal(err)
		}
	}
	engine.Close()
	for id := range uint64(3) {
		want(t, gws, Started{ID: id})
	}
	if _, _, err := gws.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("got %v, want io.EOF", err)
	}
	if err := gws.Send(Query{ID: 2}); err == nil {
		t.Error("a message was sent to nobody")
	}
}

// TestSendDoesNotWaitForEver: a peer that does not read makes an error; what it was
// sent before arrives once it reads, whole and in order.
func TestSendDoesNotWaitForEver(t *testing.T) {
	engine, gws := pair(t)
	engine.timeout = time.Millisecond
	m := Bye{Reason: strings.Repeat("x", 32<<10)}
	var err error
	sent := -1
	for ; err == nil; sent++ {
		err = engine.Send(m)
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("got %v, want os.ErrDeadlineExceeded", err)
	}
	engine.Close()
	received := 0
	for err = nil; err == nil; received++ {
		_, _, err = gws.Recv()
	}
	if received--; !errors.Is(err, io.EOF) || received != sent {
		t.Errorf("the peer received %d of %d messages, then %v; want io.EOF", received, sent, err)
	}
}

func TestSendFromManyGoroutines(t *testing.T) {
	engine, gws := pair(t)
	const senders, each = 8, 200
	var wg sync.WaitGroup
	for s := range uint64(senders) {
		wg.Go(func() {
			for i := range uint64(each) {
				if err := engine.Send(ClientEnd{ID: s, Bytes: i, Reason: fmt.Sprint(s)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	next := make([]uint64, senders)
	for range senders * each {
		m, _, err := gws.Recv()
		if err != nil {
			t.Fatal(err)
		}
		e := m.(ClientEnd)
		if e.Bytes != next[e.ID] || e.Reason != fmt.Sprint(e.ID) {
			t.Fatalf("got %+v, want number %d of that sender", e, next[e.ID])
		}
		next[e.ID]++
	}
	wg.Wait()
}

func TestCloseEndsRecv(t *testing.T) {
	engine, _ := pair(t)
	ended := make(chan error)
	go func() {
		_, _, err := engine.Recv()
		ended <- err
	}()
	engine.Close()
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v, want net.ErrClosed", err)
	}
}

func TestReadDeadline(t *testing.T) {
	engine, _ := pair(t)
	if err := engine.SetReadDeadline(time.Now().Add(-time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := engine.Recv(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v, want os.ErrDeadlineExceeded", err)
	}
}

func TestDialNamesThePath(t *testing.T) {
	path := filepath.Join(t.TempDir(), "nobody")
	if _, err := Dial(t.Context(), path); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Dial(ctx, path); err == nil {
		t.Error("dialled with a context that is done")
	}
}
