package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"sluice/internal/object"
)

// fault is an error of the system about a name, as one of this package's where there is one. did is what was done.
func fault(did, name string, err error) error {
	if own := meaning(err); own != nil && !errors.Is(err, own) {
		return fmt.Errorf("%s %q: %w (%w)", did, name, own, cause(err))
	}
	return fmt.Errorf("%s %q: %w", did, name, cause(err))
}

// readFault is fault for who reads: what cannot be an object, or leads out of the store, is not there.
func readFault(name string, err error) error {
	switch own := meaning(err); {
	case errors.Is(own, ErrNotDir), outside(err), isErrno(err, syscall.ELOOP, syscall.ENXIO, syscall.ENODEV, syscall.EOPNOTSUPP):
		return fmt.Errorf("open %q: %w (%w)", name, fs.ErrNotExist, cause(err))
	}
	return fault("open", name, err)
}

// meaning is the error of this package that an error of the system is; nil = none.
func meaning(err error) error {
	switch {
	case isErrno(err, syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG):
		return ErrFull
	case isErrno(err, syscall.EACCES, syscall.EPERM, syscall.EROFS):
		return ErrDenied
	case isErrno(err, syscall.ENAMETOOLONG, syscall.ELOOP), outside(err):
		return ErrName
	case isErrno(err, syscall.EISDIR):
		return ErrIsDir
	case isErrno(err, syscall.ENOTDIR):
		return ErrNotDir
	}
	return nil
}

func isErrno(err error, numbers ...syscall.Errno) bool {
	for _, n := range numbers {
		if errors.Is(err, n) {
			return true
		}
	}
	return false
}

// outside says whether an error is that of os.Root for a name that leaves it. It has no name of its own; it is the
// one that neither the system nor a closed root has said.
func outside(err error) bool {
	var path *fs.PathError
	var link *os.LinkError
	var number syscall.Errno
	return (errors.As(err, &path) || errors.As(err, &link)) && !errors.As(err, &number) && !errors.Is(err, fs.ErrClosed)
}

// cause is an error without the operation and the path that the system names: these are ours, and where the root is is
// nobody's business.
func cause(err error) error {
	var path *fs.PathError
	var link *os.LinkError
	switch {
	case errors.Is(err, object.ErrAborted):
		return err
	case errors.As(err, &path):
		return path.Err
	case errors.As(err, &link):
		return link.Err
	}
	return err
}
