package app

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sluice/internal/auth"
	"sluice/internal/gws"
)

func newSign() *cobra.Command {
	var (
		secret, ip string
		life       time.Duration
	)
	cmd := &cobra.Command{
		Use:   "sign PATH --secret FILE --for TIME",
		Short: "Sign the path of a URL, so that it is good for a while",
		Long: `sign prints PATH with a query that lets it in for some time, where sluice has the same key
(auth.secrets). The first key of FILE signs (openssl rand -hex 32 makes one); the
machines' clocks have to agree.

PATH is what stands behind http://HOST:PORT, percent-encoded as the client will send it. It
is signed as it is, letter by letter; parameters, such as start=30s, are not, and the client
may append them.`,
		Example: `  sluice sign /udp/239.1.1.1:5000 --secret /etc/sluice/secrets --for 6h
  sluice sign '/$news' --secret /etc/sluice/secrets --for 30m --ip 192.0.2.7`,
		Args: oneArg("a PATH, such as /udp/239.1.1.1:5000"),
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&secret, "secret", "", "`FILE` with the key, as in auth.secrets")
	f.DurationVar(&life, "for", 0, "how long it is good, `TIME` such as 6h or 30m")
	f.StringVar(&ip, "ip", "", "the only `ADDRESS` that may use it (default: any)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if secret == "" {
			return misused(cmd, "sign wants --secret FILE")
		}
		if life < time.Second {
			return misused(cmd, "sign wants --for TIME, a second or more, such as 6h")
		}
		if err := checkSignPath(args[0]); err != nil {
			return misused(cmd, "%s", err)
		}
		var addr netip.Addr
		if ip != "" {
			var err error
			if addr, err = netip.ParseAddr(ip); err != nil {
				return misused(cmd, "--ip: want an address such as 192.0.2.7, got %q", ip)
			}
		}
		keys, err := auth.ReadSecrets(secret)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(cmd.OutOrStdout(), args[0]+"?"+auth.Sign(keys[0], args[0], time.Now().Add(life), addr))
		return err
	}
	return cmd
}

// checkSignPath refuses what no client sends as a path.
func checkSignPath(path string) error {
	switch {
	case !strings.HasPrefix(path, "/"):
		return fmt.Errorf("bad path %q: want what stands behind http://HOST:PORT, such as /udp/239.1.1.1:5000", path)
	case gws.SignedPath(path) != path:
		return fmt.Errorf("bad path %q: parameters are not signed, want it without them", path)
	case strings.ContainsFunc(path, func(r rune) bool { return r <= ' ' || r > '~' || r == '#' }):
		return fmt.Errorf("bad path %q: want it percent-encoded", path)
	}
	return nil
}
