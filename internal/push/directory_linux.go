package push

import (
	"context"
	"fmt"
	"os"
	"time"

	"sluice/internal/logs"
)

// Directory pushes what other programs write into a directory and those below it, from now on, until ctx ends: a file that
// is made there as it grows, one that was moved into place or is written anew when it is complete. What stands there before is
// not sent, nor are links, names that begin with a dot, or end in .tmp. If Keep is set, a directory that is not there, or has gone,
// is waited for.
func (p *Pusher) Directory(ctx context.Context, path string) error {
	pause := firstDelay
	for {
		began := time.Now()
		err := p.directory(ctx, path)
		p.watch() // if it was not said before
		if err == nil || ctx.Err() != nil {
			return nil
		}
		if !p.conf.Keep {
			return err
		}
		if time.Since(began) > steady {
			pause = firstDelay
		}
		p.log.Warn("the directory of a push cannot be followed, it is tried again", logs.File, path, logs.Error, err, logs.Delay, pause)
		if sleep(ctx, pause) != nil {
			return nil
		}
		pause = min(2*pause, maxPause)
	}
}

// maxPause is the longest time that a directory is left alone.
const maxPause = 30 * time.Second

// directory pushes a directory as long as it is there.
func (p *Pusher) directory(ctx context.Context, path string) error {
	root, err := os.OpenRoot(path)
	if err != nil {
		return fmt.Errorf("follow a directory: %w", err)
	}
	defer func() { _ = root.Close() }() // it was only read
	f, err := newFolder(root, path, p.conf.Whole)
	if err != nil {
		return fmt.Errorf("follow %s: %w", path, err)
	}
	defer f.close()
	r := p.begin(ctx, f)
	err = f.follow(r.ctx, r.take, p.watch)
	if ended := r.end(); ended != nil {
		return ended
	}
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("follow %s: %w", path, err)
	}
	return nil
}
