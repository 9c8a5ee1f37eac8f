package config

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	channels "sluice/internal/live"
	"sluice/internal/origin"
	"sluice/internal/push"
	"sluice/internal/store"
)

const everythingOrigin = `origin:
  listen: ['127.0.0.1:5080', 'https://[::1]:5443']
  user_port: true
  admin: 127.0.0.1:5081
  cert: /etc/oc.pem
  pkey: /etc/ok.pem
  rdirs: [/srv/live, gmem]
  rdirs_merge: true
  wdir: /srv/up
  memory: 64MiB
  max_cache_segs: -3
  timeshift: 12
  sources: [/ingest, /in/b/]
  users: /etc/users
  realm: The house
  wrong_password: 403
  auth: {hook: 'http://127.0.0.1:9/o', timeout: 3s}
  js: /etc/a.js
  js_workers: 2
  js_limit: 50ms
  js_wait: 4s
  maxc: 7
  maxp: 0
  limit_close: true
  timeout: 0s
  stall: 5s
  upload_stall: 0s
  close: true
  max_client_errors: 3
  quit: true
  dlist: true
  cache_control: max-age=3, public
  zmax: 0
  zmin: 1KiB
  norange: true
  multirange: concat
  cte: false
  cors: on
  isolate: true
  sutc: true
  hdrs: [X-A, '1', X-B, two]
  mime: video/mp4
  user_agent: house/1
  time: /clock
  wait_next: 700ms
  reqlog: '-GET,PUT,REC'
  maxs: 0
  on_abort: keep
  ingest: true
  ingest_points: [/live, /a/b/]
  ice: true
  hold: true
  reopen: true
  max_async_buf: 100KB
  sinks:
    live.ts: {channel: $one}
    radio: {channel: 'udp://239.7.1.1:5000', path: /r/a.mp3, type: audio/mpeg, title: A radio, bitrate: 64, headers: [ice-genre, Jazz], ice: false, hold: false, reopen: false, max_async_buf: 0}
  records:
    disk: {channel: $2, path: /rec/a.ts, again: 5s}
  push:
    cdn: {from: gmem, to: ['http://user:word@cdn.example/a/', 'https://b.example/'], post: true, cte: false, ka: false, timeout: 0s, tries: 2, delete: false, headers: [X-C, '3'], verify: false}
    out: {from: 'udp://239.7.1.2:5000', to: 'http://c.example/a.ts', ca: /etc/ca.pem}
`

func wantOrigin() OriginPart {
	all := OriginSinkSettings{ICE: true, Hold: true, Reopen: true, Buffer: 100e3}
	return OriginPart{
		Config: origin.Config{
			Merge: true, Realm: "The house", Forbid: true, Sources: []string{"/ingest/", "/in/b/"},
			MaxConns: 7, CloseLimit: true, Take: 5 * time.Second, Close: true, MaxErrors: 3, NoRange: true, Concat: true, Whole: true,
			Listing: true, ServerUTC: true, CORS: origin.CORSOn, Isolate: true,
			Log:   origin.RequestLog{Methods: []string{"GET", "PUT"}, Record: true, NoEnd: true},
			Cache: "max-age=3, public", CompressMin: 1024, Ingest: true, Points: []string{"/live/", "/a/b/"}, KeepAborted: true, WaitNext: 700 * time.Millisecond,
			Time: "/clock", Agent: "house/1", Type: "video/mp4", Quit: true,
		},
		Listen: []Door{{Address: "127.0.0.1:5080"}, {Address: "[::1]:5443", TLS: true}}, UserPort: true, Admin: Door{Address: "127.0.0.1:5081"},
		Cert: "/etc/oc.pem", Key: "/etc/ok.pem",
		ReadDirs: []string{"/srv/live", GMem}, WriteDir: "/srv/up", Memory: 64 << 20, Retention: store.Retention{Segments: -3, TimeShift: 12},
		UsersFile: "/etc/users", AuthHook: "http://127.0.0.1:9/o", AuthTime: 3 * time.Second,
		JS: "/etc/a.js", JSWorkers: 2, JSLimit: 50 * time.Millisecond, JSWait: 4 * time.Second,
		Headers: []string{"X-A", "1", "X-B", "two"}, OriginSinkSettings: all,
		SinkList: []OriginSink{
			{Name: "live.ts", Channel: "$one", OriginSinkSettings: all},
			{Name: "radio", Channel: "udp://239.7.1.1:5000", Path: "/r/a.mp3", Type: "audio/mpeg", Title: "A radio", Bitrate: 64, Headers: []string{"ice-genre", "Jazz"}},
		},
		RecordList: []OriginRecord{{Name: "disk", Channel: "$2", Path: "/rec/a.ts", Again: 5 * time.Second}},
		PushList: []OriginPush{
			{
				Config: push.Config{Name: "cdn", To: []string{"http://user:word@cdn.example/a/", "https://b.example/"}, Post: true, Whole: true, Timeout: -1, Tries: 2},
				From:   GMem, Headers: []string{"X-C", "3"},
			},
			{
				Config: push.Config{Name: "out", To: []string{"http://c.example/a.ts"}, Keep: true, Timeout: 30 * time.Second, Tries: 10, Delete: true},
				From:   "udp://239.7.1.2:5000", CA: "/etc/ca.pem", Verify: true,
			},
		},
	}
}

// A source that a sink, a record or a push names is a channel, one for each source; a sink's runs from the start on unless
// it is held. A channel of the configuration that begins with it is taken in its place; a file is no channel and has an end.
func TestOriginChannels(t *testing.T) {
	c, err := Parse("a.yaml", []byte(`channels:
  news: {source: 'udp://239.1.1.1:5000'}
origin:
  sinks:
    a.ts: {channel: $news}
    b.ts: {channel: 'udp://239.1.1.1:5000'}
    c.ts: {channel: 'file:///srv/c.ts'}
    e.ts: {channel: 'udp://239.1.1.5:5000', hold: true}
    d.ts: {channel: 'udp://239.1.1.4:5000'}
  records:
    r.ts: {channel: 'udp://239.1.1.4:5000'}
    s.ts: {channel: 'file:///srv/s.ts'}
`), Run)
	if err != nil {
		t.Fatal(err)
	}
	conf, err := c.OriginConfig()
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]channels.Sink{
		"/a.ts": {Channel: "$news"},
		"/b.ts": {Channel: "$news"},
		"/c.ts": {Channel: "$sinks-c.ts", Ends: true},
		"/e.ts": {Channel: "$sinks-e.ts"},
		"/d.ts": {Channel: "$sinks-d.ts"},
	} {
		if got := conf.Sinks[path]; got.Channel != want.Channel || got.Ends != want.Ends {
			t.Errorf("%s is %s, ends %t; want %s, %t", path, got.Channel, got.Ends, want.Channel, want.Ends)
		}
	}
	if got := conf.Records["r.ts"].Channel; got != "$sinks-d.ts" {
		t.Errorf("the record is of %s", got)
	}
	gws, err := c.GWS("")
	if err != nil {
		t.Fatal(err)
	}
	pinned := map[string]bool{}
	for _, ch := range gws.Lineup.Channels() {
		pinned[ch.Name] = ch.Pinned
	}
	want := map[string]bool{"news": false, "sinks-c.ts": false, "sinks-d.ts": true, "sinks-e.ts": false}
	if !maps.Equal(want, pinned) {
		t.Errorf("channels and whether they are pinned: %v, want %v", pinned, want)
	}
	if conf.Write != nil || len(conf.Read) != 1 || conf.Read[0].Dir != "" {
		t.Errorf("without rdirs records are written into %+v, want the memory", conf.Read)
	}
}

// What does not fit together is said with its line.
func TestOriginMismatches(t *testing.T) {
	for text, want := range map[string]string{
		"cert: /etc/c.pem":                "a.yaml:2:3: origin.cert: want both cert and pkey",
		"pkey: /etc/k.pem":                "a.yaml:1:1: origin.cert: want both cert and pkey",
		"listen: https://:443":            "a.yaml:2:3: origin.listen: https://:443 needs a certificate and its key, as origin.cert and origin.pkey have them",
		"listen: a=:80":                   "which is of use for gws only",
		"hdrs: [X-A, '1', X-B]":           "a.yaml:2:3: origin.hdrs: 3 names and values of headers",
		"hdrs: [Content-Length, '1']":     "origin.hdrs: the header Content-Length says how a message is sent",
		"hdrs: ['X A', '1']":              `bad name of a header "X A"`,
		"rdirs: [/srv, /srv]":             "origin.rdirs: /srv is there twice",
		"rdirs: [srv]":                    `bad directory "srv": want an absolute path`,
		"wdir: gmem":                      "origin.wdir: what is uploaded into the memory",
		"js_workers: 2":                   "origin.js_workers: there is no script",
		"reqlog: GIT":                     `unknown method "GIT"`,
		"sources: [ingest]":               `bad beginning of paths "ingest": want one such as /live/`,
		"ingest_points: [/live]":          "origin.ingest_points: there are no publishing points without",
		"sinks: {a.ts: {}}":               "sink a.ts says nothing; it wants a key such as channel",
		"sinks: {a.ts: {channel: $news}}": "a.yaml:2:18: origin.sinks.a.ts.channel: no channel is called news",
		"sinks: {a.ts: {channel: 'x:y'}}": "a.yaml:2:18: origin.sinks.a.ts.channel: ",
		"sinks: {a.ts: {channel: 'udp://239.1.1.1:5000', path: /../a}}":                                   `bad path "/../a"`,
		"sinks: {a: {channel: 'udp://239.1.1.1:5000'}, b: {channel: 'udp://239.1.1.2:5000', path: /a}}":   "origin.sinks.b.path: /a is that of the sink a, too",
		"records: {a: {channel: 'udp://239.1.1.1:5000'}, b: {channel: 'udp://239.1.1.2:5000', path: /a}}": "the record a writes into a, too",
		"push: {a: {from: /srv}}":                                                                              "origin.push.a: it goes nowhere",
		"push: {a: {from: gmem, to: 'http://a.example/'}}":                                                     "origin.push.a.from: there is nothing in the memory",
		"push: {a: {from: /srv, to: 'localhost:80/live/'}}":                                                    `"localhost:80/live/" is no URL of the web: want http:// or https://`,
		"push: {a: {from: /srv, to: 'ftp://a.example/'}}":                                                      `"ftp://a.example/" is no URL of the web: want http://`,
		"push: {a: {from: /srv, to: 'http://a.example/', ca: /a, verify: false}}":                              "certificates are not looked at",
		"sinks: {a: {channel: 'udp://239.1.1.1:5000'}}\nchannels: {sinks-a: {source: 'udp://239.1.1.2:5000'}}": "the origin has a channel of this name",
	} {
		_, err := Parse("a.yaml", []byte("origin:\n  "+text+"\n"), Run)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q in it", text, err, want)
		}
	}
}

func TestOriginDoors(t *testing.T) {
	for text, want := range map[string]string{
		"rdirs: [/srv]":                                        ":8080",
		"rdirs: [/srv]\n  cert: c\n  pkey: k":                  "https://:8443",
		"rdirs: [/srv]\n  user_port: true":                     "",
		"push: {a: {from: /srv, to: 'http://a.example/'}}":     "",
		"listen: ':81'\n  user_port: true":                     ":81",
		"listen: [':81', 'https://:82']\n  cert: c\n  pkey: k": ":81,https://:82",
	} {
		c, err := Parse("a.yaml", []byte("origin:\n  "+text+"\n"), Run)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		doors := c.OriginDoors()
		if got := originDoors(&doors).String(); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

// A file of rules makes the mounts; files that are missing, or no good, are told of with the key that names them.
func TestOriginRules(t *testing.T) {
	dir := t.TempDir()
	media := filepath.Join(dir, "media")
	if err := os.MkdirAll(filepath.Join(media, "inner"), 0o700); err != nil {
		t.Fatal(err)
	}
	rules := filepath.Join(dir, "rules")
	text := "[" + media + "]\nname=tv\nwu=alice\n\n[" + media + "/inner]\nru=alice\n"
	if err := os.WriteFile(rules, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c := Default()
	c.Origin.ReadDirs = []string{rules, GMem}
	conf, err := c.OriginConfig()
	if err != nil {
		t.Fatal(err)
	}
	want := []origin.Mount{{Name: "tv", Dir: media, Rule: media}, {}}
	if !slices.Equal(want, conf.Read) {
		t.Errorf("mounts %+v, want %+v", conf.Read, want)
	}
	if conf.Rules == nil {
		t.Error("the rules are forgotten")
	}
	c.Origin.WriteDir = rules
	if _, err := c.OriginConfig(); err == nil || !strings.Contains(err.Error(), "is a file of rules") {
		t.Errorf("acceptance 59: a file of rules for wdir: %v", err)
	}
	c.Origin.WriteDir, c.Origin.UsersFile = "", filepath.Join(dir, "none")
	if _, err := c.OriginConfig(); err == nil || !strings.Contains(err.Error(), "origin.users: ") {
		t.Errorf("a file of users that is not there: %v", err)
	}
	errs, _ := c.CheckFiles()
	if len(errs) != 1 {
		t.Errorf("sluice check finds %v", errs)
	}
	for text, want := range map[string]string{"what is this": "is no directory, and no file of rules: " + rules + ":1", "[d]\nur=a": rules + ":2: there is no such key"} {
		if err := os.WriteFile(rules, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := c.OriginConfig(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q in it", text, err, want)
		}
	}
}

// Rules that serve nothing, and names in them that nobody has, are told of: nobody would be let in, and nothing would say why.
func TestOddRules(t *testing.T) {
	dir := t.TempDir()
	rules, users := filepath.Join(dir, "rules"), filepath.Join(dir, "users")
	if err := os.WriteFile(users, []byte("alice:$2a$10$xjWuGT2qD7odjb7g3tgwyOnVDQKufDHrvsOJ7RW1xqhoVejjpJEKa:viewers\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, one := range []struct{ rules, users, js, want string }{
		{"[" + dir + "]\nru=alice\nrg=viewers,users\nwu=$ALL", users, "", ""},
		{"[" + dir + "]\nru=alice\nwu=bob\nwg=encoders", users, "", "origin.rdirs: the rules want to know group encoders, user bob, and " + users + " does not"},
		{"[" + dir + "]\nrg=users", "", "", "origin.rdirs: the rules want to know group users, and there is no file of users; want origin.users"},
		{"[" + dir + "]\nru=a,b,c,d,e,f,g", "", "", "user a, user b, user c, user d, user e and 2 more, and there"},
		{"[none]\n[none/inner]\n[gmem]\n[gmem/inner]", "", "", "origin.rdirs: there is no directory " + dir + "/none, for which"},
		{"[service]", "", "hook.js", ""},
	} {
		if err := os.WriteFile(rules, []byte(one.rules), 0o600); err != nil {
			t.Fatal(err)
		}
		c := Default()
		c.Origin.ReadDirs, c.Origin.UsersFile, c.Origin.JS = []string{rules}, one.users, one.js
		var got []string
		for _, w := range c.Warnings() {
			got = append(got, w.Reason)
		}
		if len(got) > 1 || !strings.Contains(strings.Join(got, ""), one.want) || one.want == "" && len(got) > 0 {
			t.Errorf("%q: %q, want %q", one.rules, got, one.want)
		}
	}
}

func TestRequestLog(t *testing.T) {
	for text, want := range map[string]string{"": "", "*": "*", "-*,rec": "-*,REC", "get,DEL, opt": "GET,DELETE,OPTIONS", "GET,GET": "GET"} {
		var l origin.RequestLog
		if err := (requestLog{&l}).Set(text); err != nil {
			t.Errorf("%q: %v", text, err)
		}
		if got := (requestLog{&l}).String(); got != want {
			t.Errorf("%q is written %q, want %q", text, got, want)
		}
	}
	for _, bad := range []string{"-", "GE", "PATCH"} {
		if err := (requestLog{new(origin.RequestLog)}).Set(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
