package config

import (
	"context"
	"fmt"
	"slices"

	"sluice/internal/alias"
)

// Places are the channel files and the playlists, in this order, as alias.NewWatcher
// takes them.
func (c *Config) Places() []alias.Place {
	all := c.Settings
	var places []alias.Place
	for _, path := range c.ChannelFiles {
		places = append(places, alias.Place{Where: path, Load: func(context.Context) (alias.List, error) {
			return alias.LoadFile(path, all, SetChannel)
		}})
	}
	for _, where := range c.Playlists {
		places = append(places, alias.Place{Where: where, Load: func(ctx context.Context) (alias.List, error) {
			return alias.LoadPlaylist(ctx, where, all)
		}})
	}
	return places
}

// SetLists gives c the channels of the lists, which are those of Places, beside its own; a
// list without a name was not read, and what c has of it stays. A playlist is not the
// operator's to mend: what does not go with what was there before it is left out, with a
// line that says so. An error says which of the other channels do not fit together, and
// changes nothing.
func (c *Config) SetLists(lists []alias.List) (leftOut []string, err error) {
	places := c.Places()
	if len(lists) != len(places) {
		return nil, fmt.Errorf("configuration: %d lists of channels, want %d", len(lists), len(places))
	}
	now := *c
	now.Channels = nil
	kept := map[string][]Channel{} // by list
	for _, ch := range c.Channels {
		kept[ch.List] = append(kept[ch.List], ch)
	}
	now.Channels = append(now.Channels, kept[""]...)
	added, _, err := now.originChannels()
	if err != nil {
		return nil, err
	}
	for i, p := range places {
		list := kept[p.Where]
		if lists[i].Name != "" {
			list = nil
			for _, ch := range lists[i].Channels {
				list = append(list, fromLineup(ch, p.Where))
			}
		}
		if i >= len(c.ChannelFiles) {
			list, leftOut = now.without(list, added, leftOut)
		}
		now.Channels = append(now.Channels, list...)
	}
	if err := now.checkNames(); err != nil {
		return nil, err
	}
	if _, err := now.lineup(); err != nil {
		return nil, fmt.Errorf("lists of channels: %w", err)
	}
	*c = now
	return leftOut, nil
}

// without is the list without the channels whose name or first source another channel of c, or of those
// that were added, has; leftOut gets a line for each.
func (c *Config) without(list, added []Channel, leftOut []string) ([]Channel, []string) {
	names, sources := make(map[string]Channel, len(c.Channels)), make(map[string]Channel, len(c.Channels))
	for _, ch := range slices.Concat(c.Channels, added) {
		names[ch.Name], sources[ch.Source.Tag()] = ch, ch
	}
	var fit []Channel
	for _, ch := range list {
		other, taken := names[ch.Name]
		why := "of this name"
		if !taken {
			other, taken = sources[ch.Source.Tag()]
			why = "with this first source, " + other.Name + ","
		}
		if !taken {
			fit = append(fit, ch)
			continue
		}
		leftOut = append(leftOut, fmt.Sprintf("%s: channel %s is left out: there is one %s in %s", shown(ch.List), ch.Name, why, c.whereIs(other)))
	}
	return fit, leftOut
}

// checkNames says which name two channels have, and where both are.
func (c *Config) checkNames() error {
	seen := make(map[string]Channel, len(c.Channels))
	for _, ch := range c.Channels {
		other, twice := seen[ch.Name]
		if twice {
			return fmt.Errorf("channel %s is there twice: in %s and in %s", ch.Name, c.whereIs(other), c.whereIs(ch))
		}
		seen[ch.Name] = ch
	}
	return nil
}

// whereIs tells where a channel was read from.
func (c *Config) whereIs(ch Channel) string {
	if ch.List != "" {
		return shown(ch.List)
	}
	return c.place(channelsKey + "." + ch.Name).String()
}
