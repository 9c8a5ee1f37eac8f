package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// tlsLoad is what TLS clients agree on with every relay: version, cipher and curve are
// pinned, so that all relays do the same work, and no session is ever taken up again.
func tlsLoad() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, CurvePreferences: []tls.CurveID{tls.X25519},
		InsecureSkipVerify: true, //nolint:gosec // the chain is not what is measured
	}
}

// errAgreed is a relay that does other work than the rest.
var errAgreed = errors.New("the relay agreed to something else than TLS 1.3, AES-128-GCM and X25519 in a full handshake")

// secure connects, shakes hands and sends a first byte, which it gets an answer to.
func secure(ctx context.Context, relay netip.AddrPort, ask byte) (*tls.Conn, error) {
	raw, err := (&net.Dialer{}).DialContext(ctx, "tcp4", relay.String())
	if err != nil {
		return nil, err
	}
	conn := tls.Client(raw, tlsLoad())
	if err := greet(ctx, conn, ask); err != nil {
		raw.Close()
		return nil, fmt.Errorf("TLS client of port %d: %w", relay.Port(), err)
	}
	return conn, nil
}

func greet(ctx context.Context, conn *tls.Conn, ask byte) error {
	if err := conn.HandshakeContext(ctx); err != nil {
		return err
	}
	s := conn.ConnectionState()
	if s.Version != tls.VersionTLS13 || s.CipherSuite != tls.TLS_AES_128_GCM_SHA256 || s.CurveID != tls.X25519 || s.DidResume {
		return errAgreed
	}
	one := []byte{ask}
	if _, err := conn.Write(one); err != nil {
		return err
	}
	_, err := conn.Read(one)
	return err
}

// secureMany makes n connections, some at a time.
func secureMany(ctx context.Context, relay netip.AddrPort, n int, ask byte) ([]*tls.Conn, error) {
	var (
		mu    sync.Mutex // guards conns and err
		conns []*tls.Conn
		err   error
		group sync.WaitGroup
		left  atomic.Int64
	)
	left.Store(int64(n))
	for range min(n, shakers) {
		group.Go(func() {
			for left.Add(-1) >= 0 {
				conn, failed := secure(ctx, relay, ask)
				mu.Lock()
				if failed != nil {
					err = errors.Join(err, failed)
				} else {
					conns = append(conns, conn)
				}
				mu.Unlock()
				if failed != nil {
					return
				}
			}
		})
	}
	group.Wait()
	if err != nil {
		closeMany(conns)
		return nil, err
	}
	return conns, nil
}

// shakers is how many TLS clients connect at once.
const shakers = 8

// closeMany ends the connections without a word of TLS.
func closeMany(conns []*tls.Conn) {
	for _, c := range conns {
		c.NetConn().Close()
	}
}

// unwrap makes bare descriptors of connections on which bulk has begun: what follows is
// counted as it is, encrypted, for decrypting it is the load's work and none of the relay's.
func unwrap(conns []*tls.Conn) (fds []int, err error) {
	defer closeMany(conns)
	for _, c := range conns {
		raw, failed := c.NetConn().(*net.TCPConn).SyscallConn()
		if failed == nil {
			failed = raw.Control(func(fd uintptr) {
				var own int
				if own, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0); err == nil {
					fds = append(fds, own)
				}
			})
		}
		if err = errors.Join(err, failed); err != nil {
			for _, fd := range fds {
				unix.Close(fd)
			}
			return nil, fmt.Errorf("take a TLS connection apart: %w", err)
		}
	}
	return fds, nil
}

// shaking is clients that shake hands, send a byte, get it back, and begin anew.
type shaking struct {
	count  atomic.Int64
	stop   context.CancelFunc
	group  sync.WaitGroup
	mu     sync.Mutex // guards failed
	failed error
}

func shake(ctx context.Context, relay netip.AddrPort) *shaking {
	s := &shaking{}
	ctx, s.stop = context.WithCancel(ctx)
	for range shakers {
		s.group.Go(func() {
			for ctx.Err() == nil {
				conn, err := secure(ctx, relay, askEcho)
				if err == nil {
					err = conn.NetConn().Close()
				}
				if err != nil {
					if ctx.Err() == nil {
						s.mu.Lock()
						s.failed = err
						s.mu.Unlock()
					}
					return
				}
				s.count.Add(1)
			}
		})
	}
	return s
}

// end waits for all clients; the error is that of one that failed.
func (s *shaking) end() error {
	s.stop()
	s.group.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}
