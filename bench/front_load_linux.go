package main

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// list is a file of channels as it is to become.
type list struct {
	file, content string
	probe         string // HEAD of this path is answered with 200 from then on
}

// listsOf are sluice with many channels, in each form, and with none.
func listsOf(_, sluice string) ([]contestant, error) {
	const yamlFile = "sluice.yaml" // what configured calls it
	of := func(name, config, file string, l listing, n int) contestant {
		c := configured(name, sluice, config, map[string]string{file: l.of(n)})
		c.probe = anyGroup
		if n > 0 {
			_, c.probe = listed(n - 1)
		}
		_, added := listed(n)
		c.longer = list{file, l.of(n + 1), added}
		return c
	}
	none := of("no channels", "", yamlFile, yamlListing(), 0)
	none.yardstick = true
	return []contestant{
		of("sluice", "channels_file: [\"{DIR}/channels.conf\"]\n", "channels.conf", confListing(), manyChannels),
		none,
		of("M3U", "playlists: [\"{DIR}/channels.m3u\"]\n", "channels.m3u", m3uListing(), manyChannels),
		of(yamlFile, "", yamlFile, yamlListing(), manyChannels),
	}, nil
}

// load measures the start with a list of channels, what it occupies, and how long a list
// with one channel more takes, from the signal until that channel is served.
func (s *scenario) load(ctx context.Context, c contestant, _ options) (m measured, err error) {
	server, err := c.start(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	pids, err := server.pids()
	if err != nil {
		return nil, err
	}
	m = measured{loadTime: server.served.Seconds() * 1e3}
	for _, pid := range pids {
		bytes, err := memoryOf(pid)
		if err != nil {
			return nil, err
		}
		m[loadMemory] += float64(bytes) / (1 << 20)
	}
	if err := server.put(c.longer.file, c.longer.content); err != nil {
		return nil, err
	}
	begin := clock()
	if err := server.cmd.Process.Signal(unix.SIGHUP); err != nil {
		return nil, fmt.Errorf("have the configuration read again: %w", err)
	}
	if err := server.until(ctx, server.addr, c.longer.probe); err != nil {
		return nil, fmt.Errorf("after HUP: %w: %s", err, server.errs)
	}
	m[reloadTime] = float64(clock()-begin) / 1e6
	return m, nil
}
