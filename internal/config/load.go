package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"strings"

	"sluice/internal/config/libconfig"
	"sluice/internal/config/tree"
	"sluice/internal/config/yaml"
	"sluice/internal/uri"
)

// maxFile bounds a configuration file, in bytes: some ten thousand channels, as YAML
// writes them.
const maxFile = 16 << 20

// Stdin is the path that Load takes for the standard input.
const Stdin = "-"

// Error is a mistake in a configuration file, or what a warning is about.
type Error = tree.Error

// Find returns the first of the paths that exists, "" when none does.
func Find(paths ...string) (string, error) {
	for _, path := range paths {
		_, err := os.Stat(path)
		if err == nil {
			return path, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("configuration: %w", err)
		}
	}
	return "", nil
}

// Role is the part of sluice that a configuration is for.
type Role string

// The roles.
const (
	Run   Role = "run"   // all of it
	GWS   Role = "gws"   // the web service
	GNG   Role = "gng"   // an engine
	Relay Role = "relay" // the TCP relay

	OriginRole Role = "origin" // the HTTP live origin
)

// SearchPaths are the files of which a role reads the first that is there: in the present
// directory, in /etc and in /usr/local/etc, first for the name that it likes best.
func SearchPaths(role Role) []string {
	var names, list []string
	if role == GWS || role == GNG {
		names = append(names, string(role)+".conf")
	}
	for _, name := range append(names, "sluice.yaml", "sluice.conf", "gigapxy.conf") {
		list = append(list, name, "/etc/"+name, "/usr/local/etc/"+name)
	}
	return list
}

// Load reads the file at path over the defaults, for a role; it is libconfig when it ends
// with .conf, else YAML. The mistakes in it are an Errors.
func Load(path string, role Role) (Config, error) {
	name, text, err := readFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("configuration: %w", err)
	}
	return Parse(name, text, role)
}

// Parse is Load for a text; name is that of its file. Only what it includes is read.
func Parse(name string, text []byte, role Role) (Config, error) {
	c := Default()
	c.file, c.role = name, role
	d := decoder{config: &c, lenient: isLibconfig(name)}
	top, err := parse(name, text)
	var bad *Error
	if errors.As(err, &bad) {
		d.errs = Errors{bad}
	} else {
		d.decode(top)
	}
	mask(d.errs)
	mask(c.warnings)
	if len(d.errs) > 0 {
		return Config{}, d.errs
	}
	return c, nil
}

func isLibconfig(name string) bool { return strings.HasSuffix(name, ".conf") }

func parse(name string, text []byte) (*tree.Node, error) {
	if isLibconfig(name) {
		return libconfig.Parse(name, text, readIncluded)
	}
	return yaml.Parse(name, text)
}

// mask takes credentials out of the lines that errors show: they reach logs.
func mask(list []*Error) {
	for _, e := range list {
		e.Text = maskLine(e.Text)
	}
}

func maskLine(text string) string { return maskSecret(uri.Mask(text)) }

var aboutSecret = regexp.MustCompile(`(?i)pass\w*\s*[=:]|authorization\W|\b(basic|bearer)\s`)

// maskSecret leaves nothing of a text behind the place where a passphrase, however it is
// misspelt, or the credentials of a header begin; the name of a passphrase's file may be seen.
func maskSecret(text string) string {
	for _, at := range aboutSecret.FindAllStringIndex(text, -1) {
		if name := text[at[0]:at[1]]; name != "passphrase_file=" {
			return text[:at[1]] + "-"
		}
	}
	return text
}

// Errors are the mistakes in a configuration, in the order in which they were found; one
// at least.
type Errors []*Error

// Error is that of the first, and how many more there are.
func (e Errors) Error() string {
	if len(e) == 1 {
		return e[0].Error()
	}
	return fmt.Sprintf("%s\nand %d more: sluice check -C FILE shows them", e[0], len(e)-1)
}

// Unwrap gives each of them.
func (e Errors) Unwrap() []error {
	list := make([]error, len(e))
	for i, x := range e {
		list[i] = x
	}
	return list
}

func readIncluded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readAll(f, path)
}

func readFile(path string) (name string, text []byte, err error) {
	f := os.Stdin
	if name = "standard input"; path != Stdin {
		name = path
		if f, err = os.Open(path); err != nil {
			return name, nil, err
		}
		defer f.Close()
	}
	text, err = readAll(f, name)
	return name, text, err
}

func readAll(r io.Reader, name string) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("%s is longer than %d MiB", name, maxFile>>20)
	}
	return text, err
}
