// Package lineup is the list of channels as it is configured: what each is called, where
// it comes from and how it is to be treated. gws decides by it and tells the engine; the
// engine only obeys.
//
// A client asks for a channel by its name or by the address of its source. An address
// that no configured channel begins with is a channel too, with the settings that hold
// for all.
package lineup

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"sluice/internal/uri"
)

// Channel is one channel, with every setting filled in.
type Channel struct {
	Name string // of the configuration; "" for one that is asked for by its address

	// Sources in the order of preference: the first, then its back-ups. At least one.
	Sources []uri.Source

	Settings
}

// MaxSources is how many sources a channel may have, back-ups included.
const MaxSources = 8

// Tag is the name of the channel in reports and orders, that of its first source.
func (c Channel) Tag() string { return c.Sources[0].Tag() }

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

	MaxClients int   // 0 = no limit
	MaxEgress  int64 // bits a second to all clients together; 0 = no limit
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
func (s Slow) String() string { return [...]string{"skip", "disconnect"}[s] }

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

// Start says where in the history a client begins. The zero Start is StartKey.
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

// ParseStart reads "live", "key" or a time such as 30s or 1m30s.
func ParseStart(s string) (Start, error) {
	switch s {
	case "live":
		return Start{Live: true}, nil
	case "key":
		return Start{}, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 || d > MaxBack || strings.HasPrefix(s, "+") {
		return Start{}, fmt.Errorf("bad start %q: want live, key or how far back, such as 30s", s)
	}
	return Start{Back: d}, nil
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
	l := &Lineup{settings: settings, channels: channels, byName: map[string]int{}, byTag: map[string]int{}}
	for i, c := range channels {
		if err := l.add(i, c); err != nil {
			return nil, err
		}
	}
	return l, nil
}

func (l *Lineup) add(i int, c Channel) error {
	if err := checkName(c.Name); err != nil {
		return err
	}
	if n := len(c.Sources); n == 0 || n > MaxSources {
		return fmt.Errorf("channel %s has %d sources: want 1 to %d", c.Name, n, MaxSources)
	}
	if _, taken := l.byName[c.Name]; taken {
		return fmt.Errorf("channel %s is there twice", c.Name)
	}
	if other, taken := l.byTag[c.Tag()]; taken {
		return fmt.Errorf("channels %s and %s have the same first source", l.channels[other].Name, c.Name)
	}
	seen := map[string]bool{}
	for _, s := range c.Sources {
		if seen[s.Tag()] {
			return fmt.Errorf("channel %s names %s twice", c.Name, s.Tag())
		}
		seen[s.Tag()] = true
	}
	l.byName[c.Name], l.byTag[c.Tag()] = i, i
	return nil
}

// maxName is the length of the longest name, in bytes.
const maxName = 64

// checkName allows what needs no encoding in a URL.
func checkName(name string) error {
	ok := name != "" && len(name) <= maxName
	for _, r := range name {
		ok = ok && (r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.", r))
	}
	if !ok {
		return fmt.Errorf("bad channel name %q: want 1 to %d letters, digits, dots, dashes or underscores", name, maxName)
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

// From returns the channel whose first source is s: a configured one, or one with the
// settings of all.
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
