package creds

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/crypto/bcrypt"
)

const (
	newCost = bcrypt.DefaultCost // of the passwords that Add sets: some 60 ms
	maxCost = 14                 // about a second; each step doubles it
	minCost = 4                  // of bcrypt itself
)

// maxPassword is how many bytes of a password bcrypt looks at.
const maxPassword = 72

// hash is what is kept of a password. Its String is its form in our file of users.
type hash interface {
	match(password string) bool
	cost() int // as bcrypt counts; 0 = next to nothing
	String() string
}

// parseHash reads the second field of a line. Its errors do not show it: it may be a password.
func parseHash(text string) (hash, error) {
	if rest, gpac := strings.CutPrefix(text, saltedPrefix); gpac {
		salt, sum, _ := strings.Cut(rest, "$")
		return parseSalted(salt, sum)
	}
	form := bcryptForm.FindStringSubmatch(text)
	if form == nil {
		return nil, errors.New("no bcrypt hash; make the line with: htpasswd -B")
	}
	cost, err := strconv.Atoi(form[1])
	if err != nil || cost < minCost || cost > maxCost {
		return nil, fmt.Errorf("a bcrypt hash of cost %s, want %d to %d", form[1], minCost, maxCost)
	}
	return bcrypted{text, cost}, nil
}

var bcryptForm = regexp.MustCompile(`^\$2[aby]\$([0-9]{2})\$[./A-Za-z0-9]{53}$`)

// bcrypted is a hash by bcrypt.
type bcrypted struct {
	text string
	n    int
}

func newBcrypt(password string) (hash, error) {
	if password == "" || len(password) > maxPassword {
		return nil, fmt.Errorf("a password of %d bytes, want 1 to %d", len(password), maxPassword)
	}
	text, err := bcrypt.GenerateFromPassword([]byte(password), newCost)
	return bcrypted{string(text), newCost}, err
}

// nobodys is a hash that costs as much as others and is that of no password anybody knows.
func nobodys(cost int) hash {
	return bcrypted{fmt.Sprintf("$2a$%02d$%s", cost, strings.Repeat(".", 53)), cost}
}

func (h bcrypted) match(password string) bool {
	return bcrypt.CompareHashAndPassword([]byte(h.text), []byte(password)) == nil
}

func (h bcrypted) cost() int      { return h.n }
func (h bcrypted) String() string { return h.text }

// salted is a hash by GPAC: SHA-256 of PASSWORD@SALT, of older versions SHA-1.
type salted struct{ salt, sum []byte }

const saltedPrefix = "$gpac$"

// maxSalt bounds a salt, in bytes; GPAC's have 16 (SHA-1) or 32.
const maxSalt = 64

func parseSalted(salt, sum string) (hash, error) {
	s, err := hex.DecodeString(salt)
	if err != nil || len(s) == 0 || len(s) > maxSalt {
		return nil, errors.New("no salt of GPAC: want hexadecimal digits")
	}
	h, err := hex.DecodeString(sum)
	if err != nil || len(h) != sha256.Size && len(h) != sha1.Size {
		return nil, errors.New("no hash of GPAC: want the hexadecimal digits of a SHA-256 or SHA-1")
	}
	return salted{s, h}, nil
}

func (h salted) match(password string) bool {
	text := append([]byte(password+"@"), h.salt...)
	if len(h.sum) == sha1.Size {
		sum := sha1.Sum(text)
		return subtle.ConstantTimeCompare(sum[:], h.sum) == 1
	}
	sum := sha256.Sum256(text)
	return subtle.ConstantTimeCompare(sum[:], h.sum) == 1
}

func (h salted) cost() int { return 0 }

func (h salted) String() string {
	return saltedPrefix + hex.EncodeToString(h.salt) + "$" + hex.EncodeToString(h.sum)
}
