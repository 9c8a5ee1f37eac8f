package origin

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"time"

	"sluice/internal/creds"
	"sluice/internal/live"
	"sluice/internal/push"
	"sluice/internal/script"
	"sluice/internal/store"
)

// Config is what an origin is told. The fields that have the name of an option of GPAC's httpout in their comment mean what it means.
type Config struct {
	Read    []Mount // rdirs; of none, and without Write, sinks, sources and Script, there is nothing to serve
	Write   *Mount  // wdir; nil = uploads go where the rules of a mount let them, or nowhere
	Merge   bool    // rdirs_merge: unnamed mounts are searched in order under /, not listed there
	Rules   *creds.Rules
	Users   *creds.Users         // nil = nobody is known
	Realm   string               // of WWW-Authenticate; "" = sluice
	Forbid  bool                 // a wrong password is answered with 403, as DASH-IF ingest wants it, not 401
	Sinks   map[string]live.Sink // by their paths: /live.ts
	Records map[string]Record    // file sinks, by the names of their objects
	Sources []string             // prefixes of paths (/ingest/) below which an upload is a channel; "/" = all (hmode=source)
	Pushes  []Push
	Script  *script.Config // js; nil = none
	Hook    Authorizer     // auth hook; nil = none

	MaxConns    int           // maxc; 0 = no limit
	MaxPerPeer  int           // maxp; 0 = no limit. IPv6 by its /64
	CloseLimit  bool          // limit_close: who is beyond a limit is closed without an answer
	Idle        time.Duration // timeout: of a connection between two requests; 0 = never
	Stall       time.Duration // of an upload that sends nothing; 0 = never
	Take        time.Duration // a client that takes nothing for so long is ended; 0 = never
	Close       bool          // close
	MaxErrors   int           // max_client_errors; 0 = no limit
	MaxSize     int64         // maxs; 0 = no limit
	NoRange     bool          // norange
	Concat      bool          // multirange=concat
	Whole       bool          // cte=0
	Listing     bool          // dlist
	ServerUTC   bool          // sutc
	CORS        CORS          // cors
	Isolate     bool          // COEP and COOP besides CORS
	Log         RequestLog    // reqlog
	Headers     [][2]string   // hdrs
	Cache       string        // cache_control: "" = none said, "none" = no ETag either
	Compress    int64         // zmax
	CompressMin int64
	Ingest      bool           // DASH-IF ingest 1.2
	Points      []string       // its publishing points: directories of the store that is written, as paths (/live/); none = all of it
	KeepAborted bool           // on_abort=keep
	WaitNext    time.Duration  // wait_next: a request for the next segment is held so long before it exists; 0 = not at all
	Time        string         // path of the clock for UTCTiming, such as /time; "" = none
	Agent       string         // user_agent: the Server header, and that of pushes; "" = sluice/VERSION
	Type        string         // mime: Content-Type of all objects; "" = theirs
	Quit        bool           // quit: Run returns when all records, sinks and pushes are over and no client is left
	Proxies     []netip.Prefix // whose X-Forwarded-For and PROXY headers are believed
}

// Mount is a place of objects in the URLs.
type Mount struct {
	Name  string      // "" = none was given: the last element of the directory's path, where several are listed under /
	Dir   string      // absolute; "" = in memory (gmem)
	Rule  string      // Dir of its rule; "" = none
	Store store.Store // the same directory is the same store everywhere; owned by who made it
}

// Record is a file sink: a channel written into an object of the first mount.
type Record struct {
	Channel string
	Again   time.Duration // it is begun anew so long after it has ended; 0 = once
}

// Push is an upload to other servers: of a Store, else of a Channel, else of what other programs write into Dir.
type Push struct {
	push.Config
	Store   store.Store
	Dir     string
	Channel string
}

// CORS is when cross-origin headers are sent.
type CORS uint8

// When.
const (
	CORSAuto CORS = iota // when the request has Origin
	CORSOff
	CORSOn
)

// RequestLog is reqlog: which requests are told of.
type RequestLog struct {
	All     bool     // *
	Methods []string // GET, PUT, POST, DELETE, HEAD, OPTIONS
	Record  bool     // REC: begin, end and removal of what is written
	NoEnd   bool     // a leading -: the end of a request is not
}

// Authorizer decides besides the rules; the app makes it of package auth.
type Authorizer interface {
	// Ask says 0 or the status of the answer, and why, for the log.
	Ask(r *http.Request, peer netip.AddrPort, user string, write bool) (status int, reason string)
}

// Door is a listener.
type Door struct {
	net.Listener
	TLS   *tls.Config // its ALPN offers h2 and http/1.1; nil = plain, with h2c
	Local bool        // of gws: its X-Forwarded-For is believed, no limit of connections counts it
}
