package config

import (
	"bytes"
	"fmt"
	"strings"

	"sluice/internal/lineup"
)

//go:generate go test . -run TestReference -update

// Reference is docs/reference.md: every key, as the tables of settings have it.
func Reference() []byte {
	var b bytes.Buffer
	b.WriteString(`# Reference of the configuration

Made from the program's own table by ` + "`go generate ./internal/config`" + `; a test fails when it is not up to date.
The keys are the same in YAML (` + "`sluice.yaml`" + `) and in libconfig (` + "`sluice.conf`" + `), where a dot stands for a group:
` + "`history: {depth: 10s}`" + ` and ` + "`history : { depth = \"10s\"; };`" + `. Examples: dist/sluice.yaml, dist/sluice.conf.

Times have a unit (500ms, 10s, 5m), sizes too (512KiB, 32MiB, 2GB), and bit rates (500k, 8M, 10G). What changes "at once"
does so when the file is read again (HUP); "restart" means that it holds from the next start on.
`)
	c := Default()
	writeReference(&b, "## Settings", c.settings())
	ch := Channel{Settings: lineup.Defaults()}
	writeReference(&b, "## Channels: `channels.NAME.`…\n\nWhat a channel does not say holds as for all.", ch.settings())
	writeReference(&b, "## Routes: `routes.NAME.`…\n\nSessions that run without being asked for.", new(Route).settings())
	b.WriteString(`
In libconfig a name before = has letters, digits, -, _ and * only. For other names write a list:
` + "`channels = ( { name = \"3.news\"; source = \"udp://239.1.1.1:5000\"; } );`" + `

## The sections of gigapxy

In a file whose name ends with .conf, what is known of gigapxy's own settings is read as well: the section ` + "`ws`" + ` by gws, ` + "`ng`" + `
by gng, both by sluice run. A key of ours beside it counts. A setting that nobody knows is a warning.

| gigapxy | sluice | without it |
|---|---|---|
`)
	for _, s := range synonyms() {
		fallback := "as without the section"
		if s.fallback != "" {
			fallback = "`" + s.fallback + "`"
		}
		fmt.Fprintf(&b, "| `%s` | `%s` | %s |\n", s.name, s.key, fallback)
	}
	return b.Bytes()
}

func writeReference(b *bytes.Buffer, title string, t table) {
	fmt.Fprintf(b, "\n%s\n\n| key | type | default | changes | |\n|---|---|---|---|---|\n", title)
	for _, s := range t {
		about := s.about
		if names := namesOf(s.key); len(names) > 0 {
			about += " gigapxy: " + strings.Join(names, ", ") + "."
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s | %s |\n", s.key, s.value.Type(), shownDefault(s.value), s.when, strings.ReplaceAll(about, "|", `\|`))
	}
}

// namesOf are gigapxy's names for a key.
func namesOf(key string) (names []string) {
	for _, s := range synonyms() {
		if s.key == key {
			names = append(names, "`"+s.name+"`")
		}
	}
	return names
}

func shownDefault(v Value) string {
	items := []string{v.String()}
	if list, ok := v.(List); ok {
		items = list.Items()
	}
	if len(items) == 0 || items[0] == "" {
		return ""
	}
	return "`" + strings.Join(items, "`, `") + "`"
}
