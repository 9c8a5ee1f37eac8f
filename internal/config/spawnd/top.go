package spawnd

import (
	"slices"
	"strings"

	"sluice/internal/config/tree"
)

// top is what stands outside of the sections.
type top struct {
	common *Common
	id     string // of the section that is wanted
	read   func(p *parser, place tree.Place) error
	found  bool
}

func topGrammar() grammar[top] {
	return grammar[top]{words: slices.Concat(
		within(func(t *top) *Common { return t.common }, commonWords()),
		[]directive[top]{
			{name: "id", read: (*parser).section},
			{name: "alias", read: (*parser).alias, raw: true},
			{name: "setenv", read: (*parser).setenv, raw: true},
			ignored(text("gcore", void[top, string]), noCores),
			ignored(text("debug-cmd", void[top, string]), noCores),
			{name: "cleanup", read: then(ignored(number("interval", void[top, int]), "'cleanup interval' has no effect: nothing has to be cleaned up"))},
			mavis[top](),
		})}
}

// commonWords are what may stand everywhere.
func commonWords() []directive[Common] {
	return []directive[Common]{
		{name: "syslog", read: then(
			text("ident", func(c *Common) *Said[string] { return &c.Ident }),
			directive[Common]{name: "facility", read: func(p *parser, c *Common) error { return p.capitals(&c.Facility, facilities()) }},
			directive[Common]{name: "severity", also: []string{"level"}, read: func(p *parser, c *Common) error { return p.capitals(&c.Severity, severities()) }},
			ignored(boolean("default", void[Common, bool]), "'syslog default' has no effect"),
			ignored(number("filter", void[Common, int]), "'syslog filter' has no effect"),
		)},
		{name: "debug", also: []string{"trace"}, read: (*parser).debug},
		ignored(text("proctitle", void[Common, string]), "'proctitle' has no effect: processes keep their names"),
		{name: "coredump", read: then(ignored(text("directory", void[Common, string]), noCores))},
	}
}

const noCores = "'coredump', 'gcore' and 'debug-cmd' have no effect: what a crash leaves is up to the system"

// facilities are those of syslog(3).
func facilities() []string {
	return []string{
		"AUTH", "AUTHPRIV", "CRON", "DAEMON", "FTP", "KERN", "LOCAL0", "LOCAL1", "LOCAL2", "LOCAL3",
		"LOCAL4", "LOCAL5", "LOCAL6", "LOCAL7", "LPR", "MAIL", "NEWS", "SYSLOG", "USER", "UUCP",
	}
}

// severities are those of syslog(3).
func severities() []string {
	return []string{"EMERG", "ALERT", "CRIT", "ERR", "WARNING", "NOTICE", "INFO", "DEBUG"}
}

// capitals takes = and one of the words, however it is written.
func (p *parser) capitals(to *Said[string], words []string) error {
	if err := p.expect("="); err != nil {
		return err
	}
	name := strings.ToUpper(p.now.text)
	if !p.now.value() || !slices.Contains(words, name) {
		return p.expected(words...)
	}
	*to = Said[string]{name, p.now.place}
	return p.advance()
}

// debug takes what is to be traced.
func (p *parser) debug(c *Common) error {
	switch {
	case p.now.is("redirect"):
		return then(ignored(text("redirect", void[Common, string]), "'debug redirect' has no effect: see -D and -d"))(p, c)
	case !p.now.is("="):
		return p.expected("=", "redirect")
	}
	for at := p.at; ; {
		if err := p.advance(); err != nil {
			return err
		}
		on, ok := traced(p.now)
		if !ok {
			return nil
		}
		c.Debug = Said[bool]{on, at}
	}
}

// traced says whether the word is something that can be traced, and whether it means that
// there is something to trace.
func traced(t token) (on, ok bool) {
	if t.kind != word {
		return false, false
	}
	if n, number := parseInteger(t.text); number {
		return n != 0, true
	}
	name, off := strings.CutPrefix(t.text, "-")
	name = strings.TrimPrefix(name, "+")
	return !off && name != "NONE", slices.Contains(traces(), name)
}

// traces are the parts of the original that can be traced.
func traces() []string {
	return []string{
		"ACCT", "ACL", "ALL", "AUTHEN", "AUTHOR", "AV", "BUFFER", "CMD", "CONFIG", "CONTROL", "HEX", "INDEX", "LOCK",
		"LWRES", "MAVIS", "NET", "NONE", "PACKET", "PARSE", "PATH", "PROC", "REGEX", "USERINPUT",
	}
}

// section reads the section that is wanted, or goes behind another one.
func (p *parser) section(t *top) error {
	place := p.at
	if err := p.optional("="); err != nil {
		return err
	}
	if !p.now.value() {
		return p.now.place.Errorf("Expected a name, but got '%s'", p.got(p.now))
	}
	t.found = p.now.text == t.id
	p.quiet = !t.found
	if err := p.advance(); err != nil {
		return err
	}
	if err := p.expect("{"); err != nil {
		return err
	}
	if t.found {
		return t.read(p, place)
	}
	err := p.braces(func(token) {})
	p.quiet = false
	if err != nil {
		return err
	}
	return p.advance()
}

// braces gives take what stands up to the brace that closes one that was opened. It does
// not go behind it.
func (p *parser) braces(take func(token)) error {
	for depth := 1; ; {
		switch {
		case p.now.kind == end:
			return p.now.place.Errorf("EOF unexpected")
		case p.now.is("{"):
			depth++
		case p.now.is("}"):
			depth--
		}
		if depth == 0 {
			return nil
		}
		take(p.now)
		if err := p.advance(); err != nil {
			return err
		}
	}
}

// alias takes a name for words.
func (p *parser) alias(*top) error {
	if p.now.is("=") {
		if err := p.step(true); err != nil {
			return err
		}
	}
	name := p.now
	if !name.value() {
		return name.place.Errorf("Expected a name, but got '%s'", p.got(name))
	}
	if err := p.advance(); err != nil {
		return err
	}
	if err := p.expect("{"); err != nil {
		return err
	}
	var body []token
	if err := p.braces(func(t token) { body = append(body, t) }); err != nil {
		return err
	}
	p.aliases[name.text] = body
	return p.advance()
}

// setenv takes a variable of the environment.
func (p *parser) setenv(*top) error {
	name := p.now
	if n := nameLength(name.text); !name.value() || n == 0 || n < len(name.text) {
		return name.place.Errorf("Expected the name of a variable, but got '%s'", p.got(name))
	}
	if err := p.advance(); err != nil {
		return err
	}
	if err := p.optional("="); err != nil {
		return err
	}
	if !p.now.value() {
		return p.now.place.Errorf("Expected a value, but got '%s'", p.got(p.now))
	}
	p.env[name.text] = p.now.text
	if v := (Variable{name.text, p.now.text}); !slices.Contains(p.file.Env, v) { // the file is read twice
		p.file.Env = append(p.file.Env, v)
	}
	if name.text == "IO_POLL_MECHANISM" {
		p.warnHere(name.place, "IO_POLL_MECHANISM has no effect: the system's best way is taken")
	}
	return p.advance()
}

// mavis takes a directive of MAVIS.
func mavis[T any]() directive[T] {
	return directive[T]{name: "mavis", read: func(p *parser, _ *T) error {
		p.warnHere(p.at, "'mavis' has no effect: authentication by MAVIS is out of scope")
		for !p.now.is("=") {
			if p.now.kind != word {
				return p.expected("=")
			}
			if err := p.advance(); err != nil {
				return err
			}
		}
		var name Said[string]
		if err := p.advance(); err != nil {
			return err
		}
		if err := p.text(&name); err != nil || !p.now.is("{") {
			return err
		}
		if err := p.advance(); err != nil {
			return err
		}
		if err := p.braces(func(token) {}); err != nil {
			return err
		}
		return p.advance()
	}}
}
