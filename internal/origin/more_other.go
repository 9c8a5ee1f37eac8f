//go:build !linux

package origin

import "net"

// writeMore is c.Write.
func writeMore(c net.Conn, p []byte) (int, error) { return c.Write(p) }
