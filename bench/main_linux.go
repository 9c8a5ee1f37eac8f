// Command bench measures sluice against a yardstick of the same run and prints one
// Markdown table. README.md beside it says how each figure is made.
//
//	go run ./bench                          every scenario
//	go run ./bench -scenario relay-200      one of them
//	go run ./bench -scenario front          the ways in: requests, lists, reports, TLS
//	go run ./bench -scenario tcp            the TCP relay beside haproxy and nginx
//	go run ./bench -scenario origin         the HTTP origin beside nginx
//	go run ./bench -scenario soak           half an hour of trouble, with a verdict
//	go run ./bench -h                       the options and scenarios
//
// Everything happens in a network namespace of its own. BENCH_PEERS names other
// relays to measure beside sluice.
package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// options are the flags.
type options struct {
	names   string
	clients int
	runs    int
	seconds int // 0 is what the scenario says
	mtu     int
	sluice  string
	json    string
}

// length is how long a measurement lasts.
func (o options) length() time.Duration {
	return time.Duration(cmp.Or(o.seconds, 8)) * time.Second
}

func main() {
	var err error
	switch args := os.Args[1:]; {
	case len(args) > 0 && args[0] == wordYardstick:
		err = runYardstick(args[1:]) // a signal ends it
	case len(args) > 0 && args[0] == wordSpin:
		spin() // the same
	case len(args) > 0 && args[0] == wordCopy:
		err = runCopy(args[1:]) // a signal ends it
	case len(args) > 0 && args[0] == wordFiles:
		err = runFiles(args[1:]) // a signal ends it
	case len(args) > 0 && args[0] == wordHelper:
		err = runHelper(args[1:]) // the end of its input ends it
	default:
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
		err = command(ctx, args)
		stop()
	}
	switch {
	case errors.Is(err, flag.ErrHelp):
	case errors.As(err, new(*exec.ExitError)):
		os.Exit(1) // the inner process has said why
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// The words that start the processes of a run.
const (
	wordInside    = "inside"
	wordYardstick = "yardstick"
	wordSpin      = "spin"
	wordHelper    = "helper"
)

// spin is the command `bench spin`: a busy loop until it is killed.
func spin() {
	for {
		clock()
	}
}

// command is the outer process, or the inner one in the namespace.
func command(ctx context.Context, args []string) error {
	inside := len(args) > 0 && args[0] == wordInside
	if inside {
		args = args[1:]
	}
	o, err := parse(args)
	if err != nil {
		return err
	}
	var chosen []*scenario
	if o.names != soakName {
		if chosen, err = choose(o); err != nil {
			return err
		}
	}
	if inside {
		return perform(ctx, o, chosen)
	}
	if o.sluice == "" {
		dir, err := os.MkdirTemp("", "sluice-bench-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		o.sluice = filepath.Join(dir, "sluice")
		if err := build(ctx, o.sluice); err != nil {
			return err
		}
	}
	return enter(ctx, append(append([]string{wordInside}, args...), "-sluice", o.sluice))
}

func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.StringVar(&o.names, "scenario", allName, "scenarios, separated by commas; front, tcp and origin are all that begin so, all the others")
	flags.IntVar(&o.clients, "clients", 0, "another number of clients (0 = the scenario's own)")
	flags.IntVar(&o.runs, "runs", 3, "runs of each contestant; medians are printed")
	flags.IntVar(&o.seconds, "seconds", 0, "length of each measurement (0 = 8, of the soak 1800, in front the scenario's own)")
	flags.IntVar(&o.mtu, "mtu", 65536, "MTU of the loopback, where the scenario does not set it")
	flags.StringVar(&o.json, "json", "", "file to write the figures to, as data")
	flags.StringVar(&o.sluice, "sluice", "", "binary to measure (built from this module if empty)")
	flags.Usage = func() {
		fmt.Fprintln(flags.Output(), "usage: go run ./bench [options]")
		flags.PrintDefaults()
		fmt.Fprintln(flags.Output(), "scenarios:")
		for _, s := range scenarios() {
			fmt.Fprintf(flags.Output(), "  %-20s%s\n", s.name, s.about)
		}
		fmt.Fprintf(flags.Output(), "  %-20s%s\n", soakName, soakAbout)
	}
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unknown argument %q (options start with -, see -h)", flags.Arg(0))
	}
	if o.runs < 1 || o.seconds < 0 || o.clients < 0 || o.mtu < leastMTU {
		return o, fmt.Errorf("want -runs 1 or more, -seconds and -clients 0 or more, -mtu %d or more", leastMTU)
	}
	if o.json != "" {
		var err error
		if o.json, err = filepath.Abs(o.json); err != nil {
			return o, err
		}
	}
	return o, nil
}

// The groups of scenarios.
const (
	allName   = "all" // those of a relayed gigabyte
	frontName = "front"
	tcpName   = "tcp" // of the TCP relay

	originName = "origin"
)

// choose returns the wanted scenarios in their own order.
func choose(o options) ([]*scenario, error) {
	var chosen []*scenario
	var known []string
	wanted := strings.Split(o.names, ",")
	for _, s := range scenarios() {
		known = append(known, s.name)
		if !s.wanted(wanted) {
			continue
		}
		if o.clients > 0 {
			s.clients = o.clients
		}
		if s.fewer > 0 && s.clients <= s.fewer {
			return nil, fmt.Errorf("-clients %d: scenario %s compares them with %d and wants more", o.clients, s.name, s.fewer)
		}
		chosen = append(chosen, s)
	}
	for _, name := range wanted {
		if name != allName && name != frontName && name != tcpName && name != originName && !slices.Contains(known, name) {
			return nil, fmt.Errorf("no scenario %q: want all, front, tcp, origin or some of %s", name, strings.Join(known, ","))
		}
	}
	return chosen, nil
}

// wanted says whether a scenario is one of the names, or of a group that is.
func (s *scenario) wanted(names []string) bool {
	group := allName
	switch {
	case s.cell != nil && s.cell.web:
		group = originName
	case s.cell != nil:
		group = tcpName
	case s.field != nil:
		group = frontName
	}
	return slices.Contains(names, s.name) || slices.Contains(names, group)
}

func build(ctx context.Context, to string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", to, "sluice")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build sluice: %w\n%s", err, out)
	}
	return nil
}

// perform prepares the namespace and runs what was chosen in it.
func perform(ctx context.Context, o options, chosen []*scenario) error {
	// The process is pinned to one core, and several of its threads block.
	runtime.GOMAXPROCS(8)
	if err := prepare(ctx, o.mtu); err != nil {
		return err
	}
	if o.names == soakName {
		return soak(ctx, o)
	}
	return compare(ctx, o, chosen)
}

// compare runs the scenarios and prints the table. It fails when sluice or a yardstick
// could not run, after the table of what could.
func compare(ctx context.Context, o options, chosen []*scenario) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	peers, err := parsePeers(os.Getenv("BENCH_PEERS"))
	if err != nil {
		return err
	}
	on := machine()
	var all []*results
	var failed error
	for _, s := range chosen {
		contestants, err := s.contestants(self, o.sluice)
		if err != nil {
			return err
		}
		own := len(contestants)
		if s.field == nil {
			contestants = append(contestants, peers...)
		}
		r := s.perform(ctx, contestants, o)
		all = append(all, r)
		for _, c := range contestants[:own] {
			if err := r.failures[c.name]; err != nil {
				failed = errors.Join(failed, fmt.Errorf("%s, %s: %w", s.name, c.name, err))
			}
		}
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(present(o, on, all), failed)
}

// contestants are sluice, with the default configuration, and its yardsticks, unless the
// scenario has a field of its own.
func (s *scenario) contestants(self, sluice string) ([]contestant, error) {
	if s.field != nil {
		return s.field(self, sluice)
	}
	all := []contestant{sluiceOf(sluice, "/dev/null", "--quiet")}
	for _, y := range s.yards {
		all = append(all, yardstickOf(self, y))
	}
	return all, nil
}

// present prints the table and writes the file.
func present(o options, on string, all []*results) error {
	d := document{Machine: fmt.Sprintf("%s, lo MTU %d", on, o.mtu), Runs: o.runs}
	fmt.Printf("%s, medians of %d runs", d.Machine, d.Runs)
	if o.seconds > 0 || slices.ContainsFunc(all, func(r *results) bool { return !r.ownLength }) {
		d.Seconds = int(o.length().Seconds())
		fmt.Printf(" of %d s", d.Seconds)
	}
	fmt.Print("\n\n")
	err := writeTable(os.Stdout, all)
	if o.json == "" {
		return err
	}
	var b bytes.Buffer
	err = errors.Join(err, writeJSON(&b, d, all))
	return errors.Join(err, os.WriteFile(o.json, b.Bytes(), 0o644))
}

// perform prepares the results and runs the scenario.
func (s *scenario) perform(ctx context.Context, contestants []contestant, o options) *results {
	r := &results{scenario: s.name, targets: s.targets, ownLength: s.field != nil, runs: map[string][]measured{}, failures: map[string]error{}}
	for _, c := range contestants {
		r.names = append(r.names, c.name)
		if c.yardstick && r.yardstick == "" {
			r.yardstick = c.name
		}
	}
	if err := setMTU(ctx, cmp.Or(s.mtu, o.mtu)); err != nil {
		r.failures["sluice"] = err
		return r
	}
	if s.cell != nil {
		s.runCell(ctx, contestants, o, r)
		return r
	}
	s.run(ctx, contestants, o.runs, r, func(c contestant) (measured, error) { return s.measure(s, ctx, c, o) })
	return r
}

// run measures the contestants in turn, as many rounds as there are runs. Who failed
// once is left out of the later rounds.
func (s *scenario) run(ctx context.Context, contestants []contestant, runs int, r *results, measure func(contestant) (measured, error)) {
	for i := range runs {
		for _, c := range contestants {
			if r.failures[c.name] != nil || ctx.Err() != nil {
				continue
			}
			fmt.Fprintf(os.Stderr, "%s, run %d of %d: %s\n", s.name, i+1, runs, c.name)
			m, err := measure(c)
			if err != nil {
				fmt.Fprintf(os.Stderr, "%s: %s: %v\n", s.name, c.name, err)
				r.failures[c.name] = err
				continue
			}
			r.runs[c.name] = append(r.runs[c.name], m)
		}
	}
}

// machine names what the figures depend on.
func machine() string {
	var name unix.Utsname
	release := "unknown"
	if unix.Uname(&name) == nil {
		release = unix.ByteSliceToString(name.Release[:])
	}
	control, err := os.ReadFile("/proc/sys/net/ipv4/tcp_congestion_control")
	if err != nil {
		control = []byte("unknown congestion control")
	}
	cores, err := os.ReadFile("/sys/devices/system/cpu/online")
	if err != nil {
		cores = []byte("unknown")
	}
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		load = []byte("unknown")
	}
	load, _, _ = bytes.Cut(load, []byte(" "))
	return fmt.Sprintf("linux %s, %s, cores %s, %s, load average before %s",
		release, runtime.GOARCH, bytes.TrimSpace(cores), bytes.TrimSpace(control), load)
}
