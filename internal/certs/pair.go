package certs

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"
)

// pair is a certificate with its key.
type pair = followed[*tls.Certificate]

func (f Files) follow(changed Changed) (*pair, error) {
	files := []string{f.Chain}
	if f.Key != "" && f.Key != f.Chain {
		files = append(files, f.Key)
	}
	return follow(files, f.read, changed)
}

func (f Files) read() (*tls.Certificate, error) {
	c, err := f.load()
	if err != nil && f.Key == "" {
		return nil, fmt.Errorf("certificate and key %s: %w", f.Chain, err)
	}
	if err != nil {
		return nil, fmt.Errorf("certificate %s with key %s: %w", f.Chain, f.Key, err)
	}
	return c, nil
}

func (f Files) load() (*tls.Certificate, error) {
	chain, err := os.ReadFile(f.Chain)
	if err != nil {
		return nil, err
	}
	key, err := os.ReadFile(cmp.Or(f.Key, f.Chain))
	if err != nil {
		return nil, err
	}
	if key, err = openKey(key, f.Passphrase); err != nil {
		return nil, err
	}
	c, err := tls.X509KeyPair(chain, key)
	return &c, err
}

// errPassphrase never says which passphrase it was.
var errPassphrase = errors.New("the passphrase is not that of the key")

// openKey returns text with the first key in it decrypted, if it is encrypted: as PKCS#8
// (RFC 5958, 3) or with the headers of RFC 1421, 4.6.1.1.
func openKey(text []byte, passphrase string) ([]byte, error) {
	block, rest := pem.Decode(text)
	for block != nil && !strings.HasSuffix(block.Type, "PRIVATE KEY") {
		block, rest = pem.Decode(rest)
	}
	if block == nil {
		return text, nil // tls.X509KeyPair says what is missing
	}
	decrypt := decryptPKCS8
	switch {
	case block.Type == "ENCRYPTED PRIVATE KEY":
	case strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED"):
		decrypt = decryptHeaded
	default:
		return text, nil
	}
	if passphrase == "" {
		return nil, errors.New("the key is encrypted, and there is no passphrase")
	}
	plain, err := decrypt(block, []byte(passphrase))
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(plain), nil
}

// decryptHeaded decrypts what the programs of OpenSSL wrote before version 1.0 and still
// write when asked for "traditional" keys.
func decryptHeaded(block *pem.Block, passphrase []byte) (*pem.Block, error) {
	//nolint:staticcheck // deprecated for its lack of authentication; files of that kind are still there
	der, err := x509.DecryptPEMBlock(block, passphrase)
	if errors.Is(err, x509.IncorrectPasswordError) || err == nil && !isDER(der) {
		return nil, errPassphrase
	}
	if err != nil {
		return nil, fmt.Errorf("decrypt the key: %w", err)
	}
	return &pem.Block{Type: block.Type, Bytes: der}, nil
}

// isDER says whether b is one DER sequence, as each kind of key is. The padding alone
// looks right with one wrong passphrase of 256.
func isDER(b []byte) bool {
	_, rest, ok := sequence(b)
	return ok && len(rest) == 0
}
