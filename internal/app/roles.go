package app

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"sluice/internal/config"
	"sluice/internal/logs"
	"sluice/internal/process"
)

// The roles, as commands, as links to the program and in the log.
const (
	roleRun = "run"
	roleGWS = "gws"
	roleGNG = "gng"

	roleRelay  = "relay"
	roleOrigin = "origin"
)

func newRun() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Serve streams: the web service and its engines",
		Long: `run starts the web service (gws) and the engines (gng) and keeps them running: one
that crashes is started again. It stays in the foreground; TERM or Ctrl-C ends
everything in good order, a second one at once. HUP reads the configuration again and
disturbs no stream, USR1 rotates the logs, USR2 drops all channels and clients. Started
by root it goes on as the user that the configuration names, if there is one.

Without a configuration file every multicast group is served to private and loopback
addresses; others get 403 until "allow" in the file says otherwise. The file also gives
channels names, back-up sources and limits (dist/sluice.yaml shows all of it).

Several sluice beside each other need several ports and directories (--run-dir).`,
		Example: `  sluice run
  sluice run --interface eth1 --listen :8080
  sluice run -C /etc/sluice.yaml --engines 4 --spread min-clients --pin`,
		Args: noArgs,
	}
	s := addSettings(cmd, config.Run, "listen", "admin", "engines", "spread", "split_channels", "pin", "interface", "log.file", "pid_file")
	cmd.SetFlagErrorFunc(badUdpxyFlag)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if p := cmd.Flag("pidfile").Value.String(); p != "" && strings.Trim(p, "0123456789") == "" {
			return misused(cmd, "-p is the file for the process id: want --listen :%s for that port, or -p ./%s", p, p)
		}
		return runAll(cmd.Context(), s)
	}
	return cmd
}

// badUdpxyFlag is badFlag that knows what udpxy's options, which people have in their fingers, are called here.
func badUdpxyFlag(cmd *cobra.Command, err error) error {
	here := map[string]string{
		"a": "--listen ADDRESS:PORT", "m": "--interface IF", "c": "limits.clients of the configuration",
		"M": "renew of the configuration", "T": "what sluice run does anyway: it stays in the foreground",
	}
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() != "" {
		if ours, ok := here[unknown.GetSpecifiedName()]; ok {
			return misused(cmd, "%s: udpxy's is %s", err, ours)
		}
	}
	return badFlag(cmd, err)
}

func newGWS() *cobra.Command {
	cmd := &cobra.Command{
		Use:   roleGWS + " [-h?TvVqkU] [-C FILE] [-l FILE] [-p FILE] [OPTIONS]",
		Short: "The web service alone",
		Long: `gws takes the requests and hands each client's connection to an engine (sluice gng)
that has found it through the socket. "sluice run" does all of this; gws alone is for
those who supervise the processes themselves. A link to sluice named gws is the same.

Started by root it becomes a daemon: it needs a log file, opens its ports and goes on as
the user sluice, or the one that the configuration names. With -T, and for other users,
it stays in the foreground as who it is. HUP reads the configuration again, USR1 rotates
the logs, TERM ends it in good order, and its engines with it (force_shutdown).

Socket and locks stand in --run-dir; another gws with its engines needs another one.`,
		Example: `  sluice gws -T --listen :4046 --socket /run/sluice/handoff.socket
  sluice gng -T --socket /run/sluice/handoff.socket --id 1`,
		Args: noArgs,
	}
	m := addModule(cmd, config.GWS, "listen", "admin", "spread", "split_channels", "socket")
	m.addUseless(cmd.Flags(), "k")
	m.addUseless(cmd.Flags(), "U")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		d, err := inheritDoors()
		if err != nil {
			return err
		}
		defer d.close()
		return m.start(cmd.Context(), work{
			bind: d.openPorts,
			run:  func(ctx context.Context, c *config.Config, p *self) error { return runGWS(ctx, c, d, p, m.again) },
		})
	}
	return cmd
}

func newGNG() *cobra.Command {
	var (
		id  string
		cpu int
	)
	cmd := &cobra.Command{
		Use:   roleGNG + " [-h?TvVq] [-C FILE] [-l FILE] [-p FILE] [-w PATH] [-P CPU] [OPTIONS]",
		Short: "An engine alone",
		Long: `gng receives channels and sends them to the clients that the web service (sluice gws)
hands over. "sluice run" does all of this; gng alone is for those who supervise the
processes themselves. A link to sluice named gng is the same.

Started by root it becomes a daemon: it needs a log file and goes on as the user sluice,
or the one that the configuration names. With -T, and for other users, it stays in the
foreground as who it is. HUP reads the configuration again, USR1 rotates the logs, USR2
drops all channels and clients, TERM ends it in good order.

It holds a lock in --run-dir, which is that of its gws.`,
		Example: `  sluice gng -T --socket /run/sluice/handoff.socket --id 1 --interface eth1
  sluice gng -T --id 2 --pin 1`,
		Args: noArgs,
	}
	m := addModule(cmd, config.GNG, "interface")
	f := cmd.Flags()
	gws := aboutKeys()["socket"]
	gws.flag, gws.usage = "gws", "socket of gws (default: handoff.socket in --run-dir)"
	m.add(f, "socket", gws)
	m.add(f, "socket", about{arg: "PATH", usage: "the same as --gws"})
	f.StringVar(&id, "id", "1", "`NAME` of the engine, unique among those of one gws")
	f.IntVarP(&cpu, "pin", "P", 0, "stay on this `CPU`, counted from 0 (default: on any)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if !isID(id) {
			return misused(cmd, "bad --id %q: want letters and digits, 32 at most", id)
		}
		if cpu < 0 {
			return misused(cmd, "bad --pin %d: want the number of a CPU, 0 or more", cpu)
		}
		pinned := cmd.Flags().Changed("pin")
		return m.start(cmd.Context(), work{
			raw: true,
			run: func(ctx context.Context, c *config.Config, p *self) error {
				p.log = p.log.With(logs.Engine, id)
				if pinned {
					if err := process.Pin(cpu); err != nil {
						return err
					}
					p.log.Info("pinned", "cpu", cpu)
				}
				return runGNG(ctx, c, id, p, m.again)
			},
		})
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
