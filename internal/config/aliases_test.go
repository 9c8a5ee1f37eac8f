package config

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/internal/alias"
)

func TestLists(t *testing.T) {
	dir := t.TempDir()
	file, playlist := filepath.Join(dir, "channels.conf"), filepath.Join(dir, "list.m3u")
	put(t, file, "one udp://239.1.1.1:5000 udp://239.1.1.2:5000\n  linger = 7s\n")
	put(t, playlist, "#EXTM3U\n#EXTINF:-1 group-title=\"Films\",Two\nudp://@239.1.2.1:5000\n#EXTINF:-1,Broken\nftp://x\n")
	text := "linger: 9s\nchannels_file: " + file + "\nplaylists: " + playlist + "\nchannels: {own: {source: 'udp://239.1.3.1:5000'}}\n"
	c, err := Parse("a.yaml", []byte(text), Run)
	if err != nil {
		t.Fatal(err)
	}
	warnings, err := readLists(&c)
	if err != nil {
		t.Fatal(err)
	}
	if len(warnings) != 1 || !strings.Contains(warnings[0], "ftp") {
		t.Errorf("warnings: %q", warnings)
	}
	if names(c) != "own one Two" || c.Channels[1].Linger != 7*time.Second || c.Channels[2].Linger != 9*time.Second ||
		len(c.Channels[1].Backup) != 1 || c.Channels[2].Group != "Films" || c.Channels[1].List != file {
		t.Errorf("%+v", c.Channels)
	}
	// A child gets all of it, and reads the lists again by itself.
	child, err := Parse("child.yaml", c.YAML(), GWS)
	if err != nil {
		t.Fatal(err)
	}
	if diff := equal(c, child); diff != "" {
		t.Errorf("a child (-want +got):\n%s", diff)
	}
	put(t, file, "three udp://239.1.1.3:5000\n")
	if _, err := readLists(&child); err != nil || names(child) != "own three Two" {
		t.Errorf("read again: %s, %v", names(child), err)
	}
	// What cannot be read now is as it was.
	put(t, file, "{{{\n")
	if _, err := readLists(&child); err == nil || names(child) != "own three Two" {
		t.Errorf("a broken list: %s, %v", names(child), err)
	}
	put(t, file, "own udp://239.1.1.3:5000\n")
	_, err = readLists(&c)
	if err == nil || err.Error() != "channel own is there twice: in a.yaml:4 and in "+file || names(c) != "own one Two" {
		t.Errorf("a name twice: %s, %v", names(c), err)
	}
	put(t, file, "four udp://239.1.3.1:5000\n")
	if _, err = readLists(&c); err == nil || !strings.Contains(err.Error(), "own and four") {
		t.Errorf("a source twice: %v", err)
	}
	if _, err := c.SetLists([]alias.List{}); err == nil {
		t.Error("lists for other places are taken")
	}
}

// TestPlaylistThatClashes: what a provider calls as we call something is left out, and the
// rest of all lists is served.
func TestPlaylistThatClashes(t *testing.T) {
	dir := t.TempDir()
	file, one, two := filepath.Join(dir, "channels.conf"), filepath.Join(dir, "one.m3u"), filepath.Join(dir, "two.m3u")
	put(t, file, "filed udp://239.1.1.2:5000\n")
	put(t, one, "#EXTM3U\n#EXTINF:-1,own\nudp://239.2.1.1:5000\n#EXTINF:-1,copy\nudp://239.1.1.2:5000\n#EXTINF:-1,new\nudp://239.2.1.3:5000\n")
	put(t, two, "#EXTM3U\n#EXTINF:-1,new\nudp://239.3.1.1:5000\n#EXTINF:-1,last\nudp://239.3.1.2:5000\n")
	c, err := Parse("a.yaml", []byte("channels_file: "+file+"\nplaylists: ["+one+", "+two+"]\nchannels:\n  own: {source: udp://239.1.1.1:5000}\n"), Run)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // also when it is read again
		warnings, err := readLists(&c)
		if err != nil || names(c) != "own filed new last" {
			t.Fatalf("%s, %v", names(c), err)
		}
		want := []string{
			one + ": channel own is left out: there is one of this name in a.yaml:4",
			one + ": channel copy is left out: there is one with this first source, filed, in " + file,
			two + ": channel new is left out: there is one of this name in " + one,
		}
		if !slices.Equal(warnings, want) {
			t.Errorf("%q", warnings)
		}
	}
}

// TestListsKeepTrust: how far the word of a list goes is with its channels to the end.
func TestListsKeepTrust(t *testing.T) {
	c, err := Parse("a.yaml", []byte("playlists: http://tv.example/list.m3u\n"), Run)
	if err != nil {
		t.Fatal(err)
	}
	list, err := alias.ParsePlaylist("http://tv.example/list.m3u", []byte("http://name.example/x\n"), c.Settings)
	if err == nil {
		_, err = c.SetLists([]alias.List{list})
	}
	if err != nil {
		t.Fatal(err)
	}
	l, err := c.lineup()
	if err != nil || !l.Channels()[0].NotLocal {
		t.Errorf("%+v, %v", l, err)
	}
}

// readLists reads all lists and gives c their channels, as gws does.
func readLists(c *Config) (warnings []string, err error) {
	lists, err := alias.NewWatcher(c.Places(), 0, 0, nil).Load(context.Background())
	for _, l := range lists {
		warnings = append(warnings, l.Warnings...)
	}
	leftOut, misfit := c.SetLists(lists)
	return append(warnings, leftOut...), errors.Join(err, misfit)
}

func names(c Config) string {
	var list []string
	for _, ch := range c.Channels {
		list = append(list, ch.Name)
	}
	return strings.Join(list, " ")
}
