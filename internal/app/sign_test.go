package app

import (
	"log/slog"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sluice/internal/auth"
	"sluice/internal/config"
)

// authManual is docs/auth.md.
func authManual(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "auth.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func textFile(t *testing.T, text string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestSignAsInTheManual: what the examples print lets in, and nothing else does.
func TestSignAsInTheManual(t *testing.T) {
	const key = "00112233445566778899aabbccddeeff"
	secrets := textFile(t, key+"\nsome other key of enough bytes\n")
	keys, err := auth.ReadSecrets(secrets)
	if err != nil {
		t.Fatal(err)
	}
	g, err := auth.New(auth.Config{Secrets: keys[:1]}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	examples := regexp.MustCompile(`(?m)^sluice (sign .*)$`).FindAllStringSubmatch(authManual(t), -1)
	if len(examples) != 4 {
		t.Fatalf("%d examples, want 4", len(examples))
	}
	for _, e := range examples {
		args := strings.Fields(strings.NewReplacer("'", "", "/etc/sluice/secrets", secrets).Replace(e[1]))
		code, stdout, stderr := call(args...)
		if code != 0 || stderr != "" || strings.Contains(stdout, key) {
			t.Fatalf("%s: exit %d, %q, %q", e[1], code, stdout, stderr)
		}
		line := strings.TrimSuffix(stdout, "\n")
		end := strings.LastIndexByte(line, '?')
		query, err := url.ParseQuery(line[end+1:])
		if err != nil || line[:end] != args[1] {
			t.Fatalf("%s: printed %q (%v)", e[1], line, err)
		}
		q := auth.Question{Peer: netip.MustParseAddrPort("192.0.2.7:1"), Path: line[:end], Query: query}
		if a := g.Ask(t.Context(), q); a.Code != 0 {
			t.Errorf("%s: %+v", line, a)
		}
		q.Path += "/"
		if a := g.Ask(t.Context(), q); a.Code != 403 {
			t.Errorf("%s, but another path: %+v", line, a)
		}
	}
}

func TestSignRefuses(t *testing.T) {
	secrets := textFile(t, "00112233445566778899aabbccddeeff\n")
	const path = "/udp/239.1.1.1:5000"
	for want, args := range map[string][]string{
		"sign wants a PATH, such as /udp/239.1.1.1:5000":             {"--secret", secrets, "--for", "6h"},
		"sign takes one argument":                                    {path, path, "--secret", secrets, "--for", "6h"},
		"sign wants --secret FILE":                                   {path, "--for", "6h"},
		"sign wants --for TIME":                                      {path, "--secret", secrets},
		"sign wants --for TIME, a":                                   {path, "--secret", secrets, "--for", "-6h"},
		"want what stands behind http://HOST:PORT":                   {"http://h" + path, "--secret", secrets, "--for", "6h"},
		"parameters are not signed":                                  {path + "?start=30s", "--secret", secrets, "--for", "6h"},
		"parameters are not signed, want it":                         {"/src/udp://239.1.1.1:5000/dst/?x", "--secret", secrets, "--for", "6h"},
		"want it percent-encoded":                                    {"/$zdf neo", "--secret", secrets, "--for", "6h"},
		`bad path "/$ü": want it percent-encoded`:                    {"/$ü", "--secret", secrets, "--for", "6h"},
		"--ip: want an address such as 192.0.2.7, got \"1.2.3.0/8\"": {path, "--secret", secrets, "--for", "6h", "--ip", "1.2.3.0/8"},
	} {
		code, stdout, stderr := call(append([]string{"sign"}, args...)...)
		if code != 2 || stdout != "" || !strings.Contains(stderr, want) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%q: exit %d, %q, %q; want %q", args, code, stdout, stderr, want)
		}
	}
	short := textFile(t, "\n123456\n")
	code, stdout, stderr := call("sign", path, "--for", "6h", "--secret", short)
	if code != 1 || stdout != "" || !strings.HasPrefix(stderr, "sluice: "+short+":2: ") || strings.Contains(stderr, "123456") {
		t.Errorf("a short key: exit %d, %q, %q", code, stdout, stderr)
	}
}

// TestConfigurationsOfTheManual: those of docs/auth.md are understood, and what they name
// is used.
func TestConfigurationsOfTheManual(t *testing.T) {
	helper, err := filepath.Abs(filepath.Join("..", "..", "dist", "auth", "helper.sh"))
	if err != nil {
		t.Fatal(err)
	}
	here := strings.NewReplacer(
		"/etc/sluice/tokens", textFile(t, "bob sesame\n"),
		"/etc/sluice/secrets", textFile(t, "00112233445566778899aabbccddeeff\n"),
		"/usr/share/sluice/auth/helper.sh", helper,
	)
	blocks := regexp.MustCompile("(?ms)^```(yaml|libconfig)\n(.*?)^```$").FindAllStringSubmatch(authManual(t), -1)
	if len(blocks) != 5 {
		t.Fatalf("%d configurations, want 5", len(blocks))
	}
	seen := auth.Config{}
	for _, b := range blocks {
		name := map[string]string{"yaml": "sluice.yaml", "libconfig": "sluice.conf"}[b[1]]
		c, err := config.Parse(name, []byte(here.Replace(b[2])), config.GWS)
		if err != nil {
			t.Errorf("%s%v", b[2], err)
			continue
		}
		a, err := c.AuthConfig()
		if err != nil {
			t.Errorf("%s%v", b[2], err)
			continue
		}
		if _, err := auth.New(a, slog.New(slog.DiscardHandler)); err != nil {
			t.Errorf("%s%v", b[2], err)
		}
		seen.Tokens, seen.Secrets = append(seen.Tokens, a.Tokens...), append(seen.Secrets, a.Secrets...)
		seen.Hook += a.Hook
		seen.Helper = append(seen.Helper, a.Helper...)
		seen.CRLF, seen.ListenerAlias = seen.CRLF || a.CRLF, seen.ListenerAlias || a.ListenerAlias
	}
	if len(seen.Tokens) != 1 || len(seen.Secrets) != 1 || len(seen.Secrets[0]) != 16 || seen.Hook != "https://portal.example/may-watch" ||
		len(seen.Helper) != 4 || seen.Helper[0] != helper || !seen.CRLF || !seen.ListenerAlias {
		t.Errorf("%+v", seen)
	}
}
