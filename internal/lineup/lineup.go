// Package lineup is the list of channels as it is configured: what each is called, where
// it comes from and how it is to be treated. gws decides by it and tells the engine; the
// engine only obeys.
//
// A client asks for a channel by its name or by the address of its source. An address
// that no configured channel begins with is a channel too, with the settings that hold
// for all.
package lineup

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"sluice/internal/uri"
)

// Channel is one channel, with every setting filled in.
type Channel struct {
	Name string // of the configuration, see CheckName; "" for one that is asked for by its address

	// Sources in the order of preference: the first, then its back-ups. At least one.
	Sources []uri.Source

	// Copy tells channels of the same sources apart that are not shared: everybody who asks
	// for a file gets all of it, and so a channel of his own. 0 = the shared one.
	Copy uint32
	// Trusted channels were configured: the lists of networks and of directories that bound
	// what a request may name do not apply to them.
	Trusted bool

	// NotLocal channels were named by a list from the net: whatever the names in their sources
	// stand for, it is nothing of this machine, or of this link only.
	NotLocal bool

	Settings
	Listing
}

// Listing is what playlists say of a channel; only gws knows it. Each text is of one line
// and has at most MaxText bytes of UTF-8.
type Listing struct {
	Group string // "" = in none
	Title string // for people; "" = the name
	Logo  string // URL of a picture, http or https; "" = none
	Guide string // tvg-id: the name in the programme guide; "" = none
}

// MaxSources is how many sources a channel may have, back-ups included.
const MaxSources = 8

// MaxText bounds each text of a Listing, in bytes.
const MaxText = 512

// Tag is the name of the channel in reports and orders: that of its first source, and
// behind a tilde the number of the copy: FILE:///srv/film.ts~3.
func (c Channel) Tag() string {
	if c.Copy == 0 {
		return c.Sources[0].Tag()
	}
	return fmt.Sprintf("%s~%d", c.Sources[0].Tag(), c.Copy)
}

// Settings are what can be said of a channel. They hold as they stand: zero is a value,
// not a default (see Defaults).
type Settings struct {
	// NoData is how long a source may be silent: then the next one is taken, and a
	// channel without another ends. 0 = it is waited for without end.
	NoData time.Duration
	// Linger is how long a channel without clients is kept. 0 = not at all.
	Linger time.Duration
	// Pinned channels are received whether there are clients or not.
	Pinned bool

	History History
	Start   Start // where clients begin that do not say
	Slow    Slow  // what becomes of clients that fall out of the history
	Health  bool  // whether the faults of the stream are counted as it passes

	// Growth is how long the end of a file is waited at for more. 0 = not at all.
	Growth time.Duration
	// Pace is at what speed a file is delivered. A Copy is delivered as fast as it is taken unless Pace says how else.
	Pace Pace
	// Repeat says that a file begins anew at its end, as a broadcast would. A Copy, and one without a clock, never does.
	Repeat bool

	MaxClients int   // 0 = no limit
	MaxEgress  int64 // bits a second to all clients together; 0 = no limit

	// What only gws knows:

	ContentType string // of the answers, a media type (RFC 9110, 8.3.1); "" = that of Defaults
	// Redirect is where clients go while the channel is unavailable: an absolute URL of http
	// or https in printable ASCII, without credentials. One that ends with a slash gets the
	// path and the query of the request. "" = nowhere.
	Redirect string
	// Params says that what a client writes behind the channel's name is added to the URLs of
	// its sources, where they are of the web; it makes a channel of its own.
	Params bool
}

// maxTime bounds every time, so that one fits into each message and sums do not overflow.
const maxTime = 365 * 24 * time.Hour

// check says which setting makes no sense.
func (s Settings) check() error {
	for _, t := range []struct {
		name  string
		value time.Duration
		most  time.Duration
	}{
		{"no-data time", s.NoData, maxTime},
		{"linger", s.Linger, maxTime},
		{"history depth", s.History.Depth, maxTime},
		{"growth time", s.Growth, maxTime},
		{"start", s.Start.Back, MaxBack},
	} {
		if t.value < 0 || t.value > t.most {
			return fmt.Errorf("%s of %v: want 0 to %v", t.name, t.value, t.most)
		}
	}
	switch {
	case s.History.Bytes < 0:
		return fmt.Errorf("history of %d bytes: want 0 or more", s.History.Bytes)
	case s.MaxClients < 0 || s.MaxClients > math.MaxInt32:
		return fmt.Errorf("limit of %d clients: want 0 to %d", s.MaxClients, math.MaxInt32)
	case s.MaxEgress < 0:
		return fmt.Errorf("limit of %d bits a second: want 0 or more", s.MaxEgress)
	case s.Slow > Disconnect:
		return fmt.Errorf("unknown policy %d for slow clients", s.Slow)
	}
	return cmp.Or(s.Pace.check(), CheckContentType(s.ContentType), CheckRedirect(s.Redirect))
}

// History is how much of a channel is kept for clients that come or lag: what is reached
// first counts.
type History struct {
	Depth time.Duration
	Bytes int64
}

// Defaults are the settings that hold where nothing else is said.
func Defaults() Settings {
	return Settings{
		NoData: 5 * time.Second, Linger: 5 * time.Second,
		History: History{Depth: 10 * time.Second, Bytes: 32 << 20},
		Health:  true,
		Growth:  10 * time.Second,
		Repeat:  true,

		ContentType: "video/mp2t",
		Params:      true,
	}
}

// Slow says what becomes of a client that is so slow that what it gets next is about to
// leave the history.
type Slow uint8

// The policies.
const (
	Skip       Slow = iota // it goes on at the newest key frame
	Disconnect             // its connection is ended
)

// String is what ParseSlow reads.
func (s Slow) String() string {
	if s == Disconnect {
		return "disconnect"
	}
	return "skip"
}

// ParseSlow reads a policy.
func ParseSlow(s string) (Slow, error) {
	switch s {
	case "skip":
		return Skip, nil
	case "disconnect":
		return Disconnect, nil
	case "wait":
		return 0, errors.New("a live channel cannot wait for a client: want skip or disconnect")
	}
	return 0, fmt.Errorf("bad policy %q for slow clients: want skip or disconnect", s)
}

// Start says where in the history a client begins. The zero Start is the newest key
// frame. What the history does not reach back to is as if its whole depth were asked for.
type Start struct {
	Live bool          // at the newest byte, whatever it is
	Back time.Duration // at the newest key frame that is at least so old; 0 = at the newest
}

// MaxBack bounds Start.Back.
const MaxBack = 24 * time.Hour

// String is what ParseStart reads.
func (s Start) String() string {
	switch {
	case s.Live:
		return "live"
	case s.Back > 0:
		return s.Back.String()
	}
	return "key"
}

// ParseStart reads "live", "key" or a time such as 30s or 1m30s, to the millisecond.
func ParseStart(s string) (Start, error) {
	switch s {
	case "live":
		return Start{Live: true}, nil
	case "key":
		return Start{}, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < time.Millisecond || strings.HasPrefix(s, "+") {
		return Start{}, fmt.Errorf("bad start %q: want live, key or how far back, such as 30s", s)
	}
	if d > MaxBack {
		return Start{}, fmt.Errorf("start %q is too far back: want at most %v", s, MaxBack)
	}
	return Start{Back: d.Truncate(time.Millisecond)}, nil
}

// Lineup is a checked list of channels. It is never modified; nil is the empty one with
// the settings of Defaults.
type Lineup struct {
	settings Settings
	channels []Channel
	byName   map[string]int
	byTag    map[string]int
}

// New checks the channels; settings are those of all others. The error names the channel
// at fault.
func New(settings Settings, channels []Channel) (*Lineup, error) {
	if err := settings.check(); err != nil {
		return nil, fmt.Errorf("settings of all channels: %w", err)
	}
	if settings.Pinned {
		return nil, errors.New("settings of all channels: only a channel of the configuration can be pinned")
	}
	l := &Lineup{
		settings: settings, channels: slices.Clone(channels),
		byName: make(map[string]int), byTag: make(map[string]int),
	}
	for i, c := range l.channels {
		if err := l.add(i, c); err != nil {
			return nil, err
		}
	}
	return l, nil
}

func (l *Lineup) add(i int, c Channel) error {
	if err := CheckName(c.Name); err != nil {
		return err
	}
	if _, taken := l.byName[c.Name]; taken {
		return fmt.Errorf("channel %s is there twice", c.Name)
	}
	if err := c.check(); err != nil {
		return fmt.Errorf("channel %s: %w", c.Name, err)
	}
	if other, taken := l.byTag[c.Tag()]; taken {
		return fmt.Errorf("channels %s and %s have the same first source, %s", l.channels[other].Name, c.Name, c.Tag())
	}
	l.byName[c.Name], l.byTag[c.Tag()] = i, i
	return nil
}

// check says what is wrong with the sources or the settings.
func (c Channel) check() error {
	if n := len(c.Sources); n == 0 || n > MaxSources {
		return fmt.Errorf("%d sources: want 1 to %d", n, MaxSources)
	}
	seen := make([]string, 0, MaxSources)
	for _, s := range c.Sources {
		if err := checkLegs(s); err != nil {
			return err
		}
		tag := s.Tag()
		if slices.Contains(seen, tag) {
			return fmt.Errorf("%s is named twice", tag)
		}
		seen = append(seen, tag)
	}
	return cmp.Or(c.Settings.check(), c.Listing.check())
}

func checkLegs(s uri.Source) error {
	if len(s) == 0 || len(s) > uri.MaxLegs {
		return fmt.Errorf("source of %d legs: want 1 to %d", len(s), uri.MaxLegs)
	}
	for _, e := range s {
		if len(s) > 1 && !e.Datagrams() {
			return fmt.Errorf("%s cannot be merged with another leg: want udp or rtp", e.Tag())
		}
	}
	return nil
}

// Named returns the channel of that name.
func (l *Lineup) Named(name string) (Channel, bool) {
	if l == nil {
		return Channel{}, false
	}
	i, ok := l.byName[name]
	if !ok {
		return Channel{}, false
	}
	return l.channels[i], true
}

// From returns the channel whose first source is s: a configured one, or one without a
// name and with the settings of all.
func (l *Lineup) From(s uri.Source) Channel {
	if l == nil {
		return Channel{Sources: []uri.Source{s}, Settings: Defaults()}
	}
	if i, ok := l.byTag[s.Tag()]; ok {
		return l.channels[i]
	}
	return Channel{Sources: []uri.Source{s}, Settings: l.settings}
}

// Channels are the configured ones, in the order of the configuration. The slice is not
// to be modified.
func (l *Lineup) Channels() []Channel {
	if l == nil {
		return nil
	}
	return l.channels
}
