package duplex

import "sync"

const (
	// maxBuffer is the largest buffer: four records of TLS are read or written at once.
	maxBuffer = 64 << 10
	// maxRecord is the plain text of a record of TLS, at most (RFC 8446, 5.1).
	maxRecord = 16 << 10
	// sealed is room for the records of a buffer, with what is around each (RFC 5246, 6.2.3: at most 2 KiB).
	sealed = maxBuffer + maxBuffer/maxRecord*256
)

// buffers are shared by all sessions of a group: a session has one only while bytes are on
// their way.
type buffers struct{ plain, sealed sync.Pool }

func newBuffers(size int) *buffers {
	b := &buffers{}
	b.plain.New = func() any { return newBuffer(size) }
	b.sealed.New = func() any { return newBuffer(sealed) }
	return b
}

func newBuffer(size int) *[]byte {
	b := make([]byte, size)
	return &b
}
