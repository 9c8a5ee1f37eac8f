package relay

import (
	"net/netip"
	"time"

	"sluice/internal/flow"
	"sluice/internal/health"
	"sluice/internal/pool"
	"sluice/internal/resolve"
)

// Config is all of a relay. Zero fields mean what is said beside them.
type Config struct {
	Listeners []Listener
	Pools     []Pool

	Threads int   // I/O threads; 0 = 1. Changes after a restart only
	Buffer  int   // bytes that a thread reads at once; 0 = 64 KiB. Likewise
	Copy    bool  // never splice. Likewise
	Pipes   int64 // bytes of all pipes together; 0 = 64 MiB. Likewise

	MaxSessions int           // in all; 0 = no limit
	Overload    Overload      // what becomes of clients beyond it
	Retire      int           // after so many sessions a new process takes over and this one finishes; 0 = never
	Drain       time.Duration // at the end, sessions may go on for so long; 0 = they end at once
	Quiet       time.Duration // sessions that carried nothing for so long are ended first in a drain; 0 = 1 s

	Resolve resolve.Config // for remotes with names
}

// Overload is what becomes of clients beyond MaxSessions.
type Overload uint8

// The ways.
const (
	Queue Overload = iota // they are not accepted until there is room: they wait in the system's queue
	Close                 // they are accepted and closed
	Reset                 // the listening sockets are shut until there is room: they are refused. Where a socket cannot be shut (UNIX, SCTP, other systems than Linux) they are accepted and reset
)

// Listener is where clients connect, and what becomes of them.
type Listener struct {
	Name   string
	Addrs  []Socket // one at least
	Pool   string   // where clients go for whom no Route is; "" = they are closed
	Routes []Route  // the first that fits

	Rules         []Rule  // the first that fits a client's address; when there are some and none fits, it is denied. Clients of UNIX sockets have none and are let in: the file's mode is their rule
	Max           int     // sessions; 0 = no limit
	PerSource     int     // sessions of one address, in IPv6 of one /64; 0 = no limit
	Rate          float64 // sessions that may begin a second; 0 = no limit
	RatePerSource float64 // likewise, of one address

	Proxy   ProxyIn
	Proxies []netip.Prefix // who is believed, with all clients of UNIX sockets; empty = everybody when Proxy is ProxyRequired, nobody else when it is ProxyAccepted

	TLS   *TLS          // nil = nothing is decrypted here
	Hello time.Duration // time for a PROXY header, ClientHello and handshake together; 0 = 5 s

	NoDelay   *bool // nil = true
	KeepAlive flow.KeepAlive
	DSCP      int
	Idle      time.Duration
	HalfClose time.Duration // 0 = 5 min; negative = without end
	Buffer    int

	Connect time.Duration // for one try of a remote; 0 = 5 s
	Tries   int           // remotes that are tried for a session; 0 = 3
	Within  time.Duration // all tries of a session and its time in the queue together; 0 = 15 s
}

// Socket is one listening socket.
type Socket struct {
	Addr        flow.Addr
	Only6       bool          // IPv6 only: [::]:80 does not take IPv4 besides
	Backlog     int           // 0 = the system's largest
	Device      string        // network device that it is bound to (a VRF); "" = any
	Mode        uint32        // of the file of a UNIX socket; 0 = 0666, whatever the umask
	User, Group string        // owner of that file; "" = ours
	Retry       time.Duration // an address that cannot be bound is tried again so often; 0 = it is an error at the start
	Inherited   string        // it is the inherited socket of this name, and Addr is what it says itself
}

// Route sends some clients elsewhere, by what their ClientHello says.
type Route struct {
	Names     []string // a.example.com, *.example.com (one label or more in front); empty = any, and no name
	Protocols []string // ALPN; empty = any
	Plain     bool     // clients that speak no TLS, or nothing for a second: they wait for the server to speak; Names and Protocols are empty then
	Pool      string
	Pass      bool // it is not decrypted, whatever Listener.TLS says
}

// Rule permits or denies clients by their address.
type Rule struct {
	Deny   bool
	Not    bool // fits addresses that are not in Prefix
	Prefix netip.Prefix
}

// ProxyIn is whether clients come with a PROXY header.
type ProxyIn uint8

// The ways.
const (
	ProxyOff      ProxyIn = iota // what looks like one is relayed
	ProxyAccepted                // from Proxies one is looked for; who says nothing for a second has none
	ProxyRequired                // who has none, or is not in Proxies, is closed
)

// TLS is how a listener decrypts.
type TLS struct {
	Auto         bool          // clients that speak no TLS, or nothing for a second, are relayed as they are
	Certificates []Certificate // by the name that the client asks for; the first for all others. One at least
	ClientCA     string        // file of CAs (PEM) whose certificates clients may show; "" = none is asked for
	ClientNeeded bool          // and must
	Min, Max     uint16        // versions; 0 = 1.2 and the newest
	Protocols    []string      // ALPN that is agreed to; empty = none is said
}

// Certificate is files of PEM, which are read again when they change.
type Certificate struct {
	Chain      string
	Key        string // "" = in the file of the chain
	Passphrase string // of an encrypted key
}

// Pool is remotes and how they are chosen, checked and spoken to.
type Pool struct {
	pool.Config
	Remotes []Remote
	Check   health.Check // TLS and Prelude are filled in by the relay
	EndDown bool         // sessions of a remote that is found down are ended

	Proxy ProxyOut   // header towards the remotes
	From  netip.Addr // local address; the zero Addr is the system's choice
	TLS   *RemoteTLS // nil = as it is
}

// ProxyOut is the PROXY header that remotes get.
type ProxyOut uint8

// The ways.
const (
	ProxyNone ProxyOut = iota
	ProxyV1
	ProxyV2
)

// Remote is one or more addresses that sessions may be sent to.
type Remote struct {
	Name     string       // "" = as it is written: 192.0.2.1:80
	Addr     flow.Addr    // an address, or
	Host     resolve.Name // a name: each of its addresses is a remote of its own, NAME/ADDRESS
	SCTP     bool         // with Host: by SCTP
	Weight   int          // 0 = 1, or that of SRV
	Backup   bool
	MaxConns int
}

// RemoteTLS is how remotes are spoken to when it is encrypted.
type RemoteTLS struct {
	Name        string      // that is asked for and looked for in the certificate; "" = the host of the remote, or its address
	CA          string      // file of CAs (PEM); "" = the system's
	NoVerify    bool        // any certificate is good
	Certificate Certificate // shown to the remote; zero = none
	Min, Max    uint16      // 0 = 1.2 and the newest
	Protocols   []string    // ALPN
}
