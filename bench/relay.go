package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// The scenarios of the TCP relay, without the I/O.

// The figures of the TCP relay. README.md says how each is made.
const (
	tcpCPUPerGB     figure = "CPU ms/GB"
	tcpRate         figure = "Gbit/s"
	sessionCPU      figure = "CPU µs a connection"
	sessionRate     figure = "connections a second"
	tripCPU         figure = "CPU µs a round trip"
	tripRate        figure = "round trips a second"
	tripP50         figure = "round trip p50 µs"
	tripP99         figure = "round trip p99 µs"
	sessionMemory   figure = "memory a session KiB"
	sessionFiles    figure = "descriptors a session"
	bareMemory      figure = "memory without sessions MiB"
	threadShare     figure = "share of the load's own work %"
	threadBound     figure = "times what one thread does, at most"
	threadUneven    figure = "sessions of the threads differ by"
	refusedEnd      figure = "remote refuses: client's end, slowest, ms"
	refusedDelay    figure = "one of two remotes refuses: added, slowest, ms"
	allDownCPU      figure = "all remotes down, 100 clients a second: CPU %"
	idleEndEarliest figure = "idle 1 s: earliest end s"
	idleEndLatest   figure = "idle 1 s: latest end s"
)

// The peers, as contestants.
const (
	peerHaproxy = "haproxy"
	peerNginx   = "nginx"
)

// tcpBackPort is that of the back end, which is the whole network 127.1.0.0/16, so that each
// contestant has an address, and with that a range of local ports, of its own.
const tcpBackPort = 9000

// backOf is where the contestant with a number sends its clients.
func backOf(n int) string { return fmt.Sprintf("127.1.0.%d:%d", n+1, tcpBackPort) }

// haproxyConfig is one thread that splices where haproxy finds it worth while. The cipher is
// the one that the others agree on with the load.
func haproxyConfig(back string) string {
	return `global
    nbthread 1
    maxconn 7000
    ssl-default-bind-ciphersuites TLS_AES_128_GCM_SHA256
defaults
    mode tcp
    option splice-auto
    timeout connect 5s
    timeout client 1m
    timeout server 1m
listen plain
    bind 127.0.0.1:{PORT}
    server back ` + back + `
listen tls
    bind 127.0.0.1:{TLS} ssl crt {DIR}/` + bothFile + `
    server back ` + back + "\n"
}

// nginxConfig is one worker; module is the path of its stream module.
func nginxConfig(module, back string) string {
	return `load_module ` + module + `;
daemon off;
user root;
worker_processes 1;
worker_rlimit_nofile 40000;
pid {DIR}/nginx.pid;
error_log stderr crit;
events { worker_connections 30000; }
stream {
    ssl_protocols TLSv1.3;
    ssl_certificate {DIR}/` + certFile + `;
    ssl_certificate_key {DIR}/` + keyFile + `;
    server { listen 127.0.0.1:{PORT} backlog=4096; proxy_pass ` + back + `; }
    server { listen 127.0.0.1:{TLS} ssl backlog=4096; proxy_pass ` + back + `; }
}
`
}

// relayConfig is sluice's relay: all is as by default, but that it ends at once.
func relayConfig(back string) string {
	return `relay:
  admin: ""
  drain: 0s
  listeners:
    plain: {listen: "127.0.0.1:{PORT}", pool: back}
    tls: {listen: "127.0.0.1:{TLS}", pool: back, tls: {certificates: "{DIR}/` + bothFile + `"}}
  pools:
    back: {remotes: "` + back + `"}
`
}

// threadsConfig is a relay that copies: its work is dear then, and the load's share small.
func threadsConfig(back string, threads int) string {
	return fmt.Sprintf(`relay:
  admin: ""
  drain: 0s
  threads: %d
  splice: false
  listeners:
    plain: {listen: "127.0.0.1:{PORT}", pool: back}
  pools:
    back: {remotes: %q}
`, threads, back)
}

// What stands in for remotes that refuse: nobody listens there.
const (
	deadBack      = "127.2.0.1:1"
	otherDeadBack = "127.2.0.2:1"
)

// The listeners of troubleConfig and troubleCommands, by their addresses; all have the port
// of the contestant.
const (
	wellHost    = 1 + iota // the remote answers
	pairHost               // one of two does
	downHost               // none does
	idleHost               // quiet sessions end after a second
	cproxyHost             // as cproxy; the remote refuses
	threadsHost            // as cproxy with two threads
)

// troubleConfig is a relay with remotes that refuse. In the pool pair they are not left out
// after the first refusal, so that every other client meets one.
func troubleConfig(back string) string {
	return fmt.Sprintf(`relay:
  admin: ""
  drain: 0s
  listeners:
    well: {listen: "127.0.0.%d:{PORT}", pool: back}
    pair: {listen: "127.0.0.%d:{PORT}", pool: pair}
    down: {listen: "127.0.0.%d:{PORT}", pool: down}
    idle: {listen: "127.0.0.%d:{PORT}", pool: back, idle: 1s}
  pools:
    back: {remotes: %q}
    pair: {remotes: [%q, %[5]q], eject: {fails: 0}}
    down: {remotes: [%[6]q, %[7]q]}
`, wellHost, pairHost, downHost, idleHost, back, deadBack, otherDeadBack)
}

// troubleCommands are two relays beside it, in the way of cproxy.
func troubleCommands(sluice, back string) [][]string {
	return [][]string{
		{sluice, "relay", "-l", fmt.Sprintf("127.0.0.%d:{PORT}", cproxyHost), "-r", deadBack},
		{sluice, "relay", "-t", "2", "-l", fmt.Sprintf("127.0.0.%d:{PORT}", threadsHost), "-r", back},
	}
}

// sessionsOf counts the sessions of each I/O thread by the log of cproxy: the thread that has
// a session says so when its remote is connected.
func sessionsOf(log string) map[string]int {
	counts := map[string]int{}
	for line := range strings.Lines(log) {
		_, rest, ok := strings.Cut(line, "[")
		thread, event, found := strings.Cut(rest, "] ")
		if ok && found && strings.HasPrefix(event, "connect complete ") {
			counts[thread]++
		}
	}
	return counts
}

// uneven is by how many sessions the threads differ; all of them where a thread has none.
func uneven(counts map[string]int, threads int) int {
	all := slices.Sorted(maps.Values(counts))
	if len(all) == 0 {
		return 0
	}
	if len(all) < threads {
		return all[len(all)-1]
	}
	return all[len(all)-1] - all[0]
}
