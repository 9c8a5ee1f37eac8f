package gws

import (
	"io"
	"net"
	"syscall"
	"time"

	"sluice/internal/handoff"
	"sluice/internal/httpx"
	"sluice/internal/netx"
)

// socket hands over the client's own connection: no byte of the stream passes gws.
type socket struct {
	c    *client
	conn net.Conn     // taken from net/http
	sock syscall.Conn // the same

	written uint64 // to the connection, before an engine had it
	unknown error  // why that is not known
}

func (k *socket) hand(to *handoff.Conn, a handoff.Attach) error {
	a.Head = head(k.c.proto, k.c.header)
	k.written, k.unknown = netx.TCPWritten(k.sock)
	return to.SendSocket(a, k.sock)
}

func (k *socket) untouched() bool {
	now, err := netx.TCPWritten(k.sock)
	return k.unknown == nil && err == nil && now == k.written
}

// carry has nothing to do: the connection is the engine's.
func (k *socket) carry() error { return nil }

// refuse answers on a connection that is gws's alone again, and ends it so that the client
// gets all of it: a close with input unread would be a reset.
func (k *socket) refuse(no *refusal) {
	if k.conn.SetDeadline(time.Now().Add(grace)) != nil || httpx.WriteError(k.conn, k.c.proto, no.code, no.text, no.header...) != nil {
		return // the client is gone
	}
	k.shutdown()
	io.Copy(io.Discard, k.conn)
}

// giveUp leaves the client to an engine that may go on with it when Run ends. One that was
// cut off, or is late, is not to write any more.
func (k *socket) giveUp(out outcome) {
	if out.verdict == silent || out.verdict == expelled {
		k.shutdown()
	}
}

// shutdown ends the connection whoever else holds it: nobody can write to it any more,
// and the client sees its end.
func (k *socket) shutdown() {
	if raw, err := k.sock.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) {
			_ = syscall.Shutdown(int(fd), syscall.SHUT_WR) // it is at its end already
		})
	}
}

// close closes the descriptor only: no shutdown, an engine may have the connection.
func (k *socket) close() { k.conn.Close() }
