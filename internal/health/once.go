package health

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"
	"unicode"

	"sluice/internal/flow"
)

const (
	maxAnswer  = 64 << 10 // bytes of an answer that are looked at
	maxInterim = 8        // answers 1xx before the one that counts
	maxReason  = 200      // bytes of an error that is told
)

// Once checks once. The error says in a few words why the remote is not well; it is ctx's
// when that has ended.
func Once(ctx context.Context, c Check, addr flow.Addr) error {
	if c.Kind == Off {
		return nil
	}
	timeout := cmp.Or(c.Timeout, time.Second)
	within, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err := c.ask(within, addr)
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return brief(err, timeout)
}

func (c *Check) ask(ctx context.Context, addr flow.Addr) error {
	if c.Port != 0 && addr.Network != flow.Unix {
		addr.IP = netip.AddrPortFrom(addr.IP.Addr(), c.Port)
	}
	conn, err := flow.Connect(ctx, c.From, addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) }) // all that waits ends
	defer stop()
	if len(c.Prelude) > 0 {
		if _, err := conn.Write(c.Prelude); err != nil {
			return err
		}
	}
	if c.Kind == TLS || c.Kind == HTTPS {
		encrypted := tls.Client(conn, c.client(addr))
		if err := encrypted.HandshakeContext(ctx); err != nil {
			return fmt.Errorf("no handshake: %w", err)
		}
		conn = encrypted
	}
	switch c.Kind {
	case HTTP, HTTPS:
		return c.get(conn, addr)
	case Talk:
		return c.talk(conn)
	}
	return nil
}

// client is the TLS of a check.
func (c *Check) client(addr flow.Addr) *tls.Config {
	conf := &tls.Config{InsecureSkipVerify: true}
	if c.TLS != nil {
		conf = c.TLS.Clone()
	}
	if conf.ServerName == "" && addr.Network != flow.Unix {
		conf.ServerName = addr.IP.Addr().WithZone("").String()
	}
	if c.Kind == HTTPS {
		conf.NextProtos = []string{"http/1.1"}
	}
	return conf
}

// get asks by HTTP/1.1. It follows no redirect and reads no body.
func (c *Check) get(conn net.Conn, addr flow.Addr) error {
	host := c.Host
	switch {
	case host != "":
	case addr.Network == flow.Unix:
		host = "localhost"
	default:
		host = netip.AddrPortFrom(addr.IP.Addr().WithZone(""), addr.IP.Port()).String()
	}
	r, err := http.NewRequest(http.MethodGet, "http://"+host+cmp.Or(c.Path, "/"), nil)
	if err != nil {
		return fmt.Errorf("the check cannot ask for its path and host: %w", err)
	}
	r.Close = true
	r.Header.Set("User-Agent", "sluice")
	if err := r.Write(conn); err != nil {
		return err
	}
	status, err := statusOf(conn, r)
	if err != nil {
		return err
	}
	good := status >= 200 && status <= 399
	if len(c.Status) > 0 {
		good = slices.Contains(c.Status, status)
	}
	if !good {
		return fmt.Errorf("status %d", status)
	}
	return nil
}

// statusOf is the status of the answer to r.
func statusOf(conn net.Conn, r *http.Request) (int, error) {
	from := bufio.NewReader(io.LimitReader(conn, maxAnswer))
	for range maxInterim {
		answer, err := http.ReadResponse(from, r) //nolint:bodyclose // Close would read the body; who has called closes the connection
		switch {
		case err != nil && broken(err):
			return 0, err
		case err != nil:
			return 0, errors.New("no answer of HTTP")
		case answer.StatusCode >= 200:
			return answer.StatusCode, nil
		}
	}
	return 0, errors.New("no answer of HTTP but interim ones")
}

// broken says that it is the connection that failed.
func broken(err error) bool {
	_, is := errors.AsType[net.Error](err)
	return is || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// talk sends what is to be sent and waits for the answer.
func (c *Check) talk(conn net.Conn) error {
	if len(c.Send) > 0 {
		if _, err := conn.Write(c.Send); err != nil {
			return err
		}
	}
	var answer []byte
	b := make([]byte, 4096)
	for len(answer) < maxAnswer {
		n, err := conn.Read(b[:min(len(b), maxAnswer-len(answer))])
		answer = append(answer, b[:n]...)
		switch {
		case n > 0 && bytes.Contains(answer, c.Expect):
			return nil
		case err != nil && len(answer) > 0:
			return errors.New("it answers something else")
		case err != nil:
			return err
		}
	}
	return errors.New("it answers something else")
}

// brief is an error in a few words.
func brief(err error, timeout time.Duration) error {
	if err == nil {
		return nil
	}
	no, isErrno := errors.AsType[syscall.Errno](err)
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("no answer in %v", timeout)
	case isErrno:
		return no
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("it closed the connection")
	}
	return errors.New(printable(err.Error()))
}

// printable cuts and cleans what may have words of the remote in it.
func printable(text string) string {
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	if len(text) > maxReason {
		text = strings.ToValidUTF8(text[:maxReason], "") + "…"
	}
	return text
}
