package config

import (
	"cmp"
	"fmt"
	"slices"

	"sluice/internal/auth"
	"sluice/internal/engine"
	"sluice/internal/gws"
	"sluice/internal/lineup"
	"sluice/internal/process"
	"sluice/internal/uri"
)

// GWS is the web service's part; build is the version of the program. Guard and Access
// are left to the caller.
func (c *Config) GWS(build string) (gws.Config, error) {
	channels, err := c.lineup()
	if err != nil {
		return gws.Config{}, fmt.Errorf("configuration: %w", err)
	}
	routes, err := c.routes(channels)
	if err != nil {
		return gws.Config{}, err
	}
	return gws.Config{
		Allow:       notNil(c.Allow),
		Proxies:     c.Proxies,
		Sources:     notNil(c.Sources),
		Targets:     c.Targets,
		ReadFrom:    c.ReadFrom,
		WriteTo:     c.WriteTo,
		Lineup:      channels,
		Routes:      routes,
		Spread:      c.Spread,
		Split:       c.SplitChannels,
		MinEngines:  c.MinEngines,
		Limits:      c.Limits,
		Request:     c.Request,
		Unavailable: c.Unavailable,
		Stall:       c.Stall,
		Udpxy:       c.Udpxy,
		Statistics:  c.Report.Statistics,
		KeepEngines: !c.ForceShutdown,
		MaxEngines:  maxEngines,
		Build:       build,
	}, nil
}

// notNil is list, which is not taken for one that was not set.
func notNil[T any](list []T) []T { return append([]T{}, list...) }

// Engine is the part of the engine id, which has its share of the memory.
func (c *Config) Engine(id, build string) engine.Config {
	return engine.Config{
		ID:                id,
		Socket:            c.SocketPath(),
		Build:             build,
		Interface:         c.Interface,
		Sources:           c.Sources,
		Targets:           c.Targets,
		ReadFrom:          c.ReadFrom,
		WriteTo:           c.WriteTo,
		Uploads:           c.uploads(),
		Memory:            max(c.historyTotal()/int64(c.EngineCount()), 1),
		Renew:             c.Renew,
		Stall:             c.Stall,
		ReconnectAttempts: c.Reconnect.Attempts,
		ReconnectDelay:    c.Reconnect.Delay,
	}
}

// uploads is the path of the socket for uploads that are channels; "" = there are none.
func (c *Config) uploads() string {
	if len(c.Origin.Sources) == 0 {
		return ""
	}
	return c.UploadsSocket()
}

func (c *Config) historyTotal() int64 {
	return cmp.Or(c.HistoryTotal, cmp.Or(process.Memory(), unknownMemory)/4)
}

// AuthConfig is the part of authorization; it reads the files of tokens and secrets.
func (c *Config) AuthConfig() (auth.Config, error) {
	a := c.Auth
	out := auth.Config{
		Hook: a.Hook, Timeout: a.Timeout,
		Helper: a.Helper, Helpers: a.Helpers, CRLF: a.CRLF, ListenerAlias: a.ListenerAlias,
		DeniedFor: a.DeniedFor, DeniedEntries: a.DeniedEntries,
	}
	if a.DeniedFor == 0 {
		out.DeniedFor = -1 // zero is auth's default
	}
	var err error
	if a.TokenFile != "" {
		if out.Tokens, err = auth.ReadTokens(a.TokenFile); err != nil {
			return auth.Config{}, c.place("auth.tokens").Errorf("auth.tokens: %s", err)
		}
	}
	if a.SecretFile != "" {
		if out.Secrets, err = auth.ReadSecrets(a.SecretFile); err != nil {
			return auth.Config{}, c.place("auth.secrets").Errorf("auth.secrets: %s", err)
		}
	}
	return out, nil
}

// addChannel adds a channel that has the settings of all. The table is good until the
// next one is added.
func (c *Config) addChannel(name string) (table, error) {
	if err := lineup.CheckName(name); err != nil {
		return nil, err
	}
	c.Channels = append(c.Channels, Channel{Name: name, Settings: c.Settings})
	return c.Channels[len(c.Channels)-1].settings(), nil
}

// needSource says whether the last channel has no source.
func (c *Config) needSource() error {
	if ch := c.Channels[len(c.Channels)-1]; ch.Source == nil {
		return fmt.Errorf("channel %s has no source; it wants a key such as source: udp://239.1.1.1:5000", ch.Name)
	}
	return nil
}

// lineup is the channels and the settings of all others.
func (c *Config) lineup() (*lineup.Lineup, error) {
	channels := make([]lineup.Channel, 0, len(c.Channels))
	added, _, err := c.originChannels()
	if err != nil {
		return nil, err
	}
	for _, ch := range slices.Concat(c.Channels, added) {
		channels = append(channels, ch.lineup())
	}
	return lineup.New(c.Settings, channels)
}

func (ch Channel) lineup() lineup.Channel {
	return lineup.Channel{
		Name: ch.Name, Sources: append([]uri.Source{ch.Source}, ch.Backup...), Trusted: true, NotLocal: ch.NotLocal,
		Settings: ch.Settings, Listing: ch.Listing,
	}
}

// fromLineup is a channel of a list, whose name is list.
func fromLineup(ch lineup.Channel, list string) Channel {
	return Channel{
		Name: ch.Name, Source: ch.Sources[0], Backup: slices.Clone(ch.Sources[1:]),
		Settings: ch.Settings, Listing: ch.Listing, List: list, NotLocal: ch.NotLocal,
	}
}
