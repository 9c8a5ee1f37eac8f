package config

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sluice/internal/alias"
	"sluice/internal/auth"
	"sluice/internal/uri"
)

// Warnings are about what is odd and no mistake: names that are left out, in the order of
// the file, and files of secrets that everybody may read.
func (c *Config) Warnings() []*Error {
	warnings := slices.Clone(c.warnings)
	secrets := c.relaySecrets()
	for _, key := range []string{"tls.key", "auth.tokens", "auth.secrets", "origin.pkey", "origin.users"} {
		secrets = append(secrets, keyFile{key, c.Get(key)})
	}
	for _, s := range secrets {
		info, err := os.Stat(s.file)
		if err == nil && info.Mode().Perm()&0o004 != 0 {
			warnings = append(warnings, c.place(s.key).Errorf("%s: everybody may read %s (chmod o-r %s)", s.key, s.file, s.file))
		}
	}
	return append(append(warnings, c.relayWarnings()...), c.originWarnings()...)
}

// CheckFiles says what is wrong with the files that the configuration names: whether they
// are there, can be read and hold what they should. It opens no sockets. The warnings are
// those of playlists.
func (c *Config) CheckFiles() (errs, warnings []*Error) {
	k := &fileCheck{c: c}
	k.tls()
	k.auth()
	for _, dir := range c.ReadFrom {
		k.directory("files.read", dir, 0o4)
	}
	for _, dir := range c.WriteTo {
		k.directory("files.write", dir, 0o2)
	}
	k.parent("log.file", c.Log.File)
	k.parent("access_log.file", c.Access.File)
	k.parent("pid_file", c.PIDFile)
	k.parent("socket", c.Socket)
	k.relay()
	k.origin()
	k.lists()
	return k.errs, k.warnings
}

// keyFile is a file that a key names.
type keyFile struct{ key, file string }

// fileCheck collects what CheckFiles finds.
type fileCheck struct {
	c              *Config
	errs, warnings []*Error
}

func (k *fileCheck) fail(key string, err error) {
	if err != nil {
		k.errs = append(k.errs, k.c.place(key).Errorf("%s: %s", key, err))
	}
}

func (k *fileCheck) tls() {
	k.pair("tls.certificate", k.c.TLS.Certificate, k.c.TLS.Key)
}

// pair wants a certificate and its key, if both are said.
func (k *fileCheck) pair(key, certificate, private string) {
	if certificate == "" || private == "" {
		return
	}
	_, err := tls.LoadX509KeyPair(certificate, private)
	k.fail(key, err)
}

func (k *fileCheck) auth() {
	conf, err := k.c.AuthConfig()
	if err != nil {
		var bad *Error
		if errors.As(err, &bad) {
			k.errs = append(k.errs, bad)
		}
		return
	}
	_, err = auth.New(conf, slog.New(slog.DiscardHandler))
	k.fail("auth", err)
}

// directory wants one of which a bit of its mode is set for somebody.
func (k *fileCheck) directory(key, dir string, bit fs.FileMode) {
	info, err := os.Stat(dir)
	switch {
	case err != nil:
	case !info.IsDir():
		err = fmt.Errorf("%s is no directory", dir)
	case info.Mode().Perm()&(bit<<6|bit<<3|bit) == 0:
		err = fmt.Errorf("nobody may use %s (mode %s)", dir, info.Mode().Perm())
	}
	k.fail(key, err)
}

// parent wants the directory of a file that will be made.
func (k *fileCheck) parent(key, file string) {
	if file != "" {
		k.directory(key, filepath.Dir(file), 0o2)
	}
}

// lists wants all lists that are files, and that their channels fit together.
func (k *fileCheck) lists() {
	places := k.c.Places()
	lists := make([]alias.List, len(places))
	for i, p := range places {
		key := "playlists"
		if i < len(k.c.ChannelFiles) {
			key = "channels_file"
		} else if strings.Contains(p.Where, "://") {
			continue
		}
		list, err := p.Load(context.Background())
		if k.fail(key, err); err != nil {
			return
		}
		for _, w := range list.Warnings {
			k.warnings = append(k.warnings, k.c.place(key).Errorf("%s: %s", key, w))
		}
		lists[i] = list
	}
	whole := *k.c
	leftOut, err := whole.SetLists(lists)
	for _, w := range leftOut {
		k.warnings = append(k.warnings, k.c.place("playlists").Errorf("%s", w))
	}
	k.fail("channels_file", err)
}

// Line is one setting as it holds.
type Line struct {
	Key, Value string
	From       From
}

// Lines are all settings, those of what the user names included, with masked credentials.
func (c *Config) Lines() []Line {
	lines := c.lines("", c.settings())
	for _, n := range c.groups() {
		for _, x := range n.all {
			lines = append(lines, c.lines(n.key+"."+x.name+".", different(x.table, n.base))...)
		}
	}
	return lines
}

func (c *Config) lines(path string, t table) (lines []Line) {
	for _, s := range t {
		items := []string{s.value.String()}
		if list, ok := s.value.(List); ok {
			items = list.Items()
		}
		_, private := s.value.(privateHeaders)
		for i := range items {
			if items[i] = shown(items[i]); private && i%2 == 1 {
				items[i] = "-"
			}
		}
		lines = append(lines, Line{path + s.key, strings.Join(items, ", "), c.From(path + s.key)})
	}
	return lines
}

// shown is a value without a passphrase, and without the credentials and the query that a
// URL in it has.
func shown(s string) string {
	if strings.Contains(s, "://") {
		s = uri.Mask(s)
	}
	return maskSecret(s)
}
