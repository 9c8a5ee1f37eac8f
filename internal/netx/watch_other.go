//go:build !linux

package netx

import (
	"context"
	"fmt"
	"net"
	"time"
)

// linkPoll is how often the interfaces are compared.
const linkPoll = 2 * time.Second

func watchLinks(ctx context.Context, changed func()) error {
	seen, err := describeLinks()
	if err != nil {
		return err
	}
	tick := time.NewTicker(linkPoll)
	defer tick.Stop()
	return callAfter(ctx, func() error {
		for {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-tick.C:
			}
			now, err := describeLinks()
			if err != nil {
				return err
			}
			if now != seen {
				seen = now
				return nil
			}
		}
	}, changed)
}

// describeLinks is all interfaces and addresses as text. One that goes while its
// addresses are read has none.
func describeLinks() (string, error) {
	all, err := net.Interfaces()
	if err != nil {
		return "", err
	}
	text := ""
	for _, i := range all {
		addrs, _ := i.Addrs()
		text += fmt.Sprintln(i.Index, i.Name, i.Flags, i.MTU, addrs)
	}
	return text, nil
}
