package push

import (
	"context"
	"errors"
	"fmt"
	"io"

	"sluice/internal/object"
	"sluice/internal/store"
)

// source is where objects come from.
type source interface {
	// open opens an object as it is now, to be read once. A Read that waits for more ends with ctx.
	open(ctx context.Context, name string) (opened, error)
}

// opened is an object that is to be sent: io.EOF comes when there is all of it, never when it was broken off.
// Read and Close are called one at a time.
type opened struct {
	io.ReadCloser
	kind string // Content-Type; "" = not known
	size int64  // -1 = it grows
}

// errOurs is why something cannot be sent that no server can be blamed for.
var errOurs = errors.New("it cannot be read here")

// errLater is why something is left out: it grows again, and its end will say so.
var errLater = errors.New("a newer one is on its way")

// stored is a store.
type stored struct {
	store store.Store
	whole bool
}

func (s stored) open(ctx context.Context, name string) (opened, error) {
	item, err := s.store.Open(name)
	if err != nil {
		return opened{}, fmt.Errorf("%w: %w", errOurs, err)
	}
	kind := store.TypeOf(name, item.Type)
	if item.Object == nil {
		return opened{struct {
			io.Reader
			io.Closer
		}{item.Content, item}, kind, item.Size}, nil
	}
	defer func() { _ = item.Close() }() // the reader holds what it needs; an open Item would hold back the retention
	if s.whole {
		return opened{}, errLater
	}
	body, err := follow(ctx, item.Object)
	return opened{body, kind, -1}, err
}

// following reads an object as it grows.
type following struct {
	ctx    context.Context
	object *object.Object
	reader *object.Reader
	at     int64
}

func follow(ctx context.Context, o *object.Object) (*following, error) {
	r, err := o.Reader(0, -1)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errOurs, err)
	}
	return &following{ctx: ctx, object: o, reader: r}, nil
}

// Read implements io.Reader.
func (f *following) Read(p []byte) (int, error) {
	size, state, err := f.object.Wait(f.ctx, f.at)
	switch {
	case err != nil:
		return 0, err
	case size > f.at:
		n, err := f.reader.ReadAt(p[:min(int64(len(p)), size-f.at)], f.at)
		f.at += int64(n)
		if n > 0 {
			err = nil
		}
		return n, err
	case state == object.Aborted:
		return 0, object.ErrAborted
	}
	return 0, io.EOF
}

// Close implements io.Closer.
func (f *following) Close() error {
	f.reader.Close()
	return nil
}
