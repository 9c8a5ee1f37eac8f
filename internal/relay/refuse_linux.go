package relay

import (
	"fmt"
	"syscall"

	"sluice/internal/flow"
	"sluice/internal/netx"
)

// canRefuse says whether the socket can be shut without losing its address: a port
// that the system chose would be another one afterwards, and a UNIX socket stays shut.
func (s *socket) canRefuse() bool {
	return s.addr.Network == flow.TCP && (s.conf.Inherited != "" || s.conf.Addr.IP.Port() != 0)
}

// refuse has the system refuse clients, also those that wait, while the address stays ours: on Linux a
// listening socket that is shut down for reading is one that is only bound.
func refuse(f *netx.Held) error {
	return control(f, "shut socket", func(fd int) error { return syscall.Shutdown(fd, syscall.SHUT_RD) })
}

// listenAgain has a socket listen that is shut: by us, or by who had it before us and was killed, or has
// retired, in an overload.
func listenAgain(f *netx.Held, backlog int) error {
	on := 0
	err := control(f, "ask socket", func(fd int) (err error) {
		on, err = syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_ACCEPTCONN)
		return err
	})
	if err != nil || on != 0 {
		return err
	}
	if backlog <= 0 {
		backlog = 1<<31 - 1 // the system's largest
	}
	return control(f, "listen again at socket", func(fd int) error { return syscall.Listen(fd, backlog) })
}

func control(h *netx.Held, what string, do func(fd int) error) error {
	if err := do(h.FD()); err != nil {
		return fmt.Errorf("%s %s: %w", what, h.Name(), err)
	}
	return nil
}
