package app

import (
	"cmp"
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"sluice/internal/config"
	"sluice/internal/process"
)

// daemonUser is the account of a daemon when the configuration names none.
const daemonUser = "sluice"

// module is the command line of a gws or a gng: its settings and the options that both
// have beside them.
type module struct {
	*settings
	terminal bool
	useless  map[string]*bool // options without effect, by their letter
}

// work is what a module does.
type work struct {
	bind func(c *config.Config) error // what may need root, before the user is switched; nil = nothing
	raw  bool                         // it needs raw sockets as another user, too
	kill bool                         // run heeds asked.Kill itself; else that ends the process
	run  func(ctx context.Context, c *config.Config, p *self) error
}

// addModule gives cmd the options of a module, with settings for the keys.
func addModule(cmd *cobra.Command, role config.Role, keys ...string) *module {
	m := &module{settings: addSettings(cmd, role, append(keys, "log.file", "pid_file")...), useless: map[string]*bool{}}
	f := cmd.Flags()
	f.BoolVarP(&m.terminal, "term", "T", false, "stay in the foreground, as the user who starts it (default when that is not root)")
	addGuide(f)
	addVersion(cmd)
	cmd.DisableFlagsInUseLine = true
	return m
}

// addGuide gives help the other names that gigapxy knows for it.
func addGuide(f *pflag.FlagSet) {
	f.BoolFuncP("options", "?", "the same as --help", func(string) error { return pflag.ErrHelp })
}

// addVersion gives cmd the option that prints one line and ends.
func addVersion(cmd *cobra.Command) {
	cmd.Version = build()
	cmd.Flags().BoolP("version", "V", false, "print the version and end")
	cmd.SetVersionTemplate(versionLine())
}

// addUseless adds an option that is accepted because gigapxy has it; what it does there
// is not known.
func (m *module) addUseless(f *pflag.FlagSet, letter string) {
	m.useless[letter] = f.BoolP("gigapxy-"+strings.ToLower(letter), letter, false, "accepted, without effect")
}

// detached says whether a module leaves the terminal.
func detached(euid int, terminal bool) bool { return euid == 0 && !terminal }

// start runs the module: as root it becomes a daemon, unless it is to stay.
func (m *module) start(ctx context.Context, w work) error {
	daemon := detached(os.Geteuid(), m.terminal)
	var born *process.Born
	if daemon {
		var err error
		if born, err = process.Detached(); err != nil {
			return err
		}
		if born == nil {
			code, err := process.Detach()
			if err == nil && code != 0 {
				err = exitError(code)
			}
			return err
		}
	}
	signal.Ignore(syscall.SIGPIPE) // a module survives the reader of its log
	asked := process.Signals(ctx)  // before the file is read: whoever changes it afterwards is heard
	defer asked.End()
	if !w.kill {
		disarm := context.AfterFunc(asked.Kill, func() { os.Exit(1) })
		defer disarm()
	}
	c, err := m.load()
	if err == nil {
		err = c.Mandatory(daemon)
	}
	if err != nil {
		return err
	}
	return m.serve(asked, &c, born, w)
}

// serve is the module from its sockets to its end.
func (m *module) serve(asked *process.Asked, c *config.Config, born *process.Born, w work) error {
	c.RunDir = c.RunDirectory() // it depends on the user
	if w.bind != nil {
		if err := w.bind(c); err != nil {
			return err
		}
	}
	if born != nil {
		if err := settle(c, w.raw); err != nil {
			return err
		}
	}
	p := &self{role: string(m.role), asked: asked, born: born}
	err := p.begin(c)
	if err == nil {
		logSource(p.log, c)
		m.logUseless(p)
		err = w.run(asked.Stop, c, p)
	}
	p.end(err)
	return err
}

func (m *module) logUseless(p *self) {
	for letter, given := range m.useless {
		if *given {
			p.log.Warn("option without effect: it is accepted because gigapxy has it", "option", "-"+letter)
		}
	}
}

// settle goes on as the daemon's user. The directories that it needs and that are not there
// become its own.
func settle(c *config.Config, raw bool) error {
	account, err := process.FindAccount(cmp.Or(c.User, daemonUser))
	if err != nil {
		return err
	}
	if err := account.OwnRunDir(c.RunDir); err != nil {
		return err
	}
	for _, file := range []string{c.SocketPath(), c.PIDFile, c.Log.File, c.Access.File, c.Relay.SessionLog.File} {
		if file == "" {
			continue
		}
		if err := account.OwnDir(filepath.Dir(file)); err != nil {
			return err
		}
	}
	return account.Switch(raw)
}
