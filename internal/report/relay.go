package report

import "time"

// Relay is what a relay does: /status?format=json of its admin port.
type Relay struct {
	Name      string          `json:"name"` // always "sluice relay"
	Version   string          `json:"version"`
	PID       int             `json:"pid"`
	Started   time.Time       `json:"started"`
	Now       time.Time       `json:"now"`
	Draining  bool            `json:"draining"`
	Listeners []RelayListener `json:"listeners"`
	Pools     []RelayPool     `json:"pools"`
	Sessions  []RelaySession  `json:"sessions"` // the oldest first; at most MaxRelaySessions
	Totals    RelayTotals     `json:"totals"`
}

// MaxRelaySessions is how many sessions a Relay names.
const MaxRelaySessions = 10_000

// RelayTotals sums over the whole life of the process.
type RelayTotals struct {
	Sessions     int               `json:"sessions"` // now
	Accepted     uint64            `json:"accepted"`
	Connected    uint64            `json:"connected"`
	Up           uint64            `json:"bytes_up"`   // clients to remotes, of ended sessions and running ones
	Down         uint64            `json:"bytes_down"` // remotes to clients
	Ended        map[string]uint64 `json:"ended"`      // by flow.Cause
	ConnectFails uint64            `json:"connect_failures"`
	AcceptErrors uint64            `json:"accept_errors"`
	Spliced      uint64            `json:"bytes_spliced"`
	Copied       uint64            `json:"bytes_copied"`
	Pipes        int               `json:"pipes"`

	// ConnectTime counts connections by how long they took: those of at most
	// ConnectBuckets[i] stand in ConnectTime[i] and in all behind it.
	ConnectTime    []uint64 `json:"connect_time"`
	ConnectSeconds float64  `json:"connect_seconds"` // sum
}

// ConnectBuckets are the bounds of RelayTotals.ConnectTime, in seconds; the last entry
// there has no bound.
var ConnectBuckets = []float64{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}

// RelayListener is one listener.
type RelayListener struct {
	Name      string            `json:"name"`
	Addresses []string          `json:"addresses"`
	Error     string            `json:"error,omitempty"` // of a socket that is not open
	Paused    bool              `json:"paused"`          // by overload
	Sessions  int               `json:"sessions"`
	Accepted  uint64            `json:"accepted"`
	Refused   map[string]uint64 `json:"refused"` // by flow.Cause: denied, limit, header, hello
}

// RelayPool is one pool.
type RelayPool struct {
	Name    string        `json:"name"`
	Balance string        `json:"balance"`
	Waiting int           `json:"waiting"` // sessions in the queue
	Remotes []RelayRemote `json:"remotes"`
}

// RelayRemote is one address of a pool.
type RelayRemote struct {
	Name        string    `json:"name"`
	Address     string    `json:"address"`
	Weight      int       `json:"weight"`
	Ordered     bool      `json:"ordered"` // the weight is an operator's
	Backup      bool      `json:"backup"`
	MaxConns    int       `json:"max_conns"`
	State       string    `json:"state"` // enabled, draining, disabled
	Up          bool      `json:"up"`
	Reason      string    `json:"reason,omitempty"` // why it is down
	Since       time.Time `json:"since"`
	Ejected     bool      `json:"ejected"`
	Until       time.Time `json:"until"` // of Ejected
	Sessions    int       `json:"sessions"`
	Total       uint64    `json:"total"`
	Failures    uint64    `json:"failures"`
	Up64        uint64    `json:"bytes_up"` // to it, of ended sessions and running ones
	Down64      uint64    `json:"bytes_down"`
	ConnectTime float64   `json:"connect_seconds"` // moving average
	LastError   string    `json:"last_error,omitempty"`
}

// RelaySession is a session that runs.
type RelaySession struct {
	ID       uint64    `json:"id"`
	Listener string    `json:"listener"`
	Client   string    `json:"client"`
	Pool     string    `json:"pool,omitempty"`
	Remote   string    `json:"remote,omitempty"`
	Since    time.Time `json:"since"`
	Quiet    float64   `json:"quiet_seconds"`
	Up       uint64    `json:"bytes_up"`
	Down     uint64    `json:"bytes_down"`
	TLS      bool      `json:"tls"`
}
