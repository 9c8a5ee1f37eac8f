package app

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"sluice/internal/config"
	"sluice/internal/logs"
	"sluice/internal/process"
	"sluice/internal/report"
	"sluice/internal/tools"
	"sluice/internal/uri"
)

func newDemo() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run with a live channel made here, to try it out",
		Long: `demo is "sluice run" with a live channel of its own: colour bars, a clock and a tone,
sent to a multicast group on this machine. It prints what to open in VLC, ffplay and
a browser. Ctrl-C ends it.`,
		Example: `  sluice demo
  sluice demo --listen :8080 --admin 127.0.0.1:8081`,
		Args: noArgs,
	}
	s := addSettings(cmd, config.Run, "listen", "admin", "engines")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := s.load()
		if err != nil {
			return err
		}
		c.Log.File, c.Access.File = "", "" // all is said here
		plain(&c)
		signal.Ignore(syscall.SIGPIPE)
		asked := process.Signals(cmd.Context(), syscall.SIGHUP)
		defer asked.End()
		return demo(asked.Stop, asked.Kill, c, cmd.OutOrStdout(), logs.New(os.Stderr, "demo", c.Log.Level))
	}
	return cmd
}

// plain takes TLS off the doors: a certificate is seldom good for this machine's own
// address, where the demo is watched.
func plain(c *config.Config) {
	c.Admin.TLS = false
	c.Listen = slices.Clone(c.Listen)
	for i := range c.Listen {
		c.Listen[i].TLS = false
	}
}

// demo is `sluice run` and a sender beside it.
func demo(stop, kill context.Context, c config.Config, out io.Writer, log *slog.Logger) error {
	end, iface, note, err := tools.DemoEnd()
	if err != nil {
		return err
	}
	c.Interface = iface
	c.Sources = append(c.Sources, netip.PrefixFrom(end.Addr.Addr(), end.Addr.Addr().BitLen()))
	d, err := openDoors(stop, &c)
	if err != nil {
		return err
	}
	defer d.close()
	m, err := newModules(c, sockets{doors: d}, log)
	if err != nil {
		return err
	}
	defer m.close()
	return process.Together(stop,
		func(ctx context.Context) error { return m.run(ctx, kill) },
		func(ctx context.Context) error { return tools.DemoSource(ctx, end, iface) },
		func(ctx context.Context) error { return guide(ctx, c, end, note, out) })
}

// guide prints what to open as soon as it would work, and waits for the end.
func guide(ctx context.Context, c config.Config, end uri.End, note string, out io.Writer) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !hasEngine(ctx, visit(c.Admin.Address, false)) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
	stream := visit(c.Listen[0].Address, false) + "/udp/" + end.Addr.String()
	_, err := fmt.Fprintf(out, `
The demo channel is on the air: %[3]s.

  watch    ffplay %[1]s
           vlc %[1]s
  judge    sluice probe %[1]s
  status   %[2]s/status

Ctrl-C ends it.

`, stream, visit(c.Admin.Address, false), note)
	<-ctx.Done()
	return err
}

// hasEngine says whether the sluice with this admin page has an engine.
func hasEngine(ctx context.Context, admin string) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, admin+"/status?format=json", nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	var st report.Status
	return json.NewDecoder(resp.Body).Decode(&st) == nil && len(st.Engines) > 0
}
