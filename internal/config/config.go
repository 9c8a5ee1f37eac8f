// Package config reads the one configuration file of sluice and makes of it the
// small Config that each room declares for itself.
//
// The file is YAML, or libconfig as gigapxy has it when its name ends with .conf; every
// key is optional, the keys are the same in both, and dist/sluice.yaml and
// dist/sluice.conf show all of them with their defaults. A value of the wrong kind and a
// number without its unit are errors that name file, line and column and show the line.
// So is a key that does not exist in YAML; in libconfig, where files of gigapxy hold
// names that nobody knows any more, it is a warning.
//
//	sluice.yaml:3:10: no_data: "10" has no unit: write 10s for seconds
//	   3 | no_data: 10
//	     |          ^
//
// Every setting is a Value, text that is checked when it is set. So a flag of the
// command line is the same thing as its key in the file: Set takes both.
//
// Below channels and routes each name has a table of settings of its own, which is read
// and written as the large one is. What a channel does not say holds as for all,
// wherever that stands in the file.
package config

import (
	"log/slog"
	"net/netip"
	"time"

	"sluice/internal/endpoint"
	"sluice/internal/gws"
	"sluice/internal/lineup"
	"sluice/internal/logs"
	"sluice/internal/uri"
)

// Config is all that can be set. Default makes one that can be used as it is.
type Config struct {
	Listen  []Door         // user ports; none only beside an origin
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

	Relay  RelayPart
	Origin OriginPart

	file     string          // where it was read from; "" = none
	role     Role            // for which it was read
	from     map[string]From // by keys and groups; what is not here has its default; never modified once shared
	warnings []*Error
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
	lineup.Listing
	List     string // the channels file or playlist that it is from; "" = the configuration itself
	NotLocal bool   // see lineup.Channel
}
