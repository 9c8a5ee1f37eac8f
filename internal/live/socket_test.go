package live

import (
	"bufio"
	"errors"
	"io"
	"net"
	"testing"

	"sluice/internal/testkit"
)

// TestNewStream: a stream is what was read already, and then what comes; Wait says when there is something.
func TestNewStream(t *testing.T) {
	testkit.NoLeaks(t)
	far, near := unixPair(t)()
	defer far.Close()
	all := random(20_000)
	write := func(b []byte) {
		if _, err := far.Write(b); err != nil {
			t.Error(err)
		}
	}
	write(append([]byte("the head\n"), all[:1000]...))
	rest := bufio.NewReader(near)
	if _, err := rest.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	s := NewStream(near, rest, "video/mp2t")
	if err := s.Wait(); err != nil { // with bytes in the buffer
		t.Fatal(err)
	}
	read(t, s, all[:1000])
	waited := make(chan error)
	wait := func() { waited <- s.Wait() }
	go wait()
	select {
	case err := <-waited:
		t.Fatalf("it does not wait: %v", err)
	default:
	}
	go write(all[1000:])
	if err := await(t, waited); err != nil {
		t.Fatal(err)
	}
	read(t, s, all[1000:])
	go wait()
	if err := far.(*net.UnixConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if err := await(t, waited); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if n, err := s.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
			t.Errorf("%d %v at the end", n, err)
		}
		far.Close()
	}
	s.Close()
}

// TestDeadEngine: a stream whose engine has died has not ended in order.
func TestDeadEngine(t *testing.T) {
	testkit.NoLeaks(t)
	far, near := unixPair(t)()
	s := NewStream(near, bufio.NewReader(near), "")
	defer s.Close()
	if _, err := far.Write([]byte("so far")); err != nil {
		t.Fatal(err)
	}
	far.Close()
	if got, err := io.ReadAll(s); string(got) != "so far" || !errors.Is(err, errGone) {
		t.Errorf("%q %v", got, err)
	}
}

// TestCloseEndsWait: as it is when the viewer leaves.
func TestCloseEndsWait(t *testing.T) {
	testkit.NoLeaks(t)
	far, near := unixPair(t)()
	defer far.Close()
	s := NewStream(near, bufio.NewReader(near), "")
	waited := make(chan error)
	go func() { waited <- s.Wait() }()
	s.Close()
	if err := await(t, waited); !errors.Is(err, net.ErrClosed) {
		t.Errorf("%v", err)
	}
}
