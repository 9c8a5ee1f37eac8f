package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// The files in which listsOf has its channels.
const (
	confFile = "channels.conf"
	m3uFile  = "channels.m3u"
	yamlFile = "sluice.yaml"
)

// listsOf are sluice with many channels, in each form, and with none.
func listsOf(_, sluice string) ([]contestant, error) {
	_, last := listed(manyChannels - 1)
	all := []contestant{
		configured("sluice", sluice, "channels_file: [\"{DIR}/"+confFile+"\"]\n", map[string]string{confFile: confListing().of(manyChannels)}),
		configured("no channels", sluice, "", nil),
		configured("M3U", sluice, "playlists: [\"{DIR}/"+m3uFile+"\"]\n", map[string]string{m3uFile: m3uListing().of(manyChannels)}),
		configured(yamlFile, sluice, yamlListing().of(manyChannels), nil),
	}
	for i := range all {
		all[i].probe = last
	}
	all[1].probe, all[1].yardstick = anyGroup, true
	return all, nil
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
	longer := map[string]func() (file, content string){
		"sluice":      func() (string, string) { return confFile, confListing().of(manyChannels + 1) },
		"no channels": func() (string, string) { return yamlFile, yamlListing().of(1) },
		"M3U":         func() (string, string) { return m3uFile, m3uListing().of(manyChannels + 1) },
		yamlFile:      func() (string, string) { return yamlFile, yamlListing().of(manyChannels + 1) },
	}
	if err := server.put(longer[c.name]()); err != nil {
		return nil, err
	}
	added := manyChannels
	if c.yardstick {
		added = 0
	}
	begin := clock()
	if err := server.cmd.Process.Signal(unix.SIGHUP); err != nil {
		return nil, fmt.Errorf("have the configuration read again: %w", err)
	}
	_, path := listed(added)
	if err := server.ready(ctx, path); err != nil {
		return nil, fmt.Errorf("after HUP: %w: %s", err, server.errs)
	}
	m[reloadTime] = float64(time.Duration(clock()-begin)) / 1e6
	return m, nil
}
