package auth

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func write(t *testing.T, text string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestReadTokens(t *testing.T) {
	got, err := ReadTokens(write(t, "# who may watch\n\nbob sesame\n\t eve\t#s&=%\r\n  # no more\nbob other"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Token{{"bob", "sesame"}, {"eve", "#s&=%"}, {"bob", "other"}}, got); diff != "" {
		t.Error(diff)
	}
	for text, want := range map[string]string{
		"":                       ": nothing is in it",
		"# nobody\n":             ": nothing is in it",
		"bob sesame\neve\n":      ":2: 1 words, want two: NAME TOKEN",
		"bob sesame x\n":         ":1: 3 words, want two: NAME TOKEN",
		"a sesame\n\nb sesame\n": ":3: the tokens a and b are the same",
	} {
		path := write(t, text)
		_, err := ReadTokens(path)
		if err == nil || err.Error() != path+want {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
	if _, err := ReadTokens(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

func TestReadSecrets(t *testing.T) {
	got, err := ReadSecrets(write(t, "# keys\n00112233445566778899aAbBcCdDeEfF\n  some words of a key \n0011223344556677889\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := [][]byte{
		{0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff},
		[]byte("some words of a key"), []byte("0011223344556677889"),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, short := range []string{"0123456789abcde", "0123456789abcdef0123456789abcd"} {
		path := write(t, "# keys\n"+short+"\n")
		_, err = ReadSecrets(path)
		if err == nil || !strings.HasPrefix(err.Error(), path+":2: a key of 15 bytes") || strings.Contains(err.Error(), short) {
			t.Errorf("%s: %v", short, err)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	for want, c := range map[string]Config{
		"bad number": {Timeout: -1},
		"bad number: want a time-out and entries of 0 or more, and 0 to 1024 helpers": {Helpers: 1025},
		"a token without":                                {Tokens: []Token{{"bob", ""}}},
		"bob and eve are the same":                       {Tokens: []Token{{"bob", "sesame"}, {"eve", "sesame"}}},
		"a key of 3 bytes":                               {Secrets: [][]byte{key, []byte("key")}},
		"hook: want a URL":                               {Hook: "ftp://user:secret@hook.example/"},
		"hook: want a URL such as":                       {Hook: "/hook"},
		"hook: want":                                     {Hook: "http://:80/\x7f"},
		`helper: exec: "no-such-helper"`:                 {Helper: []string{"no-such-helper"}},
		"helper: exec: \"/dev/null\": permission denied": {Helper: []string{"/dev/null"}},
	} {
		_, err := New(c, discard())
		if err == nil || !strings.HasPrefix(err.Error(), "authorization: ") || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
