package process

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"sluice/internal/netx"
)

// linkEnv names the descriptor of a process's Link.
const linkEnv = "SLUICE_LINK_FD"

// What is said on a link: to the process one message for each file, its name with the
// descriptor; to the supervisor the one word.
const (
	wordRetired = "retired"
	maxLinkName = 4096        // bytes
	linkTime    = time.Second // a process may take no files for so long
)

// childLink is the supervisor's end of a Link.
type childLink struct {
	conn *net.UnixConn
	over chan struct{} // closed by listen when the process has retired
}

func newChildLink() (ours *childLink, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("link: %w", err)
	}
	own, theirs := os.NewFile(uintptr(fds[0]), "link"), os.NewFile(uintptr(fds[1]), "link")
	conn, err := net.FileConn(own)
	own.Close()
	if err != nil {
		theirs.Close()
		return nil, nil, fmt.Errorf("link: %w", err)
	}
	return &childLink{conn: conn.(*net.UnixConn), over: make(chan struct{})}, theirs, nil
}

// listen hears whether the process retires, until close.
func (l *childLink) listen() {
	word := make([]byte, len(wordRetired)+1)
	n, err := l.conn.Read(word)
	if err == nil && string(word[:n]) == wordRetired {
		close(l.over)
	}
}

// give passes copies of files on. It waits for a second at most.
func (l *childLink) give(names []string, files []*os.File) error {
	if err := l.conn.SetWriteDeadline(time.Now().Add(linkTime)); err != nil {
		return err
	}
	for i, f := range files {
		if err := netx.SendFD(l.conn, []byte(names[i]), f); err != nil {
			return fmt.Errorf("pass %s on: %w", names[i], err)
		}
	}
	return nil
}

func (l *childLink) close() {
	if l != nil {
		l.conn.Close()
	}
}

// Link is a process's way to its supervisor (Unit.Linked). A nil Link is that of a process
// without one: it gets nothing, and nobody hears of it.
type Link struct {
	mu   sync.Mutex // guards the reading
	conn *net.UnixConn
}

// OpenLink returns the link of this process, nil when it has none. It removes the sign from the
// environment: call it once, early.
func OpenLink() (*Link, error) {
	text := os.Getenv(linkEnv)
	if text == "" {
		return nil, nil
	}
	os.Unsetenv(linkEnv)
	fd, err := strconv.Atoi(text)
	if err != nil || fd < firstExtra {
		return nil, fmt.Errorf("%s=%q: want a descriptor", linkEnv, text)
	}
	f := os.NewFile(uintptr(fd), "link")
	defer f.Close() // the connection is a copy with close-on-exec
	conn, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("link to the supervisor: %w", err)
	}
	unixConn, ok := conn.(*net.UnixConn)
	if !ok {
		conn.Close()
		return nil, fmt.Errorf("link to the supervisor: descriptor %d is no UNIX socket", fd)
	}
	return &Link{conn: unixConn}, nil
}

// Files are those that the supervisor has passed on since they were asked for last, by
// name. The files of an Order are there before its signal. It does not wait.
func (l *Link) Files() (map[string]*os.File, error) {
	files := map[string]*os.File{}
	if l == nil {
		return files, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	buf := make([]byte, maxLinkName)
	for {
		waits, err := l.waits()
		if err != nil || !waits {
			return files, err
		}
		n, fd, err := netx.RecvFD(l.conn, buf)
		switch {
		case err != nil:
			return files, fmt.Errorf("files of the supervisor: %w", err)
		case fd < 0:
			return files, errors.New("files of the supervisor: a message without a file")
		}
		name := string(buf[:n])
		if old := files[name]; old != nil {
			old.Close()
		}
		files[name] = os.NewFile(uintptr(fd), name)
	}
}

// waits says whether there is a message; the end of the link is none.
func (l *Link) waits() (yes bool, err error) {
	raw, err := l.conn.SyscallConn()
	if err != nil {
		return false, err
	}
	var look error
	err = raw.Control(func(fd uintptr) {
		var n int
		n, _, look = unix.Recvfrom(int(fd), make([]byte, 1), unix.MSG_PEEK|unix.MSG_DONTWAIT)
		yes = look == nil && n > 0
	})
	if errors.Is(look, unix.EAGAIN) || errors.Is(look, unix.ECONNRESET) {
		look = nil
	}
	return yes, errors.Join(err, look)
}

// Retire tells the supervisor to start the next process in the place of this one, which
// goes on as long as it wants.
func (l *Link) Retire() error {
	if l == nil {
		return nil
	}
	if _, err := l.conn.Write([]byte(wordRetired)); err != nil {
		return fmt.Errorf("retire: %w", err)
	}
	return nil
}

// Close closes the link.
func (l *Link) Close() error {
	if l == nil {
		return nil
	}
	return l.conn.Close()
}
