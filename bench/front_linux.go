package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// frontScenarios measure the ways in: what gws, the lists of channels, reports and TLS cost.
func frontScenarios() []*scenario {
	return []*scenario{
		{
			name: "front-requests", about: "requests: HEAD, streams that begin and end, refusals; and who may watch",
			channels: 1, rate: tv, measure: (*scenario).requests, field: doorsOf,
		},
		{
			name: "front-load", about: "10 000 channels of a list: start, reload, memory",
			measure: (*scenario).load, field: listsOf,
		},
		{
			name: "front-report", about: "reports of 5000 clients of 50 channels (-clients: others)",
			channels: 50, clients: 5000, rate: slowRate, measure: (*scenario).reports, field: aloneWith("start: live\nreport: {cache: 1m}\n"),
			targets: []target{{figure: gaps}},
		},
		{
			name: "front-first-byte", about: "first packet of a warm channel, also while its source is paused",
			channels: 1, rate: tv, measure: (*scenario).firstByte, field: besideAnswers,
			targets: []target{{figure: pausedPacket, limit: 50}},
		},
		{
			name: "front-rate", about: "the rates that reports tell of a 10 Mbit/s channel and its client",
			channels: 1, clients: 1, rate: 10_000_000, measure: (*scenario).rates, field: aloneWith(""),
			targets: []target{{figure: offChannel, limit: 5}, {figure: offClient, limit: 5}},
		},
		{
			name: "front-start", about: "the sample configuration, unchanged: from nothing to the first packet",
			channels: 1, rate: tv, measure: (*scenario).startUp, field: samplesOf,
			targets: []target{{figure: startTime, limit: 1000}},
		},
		{
			name: "front-file", about: "a file of 8 Mbit/s sent as UDP: how well it keeps the clock",
			rate: tv, measure: (*scenario).filePace, field: filmOf,
			targets: []target{{figure: gaps}},
		},
		{
			name: "front-tls", about: "50 clients of 8 Mbit/s over TLS, HTTP/1.1 and 2 (-clients: others)",
			channels: 1, clients: 50, rate: tv, measure: (*scenario).overTLS, field: facesOf,
		},
	}
}

// configured is sluice under a name, with a configuration and the files that it names.
func configured(name, sluice, config string, files map[string]string) contestant {
	c := sluiceOf(sluice, "{DIR}/sluice.yaml", "--quiet")
	c.name = name
	c.files = map[string]string{"sluice.yaml": config}
	maps.Copy(c.files, files)
	return c
}

// aloneWith is the field of sluice alone, with a configuration.
func aloneWith(config string) func(string, string) ([]contestant, error) {
	return func(_, sluice string) ([]contestant, error) {
		return []contestant{configured("sluice", sluice, config, nil)}, nil
	}
}

// besideAnswers is the field of sluice and the least that could answer.
func besideAnswers(self, sluice string) ([]contestant, error) {
	return []contestant{configured("sluice", sluice, "", nil), answerer(self)}, nil
}

// shipped is the path of a file that comes with sluice.
func shipped(name string) (string, error) {
	path, err := filepath.Abs(filepath.Join("dist", name))
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		return "", fmt.Errorf("find %s of the sources (run it where go.mod is): %w", name, err)
	}
	return path, nil
}

// runHelper is the command `bench helper`: an authorization helper that lets in who has
// the token, until its input ends.
func runHelper(args []string) error {
	flags := flag.NewFlagSet(wordHelper, flag.ContinueOnError)
	token := flags.String("token", "", "what lets in")
	if err := flags.Parse(args); err != nil {
		return err
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		if _, err := io.WriteString(os.Stdout, grant(lines.Text(), *token)); err != nil {
			return fmt.Errorf("answer: %w", err)
		}
	}
	return lines.Err()
}

// startUp measures how long it takes from the start of the processes to the first packet of
// a channel that nobody watched.
func (s *scenario) startUp(ctx context.Context, c contestant, _ options) (m measured, err error) {
	sender, err := startSender(groupsOf(s.channels), s.rate)
	if err != nil {
		return nil, err
	}
	defer sender.Close()
	server, err := c.start(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	if _, err := pay(server.addr, path(0, 0), false, 5*time.Second); err != nil {
		return nil, err
	}
	return measured{startTime: float64(clock()-server.begun) / 1e6}, nil
}

// samplePort is where the sample configurations listen.
const samplePort = 4046

// samplesOf are gws with one engine, and the same by `sluice run`, as the samples have them.
func samplesOf(_, sluice string) ([]contestant, error) {
	conf, err := shipped("sluice.conf")
	if err != nil {
		return nil, err
	}
	yaml, err := shipped("sluice.yaml")
	if err != nil {
		return nil, err
	}
	words := func(line string) []string {
		return append([]string{sluice}, strings.Fields(line)...)
	}
	modules := contestant{name: "sluice", port: samplePort, probe: anyGroup}
	modules.command = append(words("gws -T --run-dir {DIR} -C"), conf)
	modules.beside = [][]string{append(words("gng -T --run-dir {DIR} -C"), conf)}
	run := contestant{name: "sluice run", port: samplePort, probe: anyGroup}
	run.command = append(words("run --run-dir {DIR} --engines 1 -C"), yaml)
	return []contestant{modules, run}, nil
}

// firstByte measures visits to a channel that somebody watches, one after the other, and
// then some while its source is silent.
func (s *scenario) firstByte(ctx context.Context, c contestant, _ options) (m measured, err error) {
	stage, err := s.raise(ctx, c)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stage.Close()) }()
	if !c.yardstick {
		if err := stage.fill(1); err != nil {
			return nil, err
		}
	}
	warm, err := stage.calls(ctx, 200, 7*time.Millisecond)
	if err != nil {
		return nil, err
	}
	m = measured{warmPacket: float64(percentile(warm, 50)) / 1e6, warmP99: float64(percentile(warm, 99)) / 1e6}
	if c.yardstick {
		return m, nil
	}
	stage.hush()
	paused, err := stage.calls(ctx, 10, 100*time.Millisecond)
	if err != nil {
		return nil, err
	}
	m[pausedPacket] = float64(slices.Max(paused)) / 1e6
	return m, nil
}

// calls pays n visits with a pause before each and returns how long each waited for its
// first packet, sorted, in nanoseconds.
func (st *stage) calls(ctx context.Context, n int, between time.Duration) ([]int64, error) {
	var waits []int64
	for range n {
		if err := pause(ctx, between); err != nil {
			return nil, err
		}
		v, err := pay(st.server.addr, path(0, 0), false, 5*time.Second)
		if err != nil {
			return nil, err
		}
		waits = append(waits, int64(v.packet))
	}
	slices.Sort(waits)
	return waits, nil
}

// hush ends the sending of the channels.
func (st *stage) hush() {
	st.sender.Close()
	st.sender = nil
}
