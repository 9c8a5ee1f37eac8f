package app

import (
	"cmp"
	"context"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"sluice/internal/logs"
	"sluice/internal/process"
)

// The roles, as commands, as links to the program and in the log.
const (
	roleRun = "run"
	roleGWS = "gws"
	roleGNG = "gng"
)

func newRun() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Serve streams: the web service and its engines",
		Long: `run starts the web service (gws) and the engines (gng) and keeps them running: one
that crashes is started again. It stays in the foreground; TERM or Ctrl-C ends
everything in good order, a second one at once.

Without a configuration file every multicast group is served to private and loopback
addresses; others get 403 until "allow" in the file says otherwise. The file also gives
channels names, back-up sources and limits (dist/sluice.yaml shows all of it).

Several sluice beside each other need several ports and directories (--run-dir).`,
		Example: `  sluice run
  sluice run --interface eth1 --listen :8080
  sluice run -C /etc/sluice.yaml --engines 4 --spread min-clients --pin`,
		Args: noArgs,
	}
	s := addSettings(cmd, "listen", "admin", "engines", "spread", "split_channels", "pin", "interface")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, file, err := s.load()
		if err != nil {
			return err
		}
		signal.Ignore(syscall.SIGPIPE)
		stop, kill, end := process.Signals(cmd.Context())
		defer end()
		log := logs.New(os.Stderr, roleRun, c.Log.Level)
		logFile(log, file)
		return supervise(stop, kill, c, log)
	}
	return cmd
}

// logFile tells where the settings are from.
func logFile(log *slog.Logger, file string) {
	if file == "" {
		log.Info("no configuration file: defaults")
		return
	}
	log.Info("configuration read", logs.File, file)
}

func newGWS() *cobra.Command {
	var socket string
	cmd := &cobra.Command{
		Use:   roleGWS,
		Short: "The web service alone",
		Long: `gws takes the requests and hands each client's connection to an engine (sluice gng)
that has found it through the socket. "sluice run" does all of this; gws alone is for
those who supervise the processes themselves. A link to sluice named gws is the same.

Socket and locks stand in --run-dir; another gws with its engines needs another one.`,
		Example: `  sluice gws --listen :4046 --socket /run/sluice/handoff.socket
  sluice gng --socket /run/sluice/handoff.socket --id 1`,
		Args: noArgs,
	}
	s := addSettings(cmd, "listen", "admin", "spread", "split_channels")
	cmd.Flags().StringVarP(&socket, "socket", "w", "", "`PATH` of the socket for engines (default: handoff.socket in --run-dir)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, _, err := s.load()
		if err != nil {
			return err
		}
		ctx, end := orderly(cmd.Context())
		defer end()
		log, written := logs.NewQueued(os.Stderr, roleGWS, c.Log.Level)
		defer written()
		return runGWS(ctx, c, cmp.Or(socket, c.SocketPath()), log)
	}
	return cmd
}

func newGNG() *cobra.Command {
	var (
		socket, id string
		cpu        int
	)
	cmd := &cobra.Command{
		Use:   roleGNG,
		Short: "An engine alone",
		Long: `gng receives channels and sends them to the clients that the web service (sluice gws)
hands over. "sluice run" does all of this; gng alone is for those who supervise the
processes themselves. A link to sluice named gng is the same.

It holds a lock in --run-dir, which is that of its gws.`,
		Example: `  sluice gng --socket /run/sluice/handoff.socket --id 1 --interface eth1
  sluice gng --id 2 --pin 1`,
		Args: noArgs,
	}
	s := addSettings(cmd, "interface")
	cmd.Flags().StringVarP(&socket, "socket", "w", "", "`PATH` of the socket of gws (default: handoff.socket in --run-dir)")
	cmd.Flags().StringVar(&id, "id", "1", "`NAME` of the engine, unique among those of one gws")
	cmd.Flags().IntVarP(&cpu, "pin", "P", 0, "stay on this `CPU`, counted from 0 (default: on any)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if !isID(id) {
			return misused(cmd, "bad --id %q: want letters and digits, 32 at most", id)
		}
		if cpu < 0 {
			return misused(cmd, "bad --pin %d: want the number of a CPU, 0 or more", cpu)
		}
		c, _, err := s.load()
		if err != nil {
			return err
		}
		ctx, end := orderly(cmd.Context())
		defer end()
		log, written := logs.NewQueued(os.Stderr, roleGNG, c.Log.Level)
		defer written()
		log = log.With(logs.Engine, id)
		if cmd.Flags().Changed("pin") {
			if err := process.Pin(cpu); err != nil {
				return err
			}
			log.Info("pinned", "cpu", cpu)
		}
		return runGNG(ctx, c, id, cmp.Or(socket, c.SocketPath()), log)
	}
	return cmd
}

// isID says whether an engine may be called s: the name becomes part of a file's.
func isID(s string) bool {
	strange := strings.ContainsFunc(s, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
	return s != "" && len(s) <= 32 && !strange
}

// orderly is the context of a module: it ends at the first INT or TERM; a second one
// ends the process as it stands. The module survives the reader of its log and its
// terminal.
func orderly(ctx context.Context) (context.Context, context.CancelFunc) {
	signal.Ignore(syscall.SIGPIPE, syscall.SIGHUP)
	stop, kill, end := process.Signals(ctx)
	disarm := context.AfterFunc(kill, func() { os.Exit(1) })
	return stop, func() { disarm(); end() }
}
