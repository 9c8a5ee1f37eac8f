// Package mp4 reads the boxes of ISO base media files (ISO 14496-12) from the outside: types and lengths, as they come. It opens none of
// them.
package mp4

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Box is the head of a box (ISO 14496-12, 4.2).
type Box struct {
	Type string // four bytes as they are in the file, so not fit for a log unless it is a known one; "uuid" for types of users
	Size int64  // with its head; 0 = to the end of the file
	Head int    // bytes of its head: 8, with a long length 8 more, of a uuid box 16 more
}

const (
	shortHead = 8
	longHead  = 16
	userType  = 16                  // bytes of the type of a uuid box, behind its length
	maxHead   = longHead + userType // no head is longer
)

// ParseHead reads the head of a box; false when b is too short. An error for a length that cannot be: less than its head, or 2^63 and more.
func ParseHead(b []byte) (Box, bool, error) {
	if len(b) < shortHead {
		return Box{}, false, nil
	}
	box := Box{Type: string(b[4:8]), Size: int64(binary.BigEndian.Uint32(b)), Head: shortHead}
	if box.Size == 1 {
		if len(b) < longHead {
			return Box{}, false, nil
		}
		size := binary.BigEndian.Uint64(b[shortHead:])
		if size < longHead || size > math.MaxInt64 {
			return Box{}, false, fmt.Errorf("a %q box of %d bytes", box.Type, size)
		}
		box.Size, box.Head = int64(size), longHead
	}
	if box.Type == "uuid" {
		box.Head += userType
	}
	if box.Size != 0 && box.Size < int64(box.Head) {
		return Box{}, false, fmt.Errorf("a %q box of %d bytes, its head alone has %d", box.Type, box.Size, box.Head)
	}
	return box, len(b) >= box.Head, nil
}
