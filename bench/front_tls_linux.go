package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"time"
)

// face is how a stream is asked for.
type face uint8

const (
	plainFace face = iota
	tls1Face       // HTTP/1.1 over TLS
	tls2Face       // HTTP/2 over TLS
)

// proxyConfig is a haproxy of one thread that ends TLS in front of sluice.
const proxyConfig = `global
    nbthread 1
defaults
    mode http
    timeout connect 5s
    timeout client 1m
    timeout server 1m
frontend tls
    bind 127.0.0.1:{TLS} ssl crt {DIR}/both.pem alpn http/1.1
    default_backend sluice
backend sluice
    server sluice 127.0.0.1:{PORT}
`

// facesOf is sluice asked over TLS in both versions and, as the measure, without; and a
// haproxy that ends TLS in front of it, where there is one.
func facesOf(_, sluice string) ([]contestant, error) {
	cert, key, err := certificate()
	if err != nil {
		return nil, err
	}
	files := map[string]string{certFile: cert, keyFile: key, bothFile: cert + key, proxyFile: proxyConfig}
	at := func(name string, f face, listen string) contestant {
		c := configured(name, sluice, listen+"tls: {certificate: \"{DIR}/cert.pem\", key: \"{DIR}/key.pem\"}\n", files)
		c.command = []string{
			sluice, "run", "-C", "{DIR}/sluice.yaml", "--run-dir", "{DIR}", "--admin", "127.0.0.1:{ADMIN}", "--engines", "1", "--quiet",
		}
		c.face = f
		return c
	}
	both := "listen: [\"127.0.0.1:{PORT}\", \"https://127.0.0.1:{TLS}\"]\n"
	all := []contestant{at("sluice", tls1Face, both), at("without TLS", plainFace, both), at("HTTP/2", tls2Face, both)}
	all[1].yardstick = true
	haproxy, err := exec.LookPath("haproxy")
	if err != nil {
		fmt.Fprintln(os.Stderr, "front-tls: left out:", err)
		return all, nil
	}
	behind := at("sluice behind haproxy", tls1Face, "listen: \"127.0.0.1:{PORT}\"\n")
	behind.beside = [][]string{{haproxy, "-db", "-f", "{DIR}/" + proxyFile}}
	return append(all, behind), nil
}

// certificate makes one for the loopback that signs itself, and its key, in PEM.
func certificate() (cert, key string, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return "", "", fmt.Errorf("make a certificate: %w", err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return "", "", fmt.Errorf("write its key: %w", err)
	}
	block := func(kind string, b []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}))
	}
	return block("CERTIFICATE", der), block("PRIVATE KEY", secret), nil
}

// overTLS measures what clients cost that are asked for in the contestant's way.
func (s *scenario) overTLS(ctx context.Context, c contestant, o options) (m measured, err error) {
	stage, err := s.raise(ctx, c)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stage.Close()) }()
	seats := audience{viewers: make([]seat, s.clients)}
	url := "http://" + stage.server.addr.String() + path(0, 0)
	if c.face != plainFace {
		url = "https://" + stage.server.tls.String() + path(0, 0)
	}
	defer seats.leave()
	if err := seats.enter(ctx, url, c); err != nil {
		return nil, err
	}
	if err := pause(ctx, time.Second); err != nil {
		return nil, err
	}
	pids, err := stage.server.pids()
	if err != nil {
		return nil, err
	}
	before, err := read(pids)
	if err != nil {
		return nil, err
	}
	bytes := seats.bytes.Load()
	before.sent = stage.sender.sent.Load()
	seats.measured.Store(true)
	if err := pause(ctx, o.lasts(3*time.Second)); err != nil {
		return nil, err
	}
	seats.measured.Store(false)
	after, err := read(pids)
	if err != nil {
		return nil, err
	}
	after.sent = stage.sender.sent.Load()
	t := tally{bytes: seats.bytes.Load() - bytes}
	if t.bytes == 0 {
		return nil, errors.New("the clients received nothing")
	}
	if err := seats.leave(); err != nil {
		return nil, err
	}
	for i := range seats.viewers {
		t.ages = append(t.ages, seats.viewers[i].ages...)
		t.gaps += seats.viewers[i].follower.gaps
	}
	m = s.judge(before, after, t)
	delete(m, crowdLag) // it has no measure here
	return m, nil
}

// audience is clients that read as real ones do: each a goroutine of net/http, which
// decrypts.
type audience struct {
	viewers  []seat
	group    sync.WaitGroup
	stop     context.CancelFunc
	bytes    atomic.Int64 // of all streams
	measured atomic.Bool  // ages are noted
}

// seat is one of them. Its goroutine owns it.
type seat struct {
	follower follower
	ages     []int64
	ended    error
}

// enter has all clients ask, and waits until each has its first bytes.
func (a *audience) enter(ctx context.Context, url string, c contestant) error {
	ctx, a.stop = context.WithCancel(ctx)
	begun := make(chan error, len(a.viewers))
	for i := range a.viewers {
		client, err := c.client()
		if err != nil {
			return err
		}
		a.group.Go(func() { a.view(ctx, &a.viewers[i], client, url, c.face, begun) })
	}
	late := time.After(crowdWait)
	for range a.viewers {
		select {
		case err := <-begun:
			if err != nil {
				return err
			}
		case <-late:
			return fmt.Errorf("%w after %v", errNotAll, crowdWait)
		}
	}
	return nil
}

// leave ends all clients. The error is of those that had ended by themselves.
func (a *audience) leave() (err error) {
	if a.stop != nil {
		a.stop()
	}
	a.group.Wait()
	for i := range a.viewers {
		err = errors.Join(err, a.viewers[i].ended)
	}
	return err
}

// client is an HTTP client for the contestant's face, with a connection of its own.
func (c contestant) client() (*http.Client, error) {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(c.files[certFile])) {
		return nil, errors.New("the certificate is none")
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(c.face != tls2Face)
	protocols.SetHTTP2(c.face == tls2Face)
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots},
		Protocols:       protocols,
	}}, nil
}

// view reads one stream until ctx ends. It tells begun, once, that bytes come or why not.
func (a *audience) view(ctx context.Context, s *seat, client *http.Client, url string, f face, begun chan<- error) {
	defer client.CloseIdleConnections()
	resp, err := openStream(ctx, client, url, f)
	if err != nil {
		begun <- err
		return
	}
	defer resp.Body.Close()
	told := false
	for buf := make([]byte, 64<<10); ; {
		n, err := resp.Body.Read(buf)
		if n > 0 {
			a.take(s, buf[:n])
		}
		if !told && (n > 0 || err != nil) {
			told = true
			begun <- err
		}
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			s.ended = fmt.Errorf("a stream ended: %w", err)
			return
		}
	}
}

func (a *audience) take(s *seat, b []byte) {
	first, ok := s.follower.take(b)
	a.bytes.Add(int64(len(b)))
	if ok && a.measured.Load() {
		s.ages = append(s.ages, clock()-first.time)
	}
}

// openStream gets the answer to a request, in the HTTP version of the face.
func openStream(ctx context.Context, client *http.Client, url string, f face) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	version := 1
	if f == tls2Face {
		version = 2
	}
	if resp.StatusCode != http.StatusOK || resp.ProtoMajor != version {
		resp.Body.Close()
		return nil, fmt.Errorf("%w: %s in %s", errAnswer, resp.Status, resp.Proto)
	}
	return resp, nil
}
