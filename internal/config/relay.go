package config

import (
	"cmp"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"sluice/internal/health"
	"sluice/internal/pool"
	"sluice/internal/relay"
	"sluice/internal/resolve"
)

// RelayPart is the TCP relay. It runs when it has a listener. Fields without a word are
// as in relay.Config, but that their defaults are said (Default, AddListener, AddPool).
type RelayPart struct {
	Admin      Door   // its admin port; Address "" = none
	SessionLog Access // a line for each session that has ended

	Threads     int // 0 = one a core
	Buffer      int
	Splice      bool // whether bulk data is spliced
	Pipes       int64
	MaxSessions int
	Overload    relay.Overload
	Retire      int
	Drain       time.Duration
	Quiet       time.Duration
	Resolve     resolve.Config

	Listeners []RelayListener // in the order of the file
	Pools     []RelayPool     // likewise
}

// RelayListener is a listener; AddListener makes one.
type RelayListener struct {
	relay.Listener
	TLS RelayTLS // in place of Listener.TLS, which stays nil
}

// RelayTLS is relay.TLS; there is none as long as nothing of it is said.
type RelayTLS struct {
	Auto         bool
	Certificates []RelayCertificate
	ClientCA     string
	ClientNeeded bool
	Min, Max     uint16
	Protocols    []string
}

// RelayCertificate is relay.Certificate, the passphrase of which may stand in a file.
type RelayCertificate struct {
	Chain, Key     string
	Passphrase     string
	PassphraseFile string // its first line; "" = none
}

// RelayPool is a pool; AddPool makes one.
type RelayPool struct {
	relay.Pool
	TLS RelayRemoteTLS // in place of Pool.TLS, which stays nil
}

// RelayRemoteTLS is relay.RemoteTLS.
type RelayRemoteTLS struct {
	Enabled     bool // without it nothing else may be said
	Name        string
	CA          string
	Verify      bool // whether the certificate of the remote must be good
	Certificate RelayCertificate
	Min, Max    uint16
	Protocols   []string
}

// HasRelay says whether there is a relay to run.
func (c *Config) HasRelay() bool { return len(c.Relay.Listeners) > 0 }

// RelayThreads is the number of I/O threads: one a core when Threads is 0.
func (c *Config) RelayThreads() int { return cmp.Or(c.Relay.Threads, runtime.NumCPU()) }

// AddListener adds a listener with the defaults. The pointer is good until the next one
// is added.
func (r *RelayPart) AddListener(name string) (*RelayListener, error) {
	if err := checkName("listener", name); err != nil {
		return nil, err
	}
	r.Listeners = append(r.Listeners, *newListener(name))
	return &r.Listeners[len(r.Listeners)-1], nil
}

func newListener(name string) *RelayListener {
	return &RelayListener{Listener: relay.Listener{
		Name: name, Hello: 5 * time.Second, HalfClose: 5 * time.Minute,
		Connect: 5 * time.Second, Tries: 3, Within: 15 * time.Second,
	}}
}

// AddPool adds a pool with the defaults. The pointer is good until the next one is added.
func (r *RelayPart) AddPool(name string) (*RelayPool, error) {
	if err := checkName("pool", name); err != nil {
		return nil, err
	}
	r.Pools = append(r.Pools, *newPool(name))
	return &r.Pools[len(r.Pools)-1], nil
}

func newPool(name string) *RelayPool {
	return &RelayPool{
		Pool: relay.Pool{
			Config: pool.Config{
				Name:  name,
				Queue: 1024, Eject: pool.Eject{Fails: 1, For: time.Second, Max: time.Minute, Share: 100},
				Sticky: pool.Sticky{Size: 1024},
			},
			Check: health.Check{Every: 2 * time.Second, Timeout: time.Second, Rise: 2, Fall: 3},
		},
		TLS: RelayRemoteTLS{Verify: true},
	}
}

// RelayConfig is the relay's part; it reads the files of passphrases.
func (c *Config) RelayConfig() (relay.Config, error) {
	r := &c.Relay
	out := relay.Config{
		Threads: c.RelayThreads(), Buffer: r.Buffer, Copy: !r.Splice, Pipes: r.Pipes,
		MaxSessions: r.MaxSessions, Overload: r.Overload, Retire: r.Retire, Drain: r.Drain, Quiet: r.Quiet, Resolve: r.Resolve,
	}
	for _, l := range r.Listeners {
		one, err := l.role()
		if err != nil {
			return relay.Config{}, c.place(listenersKey+"."+l.Name).Errorf("listener %s: %s", l.Name, err)
		}
		out.Listeners = append(out.Listeners, one)
	}
	for _, p := range r.Pools {
		one, err := p.role()
		if err != nil {
			return relay.Config{}, c.place(poolsKey+"."+p.Name).Errorf("pool %s: %s", p.Name, err)
		}
		out.Pools = append(out.Pools, one)
	}
	return out, nil
}

// role is the listener as the relay takes it.
func (l RelayListener) role() (relay.Listener, error) {
	out, t := l.Listener, l.TLS
	if !t.said() {
		return out, nil
	}
	out.TLS = &relay.TLS{Auto: t.Auto, ClientCA: t.ClientCA, ClientNeeded: t.ClientNeeded, Min: t.Min, Max: t.Max, Protocols: t.Protocols}
	for _, x := range t.Certificates {
		one, err := x.role()
		if err != nil {
			return out, err
		}
		out.TLS.Certificates = append(out.TLS.Certificates, one)
	}
	return out, nil
}

// said says whether anything is.
func (t RelayTLS) said() bool {
	return t.Auto || len(t.Certificates) > 0 || t.ClientCA != "" || t.ClientNeeded || t.Min != 0 || t.Max != 0 || len(t.Protocols) > 0
}

// role is the pool as the relay takes it.
func (p RelayPool) role() (relay.Pool, error) {
	out, t := p.Pool, p.TLS
	if !t.Enabled {
		return out, nil
	}
	certificate, err := t.Certificate.role()
	out.TLS = &relay.RemoteTLS{
		Name: t.Name, CA: t.CA, NoVerify: !t.Verify, Certificate: certificate, Min: t.Min, Max: t.Max, Protocols: t.Protocols,
	}
	return out, err
}

// maxPassphrase bounds a file of a passphrase, in bytes.
const maxPassphrase = 4 << 10

// role is the certificate with its passphrase.
func (x RelayCertificate) role() (relay.Certificate, error) {
	out := relay.Certificate{Chain: x.Chain, Key: x.Key, Passphrase: x.Passphrase}
	if x.PassphraseFile == "" {
		return out, nil
	}
	text, err := os.ReadFile(x.PassphraseFile)
	if err != nil {
		return out, fmt.Errorf("passphrase: %w", err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	line = strings.TrimSuffix(line, "\r")
	if line == "" || len(line) > maxPassphrase {
		return out, fmt.Errorf("passphrase: the first line of %s has none", x.PassphraseFile)
	}
	out.Passphrase = line
	return out, nil
}
