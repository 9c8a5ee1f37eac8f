package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
)

// cell is how a scenario of the TCP relay, or of the origin, is measured. All contestants are alive at once and
// are loaded in turn, for a second each: on a machine that is not alone, what is measured in
// the same few seconds can be compared, and nothing else.
type cell struct {
	contestants func(self, sluice string) ([]contestant, error)
	measure     func(*scenario, context.Context, *rig, *server) (measured, error)
	alone       bool // a contestant is started for each run, and ended after it: for memory
	most        int  // runs at most; 0 = as many as the options say
	anywhere    bool // load and relay share all cores
	web         bool // of the origin: there is no back end, and no rig
}

// tcpScenarios are the cells of `make bench-relay`.
func tcpScenarios() []*scenario {
	dear := []target{{figure: tcpCPUPerGB, limit: 0.4, against: peerHaproxy}}
	all := func(measure func(*scenario, context.Context, *rig, *server) (measured, error)) *cell {
		return &cell{contestants: relaysOf, measure: measure}
	}
	return named([]*scenario{
		{name: "tcp-bulk-1", about: "TCP relay: one connection takes all it gets", clients: 1, cell: all((*scenario).bulk), targets: dear},
		{name: "tcp-bulk-64", about: "the same, 64 connections", clients: 64, cell: all((*scenario).bulk), targets: dear},
		{
			name: "tcp-connect", about: "16 clients connect, send a byte, get it back, close", clients: 16, cell: all((*scenario).connects),
			targets: []target{{figure: sessionCPU, limit: 1, against: peerNginx}},
		},
		{
			name: "tcp-trips", about: "64 connections on which 1 KiB goes there and back", clients: 64, cell: all((*scenario).trips),
			targets: []target{{figure: tripCPU, limit: 1.1, against: peerNginx}, {figure: tripCPU, limit: 1, against: peerHaproxy}},
		},
		{
			name: "tcp-idle", about: "5000 sessions that are quiet", clients: 5000,
			cell:    &cell{contestants: withoutCopy, measure: (*scenario).idle, alone: true, most: 2},
			targets: []target{{figure: sessionMemory, limit: 1}, {figure: sessionFiles, limit: 2}, {figure: sessionFiles, limit: 2, atLeast: true}},
		},
		{
			name: "tcp-tls-bulk-64", about: "64 connections over TLS take all they get", clients: 64, cell: all((*scenario).bulkTLS),
			targets: []target{{figure: tcpCPUPerGB, limit: 0.6, against: peerHaproxy}},
		},
		{
			name: "tcp-tls-connect", about: "8 clients make a full TLS handshake, send a byte, get it back, close", cell: all((*scenario).handshakes),
			targets: []target{{figure: sessionCPU, limit: 1, against: peerHaproxy}},
		},
		{
			name: "tcp-tls-idle", about: "2000 TLS sessions that are quiet", clients: 2000,
			cell:    &cell{contestants: relaysOf, measure: (*scenario).idleTLS, alone: true, most: 2},
			targets: []target{{figure: sessionMemory, limit: 17}},
		},
		{
			name: "tcp-threads", about: "two I/O threads on both cores against one", clients: 64,
			cell:    &cell{contestants: threadsOf, measure: (*scenario).threads, anywhere: true},
			targets: []target{{figure: tcpRate, limit: 1.7, against: oneThread, atLeast: true}},
		},
		{
			name: "tcp-trouble", about: "remotes that refuse, sessions that end for being idle, sessions of each thread",
			cell: &cell{contestants: troubleOf, measure: (*scenario).trouble, most: 2},
			targets: []target{
				{figure: refusedEnd, limit: 100},
				{figure: refusedDelay, limit: 50},
				{figure: allDownCPU, limit: 5},
				{figure: idleEndEarliest, limit: 0.8, atLeast: true},
				{figure: idleEndLatest, limit: 1.2},
				{figure: threadUneven, limit: 1},
			},
		},
	})
}

// named gives scenarios with a cell their contestants.
func named(all []*scenario) []*scenario {
	for _, s := range all {
		s.field = s.cell.contestants
	}
	return all
}

// relaysOf are sluice with one thread, io.Copy as the yardstick, haproxy and nginx.
func relaysOf(self, sluice string) ([]contestant, error) {
	cert, key, err := certificate()
	if err != nil {
		return nil, err
	}
	files := func(name, config string) map[string]string {
		return map[string]string{certFile: cert, keyFile: key, bothFile: cert + key, name: config}
	}
	all := []contestant{
		{name: "sluice", command: relayCommand(sluice), files: files(relayFile, relayConfig(backOf(0)))},
		{
			name: "io.Copy", yardstick: true, files: files(relayFile, ""),
			command: []string{self, wordCopy, "-listen", "127.0.0.1:{PORT}", "-tls", "127.0.0.1:{TLS}", "-certificate", "{DIR}/" + bothFile, "-back", backOf(1)},
		},
		{name: peerHaproxy, command: []string{sbin("haproxy"), "-db", "-f", "{DIR}/" + proxyFile}, files: files(proxyFile, haproxyConfig(backOf(2)))},
		{name: peerNginx, command: []string{sbin("nginx"), "-c", "{DIR}/nginx.conf"}, files: files("nginx.conf", nginxConfig(streamModule(), backOf(3)))},
	}
	return all, nil
}

// withoutCopy are the same without the yardstick, which takes six descriptors a session: many
// systems do not grant it that for 5000.
func withoutCopy(self, sluice string) ([]contestant, error) {
	all, err := relaysOf(self, sluice)
	return slices.DeleteFunc(all, func(c contestant) bool { return c.yardstick }), err
}

// relayFile is sluice's configuration as a relay.
const relayFile = "relay.yaml"

func relayCommand(sluice string) []string {
	return []string{sluice, "relay", "-T", "--run-dir", "{DIR}", "-C", "{DIR}/" + relayFile}
}

// oneThread is sluice with one I/O thread, beside sluice with two.
const oneThread = "one thread"

// threadsOf are both; they may run on every core, as the load does.
func threadsOf(_, sluice string) ([]contestant, error) {
	with := func(name string, n, threads int) contestant {
		return contestant{
			name: name, cores: []int{loadCore, serverCore}, command: relayCommand(sluice),
			files: map[string]string{relayFile: threadsConfig(backOf(n), threads)},
		}
	}
	return []contestant{with("sluice", 0, 2), with(oneThread, 1, 1)}, nil
}

// troubleOf is sluice alone.
func troubleOf(_, sluice string) ([]contestant, error) {
	return []contestant{{
		name: "sluice", command: relayCommand(sluice), beside: troubleCommands(sluice, backOf(0)),
		files: map[string]string{relayFile: troubleConfig(backOf(0))},
	}}, nil
}

// sbin is the path of a program that is not on everybody's PATH.
func sbin(name string) string {
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	return "/usr/sbin/" + name
}

// streamModule is nginx's, where Debian has it, or where nginx looks by itself.
func streamModule() string {
	const name = "ngx_stream_module.so"
	if at, err := filepath.Glob("/usr/lib*/nginx/modules/" + name); err == nil && len(at) > 0 {
		return at[0]
	}
	return "modules/" + name
}

// runCell measures the contestants of a scenario of the TCP relay, or of the origin.
func (s *scenario) runCell(ctx context.Context, contestants []contestant, o options, r *results) {
	var rig *rig
	if !s.cell.web {
		var err error
		if rig, err = startRig(tcpBackPort); err != nil {
			r.failures["sluice"] = err
			return
		}
		defer rig.Close()
	}
	if s.cell.anywhere {
		if err := runOn(loadCore, serverCore); err != nil {
			r.failures["sluice"] = err
			return
		}
		defer func() { r.fail("sluice", runOn(loadCore)) }()
	}
	runs := o.runs
	if s.cell.most > 0 {
		runs = min(runs, s.cell.most)
	}
	if s.cell.alone {
		s.run(ctx, contestants, runs, r, func(c contestant) (measured, error) { return s.measureAlone(ctx, rig, c) })
		return
	}
	live := map[string]*server{}
	for _, c := range contestants {
		server, err := startRelay(ctx, rig, c)
		r.fail(c.name, err)
		live[c.name] = server
	}
	s.run(ctx, contestants, runs, r, func(c contestant) (measured, error) { return s.cell.measure(s, ctx, rig, live[c.name]) })
	for name, server := range live {
		if server != nil {
			r.fail(name, server.Close())
		}
	}
}

// startRelay starts a contestant and waits until a byte has gone through it and back: some
// listen before the process that relays is there. Without a rig it is no relay.
func startRelay(ctx context.Context, rig *rig, c contestant) (*server, error) {
	server, err := c.start(ctx)
	if err != nil || rig == nil {
		return server, err
	}
	g := rig.guests(server.addr, kind{size: 1})
	defer g.leave()
	if err := g.more(ctx, 1, 1); err != nil {
		return nil, errors.Join(err, server.Close())
	}
	return server, nil
}

// measureAlone measures a contestant that is started for it.
func (s *scenario) measureAlone(ctx context.Context, rig *rig, c contestant) (m measured, err error) {
	server, err := startRelay(ctx, rig, c)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	return s.cell.measure(s, ctx, rig, server)
}

// fail notes why a contestant could not run, if there is a reason.
func (r *results) fail(name string, err error) {
	if err != nil {
		r.failures[name] = errors.Join(r.failures[name], fmt.Errorf("%s: %w", r.scenario, err))
	}
}
