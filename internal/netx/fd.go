package netx

import (
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// SendFD sends msg on a SEQPACKET connection, and with it, unless sock is nil, a
// copy of sock's descriptor (SCM_RIGHTS, unix(7)). The sender's own copy stays
// open and non-blocking: it is borrowed through SyscallConn, because
// (*net.TCPConn).File would clear O_NONBLOCK for every holder of the connection.
//
// It waits while the receiver's queue is full, up to c's write deadline. An empty
// message is refused: it would look like the end of the connection.
func SendFD(c *net.UnixConn, msg []byte, sock syscall.Conn) error {
	if len(msg) == 0 {
		return errors.New("send on unix socket: empty message")
	}
	if sock == nil {
		return sendMessage(c, msg, nil)
	}
	raw, err := sock.SyscallConn()
	if err != nil {
		return fmt.Errorf("borrow the descriptor to send: %w", err)
	}
	var sent error
	if err := raw.Control(func(fd uintptr) {
		sent = sendMessage(c, msg, unix.UnixRights(int(fd)))
	}); err != nil {
		return fmt.Errorf("borrow the descriptor to send: %w", err)
	}
	return sent
}

func sendMessage(c *net.UnixConn, msg, rights []byte) error {
	n, _, err := c.WriteMsgUnix(msg, rights, nil)
	if err != nil {
		return fmt.Errorf("send %d bytes on unix socket: %w", len(msg), err)
	}
	if n != len(msg) {
		return fmt.Errorf("send on unix socket: %d of %d bytes went out", n, len(msg))
	}
	return nil
}

// ErrNoRoom says that a descriptor was lost: this process may open no more.
var ErrNoRoom = errors.New("no room for another descriptor in this process; raise its limit (ulimit -n)")

// RecvFD receives one message into buf and the descriptor that came with it, -1
// when there was none. The descriptor has close-on-exec and belongs to the caller.
// The end of the connection is io.EOF. A message longer than buf or with more than
// one descriptor is an error, and whatever came with it is closed. With ErrNoRoom, n
// bytes of the message are there and its descriptor is not.
func RecvFD(c *net.UnixConn, buf []byte) (n int, fd int, err error) {
	var oob [64]byte
	n, oobn, flags, _, err := c.ReadMsgUnix(buf, oob[:])
	fds, bad := rights(oob[:oobn])
	switch {
	case errors.Is(err, io.EOF), err == nil && n == 0:
		err = io.EOF
	case err != nil:
		err = fmt.Errorf("receive on unix socket: %w", err)
	case bad != nil:
		err = fmt.Errorf("receive on unix socket: ancillary data: %w", bad)
	case flags&unix.MSG_TRUNC != 0:
		err = fmt.Errorf("receive on unix socket: message longer than %d bytes", len(buf))
	case flags&unix.MSG_CTRUNC != 0 && len(fds) == 0:
		return n, -1, fmt.Errorf("receive on unix socket: %w", ErrNoRoom)
	case flags&unix.MSG_CTRUNC != 0 || len(fds) > 1:
		err = errors.New("receive on unix socket: more than one descriptor")
	}
	if err != nil {
		for _, fd := range fds {
			unix.Close(fd)
		}
		return 0, -1, err
	}
	if len(fds) == 1 {
		return n, fds[0], nil
	}
	return n, -1, nil
}

// rights returns all descriptors in a message's ancillary data.
func rights(oob []byte) ([]int, error) {
	if len(oob) == 0 {
		return nil, nil
	}
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, err
	}
	var all []int
	for _, m := range msgs {
		if m.Header.Level != unix.SOL_SOCKET || m.Header.Type != unix.SCM_RIGHTS {
			continue
		}
		fds, err := unix.ParseUnixRights(&m)
		if err != nil {
			return all, err
		}
		all = append(all, fds...)
	}
	return all, nil
}
