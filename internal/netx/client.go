package netx

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// ClientOptions are the settings of a socket on which a client receives a stream.
// The zero value is the usual choice; a negative field leaves the system's setting.
type ClientOptions struct {
	// NotSent bounds the bytes that wait in the kernel beyond those in flight
	// (TCP_NOTSENT_LOWAT). Without it a stalled client swallows megabytes that no
	// lag figure shows. If zero, 256 KiB.
	NotSent int
	// ReceiveBuffer is SO_RCVBUF in bytes: a client of a stream has little to say.
	// If zero, 16 KiB.
	ReceiveBuffer int
	// Timeout ends a connection whose peer acknowledged nothing for so long, or kept
	// its window shut for so long (TCP_USER_TIMEOUT): a paused player counts, too.
	// If zero, 60 s. Rounded up to milliseconds.
	Timeout time.Duration
	// KeepAlive is the idle time before a probe and between probes; an idle peer
	// that is gone is noticed after Timeout. If zero, 15 s. Rounded up to seconds.
	KeepAlive time.Duration
}

// option is one integer socket option.
type option struct {
	name              string
	level, opt, value int
}

// PrepareClient makes fd non-blocking and sets the options of a client's socket.
// What the system or this kind of socket does not know is skipped, so that a unix
// socket pair may stand in for a TCP connection.
func PrepareClient(fd int, o ClientOptions) error {
	if err := unix.SetNonblock(fd, true); err != nil {
		return fmt.Errorf("make client socket non-blocking: %w", err)
	}
	for _, s := range o.withDefaults().options() {
		if s.value < 0 {
			continue
		}
		err := unix.SetsockoptInt(fd, s.level, s.opt, s.value)
		if err != nil && !errors.Is(err, unix.ENOPROTOOPT) && !errors.Is(err, unix.EOPNOTSUPP) {
			return fmt.Errorf("set %s=%d on client socket: %w", s.name, s.value, err)
		}
	}
	return nil
}

func (o ClientOptions) withDefaults() ClientOptions {
	if o.NotSent == 0 {
		o.NotSent = 256 << 10
	}
	if o.ReceiveBuffer == 0 {
		o.ReceiveBuffer = 16 << 10
	}
	if o.Timeout == 0 {
		o.Timeout = time.Minute
	}
	if o.KeepAlive == 0 {
		o.KeepAlive = 15 * time.Second
	}
	return o
}

// options lists the settings known to every system, then those of this one.
func (o ClientOptions) options() []option {
	probe := units(o.KeepAlive, time.Second)
	all := []option{
		{"TCP_NODELAY", unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
		{"SO_RCVBUF", unix.SOL_SOCKET, unix.SO_RCVBUF, o.ReceiveBuffer},
		{"TCP_KEEPIDLE", unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, probe},
		{"TCP_KEEPINTVL", unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, probe},
	}
	if probe > 0 {
		all = append(all, option{"SO_KEEPALIVE", unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1})
	}
	return append(all, o.systemOptions()...)
}

// units is d in whole units, rounded up; negative when d is.
func units(d, unit time.Duration) int {
	if d < 0 {
		return -1
	}
	return int((d + unit - 1) / unit)
}
