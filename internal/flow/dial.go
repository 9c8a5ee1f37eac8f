package flow

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"sluice/internal/netx"
)

// Connect connects to addr, from a local address unless that is the zero Addr, until ctx
// ends. The result is a *net.TCPConn, also for SCTP (netx.DialSCTP says what is
// different there), or a *net.UnixConn; it sends without delay and probes a quiet peer as the
// system does. The error says "connect to ADDR" and why; it is ctx's when that has ended.
func Connect(ctx context.Context, from netip.Addr, addr Addr) (net.Conn, error) {
	c, err := connect(ctx, from, addr)
	switch {
	case err == nil:
		return c, nil
	case errors.Is(err, os.ErrDeadlineExceeded): // a little before ctx itself knows
		err = context.DeadlineExceeded
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, fmt.Errorf("connect to %s: no answer in time: %w", addr, err)
	}
	return nil, fmt.Errorf("connect to %s: %w", addr, err)
}

func connect(ctx context.Context, from netip.Addr, addr Addr) (net.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if addr.Network != Unix && from.IsValid() && from.Unmap().Is4() != addr.IP.Addr().Unmap().Is4() {
		return nil, fmt.Errorf("the local address %s is of the other IP version", from)
	}
	if addr.Network == SCTP {
		c, err := netx.DialSCTP(ctx, from, addr.IP)
		if err != nil {
			return nil, err // not a nil *net.TCPConn
		}
		return c, nil
	}
	network, text := "unix", addr.Path
	d := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: -1, Interval: -1, Count: -1}}
	d.SetMultipathTCP(false)
	if addr.Network == TCP {
		network, text = "tcp", addr.IP.String()
		if from.IsValid() {
			d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))
			d.Control = netx.BindLate
		}
	}
	c, err := d.DialContext(ctx, network, text)
	return c, plain(err)
}

// plain takes off what Connect says itself.
func plain(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		err = op.Err
	}
	if call, ok := errors.AsType[*os.SyscallError](err); ok && call.Syscall == "connect" {
		err = call.Err
	}
	return err
}
