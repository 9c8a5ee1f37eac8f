// Package certs gives servers their certificate, and follows it when its files change, so
// that a renewed one is in use without a restart.
package certs

import (
	"crypto/tls"
	"fmt"
	"os"
	"sync"
	"time"
)

// lookEvery is how often the files are looked at, at most.
const lookEvery = time.Second

// Source is one certificate and its key, as their files have them. All methods may be
// called from any goroutine.
type Source struct {
	certFile, keyFile string
	changed           func(error)

	mu     sync.Mutex // guards what follows; held while the files are read
	pair   *tls.Certificate
	seen   stamps    // of the files when they were last read, of use or not
	looked time.Time // when they were last looked at
}

// New reads a certificate with its chain, and its key, both in PEM. When the files have
// changed since, the next handshake reads them again; they are looked at once a second
// at most. changed, which may be nil, is told of each change once: nil when the new pair is
// in use, or why it is not; then the old one stays. It is called during a handshake and must
// not wait.
func New(certFile, keyFile string, changed func(error)) (*Source, error) {
	if changed == nil {
		changed = func(error) {}
	}
	s := &Source{certFile: certFile, keyFile: keyFile, changed: changed, looked: time.Now()}
	s.seen = s.stat() // before the files are read: what comes in between is seen as a change
	var err error
	if s.pair, err = s.read(); err != nil {
		return nil, err
	}
	return s, nil
}

// TLSConfig is for servers of HTTP/2 and HTTP/1.1, from TLS 1.2 on.
func (s *Source) TLSConfig() *tls.Config {
	return &tls.Config{
		GetCertificate: s.certificate,
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"h2", "http/1.1"},
	}
}

// certificate is tls.Config.GetCertificate. It never fails: there is always a pair.
func (s *Source) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := time.Now(); now.Sub(s.looked) >= lookEvery {
		s.looked = now
		s.followLocked()
	}
	return s.pair, nil
}

// followLocked reads the files again if they are others than those that were read last.
func (s *Source) followLocked() {
	now := s.stat()
	if now.same(s.seen) {
		return
	}
	s.seen = now
	pair, err := s.read()
	if err == nil {
		s.pair = pair
	}
	s.changed(err)
}

func (s *Source) read() (*tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(s.certFile, s.keyFile)
	if err != nil {
		return nil, fmt.Errorf("certificate %s with key %s: %w", s.certFile, s.keyFile, err)
	}
	return &pair, nil
}

// stamps tell whether the two files are those of before; nil is a file that is not there.
type stamps [2]os.FileInfo

func (s *Source) stat() stamps {
	var all stamps
	for i, name := range []string{s.certFile, s.keyFile} {
		if info, err := os.Stat(name); err == nil {
			all[i] = info
		}
	}
	return all
}

func (s stamps) same(other stamps) bool {
	for i, a := range s {
		b := other[i]
		if a == nil || b == nil {
			if a != b {
				return false
			}
			continue
		}
		if !os.SameFile(a, b) || a.Size() != b.Size() || !a.ModTime().Equal(b.ModTime()) {
			return false
		}
	}
	return true
}
