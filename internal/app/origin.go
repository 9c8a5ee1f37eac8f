package app

import (
	"context"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"sluice/internal/config"
	"sluice/internal/logs"
	"sluice/internal/process"
)

func newOrigin() *cobra.Command {
	cmd := &cobra.Command{
		Use:   roleOrigin + " [OPTIONS] [DIR…]",
		Short: "Serve directories, uploads and channels over HTTP: an origin for live streams",
		Long: `origin is a web server for live streams. What is being uploaded is served while it comes, a
playlist is replaced whole, a channel is under a path of its own. Its options are those of
GPAC's httpout, with - or with _ in their names, and more. What it does depends on what is said:

  directories     DIR… or --rdirs are served, files are uploaded into --wdir. gmem is a directory
                  in memory; a file of rules says who may read and write what
  sink            -i SOURCE --dst /live.ts: a channel under a path
  file sink       both: the channel is written into the first directory, and served meanwhile
  push            --hmode push -i SOURCE|DIR --dst http://…: it is uploaded there
  source          --hmode source: an upload is a channel that any client of gws can watch, at
                  http://HOST:4046/upload/PATH

The nth --dst is for the nth -i. A port in --dst is where the origin listens, as with --port;
without one it is 8080, or 8443 with a certificate.

With directories it is one process; where channels take part it starts gws and an engine beside.
Without any of this it is the origin of a configuration file (section origin), as it is
in "sluice run". It stays in the foreground; TERM or Ctrl-C lets what is being answered end in
good order, a second one does not. HUP reads file, rules and users again, USR1 rotates the log.`,
		Example: `  sluice origin /srv/live
  sluice origin --rdirs /srv/live --wdir /srv/live --port 8080
  sluice origin gmem --wdir gmem --dlist --cors on
  sluice origin --cert cert.pem --pkey key.pem --port 8080,8443 /srv/live
  sluice origin -i udp://239.1.1.1:5000 --dst /live.ts
  sluice origin -i http://radio.example/high --dst /radio.mp3 --ice --mime audio/mpeg
  sluice origin -i udp://239.1.1.1:5000 --dst /live.ts /srv/live
  sluice origin --hmode push -i udp://239.1.1.1:5000 --dst http://target.example:8080/live.ts
  sluice origin --hmode push -i /srv/live --dst https://cdn.example/live/
  sluice origin --hmode source
  sluice origin -C /etc/sluice.yaml`,
	}
	cmd.DisableFlagsInUseLine = true // it has [OPTIONS]
	o := addOriginFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		o.wish.dirs = args
		return o.start(cmd.Context())
	}
	return cmd
}

// start is the origin, in one process or with all that it needs.
func (o *originFlags) start(ctx context.Context) error {
	d, err := inheritOrigin()
	if err != nil {
		return err
	}
	defer d.close()
	signal.Ignore(syscall.SIGPIPE)
	asked := process.Signals(ctx)
	defer asked.End()
	if d.lifeline != nil {
		return o.child(asked, d)
	}
	c, err := o.load()
	if err != nil {
		return err
	}
	if c.HasOriginChannels() {
		c.RunDir = o.runDir(&c)
		return o.supervise(asked, c)
	}
	return o.alone(asked, &c, d)
}

// child is the origin of a supervisor: its settings hold as they stand.
func (o *originFlags) child(asked *process.Asked, d *originDoors) error {
	c, err := o.settings.load()
	if err != nil {
		return err
	}
	return o.serve(asked, &c, d, o.again)
}

// alone is an origin that takes no part in channels.
func (o *originFlags) alone(asked *process.Asked, c *config.Config, d *originDoors) error {
	if err := d.openPorts(c); err != nil {
		return err
	}
	if switches(c) {
		if err := settle(c, false); err != nil {
			return err
		}
	}
	return o.serve(asked, c, d, func(old *config.Config) (change, error) {
		now, err := o.reread(old)
		if err == nil && (now.conf.HasOriginChannels() || otherDoors(&now.conf, old)) {
			now.keep(old, roleOrigin)
		}
		return now, err
	})
}

func (o *originFlags) serve(asked *process.Asked, c *config.Config, d *originDoors, again reread) error {
	p := &self{role: roleOrigin, asked: asked}
	err := p.begin(c)
	if err == nil {
		logSource(p.log, c)
		o.tell(p)
		err = runOrigin(asked.Stop, c, d, p, again)
	}
	p.end(err)
	return err
}

// supervise is an origin with gws and an engine.
func (o *originFlags) supervise(asked *process.Asked, c config.Config) error {
	return runModules(asked, c, roleOrigin, o.reread, o.tell)
}

// reread reads the configuration again, with what the command line makes of it.
func (o *originFlags) reread(old *config.Config) (change, error) {
	if o.file == config.Stdin {
		return change{}, errStdin
	}
	now, err := o.load()
	if err != nil {
		return change{}, err
	}
	now.RunDir = old.RunDir
	return changeOf(old, now)
}

// tell logs what of the command line is left out.
func (o *originFlags) tell(p *self) {
	for _, w := range o.warnings {
		p.log.Warn("option without effect", logs.Reason, w)
	}
}

// runDir is the run directory of an origin that was told none: one for each port, beside that of `sluice run`.
func (o *originFlags) runDir(c *config.Config) string {
	if c.RunDir != "" {
		return c.RunDir
	}
	name := roleOrigin
	if doors := c.OriginDoors(); len(doors) > 0 {
		name += "-" + portOf(doors[0].Address)
	}
	return filepath.Clean(process.DefaultRunDir() + "-" + name)
}
