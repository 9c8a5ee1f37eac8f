package main

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// visit is one client that comes, looks and leaves. Times are from before the connect
// to the end of the read that held the packet.
type visit struct {
	packet  time.Duration // first whole packet
	picture time.Duration // PAT, PMT and then the first packet of a key frame
}

// errLate ends a visit whose time is over.
var errLate = errors.New("too late")

// pay makes one visit. It ends with the first packet, or with the first key frame when
// picture is set, and with errLate after patience.
func pay(server netip.AddrPort, path string, picture bool, patience time.Duration) (visit, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	begin := clock()
	fd, err := dial(server, path)
	if err != nil {
		return visit{}, err
	}
	defer unix.Close(fd)
	limit := unix.NsecToTimeval(int64(patience))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit); err != nil {
		return visit{}, fmt.Errorf("set a read time-out: %w", err)
	}
	var (
		v    visit
		seen sight
		cl   client
		buf  = make([]byte, 256<<10)
	)
	for {
		n, err := unix.Read(fd, buf)
		now := time.Duration(clock() - begin)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if errors.Is(err, unix.EAGAIN) || now > patience {
			return v, fmt.Errorf("wait %v for %s: %w", now, path, errLate)
		}
		if err != nil {
			return v, fmt.Errorf("read %s: %w", path, err)
		}
		if n == 0 {
			return v, fmt.Errorf("wait for %s: %w", path, errEnd)
		}
		b := buf[:n]
		if !cl.streams {
			if b, err = cl.readHead(b); err != nil {
				return v, err
			}
		}
		seen.take(b)
		if v.packet == 0 && seen.packet {
			v.packet = now
		}
		if seen.keyFrame || seen.packet && !picture {
			v.picture = now
			return v, nil
		}
	}
}

// median of the visits by one of their times, in milliseconds.
func medianOf(visits []visit, of func(visit) time.Duration) float64 {
	ms := make([]float64, len(visits))
	for i, v := range visits {
		ms[i] = of(v).Seconds() * 1e3
	}
	return median(ms)
}
