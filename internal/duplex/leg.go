package duplex

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"sluice/internal/flow"
)

// Server meets a client that speaks TLS, until ctx ends. The result is for Start only. After an
// error the connection is closed.
func Server(ctx context.Context, client net.Conn, c *tls.Config) (*tls.Conn, error) {
	k, err := newSocket(client)
	if err == nil {
		t := tls.Server(k, c)
		if err = t.HandshakeContext(ctx); err == nil {
			return t, nil
		}
	}
	client.Close()
	return nil, fmt.Errorf("TLS handshake: %w", cause(err))
}

// leg is one side of a session.
type leg struct {
	*socket
	tls     *tls.Conn // nil = not encrypted
	sctp    bool
	name    string     // in errors
	cause   flow.Cause // of a session that ends by this side
	buffers *buffers
	limit   int // bytes that are read at once; 0 = a buffer

	endMu sync.Mutex // guards shut
	shut  bool       // our side was ended, or is about to be

	// Of the pump that reads.
	rests bool // another pump is to go on
	empty bool // the last read found nothing
	fresh bool // no pump has read since, and this one has a small stack
	one   [1]byte
	try   func(fd uintptr) bool // readNow, made once
	got   *[]byte
	n     int
	fail  error
}

// newLeg makes a side of a connection that is a socket or was made by Server.
func newLeg(c net.Conn) (*leg, error) {
	l := &leg{}
	l.try = l.readNow
	if t, ok := c.(*tls.Conn); ok {
		if l.socket, ok = t.NetConn().(*socket); !ok {
			return nil, errors.New("a TLS connection that Server has not made cannot be carried")
		}
		l.tls = t
		return l, nil
	}
	var err error
	l.socket, err = newSocket(c)
	return l, err
}

// receive waits until there is something to read, without a buffer, and then reads what there is
// into one. The caller gives it back, unless it is nil.
func (l *leg) receive() (b *[]byte, n int, err error) {
	if err := l.raw.Read(l.try); err != nil {
		return nil, 0, cause(err)
	}
	b, l.got = l.got, nil
	return b, l.n, l.fail
}

// readNow is called by the system's poller when there may be something; false = there was
// nothing, wait. It reads in here because what comes after a read that found nothing
// and before the poller waits must wake it.
func (l *leg) readNow(fd uintptr) bool {
	if l.fresh {
		l.fresh = false
		if l.silent(fd) {
			return false
		}
	}
	b := l.buffers.plain.Get().(*[]byte)
	room := *b
	if l.limit > 0 && l.limit < len(room) {
		room = room[:l.limit]
	}
	l.fd, l.drained, l.content = int(fd), false, false
	l.n, l.fail = l.fill(room)
	l.fd = -1
	if l.n == 0 && errors.Is(l.fail, wouldWait{}) {
		l.buffers.plain.Put(b)
		l.empty = true
		return false
	}
	l.got, l.empty = b, false
	return true
}

// fill reads into room what there is: one read, or as many records as the system has.
func (l *leg) fill(room []byte) (n int, err error) {
	if l.tls == nil {
		return l.Read(room)
	}
	for n < len(room) && err == nil {
		var m int
		m, err = l.tls.Read(room[n:])
		n += m
		l.content = n > 0
	}
	if n > 0 && errors.Is(err, wouldWait{}) {
		err = nil
	}
	return n, err
}

// send writes all of b. After an error, n is what was taken; of TLS, whole records.
func (l *leg) send(b []byte) (n int, err error) {
	if l.tls == nil {
		n, err = l.Conn.Write(b)
		return n, cause(err)
	}
	if len(b) <= maxRecord {
		n, err = l.tls.Write(b)
		return n, cause(err)
	}
	return l.sendRecords(b)
}

// sendRecords writes some records at once.
func (l *leg) sendRecords(b []byte) (n int, err error) {
	var ends [maxBuffer / maxRecord]int // of the records, encrypted
	room := l.buffers.sealed.Get().(*[]byte)
	defer l.buffers.sealed.Put(room)
	l.hold(*room)
	for i := 0; i < len(ends) && i*maxRecord < len(b) && err == nil; i++ {
		_, err = l.tls.Write(b[i*maxRecord : min((i+1)*maxRecord, len(b))])
		ends[i] = l.holds()
	}
	taken, failed := l.release()
	if err == nil {
		err = failed
	}
	if err == nil {
		return len(b), nil
	}
	for i, end := range ends {
		if end > 0 && end <= taken {
			n = min((i+1)*maxRecord, len(b))
		}
	}
	return n, cause(err)
}

// end ends our side. notify = with close_notify, where there is TLS.
func (l *leg) end(notify bool) error {
	if l.wasShut() {
		return nil
	}
	if l.tls != nil && notify {
		if err := l.tls.CloseWrite(); err != nil {
			return cause(err)
		}
	}
	if l.sctp {
		return nil // it would end the other direction, too
	}
	return cause(l.closeWrite())
}

// wasShut says whether our side was ended before; now it counts as ended.
func (l *leg) wasShut() bool {
	l.endMu.Lock()
	defer l.endMu.Unlock()
	was := l.shut
	l.shut = true
	return was
}

// endOfReset says whether the end that was read is that of a connection that was reset.
func (l *leg) endOfReset() bool {
	l.endMu.Lock()
	defer l.endMu.Unlock()
	return !l.shut && !l.sctp && l.wasReset()
}

// past is a deadline that is over.
func past() time.Time { return time.Unix(1, 0) }

// stop has all that waits for the connection fail, now and later.
func (l *leg) stop() { _ = l.SetDeadline(past()) } // closed = stopped

// close closes the connection when nobody uses it any more. It does not wait: close_notify
// goes out if there is room for it.
func (l *leg) close(hard bool) {
	if hard {
		l.closeHard()
		return
	}
	if l.tls != nil && !l.wasShut() {
		l.mu.Lock()
		l.last = true
		l.mu.Unlock()
		_ = l.tls.CloseWrite() // nobody may be there
	}
	l.Close()
}
