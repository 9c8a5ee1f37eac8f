package app

import (
	"fmt"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"sluice/internal/config"
)

// settings is the configuration as a command line gives it: a file, and flags that
// beat it.
type settings struct {
	role    config.Role
	file    string
	flags   []*setting
	verbose bool
	quiet   bool
}

// setting is a flag that stands for a key of the file: --run-dir for run_dir.
type setting struct {
	key      string
	arg      string // what help calls the value
	fallback string // what holds without the flag and the file, for help
	text     string
	given    bool
}

// Set implements pflag.Value.
func (s *setting) Set(text string) error {
	var scratch config.Config
	if err := scratch.Set(s.key, text); err != nil {
		return err
	}
	s.text, s.given = text, true
	return nil
}

// String implements pflag.Value.
func (s *setting) String() string {
	if s.given {
		return s.text
	}
	return s.fallback
}

// Type implements pflag.Value.
func (s *setting) Type() string { return s.arg }

// addSettings gives cmd the flags of settings that every role has, and those of the
// keys.
func addSettings(cmd *cobra.Command, keys ...string) *settings {
	s := &settings{role: config.Role(cmd.Name())}
	f := cmd.Flags()
	f.SortFlags = false
	defaults := config.Default()
	for _, key := range append(keys, "run_dir") {
		about := aboutKeys()[key]
		flag := &setting{key: key, arg: about.arg, fallback: defaults.Get(key)}
		s.flags = append(s.flags, flag)
		added := f.VarPF(flag, flagName(key), "", about.usage)
		if about.arg == boolArg {
			added.NoOptDefVal = "true"
		}
	}
	f.StringVarP(&s.file, "config", "C", "", "configuration `FILE`, - for standard input (default: the first of "+
		strings.Join(config.SearchPaths(s.role), ", ")+")")
	f.BoolVarP(&s.verbose, "verbose", "v", false, "log more")
	f.BoolVarP(&s.quiet, "quiet", "q", false, "log warnings and errors only")
	return s
}

func flagName(key string) string { return strings.ReplaceAll(key, "_", "-") }

// about is what help says of a setting.
type about struct{ arg, usage string }

// boolArg is the arg of a flag that may stand without a value.
const boolArg = "bool"

func aboutKeys() map[string]about {
	return map[string]about{
		"listen":         {"ADDR", "user port, where clients ask for streams"},
		"admin":          {"ADDR", "admin port, where the status page is"},
		"engines":        {"N", "engine processes; 0 = one a core"},
		"spread":         {"HOW", "engine of a new channel: round-robin, min-channels or min-clients"},
		"split_channels": {boolArg, "spread the clients of one channel over the engines, too"},
		"pin":            {boolArg, "keep each engine on a CPU of its own"},
		"interface":      {"IF", "network interface where groups are joined (default: that of the route)"},
		"run_dir":        {"DIR", "directory of locks and sockets (default: /run/sluice, or one of the user)"},
	}
}

// load returns the configuration that holds and the name of the file it is from, ""
// when there was none.
func (s *settings) load() (c config.Config, file string, err error) {
	if file = s.file; file == "" {
		if file, err = config.Find(config.SearchPaths(s.role)...); err != nil {
			return c, "", err
		}
	}
	c = config.Default()
	if file != "" {
		if c, err = config.Load(file, s.role); err != nil {
			return c, file, err
		}
	}
	for _, flag := range s.flags {
		if !flag.given {
			continue
		}
		if err := c.SetBy("--"+flagName(flag.key), flag.key, flag.text); err != nil {
			return c, file, fmt.Errorf("--%s: %w", flagName(flag.key), err)
		}
	}
	switch {
	case s.verbose:
		c.Log.Level = slog.LevelDebug
	case s.quiet:
		c.Log.Level = max(c.Log.Level, slog.LevelWarn)
	}
	return c, file, nil
}
