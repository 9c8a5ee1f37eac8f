//go:build !linux

package file

import (
	"context"
	"os"
	"time"
)

// watch waits for a file to change, by looking again.
type watch struct{}

func newWatch(*os.File) watch { return watch{} }

func (watch) wait(ctx context.Context, most time.Duration) { sleep(ctx, most) }
func (watch) close()                                       {}
