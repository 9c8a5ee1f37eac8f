package handoff

import "sluice/internal/netx"

// PeerPID is the process at the other end, as the kernel knows it.
func (c *Conn) PeerPID() (int, error) { return netx.PeerPID(c.c) }
