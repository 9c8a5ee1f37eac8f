package config

import (
	"errors"
	"fmt"
	"strings"

	"sluice/internal/endpoint"
	"sluice/internal/gws"
	"sluice/internal/lineup"
	"sluice/internal/uri"
)

// addRoute adds a route. The table is good until the next one is added.
func (c *Config) addRoute(name string) (table, error) {
	if err := lineup.CheckName(name); err != nil {
		return nil, fmt.Errorf("a route is called as a channel may be: %w", err)
	}
	c.Routes = append(c.Routes, Route{Name: name})
	return c.Routes[len(c.Routes)-1].settings(), nil
}

// check says what is missing or makes no sense.
func (r Route) check() error {
	switch {
	case r.From == "":
		return errors.New("want from: $NAME of a channel, or a source")
	case r.To.End == uri.End{}:
		return errors.New("want to: where the stream is sent, such as udp://239.1.1.1:5000")
	case r.To.Write != endpoint.WriteNew && r.To.End.Scheme != uri.File:
		return errors.New("write is said of files only")
	case r.To.Method != "" && !r.To.End.Web():
		return errors.New("method is said of http:// and https:// only")
	case r.To.Bitrate != 0 && !r.To.End.Datagrams():
		return errors.New("bitrate is said of udp:// only")
	}
	if !strings.HasPrefix(r.From, "$") {
		if _, err := uri.ParseSource(r.From); err != nil {
			return fmt.Errorf("from: %w", err)
		}
	}
	return nil
}

// routes are the routes with their channels.
func (c *Config) routes(l *lineup.Lineup) ([]gws.Route, error) {
	var list []gws.Route
	for _, r := range c.Routes {
		channel, err := r.channel(l)
		if err != nil {
			return nil, c.place(routesKey+"."+r.Name).Errorf("route %s: %s", r.Name, err)
		}
		target := r.To
		target.Trusted = true
		list = append(list, gws.Route{Name: r.Name, Channel: channel, Target: target, Restart: r.Restart})
	}
	return list, nil
}

// channel is what the route begins with.
func (r Route) channel(l *lineup.Lineup) (lineup.Channel, error) {
	if name, ok := strings.CutPrefix(r.From, "$"); ok {
		channel, ok := l.Named(name)
		if !ok {
			return channel, fmt.Errorf("no channel is called %s", name)
		}
		return channel, nil
	}
	source, err := uri.ParseSource(r.From)
	if err != nil {
		return lineup.Channel{}, fmt.Errorf("from: %w", err)
	}
	channel := l.From(source)
	channel.Trusted = true
	return channel, nil
}
