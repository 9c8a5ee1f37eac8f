package netx

import (
	"time"

	"golang.org/x/sys/unix"
)

func (o ClientOptions) systemOptions() []option {
	return []option{
		{"TCP_NOTSENT_LOWAT", unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, o.NotSent},
		{"TCP_USER_TIMEOUT", unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, units(o.Timeout, time.Millisecond)},
	}
}
