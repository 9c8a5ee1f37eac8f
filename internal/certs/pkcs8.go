package certs

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"hash"
)

// encryptedKey is EncryptedPrivateKeyInfo (RFC 5958, 3).
type encryptedKey struct {
	Algorithm pkix.AlgorithmIdentifier
	Data      []byte
}

// pbes2 is PBES2-params (RFC 8018, A.4).
type pbes2 struct {
	Derivation, Encryption pkix.AlgorithmIdentifier
}

// derivation is PBKDF2-params (RFC 8018, A.2).
type derivation struct {
	Salt       []byte
	Iterations int
	KeyLength  int                      `asn1:"optional"`
	PRF        pkix.AlgorithmIdentifier `asn1:"optional"`
}

// maxIterations bounds the work for a key, which is done again when its file changes.
// OpenSSL 3 writes 2048.
const maxIterations = 10_000_000

const (
	oidPBES2  = "1.2.840.113549.1.5.13"
	oidPBKDF2 = "1.2.840.113549.1.5.12"
)

// digest is the hash of a pseudo-random function (RFC 8018, B.1.2); nil = not known.
func digest(oid asn1.ObjectIdentifier) func() hash.Hash {
	switch oid.String() {
	case "", "1.2.840.113549.2.7":
		return sha1.New
	case "1.2.840.113549.2.8":
		return sha256.New224
	case "1.2.840.113549.2.9":
		return sha256.New
	case "1.2.840.113549.2.10":
		return sha512.New384
	case "1.2.840.113549.2.11":
		return sha512.New
	}
	return nil
}

// blockCipher is an encryption scheme, all of them CBC (RFC 8018, B.2); nil = not known.
func blockCipher(oid asn1.ObjectIdentifier) (keyLength int, block func(key []byte) (cipher.Block, error)) {
	switch oid.String() {
	case "2.16.840.1.101.3.4.1.2":
		return 16, aes.NewCipher
	case "2.16.840.1.101.3.4.1.22":
		return 24, aes.NewCipher
	case "2.16.840.1.101.3.4.1.42":
		return 32, aes.NewCipher
	case "1.2.840.113549.3.7":
		return 24, des.NewTripleDESCipher
	}
	return 0, nil
}

// decryptPKCS8 decrypts what `openssl pkcs8 -topk8` and `openssl genpkey -aes256` write.
func decryptPKCS8(block *pem.Block, passphrase []byte) (*pem.Block, error) {
	data, mode, err := openPBES2(block.Bytes, passphrase)
	if err != nil {
		return nil, err
	}
	if len(data) == 0 || len(data)%mode.BlockSize() != 0 {
		return nil, errors.New("the encrypted key is not whole")
	}
	mode.CryptBlocks(data, data)
	der, rest, ok := sequence(data)
	if pad := int(data[len(data)-1]); !ok || len(rest) != pad || pad > mode.BlockSize() {
		return nil, errPassphrase
	}
	return &pem.Block{Type: "PRIVATE KEY", Bytes: der}, nil
}

// openPBES2 is the encrypted data and what decrypts it.
func openPBES2(der, passphrase []byte) (data []byte, mode cipher.BlockMode, err error) {
	var (
		key    encryptedKey
		scheme pbes2
		how    derivation
		iv     []byte
	)
	if err := unmarshal(der, &key); err != nil {
		return nil, nil, err
	}
	if oid := key.Algorithm.Algorithm.String(); oid != oidPBES2 {
		return nil, nil, unknown("scheme", oid)
	}
	if err := unmarshal(key.Algorithm.Parameters.FullBytes, &scheme); err != nil {
		return nil, nil, err
	}
	if oid := scheme.Derivation.Algorithm.String(); oid != oidPBKDF2 {
		return nil, nil, unknown("key derivation", oid)
	}
	if err := unmarshal(scheme.Derivation.Parameters.FullBytes, &how); err != nil {
		return nil, nil, err
	}
	if err := unmarshal(scheme.Encryption.Parameters.FullBytes, &iv); err != nil {
		return nil, nil, err
	}
	length, newBlock := blockCipher(scheme.Encryption.Algorithm)
	if newBlock == nil {
		return nil, nil, unknown("cipher", scheme.Encryption.Algorithm.String())
	}
	secret, err := how.derive(passphrase, length)
	if err != nil {
		return nil, nil, err
	}
	block, err := newBlock(secret)
	if err != nil {
		return nil, nil, fmt.Errorf("decrypt the key: %w", err)
	}
	if len(iv) != block.BlockSize() {
		return nil, nil, errors.New("decrypt the key: its initialization vector has a wrong length")
	}
	return key.Data, cipher.NewCBCDecrypter(block, iv), nil
}

func (d derivation) derive(passphrase []byte, length int) ([]byte, error) {
	newHash := digest(d.PRF.Algorithm)
	if newHash == nil {
		return nil, unknown("hash", d.PRF.Algorithm.String())
	}
	if d.Iterations < 1 || d.Iterations > maxIterations {
		return nil, fmt.Errorf("decrypt the key: %d iterations; want 1 to %d", d.Iterations, maxIterations)
	}
	secret, err := pbkdf2.Key(newHash, string(passphrase), d.Salt, d.Iterations, length)
	if err != nil {
		return nil, fmt.Errorf("decrypt the key: %w", err)
	}
	return secret, nil
}

func unmarshal(der []byte, into any) error {
	if _, err := asn1.Unmarshal(der, into); err != nil {
		return fmt.Errorf("decrypt the key: %w", err)
	}
	return nil
}

func unknown(what, oid string) error {
	return fmt.Errorf("decrypt the key: %s %s is not known; `openssl pkcs8 -topk8 -v2 aes-256-cbc` writes what is", what, oid)
}

// sequence is the DER sequence that b begins with, and what follows.
func sequence(b []byte) (der, rest []byte, ok bool) {
	var v asn1.RawValue
	rest, err := asn1.Unmarshal(b, &v)
	return v.FullBytes, rest, err == nil && v.Class == asn1.ClassUniversal && v.Tag == asn1.TagSequence && v.IsCompound
}
