package main

import (
	"bytes"
	"errors"
	"net/netip"
	"runtime"

	"golang.org/x/sys/unix"
)

// answerer is the yardstick of requests: a process that accepts, reads once, writes once
// and closes.
func answerer(self string) contestant {
	return yardstickOf(self, yard{"accept and write", []string{"-answer"}})
}

// answers is the least that can answer requests: one thread that accepts a client, reads
// what it sends, answers with a head and, if it did not ask for the head alone, with a
// datagram of a stream, and closes.
type answers struct {
	listener int
	body     []byte
}

func newAnswers(addr netip.AddrPort) (*answers, error) {
	listener, err := listenNonblock(addr)
	if err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(listener, false); err != nil {
		return nil, errors.Join(err, unix.Close(listener))
	}
	body := append([]byte(streamHead), newStream(tv).appendDatagram(nil, 0)...)
	return &answers{listener: listener, body: body}, nil
}

// run serves until the listener fails.
func (a *answers) run() error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	request := make([]byte, 4096)
	for {
		fd, _, err := unix.Accept4(a.listener, unix.SOCK_CLOEXEC)
		if errors.Is(err, unix.EINTR) || errors.Is(err, unix.ECONNABORTED) {
			continue
		}
		if err != nil {
			return err
		}
		n, err := unix.Read(fd, request)
		if err == nil && n > 0 {
			body := a.body
			if bytes.HasPrefix(request[:n], []byte("HEAD ")) {
				body = body[:len(streamHead)]
			}
			_, _ = unix.Write(fd, body) // a client that has gone needs no answer
		}
		unix.Close(fd)
	}
}
