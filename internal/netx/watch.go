package netx

import (
	"context"
	"fmt"
	"time"
)

// linkPause is the least time between two calls about changed interfaces: one change
// comes as many messages, and every socket is looked at for each call.
const linkPause = 100 * time.Millisecond

// WatchLinks calls changed once it listens, and then when interfaces or their
// addresses have changed, at most ten times a second: what came since the last call
// counts as one change, and none is missed. changed runs in the calling goroutine. It
// returns nil when ctx ends.
//
// Linux tells (rtnetlink(7)); on other systems the interfaces are compared every two
// seconds.
func WatchLinks(ctx context.Context, changed func()) error {
	if err := watchLinks(ctx, changed); err != nil && ctx.Err() == nil {
		return fmt.Errorf("watch interfaces: %w", err)
	}
	return nil
}

// callAfter calls changed now and each time that wait has returned, with a pause
// after each call, until ctx ends or wait fails. What happens in a pause is for the
// next wait to find.
func callAfter(ctx context.Context, wait func() error, changed func()) error {
	for {
		changed()
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(linkPause):
		}
		if err := wait(); err != nil {
			return err
		}
	}
}
