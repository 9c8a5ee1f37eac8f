package history

import "golang.org/x/sys/unix"

// newShared makes a block that is a file in memory. ok is false when there are no more
// descriptors, or no memory for it: the caller has others.
func newShared() (b block, ok bool) {
	fd, err := unix.MemfdCreate("sluice-history", unix.MFD_CLOEXEC)
	if err != nil {
		return block{}, false
	}
	// Populated at once: the kernel writes the datagrams, and faults one page at a time.
	if err = unix.Ftruncate(fd, sharedSize); err == nil {
		b.mem, err = unix.Mmap(fd, 0, sharedSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
	}
	if err != nil {
		unix.Close(fd)
		return block{}, false
	}
	b.file = fd
	return b, true
}
