// Package certs makes the settings of TLS, for servers and for clients, of files: chains
// with their keys and lists of authorities, all PEM. Files are followed: when they
// change, the next handshake has what they say then, without a restart.
package certs

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
)

// Files are those of a certificate.
type Files struct {
	Chain      string // the certificate first
	Key        string // "" = in the file of the chain
	Passphrase string // of an encrypted key; not looked at when it is not
}

// Server is how clients are met.
type Server struct {
	Certificates []Files  // one at least; the first that the client names and can use, else the first that it can use
	ClientCA     string   // file of the authorities whose certificates clients may show; "" = clients show none
	ClientNeeded bool     // and must
	Min, Max     uint16   // versions of TLS; 0 = 1.2 and the newest
	Protocols    []string // of ALPN that are agreed to; empty = none is said
}

// Config reads the files and makes the settings. They hold for as long as they are used
// and follow the files, which are looked at in a handshake, once a second at most.
// changed may be nil.
func (s Server) Config(changed Changed) (*tls.Config, error) {
	if len(s.Certificates) == 0 {
		return nil, errors.New("a server of TLS needs a certificate")
	}
	var all set
	for _, f := range s.Certificates {
		pair, err := f.follow(changed)
		if err != nil {
			return nil, err
		}
		all = append(all, pair)
	}
	conf := settings(s.Min, s.Max, s.Protocols)
	conf.GetCertificate = all.choose
	if s.ClientCA == "" {
		return conf, nil
	}
	return conf, s.askClients(conf, changed)
}

// askClients has clients show certificates.
func (s Server) askClients(conf *tls.Config, changed Changed) error {
	each := conf.Clone()
	each.ClientAuth = tls.VerifyClientCertIfGiven
	if s.ClientNeeded {
		each.ClientAuth = tls.RequireAndVerifyClientCert
	}
	asking, err := follow([]string{s.ClientCA}, func() (*tls.Config, error) {
		pool, err := readPool(s.ClientCA)
		now := each.Clone()
		now.ClientCAs = pool
		return now, err
	}, changed)
	if err != nil {
		return err
	}
	conf.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return asking.get(), nil }
	return nil
}

// Client is how remotes are spoken to.
type Client struct {
	CA          string   // file of the authorities that remotes are believed by; "" = those of the system, which are not followed
	NoVerify    bool     // any certificate is good
	Certificate Files    // is shown to remotes that ask for one; zero = none
	Min, Max    uint16   // versions of TLS; 0 = 1.2 and the newest
	Protocols   []string // of ALPN that are offered; empty = none
}

// Configs reads the files and returns what makes the settings for a remote: name is asked
// for and looked for in its certificate, a host name or an IP address. The settings
// follow the files as those of Server do. changed may be nil.
func (c Client) Configs(changed Changed) (func(name string) *tls.Config, error) {
	conf := settings(c.Min, c.Max, c.Protocols)
	conf.InsecureSkipVerify = c.NoVerify
	if c.Certificate != (Files{}) {
		pair, err := c.Certificate.follow(changed)
		if err != nil {
			return nil, err
		}
		conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return pair.get(), nil }
	}
	named := func(name string) *tls.Config {
		of := conf.Clone()
		of.ServerName = name
		return of
	}
	if c.CA == "" || c.NoVerify {
		return named, nil
	}
	pool, err := follow([]string{c.CA}, func() (*x509.CertPool, error) { return readPool(c.CA) }, changed)
	if err != nil {
		return nil, err
	}
	return func(name string) *tls.Config {
		of := named(name)
		of.InsecureSkipVerify = true // in favour of verify: RootCAs cannot change
		of.VerifyConnection = func(s tls.ConnectionState) error { return verify(s.PeerCertificates, pool.get(), name) }
		return of
	}, nil
}

// verify checks what a remote has shown as crypto/tls does.
func verify(shown []*x509.Certificate, roots *x509.CertPool, name string) error {
	if name == "" {
		return errors.New("there is no name to look for in the certificate of the remote")
	}
	between := x509.NewCertPool()
	for _, c := range shown[1:] {
		between.AddCert(c)
	}
	_, err := shown[0].Verify(x509.VerifyOptions{Roots: roots, DNSName: name, Intermediates: between})
	if err != nil {
		return &tls.CertificateVerificationError{UnverifiedCertificates: shown, Err: err}
	}
	return nil
}

// settings are what servers and clients have in common. Records are as large as they can
// be from the first: small ones cost a system call each and gain nothing with today's
// windows.
func settings(lowest, highest uint16, protocols []string) *tls.Config {
	return &tls.Config{
		MinVersion: cmp.Or(lowest, tls.VersionTLS12), MaxVersion: highest, NextProtos: protocols,
		DynamicRecordSizingDisabled: true,
	}
}

// readPool reads a file of authorities.
func readPool(file string) (*x509.CertPool, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("certificates of authorities: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("certificates of authorities: %s has none (PEM is wanted)", file)
	}
	return pool, nil
}
