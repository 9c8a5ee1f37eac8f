package config

import (
	"context"
	"errors"
	"fmt"

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
// list without a name was not read, and what c has of it stays. An error says which
// channels do not fit together, and changes nothing.
func (c *Config) SetLists(lists []alias.List) error {
	places := c.Places()
	if len(lists) != len(places) {
		return fmt.Errorf("configuration: %d lists of channels, want %d", len(lists), len(places))
	}
	now := *c
	now.Channels = nil
	kept := map[string][]Channel{} // by list
	for _, ch := range c.Channels {
		kept[ch.List] = append(kept[ch.List], ch)
	}
	now.Channels = append(now.Channels, kept[""]...)
	for i, p := range places {
		if lists[i].Name == "" {
			now.Channels = append(now.Channels, kept[p.Where]...)
			continue
		}
		for _, ch := range lists[i].Channels {
			now.Channels = append(now.Channels, fromLineup(ch, p.Where))
		}
	}
	if err := now.checkNames(); err != nil {
		return err
	}
	if _, err := now.lineup(); err != nil {
		return fmt.Errorf("lists of channels: %w", err)
	}
	*c = now
	return nil
}

// ReadLists reads all lists and gives c their channels. The warnings are a line each; an
// error is that of all that could not be read, without which c then has to do.
func (c *Config) ReadLists(ctx context.Context) (warnings []string, err error) {
	lists, err := alias.NewWatcher(c.Places(), 0, 0, nil).Load(ctx)
	for _, l := range lists {
		warnings = append(warnings, l.Warnings...)
	}
	return warnings, errors.Join(err, c.SetLists(lists))
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
