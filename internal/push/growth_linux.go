package push

import (
	"errors"
	"hash/maphash"
	"io"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"sluice/internal/object"
)

// growth is a file that somebody else writes, as an object that grows with it. What readers are told of is summed up
// before, so that it can be known in the end whether the writer has gone back and changed it, as muxers do that fill in a length.
type growth struct {
	file   *os.File // the body of the object: closed when that has ended and nobody reads
	object *object.Object
	size   int64
	sum    maphash.Hash // of the first size bytes
}

func newGrowth(root *os.Root, name string) (*growth, error) {
	file, _, err := openFile(root, name)
	if err != nil {
		return nil, err
	}
	g := &growth{file: file, object: object.New(file)}
	if err := g.grow(); err != nil {
		g.object.Abort(err)
		return nil, err
	}
	return g, nil
}

// errCut is why a file that grows cannot be followed any more.
var errCut = errors.New("it has become shorter")

// grow takes what has been appended.
func (g *growth) grow() error {
	st, err := g.file.Stat()
	if err != nil {
		return err
	}
	if st.Size() < g.size {
		return errCut
	}
	if err := add(&g.sum, g.file, g.size, st.Size()); err != nil {
		return err
	}
	g.size = st.Size()
	g.object.Grow(g.size)
	return nil
}

// check takes the rest and says whether the file is what was read of it as it grew.
func (g *growth) check() (same bool, err error) {
	if err := g.grow(); err != nil {
		return false, err
	}
	var now maphash.Hash
	now.SetSeed(g.sum.Seed())
	if err := add(&now, g.file, 0, g.size); err != nil {
		return false, err
	}
	return now.Sum64() == g.sum.Sum64(), nil
}

// add sums up the bytes of a file from from up to to.
func add(sum *maphash.Hash, file *os.File, from, to int64) error {
	n, err := io.Copy(sum, io.NewSectionReader(file, from, to-from))
	if err == nil && n < to-from {
		err = errCut
	}
	return err
}

// otherNames says whether a file has more than one.
func otherNames(st fs.FileInfo) bool {
	sys, ok := st.Sys().(*syscall.Stat_t)
	return ok && sys.Nlink > 1
}

// beingWritten says whether somebody has a file open for writing: then no lease for reading is given (fcntl(2)). It is asked
// of files that were there before their directory was watched, and false where leases are not given at all: such a file is sent as it is,
// and again when its writer closes it.
func beingWritten(root *os.Root, name string) bool {
	file, _, err := openFile(root, name)
	if err != nil {
		return false
	}
	defer func() { _ = file.Close() }() // with it the lease is gone
	_, err = unix.FcntlInt(file.Fd(), unix.F_SETLEASE, unix.F_RDLCK)
	return errors.Is(err, unix.EAGAIN)
}
