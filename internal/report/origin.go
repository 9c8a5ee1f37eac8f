package report

import "time"

// Origin is what an HTTP origin does; GET /status of its admin port is this as JSON.
type Origin struct {
	Build       string            `json:"build"`
	Started     time.Time         `json:"started"`
	Connections int               `json:"connections"` // now
	Requests    uint64            `json:"requests"`    // so far
	Statuses    map[string]uint64 `json:"statuses"`    // of the answers, by class: 2xx
	Active      int               `json:"active"`      // requests that are being answered
	Sent        uint64            `json:"sent"`        // bytes of bodies
	Received    uint64            `json:"received"`
	Refused     uint64            `json:"refused"` // connections beyond a limit
	Aborted     uint64            `json:"aborted"` // uploads that broke off
	Waiting     int               `json:"waiting"` // requests that are held until something is there
	Mounts      []OriginMount     `json:"mounts"`
	Sinks       []OriginSink      `json:"sinks"`
	Uploads     int               `json:"uploads"` // that are channels, now
	Pushes      []OriginPush      `json:"pushes"`
}

// OriginMount is a place of objects.
type OriginMount struct {
	Name     string `json:"name"`
	Path     string `json:"path"` // "gmem": in memory
	Writable bool   `json:"writable"`
	Objects  int    `json:"objects"` // in memory, else those that are being written
	Bytes    int64  `json:"bytes"`
}

// OriginSink is a channel under a path.
type OriginSink struct {
	Path    string `json:"path"`
	Channel string `json:"channel"`
	Clients int    `json:"clients"`
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
	Error   string `json:"error"`
}
