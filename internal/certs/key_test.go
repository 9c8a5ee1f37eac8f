package certs

import (
	"bytes"
	"encoding/base64"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sluice/internal/testkit"
)

// passphrase of the keys of these tests: none of it may ever be shown.
const passphrase = "t0p s3cret"

// openssl runs the program in a directory of the test.
func openssl(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.Command("openssl", args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("openssl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// keys makes an RSA key and one of a curve with a certificate, by openssl.
func keys(t *testing.T) (dir string) {
	t.Helper()
	testkit.Need(t, "openssl")
	dir = t.TempDir()
	openssl(t, dir, "genrsa", "-out", "rsa.pem", "2048")
	openssl(t, dir, "ecparam", "-name", "prime256v1", "-genkey", "-out", "ec.pem") // parameters stand before the key
	for _, kind := range []string{"rsa", "ec"} {
		openssl(t, dir, "req", "-x509", "-new", "-key", kind+".pem", "-subj", "/CN=tv.example", "-days", "2", "-out", kind+".crt")
	}
	return dir
}

// TestEncryptedKeys: what openssl writes (acceptance 40).
func TestEncryptedKeys(t *testing.T) {
	dir := keys(t)
	pkcs8 := func(args ...string) []string {
		return append([]string{"pkcs8", "-topk8", "-passout", "pass:" + passphrase}, args...)
	}
	for name, tt := range map[string]struct {
		kind string
		args []string
	}{
		"pkcs8":                   {"ec", pkcs8()},
		"pkcs8 rsa":               {"rsa", pkcs8()},
		"pkcs8 aes-128":           {"ec", pkcs8("-v2", "aes-128-cbc")},
		"pkcs8 aes-192":           {"ec", pkcs8("-v2", "aes-192-cbc")},
		"pkcs8 aes-256":           {"ec", pkcs8("-v2", "aes-256-cbc")},
		"pkcs8 des3":              {"ec", pkcs8("-v2", "des3")},
		"pkcs8 sha1":              {"ec", pkcs8("-v2prf", "hmacWithSHA1")},
		"pkcs8 sha224":            {"ec", pkcs8("-v2prf", "hmacWithSHA224")},
		"pkcs8 sha384":            {"ec", pkcs8("-v2prf", "hmacWithSHA384")},
		"pkcs8 sha512":            {"ec", pkcs8("-v2prf", "hmacWithSHA512")},
		"pkcs8 many times":        {"ec", pkcs8("-iter", "100000")},
		"traditional rsa aes-256": {"rsa", []string{"rsa", "-traditional", "-aes256", "-passout", "pass:" + passphrase}},
		"traditional rsa des3":    {"rsa", []string{"rsa", "-traditional", "-des3", "-passout", "pass:" + passphrase}},
		"traditional ec aes-128":  {"ec", []string{"ec", "-aes128", "-passout", "pass:" + passphrase}},
	} {
		t.Run(name, func(t *testing.T) {
			key := filepath.Join(t.TempDir(), "key.pem")
			openssl(t, dir, append(tt.args, "-in", tt.kind+".pem", "-out", key)...)
			f := Files{Chain: filepath.Join(dir, tt.kind+".crt"), Key: key, Passphrase: passphrase}
			if _, err := (Server{Certificates: []Files{f}}).Config(nil); err != nil {
				t.Fatal(err)
			}
			expectTold(t, f, "is encrypted, and there is no passphrase", "")
			for _, wrong := range []string{"wrong", passphrase + " ", "\x00"} {
				expectTold(t, f, errPassphrase.Error(), wrong)
			}
			oneFile(t, f)
		})
	}
}

// expectTold: a wrong passphrase is an error that says what is wrong, where, and neither passphrase.
func expectTold(t *testing.T, f Files, want, wrong string) {
	t.Helper()
	f.Passphrase = wrong
	_, err := Server{Certificates: []Files{f}}.Config(nil)
	if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), f.Key) {
		t.Fatalf("with %q: %v", wrong, err)
	}
	if strings.Contains(err.Error(), passphrase) || wrong == "wrong" && strings.Contains(err.Error(), wrong) {
		t.Fatalf("it is shown: %v", err)
	}
}

// oneFile: the key stands behind the chain.
func oneFile(t *testing.T, f Files) {
	t.Helper()
	var all []byte
	for _, name := range []string{f.Chain, f.Key} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, text...)
	}
	f.Chain, f.Key = filepath.Join(t.TempDir(), "all.pem"), ""
	if err := os.WriteFile(f.Chain, all, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := (Server{Certificates: []Files{f}}).Config(nil); err != nil {
		t.Fatal(err)
	}
}

// TestKeysInOneFile: keys that are not encrypted, whatever stands before them, and a
// passphrase that nobody needs.
func TestKeysInOneFile(t *testing.T) {
	dir := keys(t)
	for _, kind := range []string{"rsa", "ec"} {
		oneFile(t, Files{Chain: filepath.Join(dir, kind+".crt"), Key: filepath.Join(dir, kind+".pem")})
		oneFile(t, Files{Chain: filepath.Join(dir, kind+".crt"), Key: filepath.Join(dir, kind+".pem"), Passphrase: passphrase})
	}
}

// TestUnknownEncryption: what cannot be decrypted says so, and what can be done.
func TestUnknownEncryption(t *testing.T) {
	dir := keys(t)
	for what, args := range map[string][]string{
		"key derivation": {"-scrypt"},
		"cipher":         {"-v2", "aes-256-ofb"},
		"scheme":         {"-v1", "PBE-SHA1-3DES"},
	} {
		key := filepath.Join(dir, "odd.pem")
		openssl(t, dir, append([]string{"pkcs8", "-topk8", "-passout", "pass:" + passphrase, "-in", "ec.pem", "-out", key}, args...)...)
		f := Files{Chain: filepath.Join(dir, "ec.crt"), Key: key, Passphrase: passphrase}
		_, err := Server{Certificates: []Files{f}}.Config(nil)
		if err == nil || !strings.Contains(err.Error(), what) || !strings.Contains(err.Error(), "openssl pkcs8 -topk8") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestManyIterations: a file cannot have the process work for ever.
func TestManyIterations(t *testing.T) {
	if _, err := (derivation{Iterations: maxIterations + 1}).derive(nil, 16); err == nil {
		t.Error("no error")
	}
	if _, err := (derivation{}).derive(nil, 16); err == nil {
		t.Error("no error for none")
	}
}

// FuzzDecrypt: any DER is a key or an error.
func FuzzDecrypt(f *testing.F) {
	for _, text := range []string{ // of keys that nobody has ever used; by openssl pkcs8 -topk8 -iter 1
		"MIGJME0GCSqGSIb3DQEFDTBAMCgGCSqGSIb3DQEFDDAbBAhNZIQjOx/4fQIBATAMBggqhkiG9w0CCQUAMBQGCCqGSIb3DQMHBAiPU/fAmbzMIAQ4xx5QED0cStwHgPkg5e3BRLPkyGBgVT5sEUSLauPwK8Sk4K/j0ulLpdZw2JV/ysg50pemhqf805s=",
		"MIGaMFYGCSqGSIb3DQEFDTBJMCgGCSqGSIb3DQEFDDAbBAjg+6nyKGuTSwIBATAMBggqhkiG9w0CCQUAMB0GCWCGSAFlAwQBAgQQOstEtu+vzigfH2nuBmGMQQRANGevVoBnz2f4xNOJWj1NaNzaMccrh4Onu2yVn9SCFjPi3EDpxJm9BzEDewpZUf6uqpmh8xn0f3g/iud/DXj/bQ==",
	} {
		der, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			f.Fatal(err)
		}
		if _, err := decryptPKCS8(&pem.Block{Bytes: der}, []byte("x")); err != nil {
			f.Fatal(err)
		}
		f.Add(der, "x")
	}
	f.Fuzz(func(t *testing.T, der []byte, pass string) {
		for i := byte(2); i < 9; i++ {
			if bytes.Contains(der, []byte{2, i}) {
				return // a number of more than one byte: it may be some million iterations
			}
		}
		key, err := decryptPKCS8(&pem.Block{Bytes: der}, []byte(pass))
		if err == nil && !isDER(key.Bytes) {
			t.Fatalf("no key: %x", key.Bytes)
		}
	})
}
