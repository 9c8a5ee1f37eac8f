package report

import "time"

// Origin is what an HTTP origin does; GET /status of its admin port is this as JSON.
type Origin struct {
	Build       string            `json:"build"`
	PID         int               `json:"pid"`
	Started     time.Time         `json:"started"`
	Now         time.Time         `json:"now"`
	Draining    bool              `json:"draining"`    // it ends: no request is taken any more
	Connections int               `json:"connections"` // now
	Requests    uint64            `json:"requests"`    // so far
	Statuses    map[string]uint64 `json:"statuses"`    // of the answers, by class: 2xx
	Active      int               `json:"active"`      // requests that are being answered
	Sent        uint64            `json:"sent"`        // bytes of bodies, as they went out
	Received    uint64            `json:"received"`    // as they came
	Refused     uint64            `json:"refused"`     // connections beyond a limit
	Aborted     uint64            `json:"aborted"`     // uploads that broke off
	Waiting     int               `json:"waiting"`     // requests that are held until something is there
	Mounts      []OriginMount     `json:"mounts"`
	Growing     int               `json:"growing"` // objects that are being written
	Objects     []OriginObject    `json:"objects"` // the oldest of these, MaxOriginList at most
	Sinks       []OriginSink      `json:"sinks"`
	Uploads     int               `json:"uploads"`  // that are channels, now
	Channels    []OriginChannel   `json:"channels"` // the oldest of these, MaxOriginList at most
	Pushes      []OriginPush      `json:"pushes"`
}

// MaxOriginList is how many of each an Origin lists of what clients cause.
const MaxOriginList = 1000

// OriginMount is a place of objects.
type OriginMount struct {
	Name     string `json:"name"`
	Path     string `json:"path"` // "gmem": in memory
	Writable bool   `json:"writable"`
	Objects  int    `json:"objects"` // in memory, else those that are being written
	Bytes    int64  `json:"bytes"`
}

// OriginObject is an object that is being written.
type OriginObject struct {
	Path    string    `json:"path"` // in URLs
	Size    int64     `json:"size"` // so far, in bytes
	Since   time.Time `json:"since"`
	Hidden  bool      `json:"hidden"`  // it cannot be read before it is complete
	Readers int       `json:"readers"` // also those who read what it takes the place of
}

// OriginSink is a channel under a path.
type OriginSink struct {
	Path    string `json:"path"`
	Channel string `json:"channel"`
	Clients int    `json:"clients"`
}

// OriginChannel is an upload that is a channel.
type OriginChannel struct {
	Name     string    `json:"name"` // of the source: upload:///NAME
	Type     string    `json:"type"`
	Since    time.Time `json:"since"`
	Received uint64    `json:"received"` // bytes
	Watchers int       `json:"watchers"` // engines; their clients are shown by gws
}

// OriginPush is one server that is uploaded to.
type OriginPush struct {
	Name    string `json:"name"`
	To      string `json:"to"` // without credentials
	Objects uint64 `json:"objects"`
	Bytes   uint64 `json:"bytes"`
	Failed  uint64 `json:"failed"`
	Retries uint64 `json:"retries"`
	Queue   int    `json:"queue"`
	Error   string `json:"error"` // "" = none since the last success
}
