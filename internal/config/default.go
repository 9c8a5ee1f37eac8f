package config

import (
	"cmp"
	"log/slog"
	"path/filepath"
	"runtime"
	"time"

	"sluice/internal/engine"
	"sluice/internal/gws"
	"sluice/internal/lineup"
	"sluice/internal/process"
)

// Default is what holds without a configuration file: every multicast group, for
// clients of private networks.
func Default() Config {
	return Config{
		Listen:  ":4046",
		Admin:   "127.0.0.1:4047",
		Allow:   gws.DefaultAllow(),
		Sources: gws.DefaultSources(),
		Linger:  5 * time.Second,
		NoData:  5 * time.Second,
		Stall:   20 * time.Second,
		History: History{Depth: 10 * time.Second, Channel: 32 << 20},
		Grace:   process.DefaultGrace,
		Log:     Log{Level: slog.LevelInfo},
	}
}

// unknownMemory is what a machine is taken to have that does not tell.
const unknownMemory = 1 << 30

// answerMargin is what an engine may need for an answer beyond the no-data time.
const answerMargin = 10 * time.Second

// EngineCount is the number of gng processes: one a core when Engines is 0.
func (c Config) EngineCount() int {
	return cmp.Or(c.Engines, min(runtime.NumCPU(), maxEngines))
}

// RunDirectory is RunDir, or the default one.
func (c Config) RunDirectory() string { return cmp.Or(c.RunDir, process.DefaultRunDir()) }

// Socket is the path of the socket where engines find gws.
func (c Config) Socket() string { return filepath.Join(c.RunDirectory(), "handoff.socket") }

// GWS is the web service's part; build is the version of the program. An engine may
// stay silent for the no-data time before it answers, so gws waits longer than that.
func (c Config) GWS(build string) (gws.Config, error) {
	channels, err := c.lineup()
	if err != nil {
		return gws.Config{}, err
	}
	return gws.Config{
		Lineup:        channels,
		Allow:         c.Allow,
		Sources:       c.Sources,
		AnswerTimeout: c.NoData + answerMargin,
		MaxEngines:    maxEngines,
		Build:         build,
	}, nil
}

// Engine is the part of the engine id, which has its share of the memory.
func (c Config) Engine(id, build string) engine.Config {
	return engine.Config{
		ID:        id,
		Socket:    c.Socket(),
		Build:     build,
		Interface: c.Interface,
		Memory:    max(c.historyTotal()/int64(c.EngineCount()), 1),
		Stall:     c.Stall,
	}
}

// lineup is the channels and the settings of all.
func (c Config) lineup() (*lineup.Lineup, error) {
	s := lineup.Defaults()
	s.NoData, s.Linger = c.NoData, c.Linger
	s.History = lineup.History{Depth: c.History.Depth, Bytes: c.History.Channel}
	return lineup.New(s, nil)
}

func (c Config) historyTotal() int64 {
	return cmp.Or(c.History.Total, cmp.Or(process.Memory(), unknownMemory)/4)
}
