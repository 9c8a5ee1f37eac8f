package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"sluice/internal/logs"
	"sluice/internal/tools"
	"sluice/internal/uri"
)

func newSend() *cobra.Command {
	var (
		o  tools.SendOptions
		to string
	)
	cmd := &cobra.Command{
		Use:   "send FILE --to udp://GROUP:PORT",
		Short: "Send a transport stream file as a live channel",
		Long: `send plays a transport stream file into a multicast group at the pace of its own clock
(PCR), as UDP or as RTP. With --loop it goes on for ever, without a seam that a player
could see. FILE - is the standard input.

The faults are exact and may be combined, so that what a receiver counts can be compared:
--drop 100 leaves out every 100th datagram. A gap comes a second after the beginning and
after each gap before. The end says how many faults there were.`,
		Example: `  sluice send film.ts --to udp://239.1.1.1:5000 --loop
  sluice send film.ts --to rtp://239.1.1.1:5000 --interface eth1 --ttl 4
  sluice send film.ts --to udp://239.1.1.1:5000 --drop 100
  sluice send film.ts --to udp://239.1.1.1:5000 --loop --pat-gap 750ms --pcr-jump 500
  ffmpeg -re -i film.mp4 -c copy -f mpegts - | sluice send - --to udp://239.1.1.1:5000`,
		Args: oneArg("a FILE, or - for standard input"),
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&to, "to", "", "where to: `URL` udp://GROUP:PORT or rtp://GROUP:PORT")
	f.StringVar(&o.Interface, "interface", "", "network `IF` to send on (default: that of the route)")
	f.BoolVar(&o.Loop, "loop", false, "begin again at the end, without a seam")
	f.Var((*bitrate)(&o.Bitrate), "bitrate", "constant rate in bits a second, such as 8M or 500k (default: the file's own clock)")
	f.IntVar(&o.TTL, "ttl", 1, "time to live: `N` routers may pass the datagrams on")
	faultFlags(f, &o.Faults)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if to == "" {
			return misused(cmd, "send wants --to udp://GROUP:PORT")
		}
		var err error
		if o.To, err = uri.Parse(to); err != nil {
			return misused(cmd, "--to: %s", err)
		}
		if o.Loop && args[0] == "-" {
			return misused(cmd, "--loop needs a file: the standard input cannot begin again")
		}
		if err := o.Validate(); err != nil {
			return misused(cmd, "%s", err)
		}
		o.Progress = terminal(cmd.ErrOrStderr())
		stats, err := send(cmd.Context(), args[0], o)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(cmd.OutOrStdout(), stats)
		return err
	}
	return cmd
}

// faultFlags are the faults in the order of tools.Faults.
func faultFlags(f *pflag.FlagSet, o *tools.Faults) {
	f.IntVar(&o.Drop, "drop", 0, "fault: leave out every `N`th datagram")
	f.IntVar(&o.Dup, "dup", 0, "fault: send every `N`th datagram twice")
	f.IntVar(&o.Swap, "swap", 0, "fault: send every `N`th datagram after the next one")
	f.IntVar(&o.Late, "late", 0, "fault: send every `N`th datagram a second late")
	f.IntVar(&o.Corrupt, "corrupt", 0, "fault: destroy the sync byte in every `N`th datagram")
	f.IntVar(&o.RTPSSRC, "rtp-ssrc", 0, "fault: another SSRC from every `N`th datagram on")
	f.IntVar(&o.RTPJump, "rtp-jump", 0, "fault: RTP sequence numbers 10000 ahead from every `N`th datagram on")
	f.IntVar(&o.TransportError, "transport-error", 0, "fault: mark every `N`th packet as damaged")
	f.IntVar(&o.Continuity, "continuity", 0, "fault: a continuity counter one ahead from every `N`th packet on")
	f.BoolVar(&o.NoPAT, "no-pat", false, "fault: leave out the program association table")
	f.BoolVar(&o.NoPMT, "no-pmt", false, "fault: leave out the program map tables")
	f.DurationVar(&o.PATGap, "pat-gap", 0, "fault: gaps of the program association table, each for `TIME`, such as 750ms")
	f.DurationVar(&o.PMTGap, "pmt-gap", 0, "fault: gaps of the program map tables, each for `TIME`")
	f.IntVar(&o.BadCRC, "bad-crc", 0, "fault: damage every `N`th section of these tables")
	f.DurationVar(&o.PCRGap, "pcr-gap", 0, "fault: gaps of the clock references, each for `TIME`, such as 300ms")
	f.DurationVar(&o.PTSGap, "pts-gap", 0, "fault: gaps of PTS and DTS, each for `TIME`, such as 800ms")
	f.DurationVar(&o.PCRJitter, "pcr-jitter", 0, "fault: move every second clock reference by `TIME`, such as 20ms")
	f.IntVar(&o.PCRJump, "pcr-jump", 0, "fault: all times 10 s ahead from every `N`th clock reference on")
	f.IntVar(&o.PCRSplice, "pcr-splice", 0, "no fault: the same, but announced, at every `N`th")
	f.DurationVar(&o.PCRWrap, "pcr-wrap", 0, "no fault: move all times so that the clock wraps around after `TIME`")
}

func send(ctx context.Context, path string, o tools.SendOptions) (tools.SendStats, error) {
	f := os.Stdin
	if path != "-" {
		var err error
		if f, err = os.Open(path); err != nil {
			return tools.SendStats{}, err
		}
		defer f.Close()
	}
	ctx, end := untilInterrupt(ctx)
	defer end()
	return tools.Send(ctx, f, o)
}

// terminal is w if it is one, else nil: progress is for people who look.
func terminal(w io.Writer) io.Writer {
	if logs.IsTerminal(w) {
		return w
	}
	return nil
}

// bitrate is the value of --bitrate, as tools.ParseBitrate reads it.
type bitrate int64

// Set implements pflag.Value.
func (b *bitrate) Set(text string) error {
	n, err := tools.ParseBitrate(text)
	*b = bitrate(n)
	return err
}

// String implements pflag.Value.
func (b *bitrate) String() string { return strconv.FormatInt(int64(*b), 10) }

// Type implements pflag.Value.
func (b *bitrate) Type() string { return "RATE" }

func newProbe() *cobra.Command {
	var (
		o      tools.ProbeOptions
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "probe URL",
		Short: "Judge a stream: is it there, is it whole, what is in it",
		Long: `probe watches a stream for a while and tells how long the first byte, the first packet
and the first key frame took, which programs and codecs are in it, its rate, and what
is wrong with it: continuity errors, lost sync, missing tables, an uneven clock.

The exit code is 0 for a valid stream only.`,
		Example: `  sluice probe http://localhost:4046/udp/239.1.1.1:5000
  sluice probe udp://239.1.1.1:5000 --interface eth1 --duration 30s
  sluice probe rtp://239.1.1.1:5000 --json`,
		Args: oneArg("a URL: http://…, udp://GROUP:PORT or rtp://GROUP:PORT"),
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.DurationVar(&o.Duration, "duration", tools.DefaultProbeDuration, "how long to watch, `TIME` such as 30s")
	f.StringVar(&o.Interface, "interface", "", "network `IF` where a group is joined (default: that of the route)")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if o.Duration <= 0 {
			return misused(cmd, "bad --duration %s: want more than 0", o.Duration)
		}
		o.Progress = terminal(cmd.ErrOrStderr())
		ctx, end := untilInterrupt(cmd.Context())
		defer end()
		r, err := tools.Probe(ctx, args[0], o)
		if errors.Is(err, tools.ErrProbeURL) {
			return misused(cmd, "%s", err)
		}
		if err != nil {
			return err
		}
		if err := printProbe(cmd.OutOrStdout(), r, asJSON); err != nil {
			return err
		}
		if !r.Valid {
			return errSaid
		}
		return nil
	}
	return cmd
}

func printProbe(w io.Writer, r tools.ProbeResult, asJSON bool) error {
	if !asJSON {
		return r.WriteText(w)
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// untilInterrupt is the context of a tool: the first INT or TERM ends it in good order.
func untilInterrupt(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, end := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, end)
	return ctx, end
}
