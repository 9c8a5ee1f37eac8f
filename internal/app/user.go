package app

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"sluice/internal/creds"
	"sluice/internal/process"
)

func newUser() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "user",
		Short: "Users of the origin: add one, change a password, take over those of GPAC",
		Long: `user changes a file of users, which the rules of the origin name (origin.users). Passwords stand in
it as bcrypt makes them; nobody can read them there. An origin that runs reads the file again at HUP.`,
		Example: `  sluice user add /etc/sluice/users alice
  sluice user import ~/.gpac/creds/users.cfg /etc/sluice/users`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return unknownCommand(cmd, args[0])
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newUserAdd(), newUserImport())
	return cmd
}

func newUserAdd() *cobra.Command {
	var groups []string
	var keep bool
	cmd := &cobra.Command{
		Use:   "add FILE NAME",
		Short: "Add a user, or change his password or his groups",
		Long: `add asks for the password, or reads it from the standard input, one line. A file that is not there
is made; nobody else may read it.`,
		Example: `  sluice user add /etc/sluice/users alice
  sluice user add /etc/sluice/users alice --group editors,viewers --keep
  openssl rand -base64 18 | tee password | sluice user add /etc/sluice/users bob`,
		Args: exactArgs(2, "a FILE and the NAME of a user"),
	}
	cmd.Flags().StringSliceVar(&groups, "group", nil, "`GROUPS` that he is in, in place of those that he was in")
	cmd.Flags().BoolVar(&keep, "keep", false, "his password stays: only the groups change")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if keep && groups == nil {
			return misused(cmd, "--keep wants --group: else nothing changes")
		}
		if err := creds.CheckNames(args[1], groups); err != nil {
			return err
		}
		password := ""
		if !keep {
			var err error
			if password, err = process.ReadSecret(os.Stdin, cmd.ErrOrStderr(), "Password of "+args[1]+": "); err != nil {
				return fmt.Errorf("password: %w", err)
			}
			if password == "" {
				return errors.New("password: it is empty")
			}
		}
		return creds.Add(args[0], args[1], password, groups)
	}
	return cmd
}

func newUserImport() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import FROM TO",
		Short: "Add the users of GPAC's users.cfg",
		Long: `import adds the users of FROM, a users.cfg of GPAC, to the file TO. Who is in TO already stays as he
is. Passwords stay as GPAC has them, as SHA-256, until they are set anew.`,
		Example: `  sluice user import ~/.gpac/creds/users.cfg /etc/sluice/users`,
		Args:    exactArgs(2, "the files FROM and TO"),
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		n, err := creds.Import(args[0], args[1])
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %d added\n", args[1], n)
		return err
	}
	return cmd
}

// exactArgs is the check of a command that takes so many arguments.
func exactArgs(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return misused(cmd, "%s wants %s, got %d arguments", cmd.Name(), what, len(args))
		}
		return nil
	}
}
