// Package file is the end for regular files: one that is read, and one that a stream is
// written to.
//
// A file that is read is delivered in one of two ways. As a copy: once, as fast as it is
// taken, and at its end it is waited for more, as long as it grows. Or paced, as a broadcast
// would be: at the speed of its clock (PCR, ISO/IEC 13818-1), of its frames (package
// media/audio) or of a bit rate, over and over or once. What it says of times is not mended
// where it begins again: receivers see the clock jump back.
package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"sluice/internal/endpoint"
	"sluice/internal/endpoint/pipe"
	"sluice/internal/uri"
)

// chunk is how much is read at a time, in bytes.
const chunk = 256 << 10

// Opener opens files as sources. The zero value opens only those of the operator.
type Opener struct {
	ReadFrom []string // directories, absolute: a source that is not trusted is below one of them

	pumps pipe.Pumps
}

// Open opens the one file of want. Only regular files are: no directory, no device, no FIFO.
func (o *Opener) Open(_ context.Context, want endpoint.Want) (endpoint.Source, error) {
	end := want.Source[0]
	place, err := find(end.Path, o.ReadFrom, want.Trusted)
	if err != nil {
		return nil, refusal(end, err)
	}
	f, err := place.open()
	if err != nil {
		_ = place.close()
		return nil, refusal(end, err)
	}
	clock, err := clockOf(f, want.Pace)
	if err != nil {
		_ = errors.Join(f.Close(), place.close())
		return nil, refusal(end, err)
	}
	pump := (&broadcast{file: f, clock: clock, repeat: want.Repeat}).pump
	if clock == nil {
		pump = (&follower{file: f, place: place, growth: want.Growth}).pump
	}
	src, err := o.pumps.Open(pipe.Traits{Tag: end.Tag(), Patient: clock == nil || !want.Repeat}, func(ctx context.Context, w io.Writer) error {
		defer place.close()
		defer f.Close()
		return pump(ctx, w)
	})
	if err != nil {
		_ = errors.Join(f.Close(), place.close())
		return nil, err
	}
	return src, nil
}

// Close waits for what the sources still do. They are to be closed before.
func (o *Opener) Close() error {
	o.pumps.Wait()
	return nil
}

// place is where a file is: a path, below a directory that nothing leads out of if there is
// one.
type place struct {
	root *os.Root // nil = none
	path string
}

var errOutside = errors.New("not below a directory that requests may name")

// find says where path is: what is not trusted is below one of dirs.
func find(path string, dirs []string, trusted bool) (place, error) {
	if trusted {
		return place{path: path}, nil
	}
	for _, dir := range dirs {
		below, err := filepath.Rel(dir, path)
		if err != nil || !filepath.IsLocal(below) {
			continue
		}
		root, err := os.OpenRoot(dir)
		if err != nil {
			return place{}, err
		}
		return place{root: root, path: below}, nil
	}
	return place{}, errOutside
}

func (p place) close() error {
	if p.root == nil {
		return nil
	}
	return p.root.Close()
}

func (p place) stat() (fs.FileInfo, error) {
	if p.root == nil {
		return os.Stat(p.path)
	}
	return p.root.Stat(p.path)
}

var errIrregular = errors.New("no regular file")

// open opens the file. It is looked at before, since opening a device may set it to work,
// and again when it is open, since it may be another one by then.
func (p place) open() (*os.File, error) {
	info, err := p.stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errIrregular
	}
	const flags = os.O_RDONLY | unix.O_NONBLOCK | unix.O_NOCTTY // a FIFO is not waited for
	f, err := p.openFile(flags)
	if err != nil {
		return nil, err
	}
	if info, err = f.Stat(); err == nil && !info.Mode().IsRegular() {
		err = errIrregular
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// refusal says what a client is answered whose file cannot be had.
func refusal(end uri.End, err error) error {
	status := http.StatusForbidden // outside, a way that leads out, no regular file, no permission
	var path *fs.PathError
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENOTDIR):
		status = http.StatusNotFound
	case errors.Is(err, fs.ErrExist):
		status = http.StatusConflict
	case errors.Is(err, errNoClock), errors.Is(err, errNoFrames), errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE), errors.Is(err, unix.EIO):
		status = http.StatusServiceUnavailable
	}
	if errors.As(err, &path) {
		err = path.Err // the tag says where
	}
	return &endpoint.Refusal{Status: status, Err: fmt.Errorf("%s: %w", end.Tag(), err)}
}
