package store

import (
	"path"
	"strings"
)

// Manifest says whether a name is that of a manifest or a playlist: it is written anew all the time, is replaced whole and never
// seen growing.
func Manifest(name string) bool {
	switch strings.ToLower(path.Ext(name)) {
	case ".mpd", ".m3u8", ".m3u":
		return true
	}
	return false
}
