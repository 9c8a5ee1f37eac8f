// Package config reads the one configuration file of sluice and makes of it the
// small Config that each room declares for itself.
//
// The file is YAML, every key is optional, and dist/sluice.yaml shows all of them
// with their defaults. Reading is strict: a key that does not exist, a value of the
// wrong kind and a number without its unit are errors that name file, line and
// column and show the line. Anchors, aliases and tags are not understood.
//
//	sluice.yaml:3:10: no_data: "10" has no unit: write 10s for seconds
//	   3 | no_data: 10
//	     |          ^
//
// Every setting is a Value, text that is checked when it is set. So a flag of the
// command line is the same thing as its key in the file: Set takes both.
//
// Below channels each name has a table of settings of its own, which is read and
// written as the large one is. What a channel does not say holds as for all,
// wherever that stands in the file.
package config

import (
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"time"

	"sluice/internal/endpoint"
	"sluice/internal/gws"
	"sluice/internal/lineup"
	"sluice/internal/logs"
	"sluice/internal/uri"
)

// Config is all that can be set. Default makes one that can be used as it is.
type Config struct {
	Listen  []Door         // user ports; at least one
	Admin   Door           // admin port
	TLS     TLS            // for the doors that want it
	Proxies []netip.Prefix // trusted_proxies: whose X-Forwarded-For and PROXY headers are believed
	Udpxy   bool           // the user port answers /status, as udpxy does

	Engines       int        // gng processes; 0 = one a core
	MinEngines    int        // so many are attached before users are served
	ForceShutdown bool       // gws that ends in good order ends its engines
	Spread        gws.Spread // which engine gets a channel
	SplitChannels bool       // whether one channel's clients are spread over the engines
	Pin           bool       // whether each engine stays on a CPU of its own

	Interface string        // where multicast groups are joined; "" = the system's choice
	Renew     time.Duration // how often memberships of groups are told again; 0 = never

	Allow       []netip.Prefix // clients that may watch
	Sources     []netip.Prefix // what may be asked for by its address
	Targets     []netip.Prefix // where a client may have a stream sent
	ReadFrom    []string       // files.read: directories whose files clients may ask for
	WriteTo     []string       // files.write: directories into which clients may have a stream written
	Limits      gws.Limits
	Stall       time.Duration // a client that takes nothing for so long is closed
	Request     time.Duration // request_timeout: for a request to be read
	Unavailable time.Duration // for how long a channel that failed counts as unavailable

	Settings     lineup.Settings // of the channels that do not say otherwise
	HistoryTotal int64           // bytes of all histories together; 0 = a quarter of the memory

	Auth      Auth
	Report    Report
	Grace     time.Duration // an orderly end may take so long
	RunDir    string        // locks and sockets; "" = process.DefaultRunDir
	Socket    string        // path of the socket for engines; "" = handoff.socket in RunDir
	User      string        // a module that was started as root goes on as this user; "" = "sluice" for a daemon, else as it is
	PIDFile   string        // "" = none
	Reconnect Reconnect
	Log       Log
	Access    Access

	ChannelFiles []string      // channels_file: in the form of channels.conf
	Playlists    []string      // files and URLs of playlists in M3U
	Refresh      time.Duration // how often playlists from URLs are read again

	Channels []Channel // in the order of the file
	Routes   []Route   // likewise
}

// Door is where requests come in.
type Door struct {
	Alias   string // "" = none; see auth.Question
	Address string // HOST:PORT
	TLS     bool
}

// TLS is the certificate of all doors; both files are read again when they change.
type TLS struct{ Certificate, Key string }

// Auth says who may watch; see auth.Config. Secrets stand in files of their own.
type Auth struct {
	TokenFile     string // lines of NAME TOKEN
	SecretFile    string // lines of hexadecimal or text, one key each
	Hook          string
	Timeout       time.Duration
	Helper        []string
	Helpers       int
	CRLF          bool // auth.line_end: lf or crlf
	ListenerAlias bool
	DeniedFor     time.Duration
	DeniedEntries int
}

// Report is about the reports of the admin port.
type Report struct {
	Cache      time.Duration // how long one is given again; 0 = not at all
	Statistics bool          // whether traffic is reported
}

// Reconnect is what an engine does without its gws.
type Reconnect struct {
	Attempts int
	Delay    time.Duration
}

// Log says what is logged, and where.
type Log struct {
	Level    slog.Level
	File     string // "" = standard error
	MaxSize  int64  // bytes; beyond it the file is put aside
	MaxFiles int    // of those put aside
	Time     logs.TimeFormat
	Syslog   bool // a daemon writes its start, stop and errors there
}

// Access is the access log.
type Access struct {
	File     string // "" = none
	MaxSize  int64
	MaxFiles int
}

// Route is a session that runs from the start on.
type Route struct {
	Name    string
	From    string // $NAME of a channel, or a source
	To      endpoint.Target
	Restart bool // begin anew when it ended
}

// Channel is a channel of the configuration.
type Channel struct {
	Name   string
	Source uri.Source
	Backup []uri.Source // in the order of preference
	lineup.Settings
}

// setting is one key of the file.
type setting struct {
	key   string // with the group that it stands in: history.depth
	value Value
}

// table is the settings that stand together, those of a group next to each other.
type table []setting

func (t table) find(key string) (setting, bool) {
	for _, s := range t {
		if s.key == key {
			return s, true
		}
	}
	return setting{}, false
}

func (t table) keys() []string {
	keys := make([]string, 0, len(t))
	for _, s := range t {
		keys = append(keys, s.key)
	}
	return keys
}

// hasGroup says whether there are settings below key.
func (t table) hasGroup(key string) bool {
	return slices.ContainsFunc(t, func(s setting) bool { return strings.HasPrefix(s.key, key+".") })
}

// maxCount is the largest limit of clients and channels.
const maxCount = 1_000_000_000

// settings binds the keys to the fields of c, in the order of the example file.
func (c *Config) settings() table {
	return slices.Concat(table{
		{"listen", doors(&c.Listen)},
		{"admin", parsed[Door]{&c.Admin, parseDoor}},
		{"engines", count{&c.Engines, maxEngines}},
		{"spread", parsed[gws.Spread]{&c.Spread, gws.ParseSpread}},
		{"split_channels", boolean{&c.SplitChannels}},
		{"pin", boolean{&c.Pin}},
		{"interface", word{&c.Interface}},
		{"renew", duration{to: &c.Renew, least: time.Second, zero: true}},
		{"allow", prefixes(&c.Allow)},
		{"sources", prefixes(&c.Sources)},
		{"limits.clients", count{&c.Limits.MaxClients, maxCount}},
		{"limits.per_address", count{&c.Limits.MaxPerAddress, maxCount}},
		{"limits.pending", count{&c.Limits.MaxPending, maxCount}},
		{"limits.channels", count{&c.Limits.MaxChannels, maxCount}},
		{"limits.egress", rate{&c.Limits.MaxEgress}},
		{"stall", duration{to: &c.Stall, least: time.Millisecond}},
	}, settingsOf(&c.Settings), table{
		{"history.total", size{&c.HistoryTotal, 0}},
		{"grace", duration{to: &c.Grace, least: time.Millisecond}},
		{"run_dir", word{&c.RunDir}},
		{"log.level", level{&c.Log.Level}},
	})
}

// settingsOf are the settings that can be said of all channels and of each.
func settingsOf(s *lineup.Settings) table {
	return table{
		{"no_data", duration{to: &s.NoData, least: time.Millisecond, zero: true}},
		{"linger", duration{to: &s.Linger}},
		{"start", parsed[lineup.Start]{&s.Start, lineup.ParseStart}},
		{"slow", parsed[lineup.Slow]{&s.Slow, lineup.ParseSlow}},
		{"health", boolean{&s.Health}},
		{"history.depth", duration{to: &s.History.Depth, least: time.Millisecond}},
		{"history.channel", size{&s.History.Bytes, 1 << 20}},
	}
}

// settings binds the keys below a channel's name to its fields.
func (c *Channel) settings() table {
	return slices.Concat(table{
		{"source", parsed[uri.Source]{&c.Source, uri.ParseSource}},
		{"backup", sources(&c.Backup)},
	}, settingsOf(&c.Settings), table{
		{"pinned", boolean{&c.Pinned}},
		{"max_clients", count{&c.MaxClients, maxCount}},
		{"max_egress", rate{&c.MaxEgress}},
	})
}

// channelsKey stands above the channels' names.
const channelsKey = "channels"

// addChannel adds a channel that has the settings of all. The table is good until the
// next one is added.
func (c *Config) addChannel(name string) (table, error) {
	if err := lineup.CheckName(name); err != nil {
		return nil, err
	}
	c.Channels = append(c.Channels, Channel{Name: name, Settings: c.Settings})
	return c.Channels[len(c.Channels)-1].settings(), nil
}

// Keys lists the keys that Set takes, in the order of the example file; those below
// another one are joined by a dot.
func Keys() []string { return new(Config).settings().keys() }

// Set gives a setting another value, as text. A list is written with commas. Channels
// that are there keep what they have.
func (c *Config) Set(key, text string) error {
	s, ok := c.settings().find(key)
	if !ok {
		return fmt.Errorf("unknown key %q%s", key, didYouMean(key, Keys()))
	}
	return s.value.Set(text)
}

// Get returns a setting as the text that Set takes, "" for an unknown key.
func (c *Config) Get(key string) string {
	s, ok := c.settings().find(key)
	if !ok {
		return ""
	}
	return s.value.String()
}
