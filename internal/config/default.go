package config

import (
	"cmp"
	"log/slog"
	"path/filepath"
	"runtime"
	"time"

	"sluice/internal/gws"
	"sluice/internal/lineup"
	"sluice/internal/process"
	"sluice/internal/resolve"
)

// Default is what holds without a configuration file: every multicast group, for
// clients of private networks.
func Default() Config {
	return Config{
		Listen:     []Door{{Address: ":4046"}},
		Admin:      Door{Address: "127.0.0.1:4047"},
		MinEngines: 1, ForceShutdown: true,
		Request: 10 * time.Second, Unavailable: 10 * time.Second,
		Auth:      Auth{Timeout: 5 * time.Second, Helpers: 4, DeniedFor: time.Minute, DeniedEntries: 10_000},
		Report:    Report{Cache: time.Second, Statistics: true},
		Reconnect: Reconnect{Attempts: 60, Delay: time.Second},
		Access:    Access{MaxSize: 16 << 20, MaxFiles: 16},
		Refresh:   5 * time.Minute,
		Renew:     time.Minute,
		Allow:     gws.DefaultAllow(),
		Sources:   gws.DefaultSources(),
		Limits:    gws.DefaultLimits(),
		Stall:     20 * time.Second,
		Settings:  lineup.Defaults(),
		Grace:     process.DefaultGrace,
		Relay: RelayPart{
			Admin: Door{Address: "127.0.0.1:4048"}, SessionLog: Access{MaxSize: 16 << 20, MaxFiles: 16},
			Threads: 1, Buffer: 64 << 10, Splice: true, Pipes: 64 << 20, Drain: 30 * time.Second, Quiet: time.Second,
			Resolve: resolve.Config{Every: 30 * time.Second, Timeout: 5 * time.Second},
		},
		Origin: defaultOrigin(),
		Log:    Log{Level: slog.LevelInfo, MaxSize: 16 << 20, MaxFiles: 16, Syslog: true},
	}
}

// unknownMemory is what a machine is taken to have that does not tell.
const unknownMemory = 1 << 30

// EngineCount is the number of gng processes: one a core when Engines is 0.
func (c Config) EngineCount() int {
	return cmp.Or(c.Engines, min(runtime.NumCPU(), maxEngines))
}

// RunDirectory is RunDir, or the default one.
func (c Config) RunDirectory() string { return cmp.Or(c.RunDir, process.DefaultRunDir()) }

// SocketPath is that of the socket where engines find gws.
func (c Config) SocketPath() string {
	return cmp.Or(c.Socket, filepath.Join(c.RunDirectory(), "handoff.socket"))
}
