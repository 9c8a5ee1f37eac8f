package config

import (
	"bytes"
	"fmt"
	"strings"

	"sluice/internal/lineup"
	"sluice/internal/relay"
)

//go:generate go test . -run TestReference -update

// Reference is docs/reference.md: every key, as the tables of settings have it.
func Reference() []byte {
	var b bytes.Buffer
	b.WriteString(`# Reference of the configuration

<!-- Made from the program's own table by make docs; a test fails when it is not up to date. -->

What ` + "`sluice run`" + `, gws, gng, the relay and the origin do is set in one file, and each setting can be left out. ` + "`-C FILE`" + ` names the only file that is tried, ` + "`-C -`" + `
the standard input; else it is the first that is there of ` + "`sluice.yaml`" + `, ` + "`sluice.conf`" + ` and ` + "`gigapxy.conf`" + `, each looked for in the present
directory, in ` + "`/etc`" + ` and in ` + "`/usr/local/etc`" + `. gws and gng alone look for ` + "`gws.conf`" + ` and ` + "`gng.conf`" + ` before these. An option of the command line beats the
file. ` + "`sluice check`" + ` says what is wrong with a file, what holds and where that is from; the log says which file was read. dist/sluice.yaml and dist/sluice.conf show
all settings with their defaults.

A file whose name ends with ` + "`.conf`" + ` is libconfig, any other YAML. The keys are the same in both; a dot stands for a group:

` + "```yaml" + `
listen: ":8080"
history: {depth: 30s, channel: 64MiB}
channels:
  news:
    source: udp://239.1.1.1:5000
    backup: [udp://239.3.1.1:5000]
` + "```" + `

` + "```libconfig" + `
listen = ":8080";
history : { depth = "30s"; channel = "64MiB"; };
channels : {
  news : {
    source = "udp://239.1.1.1:5000";
    backup = ( "udp://239.3.1.1:5000" );
  };
};
` + "```" + `

Times have a unit (500ms, 10s, 5m), sizes too (512KiB, 32MiB, 2GB), and bit rates (500k, 8M, 10G); in libconfig what has a unit stands in quotes. A mistake
is told with file, line and column. A key that does not exist is one in YAML; in libconfig, where files of gigapxy have names that nobody knows any more, it is a
warning.

The file is read again at HUP. What changes "at once" does so then, and no stream is interrupted; "restart" means that it holds from the next start on, and
the log says so. With a mistake in it nothing changes.
`)
	c := Default()
	writeReference(&b, "## Settings", c.mainSettings())
	ch := Channel{Settings: lineup.Defaults()}
	writeReference(&b, "## Channels: `channels.NAME.`…\n\nWhat a channel does not say holds as for all.", ch.settings())
	writeReference(&b, "## Routes: `routes.NAME.`…\n\nSessions that run without being asked for.", new(Route).settings())
	writeRelay(&b, &c.Relay)
	writeOrigin(&b, &c)
	b.WriteString(`
## Names in libconfig

In libconfig a name before = has letters, digits, -, _ and * only. For other names write a list:
` + "`channels = ( { name = \"3.news\"; source = \"udp://239.1.1.1:5000\"; } );`" + `

## The sections of gigapxy

In a file whose name ends with .conf, what is known of gigapxy's own settings is read as well: the section ` + "`ws`" + ` by gws, ` + "`ng`" + `
by gng, both by sluice run. A key of ours beside it counts. A setting that nobody knows is a warning. What is not
said is as without the section; that is gigapxy's default, but for the socket, which is in ` + "`run_dir`" + `.

| gigapxy | sluice |
|---|---|
`)
	for _, s := range synonyms() {
		fmt.Fprintf(&b, "| `%s` | `%s` |\n", s.name, s.key)
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

// writeRelay writes the chapter of the TCP relay.
func writeRelay(b *bytes.Buffer, r *RelayPart) {
	writeReference(b, `## Relay: `+"`relay.`"+`…

The TCP relay lets clients in at its listeners and sends each to a remote of a pool. `+"`sluice run`"+` runs it when there is a listener, `+"`sluice relay`"+` runs it alone. What a
listener or a pool does not say has its default. A listener without rules is open to everybody who can reach it; limits are off until they are set.

`+"```yaml"+`
relay:
  listeners:
    web:
      listen: [":443", "unix:/run/web.sock mode=0660"]
      pool: web
      tls: {certificates: ["/etc/tls/a.pem key=/etc/tls/a.key"]}
      routes: ["sni=vpn.example.com pool=vpn pass"]
      rules: ["deny 10.1.0.0/16", "permit 10.0.0.0/8"]
  pools:
    web:
      remotes: ["10.0.0.1:8080 weight=2", "app.internal:8080"]
      check: {type: http, path: /health}
    vpn: {remotes: "10.0.0.9:443"}
`+"```", r.settings())
	writeReference(b, "### Listeners: `relay.listeners.NAME.`…", newListener("").settings())
	writeReference(b, "### Pools: `relay.pools.NAME.`…", newPool("").settings())
	b.WriteString(`
### Addresses, remotes, routes and certificates

Some values are a text of words with blanks between them: an address or a file, and options behind it, which are written NAME=VALUE or, where they are
true or false, as NAME alone. What has blanks itself stands in double quotes, in which ` + "`\\\"` and `\\\\`" + ` are these characters. Routes have options only.
`)
	writeOptionTable(b, "Behind an address of `listen`", socketOptions(new(relay.Socket)))
	writeOptionTable(b, "Behind a remote", remoteOptions(new(relay.Remote)))
	writeOptionTable(b, "In a route", routeOptions(new(relay.Route)))
	writeOptionTable(b, "Behind the chain of a certificate", certificateOptions(new(RelayCertificate)))
	b.WriteString(`
A passphrase is shown by no message; whoever may read the file sees it.
`)
}

// writeOrigin writes the chapter of the HTTP live origin.
func writeOrigin(b *bytes.Buffer, c *Config) {
	writeReference(b, `## Origin: `+"`origin.`"+`…

The HTTP live origin serves directories and memory, takes uploads that are read while they come, and has channels under paths of their own. `+"`sluice run`"+` runs it when it
has something to serve, `+"`sluice origin`"+` runs it alone. Keys that GPAC's httpout has mean what they mean there.

`+"```yaml"+`
channels:
  news: {source: "udp://239.1.1.1:5000"}
origin:
  listen: [":8080", "https://:8443"]
  cert: /etc/tls/a.pem
  pkey: /etc/tls/a.key
  rdirs: [/srv/live, gmem]
  wdir: /srv/live
  sources: [/ingest/]
  sinks:
    live.ts: {channel: $news}
  records:
    news.ts: {channel: $news}
  push:
    cdn: {from: /srv/live, to: "https://cdn.example/live/"}
`+"```"+`

A source in the place of a channel becomes a channel, with the settings of all, called sinks-NAME, records-NAME or push-NAME, unless one of the configuration begins with it. A file is
sent once: by a sink, at its pace, to all who come meanwhile; into a record or a push as fast as it is taken, unless `+"`pace`"+` says how else. A channel of the configuration with that file
begins anew (`+"`repeat`"+`).`, c.Origin.settings())
	writeReference(b, "### Sinks: `origin.sinks.NAME.`…\n\nWhat a sink does not say holds as for all.", (&OriginSink{OriginSinkSettings: c.Origin.OriginSinkSettings}).settings())
	writeReference(b, "### Records: `origin.records.NAME.`…", new(OriginRecord).settings())
	writeReference(b, "### Pushes: `origin.push.NAME.`…", newPush("").settings())
}

func writeOptionTable(b *bytes.Buffer, title string, t table) {
	fmt.Fprintf(b, "\n%s:\n\n| option | type | |\n|---|---|---|\n", title)
	for _, s := range t {
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", s.key, s.value.Type(), s.about)
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
