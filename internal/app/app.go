// Package app is the command: it reads the command line and the configuration, and
// joins the rooms into what was asked for. wire_run.go, wire_gws.go and wire_gng.go have one
// function for each role.
//
//	sluice run ─┬─ supervises ─► sluice gws           the web service
//	            └─ supervises ─► sluice gng --id 1 …  the engines
//
// The supervised processes are the same program. They read the settings that hold from a
// file in the run directory, so that one which is started again later does not meet a file
// that has changed in between; and they read it again at HUP (reload.go).
//
// Exit codes: 0 done, 1 it did not work, 2 it was not understood. Either failure says
// one line on standard error that begins with "sluice:".
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"sluice/internal/config"
)

// Main runs the command line args, the first of which is the name the program was
// called by, and returns the exit code. Called gws or gng it is that module alone.
func Main(args []string) int {
	return execute(words(args), os.Stdout, os.Stderr)
}

// words are the arguments, with the module first that the program's name means.
func words(args []string) []string {
	if len(args) == 0 {
		return nil
	}
	switch name := filepath.Base(args[0]); name {
	case roleGWS, roleGNG, nameCproxy, nameTcprelay, nameSpawnd:
		return append([]string{name}, args[1:]...)
	}
	return args[1:]
}

func execute(args []string, stdout, stderr io.Writer) int {
	if run, rest := foreign(args); run != nil {
		return run(rest, stdout, stderr)
	}
	root := newRoot()
	root.SetArgs(append([]string{}, args...)) // cobra takes nil for os.Args
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(context.Background())
	var wrong *usageError
	var code exitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &code):
		return int(code)
	case errors.Is(err, errSaid):
		return 1
	case errors.As(err, &wrong):
		fmt.Fprintf(stderr, "sluice: %s\n", err)
		return 2
	}
	fmt.Fprintf(stderr, "sluice: %s\n", err)
	return 1
}

// foreign is a command that keeps the options, messages and exit codes of another program, with
// its arguments; nil when args are no such one.
func foreign(args []string) (run func(args []string, stdout, stderr io.Writer) int, rest []string) {
	if len(args) == 0 {
		return nil, nil
	}
	rest = args[1:]
	switch {
	case args[0] == nameCproxy, args[0] == roleRelay && isCproxy(rest):
		return cproxy, rest
	case args[0] == nameTcprelay && !isHelp(rest):
		return tcprelayAs(nameTcprelay), rest
	case args[0] == nameSpawnd:
		return tcprelayAs(nameSpawnd), rest
	case args[0] == nameWorker:
		return tcprelayWorker, rest
	}
	return nil, nil
}

// isHelp says whether help is all that the arguments ask for.
func isHelp(args []string) bool { return len(args) == 1 && (args[0] == "-h" || args[0] == "--help") }

// errSaid is a failure that the output has told of already.
var errSaid = errors.New("said already")

// exitError is the exit code of a daemon that has failed and has said why.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// usageError is a command line that was not understood.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

// misused says what is wrong with the command line, and where to read on.
func misused(cmd *cobra.Command, format string, args ...any) error {
	return &usageError{fmt.Sprintf(format, args...) + fmt.Sprintf(" (see: %s -h)", cmd.CommandPath())}
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "sluice",
		Short: "Stream relay: multicast in, any number of HTTP clients out",
		Long: `sluice takes MPEG-TS from UDP or RTP multicast, TCP, HTTP and files and serves it to any
number of HTTP clients: set-top boxes, VLC, ffmpeg, browsers; or sends it on to others.

A client asks for http://HOST:4046/udp/GROUP:PORT, and the group is joined for the
first one who does and left after the last. sluice(1) has all the other requests.`,
		Example: `  sluice demo                      a channel made here, to try it out
  sluice run                       serve every group to private networks
  sluice probe http://localhost:4046/udp/239.1.1.1:5000
  sluice send film.ts --to udp://239.1.1.1:5000 --loop`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return unknownCommand(cmd, args[0])
		},
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	root.SetFlagErrorFunc(badFlag)
	root.AddCommand(
		newRun(), newDemo(), newCheck(), newSend(), newProbe(), newSign(), newGWS(), newGNG(), newRelay(), newTcprelay(), newOrigin(), newUser(), newVersion())
	root.SetHelpCommand(newHelp(root))
	return root
}

func unknownCommand(cmd *cobra.Command, word string) error {
	var names []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	if near := config.Nearest(word, names); near != "" {
		return misused(cmd, "unknown command %q, did you mean %s?", word, near)
	}
	return misused(cmd, "unknown command %q", word)
}

// badFlag tells of a flag that does not exist, or of a bad value.
func badFlag(cmd *cobra.Command, err error) error {
	if errors.Is(err, pflag.ErrHelp) {
		return err
	}
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) {
		return misused(cmd, "%s", err)
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	if near := config.Nearest(unknown.GetSpecifiedName(), names); near != "" && unknown.GetSpecifiedShortnames() == "" {
		return misused(cmd, "%s, did you mean --%s?", err, near)
	}
	return misused(cmd, "%s", err)
}

// noArgs is the check of a command that takes flags only.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return misused(cmd, "%s takes no argument, got %q", cmd.Name(), args[0])
	}
	return nil
}

// oneArg is the check of a command that takes exactly one argument.
func oneArg(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) == 0:
			return misused(cmd, "%s wants %s", cmd.Name(), what)
		case len(args) > 1:
			return misused(cmd, "%s takes one argument, got %q as well", cmd.Name(), args[1])
		}
		return nil
	}
}

func newHelp(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Help for a command",
		RunE: func(_ *cobra.Command, args []string) error {
			cmd, rest, err := root.Find(args)
			if err != nil || len(rest) > 0 {
				return unknownCommand(root, args[0])
			}
			cmd.InitDefaultHelpFlag()
			return cmd.Help()
		},
	}
}
