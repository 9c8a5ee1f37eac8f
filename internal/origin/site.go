package origin

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"sluice/internal/creds"
	"sluice/internal/live"
	"sluice/internal/push"
	"sluice/internal/receive"
	"sluice/internal/script"
	"sluice/internal/serve"
	"sluice/internal/store"
)

// site is a configuration made ready. It is not changed but for users, which its Origin guards; a request has the one that held when it came.
type site struct {
	conf    Config
	agent   string
	realm   string
	users   *creds.Users
	mounts  []*mount // by the lengths of their places, the longest first; at the root in the order of the configuration
	write   *mount
	shelves map[store.Store]*shelf
	players map[string]*live.Player
	pushers []*push.Pusher // of conf.Pushes
	receive *receive.Receiver
	serve   serve.Options
	hook    *script.Hook

	inUse int // requests that have it; of Origin.mu
}

// newSite makes c ready. What is the same in old, which may be nil, is taken from there. With an error nothing is left behind.
func (o *Origin) newSite(c Config, old *site) (*site, error) {
	if err := c.check(o.opts); err != nil {
		return nil, err
	}
	s := &site{
		conf: c, agent: cmp.Or(c.Agent, "sluice/"+o.opts.Version), realm: cmp.Or(c.Realm, "sluice"), users: cmp.Or(c.Users, new(creds.Users)),
		shelves: make(map[store.Store]*shelf), players: make(map[string]*live.Player),
		serve: serve.Options{
			NoRange: c.NoRange, Concat: c.Concat, CompressMax: c.Compress, CompressMin: c.CompressMin,
			Whole: c.Whole, OpenRange: true, Type: c.Type,
		},
	}
	if s.serve.NoTag = c.Cache == "none"; !s.serve.NoTag {
		s.serve.CacheControl = c.Cache
	}
	if err := s.layOut(); err != nil {
		return nil, err
	}
	if err := o.addPushers(s, old); err != nil {
		return nil, err
	}
	if err := o.addHook(s); err != nil {
		return nil, err
	}
	o.addShelves(s, old) // from here on nothing fails
	o.addReceiver(s, old)
	o.addPlayers(s, old)
	return s, nil
}

// check says what of c cannot be.
func (c *Config) check(o Options) error {
	for _, line := range c.Headers {
		if !validHeader(line[0], line[1]) {
			return fmt.Errorf("header %q: want a name, and a value in one line", line[0])
		}
	}
	for _, p := range slices.Sorted(maps.Keys(c.Sinks)) {
		if !strings.HasPrefix(p, "/") || len(p) < 2 {
			return fmt.Errorf("sink %q: want a path that begins with a slash, such as /live.ts", p)
		}
	}
	for _, p := range c.Sources {
		if !strings.HasPrefix(p, "/") || !strings.HasSuffix(p, "/") {
			return fmt.Errorf("source %q: want the beginning of paths, such as /ingest/", p)
		}
	}
	switch {
	case len(c.Sinks)+len(c.Records) > 0 && o.Channels == nil:
		return errors.New("sinks and records want channels, and there are none here")
	case len(c.Sources) > 0 && o.Uploads.Listener == nil:
		return errors.New("uploads that are channels want a listener for those who watch them, and there is none here")
	case len(c.Records) > 0 && (len(c.Read) == 0 || c.Read[0].Store == nil):
		return errors.New("records are written into the first read directory: there is none")
	case c.Write != nil && c.Write.Store == nil:
		return errors.New("the write directory has no store")
	case c.Time != "" && !strings.HasPrefix(c.Time, "/"):
		return fmt.Errorf("path of the clock %q: want one that begins with a slash, such as /time", c.Time)
	case len(c.Read)+len(c.Sinks)+len(c.Sources)+len(c.Pushes) == 0 && c.Write == nil && c.Script == nil:
		return errors.New("there is nothing to serve: want a directory, a sink, a source or a push")
	}
	return nil
}

// layOut gives each mount its place.
func (s *site) layOut() error {
	alone := len(s.conf.Read) == 1
	taken := make(map[string]bool)
	for i := range s.conf.Read {
		m := &mount{Mount: s.conf.Read[i]}
		m.at = strings.Trim(m.Name, "/")
		if m.at == "" && !alone && !s.conf.Merge {
			m.at = m.baseName()
		}
		if taken[m.at] && m.at != "" {
			return fmt.Errorf("two directories would be at /%s/: give one of them another name", m.at)
		}
		taken[m.at] = true
		s.mounts = append(s.mounts, m)
	}
	slices.SortStableFunc(s.mounts, func(a, b *mount) int { return cmp.Compare(len(b.at), len(a.at)) })
	if s.conf.Write != nil {
		s.write = &mount{Mount: *s.conf.Write}
	}
	return nil
}

// baseName is what a directory is called that has no name.
func (m *Mount) baseName() string {
	if m.Dir == "" {
		return creds.Memory
	}
	return filepath.Base(m.Dir)
}

// allMounts are those that are read and the one that is written.
func (s *site) allMounts() []*mount {
	if s.write == nil {
		return s.mounts
	}
	return append(slices.Clone(s.mounts), s.write)
}

// addShelves gives each store its shelf.
func (o *Origin) addShelves(s, old *site) {
	for _, m := range s.allMounts() {
		if m.Store == nil {
			continue
		}
		if s.shelves[m.Store] == nil && old != nil {
			s.shelves[m.Store] = old.shelves[m.Store]
		}
		if s.shelves[m.Store] == nil {
			s.shelves[m.Store] = newShelf(m.Store, o.recordEvent)
		}
		m.shelf = s.shelves[m.Store]
	}
}

// addReceiver keeps the one that knows the tracks, if it can.
func (o *Origin) addReceiver(s, old *site) {
	options := func(c *Config) receive.Options {
		return receive.Options{
			MaxSize: c.MaxSize, Stall: c.Stall, Keep: c.KeepAborted, Ingest: c.Ingest, Points: pointsOf(c.Points),
		}
	}
	if old != nil && reflect.DeepEqual(options(&old.conf), options(&s.conf)) {
		s.receive = old.receive
		return
	}
	s.receive = receive.New(options(&s.conf))
}

// pointsOf makes names in a store of the paths of publishing points.
func pointsOf(paths []string) (names []string) {
	for _, p := range paths {
		names = append(names, path.Clean(strings.Trim(p, "/")))
	}
	return names
}

// addPlayers makes a player for each sink, or keeps that of a sink that is the same.
func (o *Origin) addPlayers(s, old *site) {
	for at, sink := range s.conf.Sinks {
		if old != nil && old.conf.Take == s.conf.Take && reflect.DeepEqual(old.conf.Sinks[at], sink) {
			s.players[at] = old.players[at]
			continue
		}
		s.players[at] = live.NewPlayer(sink, o.opts.Channels, s.conf.Take, o.log)
	}
}

// addPushers makes the pushers.
func (o *Origin) addPushers(s, old *site) error {
	for i := range s.conf.Pushes {
		c := s.conf.Pushes[i]
		if old != nil {
			if at := slices.IndexFunc(old.conf.Pushes, c.same); at >= 0 {
				s.pushers = append(s.pushers, old.pushers[at])
				continue
			}
		}
		settings := c.Config
		settings.Agent = cmp.Or(settings.Agent, s.agent)
		settings.Log = cmp.Or(settings.Log, o.log)
		p, err := push.New(settings)
		if err != nil {
			return fmt.Errorf("push %s: %w", c.Name, err)
		}
		if c.Channel != "" && o.opts.Channels == nil {
			return fmt.Errorf("push %s: channel %s: there are no channels here", c.Name, c.Channel)
		}
		s.pushers = append(s.pushers, p)
	}
	return nil
}

// same says whether two pushes do the same.
func (p Push) same(q Push) bool {
	if p.Store != q.Store || !sameTrust(p.TLS, q.TLS) {
		return false
	}
	p.Store, p.TLS, p.Log = nil, nil, nil
	q.Store, q.TLS, q.Log = nil, nil, nil
	return reflect.DeepEqual(p, q)
}

// sameTrust says whether two pushes trust the same servers: a configuration that is read again has settings of its own that say so.
func sameTrust(a, b *tls.Config) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.InsecureSkipVerify == b.InsecureSkipVerify && a.RootCAs.Equal(b.RootCAs)
}

// addHook loads the script; each site has its own, so that a reload reads the file again.
func (o *Origin) addHook(s *site) error {
	if s.conf.Script == nil {
		return nil
	}
	c := *s.conf.Script
	c.Log = cmp.Or(c.Log, o.log)
	c.Files = func(path string) error {
		_, err := s.placeOfFile(path)
		return err
	}
	var err error
	if s.hook, err = script.New(c); err != nil {
		return fmt.Errorf("script: %w", err)
	}
	return nil
}

// wrong is the status of a wrong password.
func (s *site) wrong() int {
	if s.conf.Forbid || s.conf.Ingest {
		return http.StatusForbidden
	}
	return http.StatusUnauthorized
}

// close ends what is the site's own and not next's, which may be nil. No request has it.
func (s *site) close(next *site) {
	if s.hook != nil {
		s.hook.Close()
	}
	for st, shelf := range s.shelves {
		if next == nil || next.shelves[st] != shelf {
			shelf.close()
		}
	}
}
