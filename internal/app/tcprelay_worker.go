package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"os/user"
	"strconv"
	"syscall"

	"sluice/internal/config"
	"sluice/internal/logs"
	"sluice/internal/process"
)

// tcprelayWorker is the process that relays for a tcprelayMaster; its arguments are the file of its
// settings and those of its log.
func tcprelayWorker(args []string, _, stderr io.Writer) int {
	if len(args) != 6 {
		fmt.Fprintf(stderr, "%s: it is started by %s only\n", nameWorker, nameTcprelay)
		return exUsage
	}
	err := workForTcprelay(args[0], logFromArgs(args[1:]))
	if err == nil {
		return 0
	}
	if !errors.Is(err, errSaid) {
		fmt.Fprintf(stderr, "%s: %s\n", nameTcprelay, err)
	}
	return exUnavailable
}

// workForTcprelay tells why it ends where the log is, once there is one: nobody may read its standard
// error.
func workForTcprelay(settings string, where tcprelayLog) error {
	signal.Ignore(syscall.SIGPIPE)
	p := &self{role: nameTcprelay, asked: process.Signals(context.Background())}
	defer p.asked.End()
	d, err := inheritRelay()
	if err != nil {
		return err
	}
	defer d.close()
	log, closed, err := where.open(&p.level)
	if err != nil {
		return err
	}
	p.log, p.ends = log, []func(){closed}
	load := func() (config.Config, error) {
		c, err := config.Load(settings, config.Relay)
		c.Log.Level = p.level.Level() // of where; a reload leaves it
		return c, err
	}
	c, err := load()
	if err == nil {
		w := &relayWorker{self: p, doors: d, again: func(old *config.Config) (change, error) {
			now, err := load()
			if err != nil {
				return change{}, err
			}
			return changeOf(old, now)
		}}
		err = w.run(p.asked.Stop, &c)
	}
	if errors.Is(err, process.ErrLifeline) { // sessions were served to their end; who would have tidied up is gone
		err = forgetSettings(settings)
	}
	if err != nil {
		log.Log(context.Background(), logs.Crit, "stopped", logs.Error, unreadable(err))
	}
	p.end(err)
	if err != nil {
		return errSaid
	}
	return nil
}

// unreadable adds to an error that the user of the worker has no right to a file.
func unreadable(err error) error {
	return fmt.Errorf("%w%s", err, ownHint(err, "of userid in spawn needs to read it"))
}

// accountOf is whom a relay runs as: a user and a group, by names or numbers; nil if that is
// us, or if only root could be somebody else.
func accountOf(name, group string) (*process.Account, error) {
	if name == "" && group == "" || os.Geteuid() != 0 {
		return nil, nil
	}
	a := process.Account{UID: os.Geteuid(), GID: os.Getegid(), Name: "root", Home: "/"}
	if uid, err := strconv.Atoi(name); err == nil {
		a.UID, a.Name = uid, name
	}
	if known, err := process.FindAccount(name); name != "" && err == nil {
		a = known
	} else if name != "" && a.Name != name {
		return nil, fmt.Errorf("UNIX user '%s' not found.", name) //nolint:staticcheck // the words of tcprelay
	}
	if group == "" {
		return &a, nil
	}
	gid, err := strconv.Atoi(group)
	if g, found := user.LookupGroup(group); found == nil {
		gid, err = strconv.Atoi(g.Gid)
	}
	if err != nil {
		return nil, fmt.Errorf("UNIX group '%s' not found.", group) //nolint:staticcheck // the words of tcprelay
	}
	a.GID = gid
	return &a, nil
}
