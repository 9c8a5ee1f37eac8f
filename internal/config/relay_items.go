package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"sluice/internal/lineup"
	"sluice/internal/relay"
)

// checkName says why nothing of that kind can have the name.
func checkName(kind, name string) error {
	if name == "" || len(name) > lineup.MaxName || strings.ContainsFunc(name, func(r rune) bool { return !lineup.InName(r) }) {
		return fmt.Errorf("bad name of a %s %q: want up to %d letters, digits, dots, dashes and underscores", kind, shown(name), lineup.MaxName)
	}
	return nil
}

// item reads what a value of several words begins with.
func item(text string) (first string, options []string, err error) {
	words, err := splitWords(text)
	switch {
	case err != nil:
		return "", nil, err
	case len(words) == 0 || words[0] == "":
		return "", nil, errors.New("an empty text")
	}
	return words[0], words[1:], nil
}

// Routes are options only.

func relayRoutes(to *[]relay.Route) List {
	return list[relay.Route]{to: to, parse: parseRelayRoute, write: writeRelayRoute, what: "routes", lines: true}
}

// routeOptions binds the words of a route to the fields of r.
func routeOptions(r *relay.Route) table {
	return table{
		{"sni", list[string]{to: &r.Names, parse: parseServerName, write: same, what: "names", some: true}, live, "The server that the client asks for: names with commas between, `*.example.com` for all below. Without it any, and none."},
		{"alpn", list[string]{to: &r.Protocols, parse: parseProtocol, write: same, what: "protocols", some: true}, live, "What the client offers to speak, such as h2. Without it anything."},
		{"plain", boolean{&r.Plain}, live, "Clients that speak no TLS."},
		{"pool", word{&r.Pool}, live, "Where they go. Necessary."},
		{"pass", boolean{&r.Pass}, live, "It is relayed as it is, whatever tls says."},
	}
}

func parseRelayRoute(text string) (relay.Route, error) {
	var r relay.Route
	words, err := splitWords(text)
	if err != nil {
		return r, err
	}
	if err := setOptions(routeOptions(&r), words); err != nil {
		return r, fmt.Errorf("%w, as in \"sni=*.example.com alpn=h2 pool=web\"", err)
	}
	switch {
	case r.Pool == "":
		return r, fmt.Errorf("bad route %q: want pool=… in it", text)
	case r.Plain && (len(r.Names) > 0 || len(r.Protocols) > 0 || r.Pass):
		return r, fmt.Errorf("bad route %q: who speaks no TLS has no sni and no alpn, and nothing to pass", text)
	}
	return r, nil
}

func writeRelayRoute(r relay.Route) string {
	return strings.Join(writeOptions(routeOptions(&r), routeOptions(new(relay.Route))), " ")
}

// parseServerName reads a name of a server, or *. and a name, as package hello writes them.
func parseServerName(s string) (string, error) {
	name := strings.ToLower(strings.TrimSuffix(s, "."))
	if err := checkHost(strings.TrimPrefix(name, "*.")); err != nil {
		return "", fmt.Errorf("bad server name %q: want one such as a.example.com or *.example.com", s)
	}
	return name, nil
}

// parseProtocol reads a protocol of ALPN (RFC 7301, 3.1: up to 255 bytes).
func parseProtocol(s string) (string, error) {
	if s == "" || len(s) > 255 || printable(s) != nil {
		return "", fmt.Errorf("bad protocol %q: want one of ALPN, such as h2 or http/1.1", s)
	}
	return s, nil
}

// protocols is a list of protocols of ALPN.
func protocols(to *[]string) List {
	return list[string]{to: to, parse: parseProtocol, write: same, what: "protocols"}
}

// Rules are permit or deny, not, and a network.

func rules(to *[]relay.Rule) List {
	return list[relay.Rule]{to: to, parse: parseRule, write: writeRule, what: "rules"}
}

func parseRule(text string) (relay.Rule, error) {
	var r relay.Rule
	words, err := splitWords(text)
	if err != nil || len(words) < 2 || words[0] != "permit" && words[0] != "deny" {
		return r, fmt.Errorf("bad rule %q: want permit or deny, and a network, such as \"deny 10.1.0.0/16\" or \"permit not 192.0.2.0/24\"", text)
	}
	r.Deny, words = words[0] == "deny", words[1:]
	if words[0] == "not" {
		r.Not, words = true, words[1:]
	}
	switch {
	case len(words) != 1:
		return r, fmt.Errorf("bad rule %q: want one network in a rule", text)
	case words[0] == "all":
		return r, fmt.Errorf("bad rule %q: all addresses are two networks, 0.0.0.0/0 and ::/0", text)
	}
	r.Prefix, err = parsePrefix(words[0])
	return r, err
}

func writeRule(r relay.Rule) string {
	words := []string{"permit"}
	if r.Deny {
		words[0] = "deny"
	}
	if r.Not {
		words = append(words, "not")
	}
	return strings.Join(append(words, writePrefix(r.Prefix)), " ")
}

// Certificates are the file of the chain, and options.

func certificates(to *[]RelayCertificate) List {
	return list[RelayCertificate]{to: to, parse: parseCertificate, write: RelayCertificate.String, what: "certificates", lines: true}
}

// certificate is one that need not be.
func certificate(to *RelayCertificate) Value {
	return parsed[RelayCertificate]{to, func(s string) (RelayCertificate, error) {
		if s == "" {
			return RelayCertificate{}, nil
		}
		return parseCertificate(s)
	}, "certificate"}
}

// certificateOptions binds what may stand behind a chain to the fields of x.
func certificateOptions(x *RelayCertificate) table {
	return table{
		{"key", path{&x.Key}, live, "File of the private key (PEM). Without it, it is in that of the chain."},
		{"passphrase_file", path{&x.PassphraseFile}, live, "File whose first line is the passphrase of an encrypted key."},
		{"passphrase", secret{&x.Passphrase}, live, "The passphrase itself: better a file."},
	}
}

// parseCertificate reads a certificate. Its errors show no passphrase.
func parseCertificate(text string) (RelayCertificate, error) {
	var x RelayCertificate
	t := certificateOptions(&x)
	first, options, err := item(text)
	switch {
	case err != nil:
	case slices.ContainsFunc(options, func(word string) bool { return !t.hasOption(word) }): // it may be a piece of a passphrase
		err = fmt.Errorf("behind the chain want %s; what has blanks stands in double quotes", optionNames(t))
	default:
		x.Chain, err = first, setOptions(t, options)
	}
	switch {
	case err != nil:
		return x, fmt.Errorf("bad certificate: %w", err)
	case x.Passphrase != "" && x.PassphraseFile != "":
		return x, errors.New("bad certificate: want passphrase or passphrase_file, not both")
	}
	return x, nil
}

// String is what parseCertificate reads, with the passphrase at the end.
func (x RelayCertificate) String() string {
	if x == (RelayCertificate{}) {
		return ""
	}
	return strings.Join(append([]string{quoteWord(x.Chain)}, writeOptions(certificateOptions(&x), certificateOptions(new(RelayCertificate)))...), " ")
}

// secret is a word that errors do not show.
type secret struct{ to *string }

func (v secret) String() string { return *v.to }

// Type implements Value.
func (v secret) Type() string { return "text" }

func (v secret) Set(text string) error {
	if err := printable(text); err != nil {
		return err
	}
	*v.to = text
	return nil
}

// statuses is a list of answers of HTTP.
func statuses(to *[]int) List {
	return list[int]{to: to, parse: func(s string) (int, error) {
		n, err := strconv.Atoi(s)
		if err != nil || n < 100 || n > 599 {
			return 0, fmt.Errorf("bad status %q: want 100 to 599", s)
		}
		return n, nil
	}, write: strconv.Itoa, what: "numbers"}
}

// checkPath permits paths of HTTP, with a query.
func checkPath(s string) error {
	if s[0] != '/' || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return fmt.Errorf("bad path %q: want one such as /health, in ASCII and without blanks", s)
	}
	return nil
}

// checkHostField permits what may stand in the Host field: a host, with a port or not.
func checkHostField(s string) error {
	host, _, err := net.SplitHostPort(s)
	if err != nil {
		host = strings.TrimSuffix(strings.TrimPrefix(s, "["), "]")
	}
	return checkRemoteName(host)
}

// checkRemoteName permits names of hosts and addresses.
func checkRemoteName(s string) error {
	if _, err := netip.ParseAddr(s); err == nil {
		return nil
	}
	return checkHost(s)
}
