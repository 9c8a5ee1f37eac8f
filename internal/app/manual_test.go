package app

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"sluice/internal/uri"
)

//go:generate go test . -run TestManualHasTheOptions -update

var update = flag.Bool("update", false, "write the tables of options in docs")

// manualOf is the text that explains a command.
func manualOf(cmd *cobra.Command) string {
	switch name := cmd.Name(); name {
	case roleGWS, roleGNG, roleRelay, nameTcprelay, roleOrigin:
		return filepath.Join("..", "..", "docs", name+".md")
	}
	return filepath.Join("..", "..", "docs", "sluice.md")
}

// optionTable is the options of a command as a table of Markdown.
func optionTable(cmd *cobra.Command) string {
	cmd.InitDefaultHelpFlag()
	var b strings.Builder
	b.WriteString("| option | |\n|---|---|\n")
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		arg, usage := pflag.UnquoteUsage(f)
		name := "--" + f.Name
		switch {
		case f.Value.Type() == "count" || arg == "":
		default:
			name += " " + arg
		}
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + "`, `" + name
		}
		switch f.DefValue {
		case "", "false", "0", "0s":
		default:
			usage += " (default " + f.DefValue + ")"
		}
		fmt.Fprintf(&b, "| `%s` | %s |\n", name, strings.ReplaceAll(usage, "|", `\|`))
	})
	return b.String()
}

// TestManualHasTheOptions: the tables of options in docs are those of the program.
func TestManualHasTheOptions(t *testing.T) {
	for _, cmd := range newRoot().Commands() {
		if cmd.Name() == "help" || cmd.Name() == "version" || cmd.DisableFlagParsing {
			continue
		}
		t.Run(cmd.Name(), func(t *testing.T) {
			path := manualOf(cmd)
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			place := regexp.MustCompile(`(?s)(<!-- options of ` + cmd.Name() + ` -->\n)(.*?)(<!-- end -->)`)
			found := place.FindSubmatch(text)
			if found == nil {
				t.Fatalf("%s has no place for the options of %s", path, cmd.Name())
			}
			want := "\n" + optionTable(cmd) + "\n"
			if string(found[2]) == want {
				return
			}
			if !*update {
				t.Fatalf("%s has other options of %s than the program: make docs", path, cmd.Name())
			}
			text = []byte(strings.Replace(string(text), string(found[0]), string(found[1])+want+string(found[3]), 1))
			if err := os.WriteFile(path, text, 0o644); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestManualHasTheLetters: options that are another program's are explained, in the manual and by -h.
func TestManualHasTheLetters(t *testing.T) {
	for _, tt := range []struct {
		letters string
		cmd     *cobra.Command
	}{{cproxyLetters, newRelay()}, {tcprelayLetters, newTcprelay()}} {
		text, err := os.ReadFile(manualOf(tt.cmd))
		if err != nil {
			t.Fatal(err)
		}
		for _, letter := range strings.ReplaceAll(tt.letters, ":", "") {
			option := "-" + string(letter)
			if !regexp.MustCompile("(?m)^\\| .*`" + option + "\\b.* \\|").Match(text) {
				t.Errorf("%s does not explain %s", manualOf(tt.cmd), option)
			}
			if !regexp.MustCompile(`(?m)^  .*` + option + `\b`).MatchString(tt.cmd.Long) {
				t.Errorf("sluice %s -h does not explain %s", tt.cmd.Name(), option)
			}
		}
	}
}

// TestManualHasTheCommands: each command has a line in the synopsis that begins as its own
// help does.
func TestManualHasTheCommands(t *testing.T) {
	for _, cmd := range newRoot().Commands() {
		text, err := os.ReadFile(manualOf(cmd))
		if err != nil {
			t.Fatal(err)
		}
		for use := range strings.Lines(strings.TrimSuffix(cmd.UseLine(), " [flags]")) {
			use = strings.TrimSpace(use)
			if !strings.Contains(string(text), "\n"+use) && !strings.Contains(string(text), "\n"+strings.TrimPrefix(use, "sluice ")) {
				t.Errorf("the synopsis of %s is missing: %s", cmd.Name(), use)
			}
		}
	}
}

// TestManualHasTheTags: the tags that sluice(1) shows are those that ends have.
func TestManualHasTheTags(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "sluice.md"))
	if err != nil {
		t.Fatal(err)
	}
	shown := regexp.MustCompile("`([A-Z]+://[^`]*)`").FindAllStringSubmatch(strings.ReplaceAll(string(text), `\|`, "|"), -1)
	if len(shown) < 15 {
		t.Fatalf("only %q were found: this test does not see what it should", shown)
	}
	written := strings.NewReplacer("UDP:", "udp:", "TCP:", "tcp:", "HTTP:", "http:", "HTTPS:", "https:", "FILE:", "file:", "~6cfa2cd39e90", "?kk=yy", "~3", "")
	for _, m := range shown {
		tag := strings.TrimSuffix(m[1], "~3") // the number of a copy is no part of an end
		if tag == "HTTPS://" {
			continue
		}
		source, err := uri.ParseSource(written.Replace(m[1]))
		if err != nil || source.Tag() != tag {
			t.Errorf("%s is the tag of nothing: %v, %v", tag, source.Tag(), err)
		}
	}
}
