// Package alias reads lists of channels: channels.conf, and playlists in M3U. It writes
// such playlists as well.
package alias

import "sluice/internal/lineup"

// List is what one file or playlist holds.
type List struct {
	Name     string // of the file or playlist, for errors; no credentials
	Channels []lineup.Channel
}
