package duplex

import (
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"syscall"
	"testing"

	"sluice/internal/flow"
	"sluice/internal/testkit"
)

// each runs a test with all pairs of plain and encrypted sides.
func each(t *testing.T, test func(t *testing.T, in, out bool)) {
	for _, k := range kinds {
		t.Run(kindName(k.in, k.out), func(t *testing.T) {
			testkit.NoLeaks(t)
			test(t, k.in, k.out)
		})
	}
}

// TestHalfClose: each side goes on after the other has ended (acceptance 11).
func TestHalfClose(t *testing.T) {
	each(t, func(t *testing.T, in, out bool) {
		t.Run("client first", func(t *testing.T) {
			p := pair(t, in, out, flow.Listener{})
			send(t, p.client, "question")
			closeWrite(t, p.client)
			expect(t, p.remote, "question")
			expectEnd(t, p.remote)
			send(t, p.remote, "answer")
			p.remote.Close()
			expect(t, p.client, "answer")
			expectEnd(t, p.client)
			expectOutcome(t, p.desk.end(t), flow.CauseClient, 8, 6)
		})
		t.Run("remote first", func(t *testing.T) {
			p := pair(t, in, out, flow.Listener{})
			send(t, p.remote, "greeting")
			closeWrite(t, p.remote)
			expect(t, p.client, "greeting")
			expectEnd(t, p.client)
			send(t, p.client, "word")
			p.client.Close()
			expect(t, p.remote, "word")
			expectEnd(t, p.remote)
			expectOutcome(t, p.desk.end(t), flow.CauseRemote, 4, 8)
		})
	})
}

// TestReset: a reset of one side is a reset of the other, and what came before counts
// (acceptance 13).
func TestReset(t *testing.T) {
	each(t, func(t *testing.T, in, out bool) {
		t.Run("client", func(t *testing.T) {
			p := pair(t, in, out, flow.Listener{})
			send(t, p.client, "word")
			expect(t, p.remote, "word")
			p.rawClient.SetLinger(0)
			p.rawClient.Close()
			expectReset(t, p.remote)
			s := p.desk.end(t)
			expectOutcome(t, s, flow.CauseClient, 4, 0)
			if !errors.Is(s.Err, syscall.ECONNRESET) {
				t.Error(s.Err)
			}
		})
		t.Run("remote", func(t *testing.T) {
			p := pair(t, in, out, flow.Listener{})
			send(t, p.remote, "word")
			expect(t, p.client, "word")
			p.rawRemote.SetLinger(0)
			p.rawRemote.Close()
			expectReset(t, p.client)
			s := p.desk.end(t)
			expectOutcome(t, s, flow.CauseRemote, 0, 4)
			if !errors.Is(s.Err, syscall.ECONNRESET) {
				t.Error(s.Err)
			}
		})
	})
}

// TestResetUnderLoad: the reset comes while the session waits to write. Whoever learns of it
// first, it is a reset for the other side.
func TestResetUnderLoad(t *testing.T) {
	each(t, func(t *testing.T, in, out bool) {
		for range 20 {
			p := pair(t, in, out, flow.Listener{})
			stuck := make(chan error, 1)
			go func() {
				_, err := io.Copy(p.client, endless{})
				stuck <- err
			}()
			if _, err := io.CopyN(io.Discard, p.remote, 1<<20); err != nil {
				t.Fatal(err)
			}
			p.rawRemote.SetLinger(0)
			p.rawRemote.Close()
			s := p.desk.end(t)
			if s.Cause != flow.CauseRemote || s.Up < 1<<20 {
				t.Fatal(outcome(s))
			}
			wrote := <-stuck // one of them hears of the reset
			_, read := p.rawClient.Read(make([]byte, 1<<12))
			if !errors.Is(wrote, syscall.ECONNRESET) && !errors.Is(read, syscall.ECONNRESET) {
				t.Fatalf("writing: %v; reading: %v", wrote, read)
			}
		}
	})
}

type endless struct{}

func (endless) Read(b []byte) (int, error) { return len(b), nil }

// TestLastWords: what a remote said before it reset a client that talked on is delivered.
func TestLastWords(t *testing.T) {
	testkit.NoLeaks(t)
	p := pair(t, false, false, flow.Listener{})
	send(t, p.client, "more than the remote reads")
	expect(t, p.remote, "more")
	send(t, p.remote, "enough")
	p.remote.Close() // with bytes unread: a reset
	expect(t, p.client, "enough")
	expectReset(t, p.client)
	if s := p.desk.end(t); s.Cause != flow.CauseRemote || s.Down != 6 {
		t.Error(outcome(s))
	}
}

// TestTruncation: TLS that breaks off. Inside a record it is a reset; between records the
// end is passed on, but no close_notify.
func TestTruncation(t *testing.T) {
	for _, encrypted := range []bool{false, true} {
		t.Run(kindName(true, encrypted), func(t *testing.T) {
			testkit.NoLeaks(t)
			p := pair(t, true, encrypted, flow.Listener{})
			send(t, p.client, "word")
			expect(t, p.remote, "word")
			p.rawClient.Write([]byte{23, 3, 3, 1, 0, 'x'})
			p.rawClient.CloseWrite()
			expectReset(t, p.remote)
			s := p.desk.end(t)
			expectOutcome(t, s, flow.CauseClient, 4, 0)
			if !errors.Is(s.Err, io.ErrUnexpectedEOF) {
				t.Error(s.Err)
			}

			p = pair(t, true, encrypted, flow.Listener{})
			send(t, p.client, "word")
			expect(t, p.remote, "word")
			p.rawClient.CloseWrite()
			if n, err := p.rawRemote.Read(make([]byte, 100)); n != 0 || !errors.Is(err, io.EOF) {
				t.Errorf("%d bytes, %v; want the end of TCP", n, err)
			}
			send(t, p.remote, "answer")
			expect(t, p.client, "answer")
			p.remote.Close()
			expectEnd(t, p.client)
			s = p.desk.end(t)
			expectOutcome(t, s, flow.CauseClient, 4, 6)
			if !errors.Is(s.Err, errNoNotify) {
				t.Error(s.Err)
			}
		})
	}
}

// TestBytes: chunks of all sizes, both ways at once (acceptance 18).
func TestBytes(t *testing.T) {
	each(t, func(t *testing.T, in, out bool) {
		p := newPairing(in, out)
		p.run(t, flow.Listener{}, nil)
		p.expectBytes(t, 8<<20)
	})
}

// TestBytesOfTLS12 is TestBytes with the records of another version.
func TestBytesOfTLS12(t *testing.T) {
	testkit.NoLeaks(t)
	p := newPairing(true, true)
	p.trim = func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }
	p.run(t, flow.Listener{}, nil)
	p.expectBytes(t, 4<<20)
}

// TestPieces: records come in pieces, and wait until they are whole.
func TestPieces(t *testing.T) {
	testkit.NoLeaks(t)
	p := newPairing(true, true)
	p.chop = true
	p.run(t, flow.Listener{}, nil)
	p.expectBytes(t, 1<<20)
}

// TestSmallBuffer: a listener that keeps little for its sessions.
func TestSmallBuffer(t *testing.T) {
	each(t, func(t *testing.T, in, out bool) {
		p := newPairing(in, out)
		p.run(t, flow.Listener{Buffer: 999}, nil)
		p.expectBytes(t, 1<<20)
	})
}

// expectBytes has both ends send and receive, and end.
func (p *pairing) expectBytes(t *testing.T, total uint64) {
	t.Helper()
	done := make(chan error, 4)
	for i, ends := range [][2]net.Conn{{p.client, p.remote}, {p.remote, p.client}} {
		go func() { done <- produce(ends[0], uint64(i), total) }()
		go func() { done <- consume(ends[1], uint64(i), total) }()
	}
	for range cap(done) {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if s := p.desk.end(t); s.Up != total || s.Down != total || s.Err != nil {
		t.Error(outcome(s))
	}
}

// produce writes total random bytes in random pieces, and ends its side.
func produce(c net.Conn, seed, total uint64) error {
	content, sizes := rand.NewChaCha8([32]byte{byte(seed)}), rand.New(rand.NewPCG(seed, 1))
	for total > 0 {
		n := min(total, 1+sizes.Uint64N(1<<(1+sizes.UintN(18))))
		b := make([]byte, n)
		content.Read(b)
		if _, err := c.Write(b); err != nil {
			return err
		}
		total -= n
	}
	return c.(Conn).CloseWrite()
}

// consume reads what produce writes, and its end.
func consume(c net.Conn, seed, total uint64) error {
	content, sizes := rand.NewChaCha8([32]byte{byte(seed)}), rand.New(rand.NewPCG(seed, 2))
	want, got := make([]byte, 1<<18), make([]byte, 1<<18)
	for {
		n, err := c.Read(got[:1+sizes.IntN(len(got))])
		content.Read(want[:n])
		if string(want[:n]) != string(got[:n]) {
			return errors.New("other bytes than were sent")
		}
		total -= uint64(n)
		switch {
		case errors.Is(err, io.EOF) && total == 0:
			return nil
		case err != nil:
			return err
		}
	}
}

// TestFirst: the prelude comes before TLS.
func TestFirst(t *testing.T) {
	each(t, func(t *testing.T, in, out bool) {
		p := newPairing(in, out)
		p.run(t, flow.Listener{}, []byte("PROXY UNKNOWN\r\n"))
		send(t, p.client, "word")
		expect(t, p.remote, "word")
		p.client.Close()
		expectEnd(t, p.remote)
		p.remote.Close()
		expectOutcome(t, p.desk.end(t), flow.CauseClient, 4, 0)
	})
}
