package config

import (
	"slices"
	"strings"
	"time"

	"sluice/internal/endpoint"
	"sluice/internal/gws"
	"sluice/internal/lineup"
	"sluice/internal/logs"
	"sluice/internal/uri"
)

// setting is one key of the file.
type setting struct {
	key   string // with the group that it stands in: history.depth
	value Value
	when  when
	about string // one sentence or two, for the reference
}

// when a setting that has changed takes effect.
type when bool

const (
	live    when = true  // when the file is read again (HUP)
	restart when = false // when sluice starts again
)

func (w when) String() string {
	if w == live {
		return "at once"
	}
	return "restart"
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

// Bounds of numbers: the largest limit of clients and channels, and of small things.
const (
	maxCount = 1_000_000_000
	maxSmall = 1000
)

// part is settings that stand together in a file, and the groups that stand below them.
type part struct {
	settings table
	groups   []named
}

// parts are all settings and groups, in the order of the example file.
func (c *Config) parts() []part {
	return []part{
		{settings: c.mainSettings()},
		{c.Relay.settings(), c.relayGroups()},
		{c.Origin.settings(), c.originGroups()},
		{groups: c.channelGroups()},
	}
}

// settings binds the keys to the fields of c.
func (c *Config) settings() table {
	return slices.Concat(c.mainSettings(), c.Relay.settings(), c.Origin.settings())
}

// groups are all groups whose members the user names.
func (c *Config) groups() (all []named) {
	for _, p := range c.parts() {
		all = append(all, p.groups...)
	}
	return all
}

// mainSettings are all but those of the relay and the origin.
func (c *Config) mainSettings() table {
	return slices.Concat(c.doorSettings(), c.engineSettings(), c.rightSettings(), settingsOf(&c.Settings), table{
		{"history.total", size{to: &c.HistoryTotal}, live, "Bytes of the histories of all channels, an equal share for each engine. 0 = a quarter of the memory."},
	}, c.authSettings(), c.processSettings(), c.logSettings(), c.listSettings())
}

// doorSettings are where requests come in.
func (c *Config) doorSettings() table {
	return table{
		{"listen", doors(&c.Listen), restart, "Where clients ask for streams: [ALIAS=][https://]HOST:PORT. The alias is what authorization and the access log call it."},
		{"admin", parsed[Door]{&c.Admin, parseDoor, "address"}, restart, "Status page and reports. Whoever reaches it sees all channels and clients."},
		{"tls.certificate", path{&c.TLS.Certificate}, restart, "Certificate chain (PEM) for listeners with https://. It is read again when it changes."},
		{"tls.key", path{&c.TLS.Key}, restart, "Its private key (PEM). It is read again when it changes."},
		{"trusted_proxies", prefixes(&c.Proxies), live, "Networks whose X-Forwarded-For and PROXY headers are believed. Empty = nobody's."},
		{"udpxy", boolean{&c.Udpxy}, live, "Whether the user port answers /status as udpxy does, for scripts and players that ask there."},
	}
}

// engineSettings are the engines and what they receive.
func (c *Config) engineSettings() table {
	return table{
		{"engines", count{&c.Engines, 0, maxEngines}, restart, "Engine processes. 0 = one a core."},
		{"min_engines", count{&c.MinEngines, 1, maxEngines}, live, "So many engines are attached before users are served; until then they get 503."},
		{"force_shutdown", boolean{&c.ForceShutdown}, live, "Whether a gws that ends in good order ends its engines."},
		{"spread", parsed[gws.Spread]{&c.Spread, gws.ParseSpread, "round-robin, min-channels, min-clients"}, live, "Which engine gets a channel that none has yet."},
		{"split_channels", boolean{&c.SplitChannels}, live, "Whether the clients of one channel are spread over the engines, each of which then receives it."},
		{"pin", boolean{&c.Pin}, restart, "Whether each engine stays on a CPU of its own."},
		{"interface", word{&c.Interface}, restart, "Network interface where groups are joined. Empty = that of the route."},
		{"renew", duration{to: &c.Renew, least: time.Second, zero: true}, live, "How often memberships of groups are told to the network again. 0s = never."},
	}
}

// rightSettings are who may have what, and how much.
func (c *Config) rightSettings() table {
	return table{
		{"allow", prefixes(&c.Allow), live, "Clients that may watch. Others get 403."},
		{"sources", prefixes(&c.Sources), live, "What clients may ask for by its address. Channels of the configuration are there in any case. Loopback and link-local addresses have to be said: a large network does not mean them."},
		{"targets", prefixes(&c.Targets), live, "Where a client may have a stream sent. Empty = nowhere. Loopback and link-local addresses have to be said: a large network does not mean them."},
		{"files.read", directories(&c.ReadFrom), live, "Directories whose files clients may ask for. Empty = none."},
		{"files.write", directories(&c.WriteTo), live, "Directories into which clients may have a stream written. Empty = none."},
		{"limits.clients", count{&c.Limits.MaxClients, 0, maxCount}, live, "Clients in all. 0 = no limit."},
		{"limits.per_address", count{&c.Limits.MaxPerAddress, 0, maxCount}, live, "Clients of one address, in IPv6 of one /64. 0 = no limit."},
		{"limits.pending", count{&c.Limits.MaxPending, 0, maxCount}, live, "Clients that wait for the first byte of their channel. 0 = no limit."},
		{"limits.channels", count{&c.Limits.MaxChannels, 0, maxCount}, live, "Channels open at once. 0 = no limit."},
		{"limits.egress", rate{&c.Limits.MaxEgress}, live, "Bits a second to all clients. 0 = no limit."},
		{"stall", duration{to: &c.Stall, least: time.Millisecond}, live, "A client that takes no byte for so long is closed."},
		{"request_timeout", duration{to: &c.Request, least: time.Millisecond}, restart, "How long a request may take to come in."},
		{"unavailable", duration{to: &c.Unavailable, least: time.Millisecond}, live, "For how long a channel that failed counts as unavailable, for HEAD and redirections."},
	}
}

// settingsOf are the settings that can be said of all channels and of each.
func settingsOf(s *lineup.Settings) table {
	return table{
		{"no_data", duration{to: &s.NoData, least: time.Millisecond, zero: true}, live, "A source that is silent for so long is left for the next one. 0s = it is waited for without end."},
		{"linger", duration{to: &s.Linger}, live, "How long a channel without clients is kept."},
		{"growth", duration{to: &s.Growth}, live, "How long the end of a file is waited at for more."},
		{"pace", parsed[lineup.Pace]{&s.Pace, lineup.ParsePace, "auto, pcr, frame, none or a bit rate"}, live, "At what speed a file is delivered that is a channel: by its clock (`pcr`), by how long its frames last (`frame`: MPEG audio, AAC), at a bit rate such as 128k, as fast as it is taken (`none`), or by what is in it (`auto`). A file that a client asks for by its path is sent once, as fast as it is taken, unless this says how else."},
		{"repeat", boolean{&s.Repeat}, live, "Whether a file that is a channel begins anew at its end, unless its pace is none."},
		{"start", parsed[lineup.Start]{&s.Start, lineup.ParseStart, "key, live or a time"}, live, "Where clients begin that do not say: the newest key frame, the newest byte, or a key frame that is so old."},
		{"slow", parsed[lineup.Slow]{&s.Slow, lineup.ParseSlow, "skip, disconnect"}, live, "What becomes of a client that falls out of the history."},
		{"health", boolean{&s.Health}, live, "Whether the faults of a stream are counted as it passes (ETSI TR 101 290)."},
		{"content_type", checked{&s.ContentType, lineup.CheckContentType, "media type"}, live, "Content-Type of the answers."},
		{"redirect", checked{&s.Redirect, lineup.CheckRedirect, "URL"}, live, "Where clients go (302) while a channel is unavailable. One that ends with a slash gets the path of the request. Empty = nowhere."},
		{"params", either{&s.Params, "append", "ignore"}, live, "Whether what a client writes behind a channel's name, as in /$news?key=1, is added to the URLs of its sources."},
		{"history.depth", duration{to: &s.History.Depth, least: time.Millisecond}, live, "How far back a channel is kept."},
		{"history.channel", size{&s.History.Bytes, 1 << 20}, live, "Bytes that are kept of a channel at most."},
	}
}

// authSettings are who decides who may watch, and what is reported.
func (c *Config) authSettings() table {
	a := &c.Auth
	return table{
		{"auth.tokens", path{&a.TokenFile}, live, "File of lines NAME TOKEN: a client needs one of the tokens (?token=…). Empty = none is asked for."},
		{"auth.secrets", path{&a.SecretFile}, live, "File of keys of signed URLs, one a line. Empty = nothing need be signed."},
		{"auth.hook", checked{&a.Hook, checkWeb, "URL"}, live, "URL that is asked by POST whether a client may watch. Empty = none."},
		{"auth.timeout", duration{to: &a.Timeout, least: time.Millisecond}, live, "How long hook and helper may take; a helper that takes longer is killed."},
		{"auth.protocol", protocol{}, live, "What helpers are spoken to in: a1p."},
		{"auth.helper", command{&a.Helper}, live, "Program that decides, and its arguments; no shell takes part. Empty = none."},
		{"auth.helpers", count{&a.Helpers, 1, maxSmall}, live, "How many of it run."},
		{"auth.line_end", either{&a.CRLF, "crlf", "lf"}, live, "How lines to helpers end."},
		{"auth.listener_alias", boolean{&a.ListenerAlias}, live, "Whether helpers get the alias of the listener as a fifth field."},
		{"auth.denied_for", duration{to: &a.DeniedFor}, live, "For how long who was denied is not asked about again. 0s = always."},
		{"auth.denied_entries", count{&a.DeniedEntries, 1, maxCount}, live, "How many who were denied are remembered."},
		{"report.cache", duration{to: &c.Report.Cache}, live, "For how long a report is given again. 0s = not at all."},
		{"report.statistics", boolean{&c.Report.Statistics}, live, "Whether reports tell of traffic."},
	}
}

// processSettings are the processes and their files.
func (c *Config) processSettings() table {
	return table{
		{"grace", duration{to: &c.Grace, least: time.Millisecond}, restart, "After TERM, streams are ended in good order for so long."},
		{"run_dir", path{&c.RunDir}, restart, "Directory of locks and sockets. Empty = /run/sluice for root, else one of the user."},
		{"socket", path{&c.Socket}, restart, "Socket where engines find gws. Empty = handoff.socket in run_dir."},
		{"user", word{&c.User}, restart, "A module that was started as root goes on as this user. Empty = sluice for a daemon, else as it is."},
		{"pid_file", path{&c.PIDFile}, restart, "File with the process id. Empty = none."},
		{"reconnect.attempts", count{&c.Reconnect.Attempts, 1, maxCount}, restart, "How often an engine tries to find gws before it ends."},
		{"reconnect.delay", duration{to: &c.Reconnect.Delay, least: time.Millisecond}, restart, "How long it waits between two tries."},
	}
}

// logSettings are the log and the access log.
func (c *Config) logSettings() table {
	return table{
		{"log.level", level{&c.Log.Level}, live, "What is logged: debug, info, norm (normal lines: what starts, stops, attaches), warn, error or crit, each with all behind it."},
		{"log.file", path{&c.Log.File}, restart, "Log file; a daemon needs one. Empty = standard error."},
		{"log.max_size", size{&c.Log.MaxSize, 1 << 10}, restart, "A file that is longer is put aside."},
		{"log.max_files", count{&c.Log.MaxFiles, 0, maxSmall}, restart, "How many of those put aside are kept. 0 = none is put aside: somebody else does it (logrotate)."},
		{"log.time", parsed[logs.TimeFormat]{&c.Log.Time, logs.ParseTimeFormat, "local, gmt, raw, raw_mono, no_time"}, restart, "How the time stands in a line."},
		{"log.syslog", boolean{&c.Log.Syslog}, restart, "Whether a daemon writes start, stop and errors to the system log as well."},
		{"access_log.file", path{&c.Access.File}, restart, "File with a line for each client and channel that comes and goes. Empty = none."},
		{"access_log.max_size", size{&c.Access.MaxSize, 1 << 10}, restart, "As log.max_size."},
		{"access_log.max_files", count{&c.Access.MaxFiles, 0, maxSmall}, restart, "As log.max_files."},
	}
}

// listSettings are where more channels come from.
func (c *Config) listSettings() table {
	return table{
		{"channels_file", paths(&c.ChannelFiles), live, "Files of channels, in the form of channels.conf. They are read again when they change."},
		{"playlists", playlists(&c.Playlists), live, "Files and URLs of playlists in M3U, each entry of which is a channel."},
		{"playlist_refresh", duration{to: &c.Refresh, least: time.Second}, live, "How often playlists from URLs are read again."},
	}
}

// settings binds the keys below a channel's name to its fields.
func (c *Channel) settings() table {
	return slices.Concat(table{
		{"source", parsed[uri.Source]{&c.Source, uri.ParseSource, "URL"}, live, "Where it comes from; two legs of the same RTP have a bar between. Necessary."},
		{"backup", sources(&c.Backup), live, "Sources that are taken, in this order, when that fails."},
	}, settingsOf(&c.Settings), ownSettings(&c.Settings, &c.Listing), table{
		{"list", word{&c.List}, live, "The channels file or playlist that it was in; written for the processes of sluice run."},
	})
}

// ownSettings are those that only a single channel has.
func ownSettings(s *lineup.Settings, l *lineup.Listing) table {
	return table{
		{"pinned", boolean{&s.Pinned}, live, "Whether it is received while it has no clients."},
		{"max_clients", count{&s.MaxClients, 0, maxCount}, live, "Clients of this channel. 0 = no limit."},
		{"max_egress", rate{&s.MaxEgress}, live, "Bits a second to all its clients. 0 = no limit."},
		{"group", word{&l.Group}, live, "In playlists: the group that it is in. Empty = none."},
		{"title", word{&l.Title}, live, "In playlists: what it is called. Empty = its name."},
		{"logo", word{&l.Logo}, live, "In playlists: URL of a picture. Empty = none."},
		{"guide", word{&l.Guide}, live, "In playlists: its name in the programme guide (tvg-id). Empty = none."},
	}
}

// SetChannel sets one of the settings of a channel that is not of the configuration, but
// of a list: all that stand below channels.NAME, but source and backup.
func SetChannel(ch *lineup.Channel, key, text string) error {
	t := slices.Concat(settingsOf(&ch.Settings), ownSettings(&ch.Settings, &ch.Listing))
	s, ok := t.find(key)
	if !ok {
		return unknownKey(key, t.keys())
	}
	return s.value.Set(text)
}

// settings binds the keys below a route's name to its fields.
func (r *Route) settings() table {
	return table{
		{"from", word{&r.From}, live, "A channel by its name, $NAME, or a source. Necessary."},
		{"to", end{&r.To.End}, live, "Where its stream is sent: udp://, tcp://, http://, https:// or file://. Necessary."},
		{"restart", boolean{&r.Restart}, live, "Whether it begins anew when it has ended."},
		{"write", parsed[endpoint.Write]{&r.To.Write, endpoint.ParseWrite, "new, append, truncate"}, live, "What becomes of a file that exists: new refuses it, append goes on at its end, truncate empties it."},
		{"method", checked{&r.To.Method, checkMethod, "PUT, POST"}, live, "Of the request to http:// and https://. Empty = PUT."},
		{"bitrate", rate{&r.To.Bitrate}, live, "Bits a second to udp://. 0 = at the clock of the stream."},
	}
}
