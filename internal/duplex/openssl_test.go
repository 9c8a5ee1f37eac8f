package duplex

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sluice/internal/flow"
	"sluice/internal/testkit"
)

// keyFiles are the certificate of the tests as files.
func keyFiles(t *testing.T) (cert, key string) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(secret.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	for name, block := range map[string]*pem.Block{
		cert: {Type: "CERTIFICATE", Bytes: secret.Certificate[0]}, key: {Type: "PRIVATE KEY", Bytes: der},
	} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// opensslPair is a session between s_client and s_server, both with TLS, and their
// standard inputs.
func opensslPair(t *testing.T, version string) (d *desk, client, server *testkit.Proc, say, answer io.WriteCloser) {
	t.Helper()
	testkit.Need(t, "openssl")
	cert, key := keyFiles(t)
	server, answer = program(t, "s_server", "-accept", "127.0.0.1:0", "-cert", cert, "-key", key, version)
	at := server.WaitLine(`ACCEPT (127\.0\.0\.1:\d+)`)[1]
	addr, err := flow.ParseAddr(at)
	if err != nil {
		t.Fatal(err)
	}
	l := listenTCP(t)
	client, say = program(t, "s_client", "-connect", l.Addr().String(), "-servername", "tv.example", version)
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	secure, err := Server(t.Context(), c, serverTLS())
	if err != nil {
		t.Fatal(err)
	}
	d = newDesk()
	g := New(d, 0)
	plan := flow.Plan{Step: flow.Dial, Target: &flow.Target{Name: "r", Addr: addr, TLS: clientTLS()}}
	g.Start(t.Context(), &flow.Session{Listener: &flow.Listener{}}, secure, plan)
	t.Cleanup(g.Wait)
	<-d.connected
	return d, client, server, say, answer
}

// program starts openssl with a standard input that stays open.
func program(t *testing.T, args ...string) (*testkit.Proc, io.WriteCloser) {
	t.Helper()
	cmd := exec.Command("openssl", args...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	return testkit.StartCommand(t, cmd), in
}

// TestOpenSSL: lines both ways, then new keys of both kinds and both sides, and the lines go on.
func TestOpenSSL(t *testing.T) {
	for _, version := range []string{"-tls1_2", "-tls1_3"} {
		t.Run(version, func(t *testing.T) {
			d, client, server, say, answer := opensslPair(t, version)
			send(t, say, "first line\n")
			server.WaitLine("^first line$")
			send(t, answer, "first answer\n")
			client.WaitLine("^first answer$")
			if version == "-tls1_3" {
				send(t, say, "K\n") // its own, and ours in answer
				client.WaitLine("KEYUPDATE")
				send(t, answer, "K\n")
				server.WaitLine("SSL_do_handshake")
			}
			send(t, say, "second line\n")
			server.WaitLine("^second line$")
			send(t, answer, "second answer\n")
			client.WaitLine("^second answer$")
			send(t, say, "Q\n") // close_notify, and both end
			if s := d.end(t); s.Cause != flow.CauseClient || s.Up != 23 || s.Down != 27 {
				t.Error(outcome(s))
			}
		})
	}
}

// TestRenegotiation is refused: the session ends, and the error says so.
func TestRenegotiation(t *testing.T) {
	for name, by := range map[string]flow.Cause{"client": flow.CauseClient, "remote": flow.CauseRemote} {
		t.Run(name, func(t *testing.T) {
			d, _, _, say, answer := opensslPair(t, "-tls1_2")
			if by == flow.CauseClient {
				send(t, say, "R\n")
			} else {
				send(t, answer, "r\n")
			}
			if s := d.end(t); s.Cause != by || s.Err == nil || !strings.Contains(s.Err.Error(), "tls: ") {
				t.Error(outcome(s))
			}
		})
	}
}

// TestOpenSSLBulk: some megabytes through s_client, which ends its side when its input ends.
func TestOpenSSLBulk(t *testing.T) {
	testkit.Need(t, "openssl")
	const total = 16 << 20
	p := newPairing(true, false)
	front, back := listenTCP(t), listenTCP(t)
	client, say := program(t, "s_client", "-quiet", "-no_ign_eof", "-nocommands", "-connect", front.Addr().String())
	c, err := front.Accept()
	if err != nil {
		t.Fatal(err)
	}
	secure, err := Server(t.Context(), c, &tls.Config{Certificates: []tls.Certificate{secret}})
	if err != nil {
		t.Fatal(err)
	}
	p.group.Start(t.Context(), &flow.Session{Listener: &flow.Listener{}}, secure, dial(back))
	t.Cleanup(p.group.Wait)
	r, err := back.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	done := make(chan error, 1)
	go func() { done <- consume(r, 1, total) }()
	if err := produce(input{in: say}, 1, total); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	r.Close()
	if err := client.Wait(); err != nil {
		t.Error(err)
	}
	expectOutcome(t, p.desk.end(t), flow.CauseClient, total, 0)
}

// input is a standard input as a connection that is only written to.
type input struct {
	net.Conn
	in io.WriteCloser
}

func (i input) Write(b []byte) (int, error) { return i.in.Write(b) }
func (i input) CloseWrite() error           { return i.in.Close() }
