package auth

import (
	"encoding/hex"
	"fmt"
	"os"
	"strings"
)

// ReadTokens reads a file of tokens: a line is NAME TOKEN, separated by blanks. Empty
// lines and those that begin with # are left out. Errors name file and line, and no token.
func ReadTokens(path string) ([]Token, error) {
	var list []Token
	names := tokenNames{}
	err := eachLine(path, func(line string) error {
		fields := strings.Fields(line)
		if len(fields) != 2 {
			return fmt.Errorf("%d words, want two: NAME TOKEN", len(fields))
		}
		token := Token{Name: fields[0], Value: fields[1]}
		list = append(list, token)
		return names.add(token)
	})
	return list, err
}

// ReadSecrets reads a file of keys for signed URLs, one a line: the hexadecimal digits of
// its bytes (an even number of them, and nothing else), or else its text. Empty lines and
// those that begin with # are left out. Errors name file and line, and no key.
func ReadSecrets(path string) ([][]byte, error) {
	var list [][]byte
	err := eachLine(path, func(line string) error {
		key, err := hex.DecodeString(line)
		if err != nil {
			key = []byte(line)
		}
		list = append(list, key)
		return checkSecret(key)
	})
	return list, err
}

// eachLine calls f with each line that says something, without the blanks around it. A
// file that says nothing is an error: whoever names one wants to be asked for something.
func eachLine(path string, f func(line string) error) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	number, said := 0, false
	for line := range strings.Lines(string(text)) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		said = true
		if err := f(line); err != nil {
			return fmt.Errorf("%s:%d: %w", path, number, err)
		}
	}
	if !said {
		return fmt.Errorf("%s: nothing is in it", path)
	}
	return nil
}

// tokenNames are the names of tokens by their values.
type tokenNames map[string]string

func (n tokenNames) add(t Token) error {
	if t.Name == "" || t.Value == "" {
		return fmt.Errorf("a token without a name or a value")
	}
	if same, there := n[t.Value]; there {
		return fmt.Errorf("the tokens %s and %s are the same", same, t.Name)
	}
	n[t.Value] = t.Name
	return nil
}

// minSecret is the shortest key, in bytes: half of what RFC 2104 recommends for SHA-256,
// and far more than can be tried out.
const minSecret = 16

func checkSecret(key []byte) error {
	if len(key) < minSecret {
		return fmt.Errorf("a key of %d bytes: want at least %d, such as those of: openssl rand -hex 32", len(key), minSecret)
	}
	return nil
}
