// Package store keeps objects under names: in a directory, which nothing that is asked for
// leaves (os.Root), or in memory. What is being uploaded is there for readers at once.
//
// A name is a path with slashes, relative, clean, UTF-8, as fs.ValidPath has it; "." is the
// root. A name with an element that begins with a dot is not there and cannot be made: such
// are the store's own.
//
// What is uploaded in place of something that is there takes its place whole, when it is
// complete: an upload that breaks off leaves the old one. Nothing half-written is ever under
// its name on disk, not even after a power cut. Readers of what was replaced or removed
// finish with what they began to read.
package store

import (
	"context"
	"errors"
	"io"
	"time"

	"sluice/internal/object"
)

// What may be wrong with a name, besides fs.ErrNotExist. They are wrapped with the name.
var (
	ErrName   = errors.New("no name of an object")          // or it leaves the store, or a link of it does
	ErrBusy   = errors.New("somebody else is writing it")   // two writers of one name: the second gets this
	ErrIsDir  = errors.New("it is a directory")             // for what is of files only
	ErrNotDir = errors.New("a part of it is no directory")  // for writing below what is an object
	ErrFull   = errors.New("the store is full")             // memory: the limit; directory: ENOSPC, EDQUOT
	ErrDenied = errors.New("the system does not permit it") // EACCES, EROFS
)

// Info is what is known of an object.
type Info struct {
	Name     string
	Dir      bool
	Growing  bool
	Size     int64     // of a growing one: so far
	Modified time.Time // of a growing one: when it began
	Tag      string    // strong ETag with its quotes; "" while it grows. It changes whenever the bytes may have
	Type     string    // Content-Type that the uploader gave; "" = none was given, or it is long ago
}

// Item is an open object: Object while it grows, else Content. As long as the Item is open readers can
// be made of Object, also when it has ended meanwhile.
type Item struct {
	Info
	Object  *object.Object // nil = complete
	Content io.ReadSeeker  // of a directory an *os.File, in memory an *object.Section, so that it is sent without being copied
	closer  func() error
}

// Close lets go of it. Twice is once.
func (i *Item) Close() error {
	closer := i.closer
	if i.closer = nil; closer == nil {
		return nil
	}
	return closer()
}

// Create says how something is to be written.
type Create struct {
	Type   string // Content-Type of the uploader; "" = none
	Hidden bool   // not to be seen before it is complete: manifests, or whoever wants them so
	Keep   bool   // what is broken off, by the end of the process too, stays under its name, as far as it came (on_abort=keep)
	Size   int64  // what the writer has announced; -1 = nothing. ErrFull may come before the first byte
}

// Upload is something that is being written. Of one goroutine. End, Abort or Discard must be called, once.
type Upload interface {
	io.Writer
	// End puts it in its place. replaced says that there was something.
	End() (replaced bool, err error)
	// Abort breaks it off for its readers, too.
	Abort(why error)
	// Discard is Abort, whatever Create.Keep says: what stood there before is there.
	Discard(why error)
	// Written is how many bytes it has.
	Written() int64
}

// Patch is a complete object parts of which are being written; nobody else may write it meanwhile. It is
// a copy: readers have the old one, whole, until End puts the new one in its place. Of one goroutine. End or Abort
// must be called, once.
type Patch interface {
	// WriteAt writes, also beyond the end; what is between is zero then.
	io.WriterAt
	Size() int64
	// End puts it in its place.
	End() error
	// Abort leaves the old one.
	Abort()
}

// Event is something that has happened to a name.
type Event struct {
	What Happening
	Name string
	Type string // of Began: as Create has it
}

// Happening is what has happened.
type Happening uint8

// What may happen. Each Began is followed by one Ended or Aborted of that name.
const (
	Began Happening = iota // it grows (or will be seen when it has ended: Create.Hidden)
	Ended                  // it is complete: new, replaced or patched
	Aborted
	Removed // by whoever asked for it, or because newer ones took its place (retention)
)

// Store is a place of objects. All methods may be called from any goroutine; none waits for a writer
// or a reader but Await.
type Store interface {
	// Open opens an object. What grows and is not hidden is before what stands there complete.
	Open(name string) (*Item, error)
	// Stat is Open without opening; of directories, too.
	Stat(name string) (Info, error)
	// Create begins an upload; parents that are missing are made.
	Create(name string, c Create) (Upload, error)
	// Patch opens a complete object for parts of it to be written.
	Patch(name string) (Patch, error)
	// Remove removes an object, growing ones too (their writer is told by its next Write). Of a directory it is ErrIsDir.
	Remove(name string) error
	// RemoveEmpty removes a directory, and those that it was alone in, as far as they are empty, and none at stay or above; "." is the root, which
	// stays in any case.
	RemoveEmpty(dir, stay string)
	// List is what a directory holds, growing ones too, sorted by name; not what cannot be opened.
	List(dir string) ([]Info, error)
	// Await waits until Open(name) would find something (also growing), or ctx ends: its error. What other programs
	// put into a directory it finds within a tenth of a second.
	Await(ctx context.Context, name string) error
	// Watch has f called for each event of this store from now on, in order, one at a time, until stop (a call that has begun
	// may end later). f must not block: it is called by who writes; it may call the store.
	Watch(f func(Event)) (stop func())
	// Usage is, of memory, the objects and the bytes that are taken of the limit, also by what was removed and is read still;
	// of a directory the objects that are being written, and what they have so far.
	Usage() (objects int, bytes int64)
	// Growing is what is being written, the oldest first and not more than most, and how many there are of it in all. Not
	// among them are patches.
	Growing(most int) (list []Growth, all int)
	// Close aborts what is being written and frees the rest; what is open can be read to its end.
	Close() error
}

// Retention is how many segments of each representation are kept, in the order that they came. Representation says what a
// segment is; everything else (manifests, playlists, initialization segments) is never removed. What is being read or
// written is not removed, and nothing that came after it. The parts of a segment go together; those of one segment more are kept.
type Retention struct {
	// Segments is max_cache_segs: in memory the lesser of its amount (at least 1) and TimeShift is kept; on disk, -N when negative, the
	// greater of it and TimeShift when positive and a time shift is known, all otherwise.
	Segments  int
	TimeShift int // in segments; 0 = what a manifest in the store says (MPD timeShiftBufferDepth, entries of a media playlist), if one does
}

// DirConfig is a store in a directory.
type DirConfig struct {
	Path      string // absolute
	Make      bool   // it is made when it is not there
	Writable  bool   // else Create, Patch and Remove fail with ErrDenied
	Retention Retention
}

// MemoryConfig is a store in memory.
type MemoryConfig struct {
	Limit     int64 // bytes, of what is there and of what was removed and is read still; never exceeded. If zero 256 MiB
	Retention Retention
}
