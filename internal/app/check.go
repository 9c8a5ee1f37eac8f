package app

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"sluice/internal/config"
)

func newCheck() *cobra.Command {
	var file, role string
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check a configuration file, and show what holds",
		Long: `check reads the configuration as "sluice run" does and says everything that is wrong
with it, each with its line, as compilers do; and whether the files that it names are
there and hold what they should, and the interface is there. It opens no sockets and asks no other machine.

If nothing is wrong it lists every setting with its value and where that is from. Of
URLs it shows no credentials.`,
		Example: `  sluice check
  sluice check -C /etc/sluice.yaml
  sluice check -C /etc/gigapxy.conf --for gng`,
		Args: noArgs,
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().StringVarP(&file, "config", "C", "", "configuration `FILE`, - for standard input (default: as the module)")
	cmd.Flags().StringVar(&role, "for", roleRun, "`MODULE` that reads it: run, gws, gng, relay or origin")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if !slices.Contains([]string{roleRun, roleGWS, roleGNG, roleRelay, roleOrigin}, role) {
			return misused(cmd, "bad --for %q: want run, gws, gng, relay or origin", role)
		}
		return check(file, config.Role(role), cmd.OutOrStdout(), cmd.ErrOrStderr())
	}
	return cmd
}

// check tells of mistakes and warnings on errs, of the settings on out. That there were
// mistakes is errSaid.
func check(file string, role config.Role, out, errs io.Writer) error {
	if file == "" {
		var err error
		if file, err = config.Find(config.SearchPaths(role)...); err != nil {
			return err
		}
	}
	c := config.Default()
	if file != "" {
		var err error
		if c, err = config.Load(file, role); err != nil {
			return checked(errs, err)
		}
	}
	wrong, warnings := c.CheckFiles()
	for _, w := range append(c.Warnings(), warnings...) {
		if _, err := fmt.Fprintf(errs, "warning: %s\n", w); err != nil {
			return err
		}
	}
	if err := missingInterface(&c); err != nil && (role == config.Run || role == config.GNG) {
		if _, err := fmt.Fprintf(errs, "warning: %s\n", err); err != nil {
			return err
		}
	}
	if len(wrong) > 0 {
		return checked(errs, config.Errors(wrong))
	}
	return list(out, &c)
}

// checked tells of each mistake that err is made of, if it is of mistakes.
func checked(errs io.Writer, err error) error {
	var all config.Errors
	if !errors.As(err, &all) {
		return err
	}
	for _, e := range all {
		if _, err := fmt.Fprintf(errs, "error: %s\n", e); err != nil {
			return err
		}
	}
	return errSaid
}

// list writes every setting, its value and where that is from.
func list(out io.Writer, c *config.Config) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SETTING\tFROM\tVALUE")
	for _, l := range c.Lines() {
		fmt.Fprintf(w, "%s\t%s\t%s\n", l.Key, l.From, l.Value)
	}
	return w.Flush()
}
