package app

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"sluice/internal/config"
	"sluice/internal/logs"
)

// settings is the configuration as a command line gives it: a file, and flags that
// beat it.
type settings struct {
	role    config.Role
	file    string // the one that was found, once there is one
	flags   []*setting
	verbose int // how often -v was given
	quiet   bool
	named   bool // no file is read but one that -C names
}

// setting is a flag that stands for a key of the file: --run-dir for run_dir.
type setting struct {
	key      string
	flag     string // without the dashes
	arg      string // what help calls the value
	fallback string // what holds without the flag and the file, for help
	text     string
	given    bool
	convert  func(string) (string, error) // to the text of the key; nil = as it is
}

// Set implements pflag.Value.
func (s *setting) Set(text string) error {
	if s.convert != nil {
		var err error
		if text, err = s.convert(text); err != nil {
			return err
		}
	}
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
func addSettings(cmd *cobra.Command, role config.Role, keys ...string) *settings {
	s := &settings{role: role}
	addCommon(s, cmd, keys...)
	return s
}

// addCommon is addSettings for settings that there are already.
func addCommon(s *settings, cmd *cobra.Command, keys ...string) {
	role := s.role
	f := cmd.Flags()
	f.SortFlags = false
	for _, key := range append(keys, "run_dir") {
		about := aboutKeys()[key]
		if role == config.Relay && key == "log.file" {
			about.short = "" // -l is where it listens
		}
		s.add(f, key, about)
	}
	f.StringVarP(&s.file, "config", "C", "", "configuration `FILE`, - for standard input (default: "+searched(role)+")")
	f.CountVarP(&s.verbose, "verbose", "v", "log more: -v informative lines, -vv those for finding faults as well")
	f.BoolVarP(&s.quiet, "quiet", "q", false, "log warnings and errors only")
}

// searched says where a role looks for its configuration.
func searched(role config.Role) string {
	var names, dirs []string
	for _, path := range config.SearchPaths(role) {
		dir, name := filepath.Split(path)
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
		if dir = filepath.Clean(dir); !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	return fmt.Sprintf("the first of %s, each in %s", strings.Join(names, ", "), strings.Join(dirs, ", "))
}

// add adds a flag for a key.
func (s *settings) add(f *pflag.FlagSet, key string, about about) *setting {
	if about.flag == "" {
		about.flag = strings.ReplaceAll(key, "_", "-")
	}
	defaults := config.Default()
	flag := &setting{key: key, flag: about.flag, arg: about.arg, fallback: defaults.Get(key)}
	s.flags = append(s.flags, flag)
	added := f.VarPF(flag, flag.flag, about.short, about.usage)
	if about.arg == boolArg {
		added.NoOptDefVal = "true"
	}
	return flag
}

// about is what help says of a setting.
type about struct {
	flag, short string // if flag is empty, the key with dashes
	arg, usage  string
}

// boolArg is the arg of a flag that may stand without a value.
const boolArg = "bool"

func aboutKeys() map[string]about {
	return map[string]about{
		"listen":         {arg: "ADDR", usage: "user port, where clients ask for streams"},
		"admin":          {arg: "ADDR", usage: "admin port, where the status page is"},
		"engines":        {arg: "N", usage: "engine processes; 0 = one a core"},
		"spread":         {arg: "HOW", usage: "engine of a new channel: round-robin, min-channels or min-clients"},
		"split_channels": {arg: boolArg, usage: "spread the clients of one channel over the engines, too"},
		"pin":            {arg: boolArg, usage: "keep each engine on a CPU of its own"},
		"interface":      {arg: "IF", usage: "network interface where groups are joined (default: that of the route)"},
		"run_dir":        {arg: "DIR", usage: "directory of locks and sockets (default: /run/sluice, or one of the user)"},
		"log.file":       {"logfile", "l", "FILE", "log file, in place of standard error"},
		"pid_file":       {"pidfile", "p", "FILE", "file that holds the process id"},
		"relay.admin":    {flag: "admin", arg: "ADDR", usage: "admin port, where the status page is"},
		"socket":         {"socket", "w", "PATH", "socket where engines find gws (default: handoff.socket in --run-dir)"},
	}
}

// load returns the configuration that holds.
func (s *settings) load() (config.Config, error) {
	c, err := s.read()
	if err != nil {
		return c, err
	}
	return c, c.Validate()
}

// read is load of settings to which something is added before they are checked.
func (s *settings) read() (c config.Config, err error) {
	if s.file == "" && !s.named {
		if s.file, err = config.Find(config.SearchPaths(s.role)...); err != nil {
			return c, err
		}
	}
	c = config.Default()
	if s.file != "" {
		if c, err = config.Load(s.file, s.role); err != nil {
			return c, err
		}
	}
	if s.role == config.GNG { // what an engine needs of them gws tells it
		c.Channels, c.Routes = nil, nil
	}
	for _, flag := range s.flags {
		if !flag.given {
			continue
		}
		if err := c.SetBy("--"+flag.flag, flag.key, flag.text); err != nil {
			return c, fmt.Errorf("--%s: %w", flag.flag, err)
		}
	}
	if flag, level := s.level(c.Log.Level); level != c.Log.Level {
		if err := c.SetBy(flag, "log.level", logs.LevelName(level)); err != nil {
			return c, err
		}
	}
	return c, nil
}

// level is what the flags make of the level of the file, and which flag it was. -v never
// makes the log shorter, -q never longer.
func (s *settings) level(file slog.Level) (flag string, level slog.Level) {
	switch {
	case s.verbose > 1:
		return "-v", min(file, slog.LevelDebug)
	case s.verbose == 1:
		return "-v", min(file, slog.LevelInfo)
	case s.quiet:
		return "-q", max(file, slog.LevelWarn)
	}
	return "", file
}

// logSource tells where the settings are from, and what is odd about them.
func logSource(log *slog.Logger, c *config.Config) {
	if c.File() == "" {
		logs.Normal(log, "no configuration file: defaults")
	} else {
		logs.Normal(log, "configuration read", logs.File, c.File())
	}
	tellWarnings(log, c)
	if syscall.Access(c.File(), mayRead) == syscall.EACCES { // root has read it
		log.Warn("configuration cannot be read again: this user has no right to it", logs.File, c.File())
	}
}

const mayRead = 4 // R_OK of access(2)

// tellWarnings tells what is odd. Of what a supervisor has written for its modules it has told itself, with the places in the file.
func tellWarnings(log *slog.Logger, c *config.Config) {
	if c.File() == settingsPath(c.RunDirectory()) {
		return
	}
	for _, w := range c.Warnings() {
		log.Warn("configuration", logs.Reason, w.Short())
	}
}
