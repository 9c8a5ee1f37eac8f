package netx

import (
	"net/netip"
	"os"
)

// StreamSocket is a listening socket of connections.
type StreamSocket struct {
	Addr    netip.AddrPort // of TCP or SCTP
	SCTP    bool
	Path    string // of a UNIX socket, @ before an abstract name; then Addr is not looked at
	Only6   bool   // [::] does not take IPv4 besides
	Backlog int    // 0 = the system's largest
	Device  string // SO_BINDTODEVICE; "" = none

	Mode        uint32 // of the file of a UNIX socket; 0 = as the umask has it
	User, Group string // its owner, names or numbers; "" = ours
}

// ListenStream opens a listening socket, non-blocking and close-on-exec. A file of a UNIX
// socket at which nobody listens is replaced. ErrNoSCTP says that the system has none.
func ListenStream(s StreamSocket) (*os.File, error) { panic("not built yet") }
