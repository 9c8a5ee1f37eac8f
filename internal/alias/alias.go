// Package alias reads lists of channels: files in the form of channels.conf, and playlists
// in M3U. It keeps them as new as what they were read from, and writes such playlists as
// well. docs/channels.md describes both forms.
package alias

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"sluice/internal/lineup"
	"sluice/internal/uri"
)

// List is what one file or playlist holds. Its channels are checked, each for itself, and
// have different names and different first sources.
type List struct {
	Name     string // of the file or playlist, for errors; no credentials, no query
	Channels []lineup.Channel
	Warnings []string // a line each, of what a playlist has that cannot be used; a hundred at most
}

// Limits of a list.
const (
	MaxEntries = 20_000
	MaxBytes   = 8 << 20
)

// LoadFile reads a file in the form of channels.conf. all is what holds for channels that
// do not say otherwise. set gives a channel one of the settings that the configuration
// has for a channel; its error says what is wrong with the value. Errors begin with
// FILE:LINE:COLUMN and show the line, without credentials and queries.
func LoadFile(path string, all lineup.Settings, set Set) (List, error) {
	text, err := readFile(path)
	if err != nil {
		return List{}, fmt.Errorf("read channels: %w", err)
	}
	return ParseFile(path, text, all, set)
}

// LoadPlaylist reads a playlist in M3U from a file, or from a URL of http or https within
// ten seconds. What cannot be used of it becomes a warning; that nothing can be used is an
// error.
func LoadPlaylist(ctx context.Context, where string, all lineup.Settings) (List, error) {
	if !isURL(where) {
		text, err := readFile(where)
		if err != nil {
			return List{}, fmt.Errorf("read playlist: %w", err)
		}
		return ParsePlaylist(where, text, all)
	}
	from, err := uri.Parse(where)
	if err != nil {
		return List{}, fmt.Errorf("playlist %s: %w", uri.Mask(where), err)
	}
	got, err := fetch(ctx, from)
	if err != nil {
		return List{}, fmt.Errorf("playlist %s: %w", uri.Mask(where), err)
	}
	return parsePlaylist(where, got, all)
}

// readFile reads a regular file of at most MaxBytes.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path) // not to wait for the writer of a pipe
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := readAll(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return text, nil
}

func readAll(r io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, MaxBytes+1))
	if err == nil && len(text) > MaxBytes {
		err = fmt.Errorf("more than %d MiB: that is no list of channels", MaxBytes>>20)
	}
	return text, err
}

func isURL(where string) bool {
	scheme, _, found := strings.Cut(where, "://")
	return found && (strings.EqualFold(scheme, string(uri.HTTP)) || strings.EqualFold(scheme, string(uri.HTTPS)))
}

// check says what is wrong with one channel.
func check(ch lineup.Channel) error {
	_, err := lineup.New(lineup.Defaults(), []lineup.Channel{ch})
	return err
}
