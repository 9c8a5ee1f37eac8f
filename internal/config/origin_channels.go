package config

import (
	"fmt"
	"slices"
	"strings"

	"sluice/internal/lineup"
	"sluice/internal/uri"
)

// What sinks, records and pushes send is a channel of the configuration, by its name, or a source. Such a source becomes a
// channel, too, as each process works out for itself, unless one of the configuration begins with it. A file of a sink is sent
// once, at its pace, to all who come meanwhile, from the first of them on. One of a record or a push becomes no channel: who asks for
// it by its path gets all of it, once (lineup.Channel.Copy), and that is what they want.

// originUse is a place where a channel is named.
type originUse struct {
	group, name string // origin.sinks, live
	key         string // channel, from
	channel     string // $NAME or a source
	sink        bool
	hold        bool // its source begins with the first client
}

// path is where it stands in the configuration.
func (u originUse) path() string { return u.group + "." + u.name }

// own is what a channel of its own is called: sinks-live.
func (u originUse) own() string { return strings.TrimPrefix(u.group, "origin.") + "-" + u.name }

// originUses are the places in the order of the file.
func (c *Config) originUses() (uses []originUse) {
	for _, s := range c.Origin.SinkList {
		uses = append(uses, originUse{sinksKey, s.Name, "channel", s.Channel, true, s.Hold})
	}
	for _, r := range c.Origin.RecordList {
		uses = append(uses, originUse{recordsKey, r.Name, "channel", r.Channel, false, true})
	}
	for _, p := range c.Origin.PushList {
		if p.ofChannel() {
			uses = append(uses, originUse{pushesKey, p.Name, "from", p.From, false, true})
		}
	}
	return uses
}

// originChannels are the channels that the origin adds, and what gws is asked for each use of one, by originUse.path: $NAME, or
// src/FILE/dst/. Lists of channels do not change them: only gws knows these.
func (c *Config) originChannels() (added []Channel, queries map[string]string, err error) {
	byTag := map[string]string{}
	for _, ch := range c.Channels {
		if ch.List == "" {
			byTag[ch.Source.Tag()] = ch.Name
		}
	}
	queries = map[string]string{}
	for _, u := range c.originUses() {
		if strings.HasPrefix(u.channel, "$") {
			queries[u.path()] = u.channel
			continue
		}
		source, err := uri.ParseSource(u.channel)
		if err != nil {
			return nil, nil, c.placeIn(u.path(), u.key).Errorf("%s.%s: %s", u.path(), u.key, err)
		}
		name, taken := byTag[source.Tag()]
		switch {
		case !taken && source[0].Scheme == uri.File && !u.sink:
			queries[u.path()] = fileQuery + source.String() + "/dst/"
			continue
		case !taken:
			name = u.own()
			byTag[source.Tag()] = name
			added = append(added, Channel{Name: name, Source: source, Settings: c.Settings})
			added[len(added)-1].Repeat = false
		}
		queries[u.path()] = "$" + name
		if i := slices.IndexFunc(added, func(ch Channel) bool { return ch.Name == name }); i >= 0 {
			added[i].Pinned = added[i].Pinned || !u.hold && source[0].Scheme != uri.File
		}
	}
	return added, queries, nil
}

// fileQuery is how a request for a file begins.
const fileQuery = "src/"

// ends says whether what a query of gws stands for is over one day: a file that does not begin anew. What lists hold is not
// known here.
func (c *Config) ends(query string, added []Channel) bool {
	for _, ch := range slices.Concat(c.Channels, added) {
		if query == "$"+ch.Name && ch.List == "" {
			return ch.Source[0].Scheme == uri.File && (!ch.Repeat || ch.Pace.Clock == lineup.NoClock)
		}
	}
	return strings.HasPrefix(query, fileQuery)
}

// channels finds names of channels that there are not. What lists hold is not known here, and an engine knows of none.
func (k *originCheck) channels() {
	added, queries, err := k.c.originChannels()
	if err != nil {
		k.add(err)
		return
	}
	for _, ch := range added {
		if slices.ContainsFunc(k.c.Channels, func(x Channel) bool { return x.Name == ch.Name }) {
			k.errs = append(k.errs, k.c.place(channelsKey+"."+ch.Name).Errorf("channel %s: the origin has a channel of this name; call this one otherwise", ch.Name))
		}
	}
	if len(k.c.ChannelFiles)+len(k.c.Playlists) > 0 || k.c.role == GNG {
		return
	}
	var known []string
	for _, ch := range slices.Concat(k.c.Channels, added) {
		known = append(known, ch.Name)
	}
	for _, u := range k.c.originUses() {
		k.path = u.path()
		if name, ok := strings.CutPrefix(queries[u.path()], "$"); ok && !slices.Contains(known, name) {
			k.fail(u.key, "no channel is called %s%s", name, didYouMean(name, known))
		}
	}
}

// needChannel says whether the last one of a group names no channel.
func needChannel(kind, name, key, text string) error {
	if text == "" {
		return fmt.Errorf("%s %s says nothing; it wants a key such as %s: $news or udp://239.1.1.1:5000", kind, name, key)
	}
	return nil
}
