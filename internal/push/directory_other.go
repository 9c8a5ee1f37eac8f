//go:build !linux

package push

import (
	"context"
	"errors"
)

// Directory pushes what other programs write into a directory. Here it fails at once: this system does not say when a file is complete.
func (p *Pusher) Directory(context.Context, string) error {
	p.watch()
	return errors.New("what others write into a directory can be pushed on Linux only; have it uploaded to the origin, and push that")
}
