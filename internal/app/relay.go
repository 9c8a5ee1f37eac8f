package app

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"sluice/internal/config"
)

func newRelay() *cobra.Command {
	cmd := &cobra.Command{
		Use:   roleRelay + " -l ADDR:PORT [-l ADDR:PORT…] -r ADDR:PORT [-b BYTES] [-n] [-t THREADS]\n  sluice relay [-h?TvVq] [-C FILE] [-p FILE] [OPTIONS]",
		Short: "Relay TCP connections: a proxy and load balancer",
		Long: `relay takes connections and passes them on.

With -l or another one of these as its first option it is the program cproxy: in the
foreground until a signal ends it, with its log on the standard output. A link to sluice
named cproxy is the same. What more is wanted stands in a file.

  -l ADDR:PORT   listen there; may be given several times. A name stands for its first
                 address, IPv6 is [::1]:80
  -r ADDR:PORT   where all clients are connected to
  -b BYTES       that a session keeps for a side that takes none, each way (default 16384).
                 Much data is faster with 65536 or more: with less it is copied, not spliced
  -n             TCP_NODELAY on both sides
  -t THREADS     I/O threads; sessions are given to them in turn (default 1)

Without them it runs the relay of a configuration file: listeners and pools of remotes,
balancing, health checks, TLS, PROXY headers, limits (dist/sluice.yaml shows all of it).
"sluice run" does that as well, as a process beside its others. Started by root it becomes
a daemon: it needs a log file, opens its ports and goes on as the user sluice, or the one
that the configuration names. With -T, and for other users, it stays in the foreground as
who it is. HUP reads the configuration again without one refused connection, USR1 rotates
the logs, TERM lets sessions go on for the time of relay.drain, a second one ends them.
Sockets of a service manager (LISTEN_FDS) are used by their names, inherited:NAME, or in
the place of the address that they have.`,
		Example: `  sluice relay -l 127.0.0.1:8080 -r 192.0.2.1:80
  sluice relay -l 0.0.0.0:8080 -l [::1]:8081 -r app.example.org:80 -n -t 2
  sluice relay -T -C /etc/sluice.yaml`,
		Args: noArgs,
	}
	m := addModule(cmd, config.Relay, "relay.admin")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		d, err := inheritRelay()
		if err != nil {
			return err
		}
		defer d.close()
		return m.start(cmd.Context(), work{
			bind: d.bind,
			kill: true, // its sessions are told of in the session log
			run:  func(ctx context.Context, c *config.Config, p *self) error { return runRelay(ctx, c, d, p, m.again) },
		})
	}
	return cmd
}

// bind opens what is not inherited: ports below 1024 need root.
func (d *relayDoors) bind(c *config.Config) error {
	conf, err := c.RelayConfig()
	if err != nil {
		return err
	}
	if len(conf.Listeners) == 0 {
		return errNoListener
	}
	d.known(&conf)
	if _, err := d.open(&conf); err != nil {
		return err
	}
	return d.openAdmin(c)
}

var errNoListener = errors.New("the configuration has no relay: name a listener under relay.listeners (or give -l and -r)")
