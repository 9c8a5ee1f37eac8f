package process

import (
	"context"
	"sync"
)

// Together runs the functions at once and returns when all have returned. The first
// that does, with an error or without, ends the context of the others: they live
// and end as one. It returns the error of that first one.
func Together(ctx context.Context, run ...func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		wg    sync.WaitGroup
		once  sync.Once
		first error
	)
	for _, f := range run {
		wg.Go(func() {
			err := f(ctx)
			once.Do(func() { first = err; cancel() })
		})
	}
	wg.Wait()
	return first
}
