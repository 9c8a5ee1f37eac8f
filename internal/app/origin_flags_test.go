package app

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"sluice/internal/config"
)

// originConfig is what a command line of an origin makes.
func originConfig(t *testing.T, args ...string) (config.Config, *originFlags, error) {
	t.Helper()
	cmd := &cobra.Command{Use: roleOrigin}
	o := addOriginFlags(cmd)
	if err := cmd.ParseFlags(args); err != nil {
		return config.Config{}, o, err
	}
	o.wish.dirs = cmd.Flags().Args()
	c, err := o.load()
	return c, o, err
}

// Acceptance 73: each option of the page of GPAC's httpout, and of its later versions, is taken with its default, and changes
// nothing then but what we decided otherwise.
func TestLine73OptionsOfHttpout(t *testing.T) {
	dir := t.TempDir()
	plain, _, err := originConfig(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, option := range []string{
		"port=0", "ifce=", "rdirs=" + dir, "wdir=", "cert=", "pkey=", "block_size=10000", "user_agent=", "close=false", "maxc=100", "maxp=6",
		"cache_control=", "hold=false", "hmode=default", "timeout=30", "ext=", "mime=", "quit=false", "post=false", "dlist=false", "sutc=false",
		"cors=auto", "reqlog=", "ice=false", "max_client_errors=20", "max_cache_segs=5", "reopen=false", "blockio=false", "ka=true", "hdrs=", "js=",
		"zmax=50000", "cte=true", "maxs=50M", "norange=false", "no_z=false",
	} {
		got, o, err := originConfig(t, "--"+option, dir)
		if err != nil {
			t.Errorf("--%s: %v", option, err)
			continue
		}
		if atOnce, later := config.Diff(plain, got); len(atOnce)+len(later) > 0 {
			t.Errorf("--%s changes %v %v", option, atOnce, later)
		}
		name, value, _ := strings.Cut(option, "=")
		if warned := len(o.warnings) == 1 && strings.Contains(o.warnings[0], name); warned != (value != "" && slices.Contains(uselessOrigin, name)) {
			t.Errorf("--%s: warnings %q", option, o.warnings)
		}
	}
	// Of the channel's policy acts: acceptance 46.
	if got, _, err := originConfig(t, "--max_async_buf=100000", dir); err != nil || got.Origin.Buffer != 100_000 || plain.Origin.Buffer != 0 {
		t.Errorf("max_async_buf: %d, without it %d, %v", got.Origin.Buffer, plain.Origin.Buffer, err)
	}
}

// Names have _ or -, booleans what httpout takes, and numbers no unit where it wants none.
func TestLine73Spellings(t *testing.T) {
	dir := t.TempDir()
	for _, args := range [][]string{{"--max_client_errors", "3"}, {"--max-client-errors=3"}} {
		if c, _, err := originConfig(t, append(args, dir)...); err != nil || c.Origin.MaxErrors != 3 {
			t.Errorf("%v: %d, %v", args, c.Origin.MaxErrors, err)
		}
	}
	for word, want := range map[string]bool{"--dlist": true, "--dlist=true": true, "--dlist=yes": true, "--dlist=1": true, "--dlist=no": false, "--dlist=0": false} {
		if c, _, err := originConfig(t, word, dir); err != nil || c.Origin.Listing != want {
			t.Errorf("%s: %t, %v", word, c.Origin.Listing, err)
		}
	}
	c, _, err := originConfig(t, "--timeout=0", "--zmax", "1k", "--maxs=2G", "--cte=0", "--no_z", "--wait_next", "2", "--growth=3", "--hdrs", "X-A,1,X-B,2", "--reqlog=-GET,REC", dir)
	if err != nil {
		t.Fatal(err)
	}
	o := c.Origin
	if o.Idle != 0 || o.Compress != 0 || o.MaxSize != 2e9 || !o.Whole || o.WaitNext != 2*time.Second || c.Settings.Growth != 3*time.Second ||
		!slices.Equal(o.Headers, []string{"X-A", "1", "X-B", "2"}) || !o.Log.NoEnd || !o.Log.Record {
		t.Errorf("got %+v", o)
	}
	for _, bad := range []string{"--dlist=maybe", "--timeout=fast", "--port=1,2,3", "--port=x", "--hmode=pull", "--cors=maybe", "--maxs=-1"} {
		if _, _, err := originConfig(t, bad, dir); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}

// Paths are of the directory in which the command was given.
func TestOriginPaths(t *testing.T) {
	t.Chdir(t.TempDir())
	here, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	c, _, err := originConfig(t, "--rdirs", "a,gmem", "--wdir", "b", "c")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{filepath.Join(here, "a"), "gmem", filepath.Join(here, "c")}
	if !slices.Equal(c.Origin.ReadDirs, want) || c.Origin.WriteDir != filepath.Join(here, "b") {
		t.Errorf("reads %q, writes %q", c.Origin.ReadDirs, c.Origin.WriteDir)
	}
	for _, args := range [][]string{{"--wdir", "gmem", "gmem"}, {"gmem", "--wdir", "gmem"}} { // what is uploaded there can be read
		if _, _, err := originConfig(t, args...); err != nil {
			t.Errorf("%q: %v", args, err)
		}
	}
}
