package web

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strconv"
)

// SHOUTcast servers speak a dialect of HTTP: old ones begin their answer with "ICY 200
// OK", and some put titles between the bytes of a stream though nobody asked.

// oldConn is a connection on which the word ICY at the beginning of an answer reads HTTP/1.0.
type oldConn struct {
	net.Conn
	begun bool
	first bytes.Reader // read already, and what is wrong behind it
	err   error
}

// Read implements net.Conn.
func (c *oldConn) Read(b []byte) (int, error) {
	if !c.begun {
		c.begun = true
		word := make([]byte, 4)
		n, err := io.ReadFull(c.Conn, word)
		if word = word[:n]; string(word) == "ICY " {
			word = []byte("HTTP/1.0 ")
		}
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = io.EOF
		}
		c.first.Reset(word)
		c.err = err
	}
	switch {
	case c.first.Len() > 0:
		return c.first.Read(b)
	case c.err != nil:
		return 0, c.err
	}
	return c.Conn.Read(b)
}

// maxInterval bounds the bytes between two titles.
const maxInterval = 1 << 24

// withoutTitles takes the titles out of a stream that has one behind each so many bytes, as
// the header icy-metaint says. A title is a byte with its length in sixteenths, and the text.
func withoutTitles(body io.ReadCloser, interval string) io.ReadCloser {
	n, err := strconv.Atoi(interval)
	if err != nil || n < 1 || n > maxInterval {
		return body
	}
	return &titled{ReadCloser: body, interval: n, left: n}
}

type titled struct {
	io.ReadCloser
	interval int
	left     int // bytes until the next title
}

// Read implements io.Reader.
func (t *titled) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	if t.left == 0 {
		if err := t.skipTitle(); err != nil {
			return 0, err
		}
		t.left = t.interval
	}
	n, err := t.ReadCloser.Read(b[:min(len(b), t.left)])
	t.left -= n
	return n, err
}

// skipTitle reads a title away.
func (t *titled) skipTitle() error {
	var length [1]byte
	if _, err := io.ReadFull(t.ReadCloser, length[:]); err != nil {
		return err
	}
	_, err := io.CopyN(io.Discard, t.ReadCloser, 16*int64(length[0]))
	return err
}
