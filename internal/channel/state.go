package channel

// State is where a channel is in its life.
type State uint8

// The states, drawn above the package.
const (
	Joining   State = iota // nothing has come yet
	Live                   // the first source is on air
	Silent                 // what is on air is quiet, or nothing is on air
	Backup                 // another source than the first is on air
	Lingering              // nobody watches
	Closed                 // it is over; some may still read what is left
)

// String is the name in reports.
func (s State) String() string {
	return [...]string{"joining", "live", "silent", "backup", "lingering", "closed"}[s]
}

// Reason says why a client or a channel is gone, or why a source was left for another.
// The names stand in logs, reports and on the wire between engine and gws.
type Reason uint8

// The reasons.
const (
	None         Reason = iota
	ClientGone          // the client closed or reset its connection
	ClientStuck         // the client took nothing for the stall time
	ClientSlow          // what the client gets next left the history, and it is not to skip
	NoData              // the source delivered nothing for the no-data time
	SourceFailed        // the source could not be opened, or broke
	Unused              // no client for the linger time
	Shutdown            // the engine ends
	Recovered           // the first source is healthy again
	SourceEnded         // the source delivered all that it had
	Dropped             // an order of the operator
)

// String is the fixed name of the reason.
func (r Reason) String() string {
	return [...]string{
		"", "client gone", "client stuck", "client too slow", "no data", "source failed", "unused", "shutdown", "first source recovered",
		"source ended", "dropped",
	}[r]
}
