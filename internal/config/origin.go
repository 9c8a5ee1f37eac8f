package config

import (
	"cmp"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sluice/internal/origin"
	"sluice/internal/push"
	"sluice/internal/store"
)

// OriginPart is the HTTP live origin. It runs when it has something to serve (HasOrigin). Of Config the
// fields Read, Write, Rules, Users, Sinks, Records, Pushes, Script, Hook, Headers and Proxies stay zero:
// they are made of what stands here (OriginConfig).
type OriginPart struct {
	origin.Config

	Listen    []Door // empty = see OriginDoors
	UserPort  bool   // the user ports of gws carry it, too
	Admin     Door   // its admin port; Address "" = none
	Cert, Key string // "" = those of TLS

	ReadDirs  []string // rdirs: directories, files of rules, or Memory
	WriteDir  string   // wdir; "" = none
	Memory    int64    // bytes of gmem
	Retention store.Retention

	UsersFile string
	AuthHook  string
	AuthTime  time.Duration

	JS        string // file of the script; "" = none
	JSWorkers int    // 0 = one a core, 4 at most
	JSLimit   time.Duration
	JSWait    time.Duration

	Headers []string // names and values in turn

	OriginSinkSettings // of the sinks that do not say otherwise

	SinkList   []OriginSink   // in the order of the file
	RecordList []OriginRecord // likewise
	PushList   []OriginPush   // likewise
}

// GMem is the name of the memory store among directories.
const GMem = "gmem"

// OriginSinkSettings are what can be said of all sinks and of each.
type OriginSinkSettings struct {
	ICE    bool
	Hold   bool
	Reopen bool
	Buffer int64 // max_async_buf
}

// OriginSink is a channel under a path; Add makes one.
type OriginSink struct {
	Name    string // in the configuration
	Path    string // "" = /Name
	Channel string // $NAME, or a source
	Type    string
	Title   string // icy-name
	Bitrate int    // kbit/s
	Headers []string
	OriginSinkSettings
}

// OriginRecord is a channel that is written into an object of the first read directory.
type OriginRecord struct {
	Name    string
	Path    string // "" = /Name
	Channel string
	Again   time.Duration
}

// OriginPush is an upload to other servers. Of Config the fields Header, TLS, Agent and Log stay zero.
type OriginPush struct {
	push.Config
	From    string // $NAME, a source, a directory or GMem
	Headers []string
	CA      string
	Verify  bool
}

// defaultOrigin is what holds where nothing is said.
func defaultOrigin() OriginPart {
	return OriginPart{
		Config: origin.Config{
			MaxConns: 100, MaxPerPeer: 6, Idle: 30 * time.Second, Stall: 30 * time.Second, Take: 20 * time.Second,
			MaxErrors: 20, MaxSize: 50e6, Compress: 50_000, CompressMin: 256, Time: "/time",
		},
		Memory: 256 << 20, Retention: store.Retention{Segments: 5},
		AuthTime: 5 * time.Second,
		JSLimit:  time.Second, JSWait: 30 * time.Second,
	}
}

func newPush(name string) *OriginPush {
	return &OriginPush{Config: push.Config{Name: name, Keep: true, Timeout: 30 * time.Second, Tries: 10, Delete: true}, Verify: true}
}

// addSink adds a sink that has the settings of all. The table is good until the next one
// is added.
func (c *Config) addSink(name string) (table, error) {
	if err := checkName("sink", name); err != nil {
		return nil, err
	}
	o := &c.Origin
	o.SinkList = append(o.SinkList, OriginSink{Name: name, OriginSinkSettings: o.OriginSinkSettings})
	return o.SinkList[len(o.SinkList)-1].settings(), nil
}

// addRecord is addSink for a record.
func (c *Config) addRecord(name string) (table, error) {
	if err := checkName("record", name); err != nil {
		return nil, err
	}
	o := &c.Origin
	o.RecordList = append(o.RecordList, OriginRecord{Name: name})
	return o.RecordList[len(o.RecordList)-1].settings(), nil
}

// addPush is addSink for a push.
func (c *Config) addPush(name string) (table, error) {
	if err := checkName("push", name); err != nil {
		return nil, err
	}
	o := &c.Origin
	o.PushList = append(o.PushList, *newPush(name))
	return o.PushList[len(o.PushList)-1].settings(), nil
}

// needSink, needRecord and needPush say what the last one must say and does not.
func (c *Config) needSink() error {
	s := c.Origin.SinkList[len(c.Origin.SinkList)-1]
	return needChannel("sink", s.Name, "channel", s.Channel)
}

func (c *Config) needRecord() error {
	r := c.Origin.RecordList[len(c.Origin.RecordList)-1]
	return needChannel("record", r.Name, "channel", r.Channel)
}

func (c *Config) needPush() error {
	p := c.Origin.PushList[len(c.Origin.PushList)-1]
	return needChannel("push", p.Name, "from", p.From)
}

// path is where the sink is.
func (s OriginSink) path() string { return cmp.Or(s.Path, "/"+s.Name) }

// object is the name of what the record writes.
func (r OriginRecord) object() string { return strings.TrimPrefix(cmp.Or(r.Path, r.Name), "/") }

// readDirs are what is read: records alone have the memory.
func (o *OriginPart) readDirs() []string {
	if len(o.ReadDirs) == 0 && len(o.RecordList) > 0 {
		return []string{GMem}
	}
	return o.ReadDirs
}

// HasOrigin says whether there is an origin to run.
func (c *Config) HasOrigin() bool { return c.Origin.serves() || len(c.Origin.PushList) > 0 }

// serves says whether there is something that clients could ask for.
func (o *OriginPart) serves() bool {
	return len(o.ReadDirs) > 0 || o.WriteDir != "" || o.JS != "" || len(o.SinkList) > 0 || len(o.RecordList) > 0 || len(o.Sources) > 0
}

// HasOriginChannels says whether the origin takes part in channels: without gws and engines it cannot do what
// it is to do then.
func (c *Config) HasOriginChannels() bool {
	o := &c.Origin
	return len(o.SinkList) > 0 || len(o.RecordList) > 0 || len(o.Sources) > 0 || o.UserPort ||
		slices.ContainsFunc(o.PushList, OriginPush.ofChannel)
}

// ofChannel says whether what is pushed is a channel.
func (p OriginPush) ofChannel() bool { return p.From != GMem && !filepath.IsAbs(p.From) }

// The ports of an origin that is told none.
const (
	OriginPort    = "8080"
	OriginTLSPort = "8443"
)

// OriginDoors are where the origin listens itself: where it is told, or at port 8080, at 8443 when it has a certificate of its
// own. One that the user ports carry is reached there, and one that only pushes by nobody: these listen only where they are told.
func (c *Config) OriginDoors() []Door {
	o := &c.Origin
	switch {
	case len(o.Listen) > 0 || o.UserPort || !o.serves():
		return o.Listen
	case o.Cert != "":
		return []Door{{Address: ":" + OriginTLSPort, TLS: true}}
	}
	return []Door{{Address: ":" + OriginPort}}
}

// OriginTLS is the certificate of the origin's doors.
func (c *Config) OriginTLS() TLS {
	if c.Origin.Cert != "" {
		return TLS{c.Origin.Cert, c.Origin.Key}
	}
	return c.TLS
}

// The sockets between the processes, in the run directory.

// WatchSocket is where the origin asks gws for channels.
func (c *Config) WatchSocket() string { return filepath.Join(c.RunDirectory(), "watch.socket") }

// OriginSocket is where gws passes on what is the origin's.
func (c *Config) OriginSocket() string { return filepath.Join(c.RunDirectory(), "origin.socket") }

// UploadsSocket is where engines fetch uploads that are channels.
func (c *Config) UploadsSocket() string { return filepath.Join(c.RunDirectory(), "uploads.socket") }
