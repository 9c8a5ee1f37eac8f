package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"sluice/internal/endpoint"
	"sluice/internal/endpoint/pipe"
	"sluice/internal/uri"
)

// mode is that of a file which is made.
const mode = 0o640

// SinkOpener opens files that a stream is written to. The zero value opens only those of
// the operator.
type SinkOpener struct {
	WriteTo []string // directories, absolute: a target that is not trusted is below one of them
}

// OpenSink finds the place of a file in a directory that is there. The file is made, or
// opened, with the first byte; what was written to it before an error stays.
func (o *SinkOpener) OpenSink(_ context.Context, to endpoint.Target) (endpoint.Sink, error) {
	p, err := find(to.End.Path, o.WriteTo, to.Trusted)
	if err != nil {
		return nil, refusal(to.End, err)
	}
	if err := p.writable(to.Write); err != nil {
		_ = p.close()
		return nil, refusal(to.End, err)
	}
	sink, err := pipe.NewSink(func(_ context.Context, from *net.UnixConn) error {
		defer p.close()
		return p.write(from, to)
	})
	if err != nil {
		_ = p.close()
		return nil, fmt.Errorf("%s: %w", to.End.Tag(), err)
	}
	return sink, nil
}

// writable says why the file cannot be written, as far as that can be seen.
func (p place) writable(how endpoint.Write) error {
	dir, err := place{p.root, filepath.Dir(p.path)}.stat()
	switch {
	case err != nil:
		return err
	case !dir.IsDir():
		return unix.ENOTDIR
	}
	if how == endpoint.WriteNew {
		return p.free()
	}
	info, err := p.stat()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return errIrregular
	}
	return nil
}

// errThere is for who may not have known that a file is there.
var errThere = fmt.Errorf("%w: write=append goes on at its end, write=truncate empties it first", fs.ErrExist)

// free says what is in the way of a new file.
func (p place) free() error {
	_, err := p.lstat()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	}
	return errThere
}

func (p place) lstat() (fs.FileInfo, error) {
	if p.root == nil {
		return os.Lstat(p.path)
	}
	return p.root.Lstat(p.path)
}

// write puts what comes from the loop into the file.
func (p place) write(from io.Reader, to endpoint.Target) error {
	buf := make([]byte, chunk)
	n, err := from.Read(buf)
	if n == 0 {
		return ofReading(err)
	}
	f, err := p.create(to.Write)
	if err != nil {
		return failed("open", to.End, err)
	}
	if _, err = f.Write(buf[:n]); err == nil {
		_, err = io.CopyBuffer(struct{ io.Writer }{f}, struct{ io.Reader }{from}, buf)
	}
	if closed := f.Close(); err == nil { // some systems tell only then that the disk is full
		err = closed
	}
	if err != nil {
		return failed("write", to.End, err)
	}
	return nil
}

func ofReading(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// create opens the file for writing. It is looked at when it is open: by then it may be
// another one than at first.
func (p place) create(how endpoint.Write) (*os.File, error) {
	flags := os.O_WRONLY | os.O_CREATE | unix.O_NONBLOCK | unix.O_NOCTTY
	switch how {
	case endpoint.WriteNew:
		flags |= os.O_EXCL
	case endpoint.WriteAppend:
		flags |= os.O_APPEND
	}
	f, err := p.openFile(flags)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		err = errIrregular
	case how == endpoint.WriteTruncate:
		err = f.Truncate(0)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

func (p place) openFile(flags int) (*os.File, error) {
	if p.root == nil {
		return os.OpenFile(p.path, flags, mode)
	}
	return p.root.OpenFile(p.path, flags, mode)
}

// failed says what happened to a file, in one line.
func failed(what string, end uri.End, err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err // the tag says where
	}
	return fmt.Errorf("%s %s: %w", what, end.Tag(), err)
}
