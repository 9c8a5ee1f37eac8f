// Package httpx is what every HTTP face of sluice needs: a server with limits, errors
// that a person at a terminal can read, and the client's address.
package httpx

import (
	"cmp"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Options are the limits of a server.
type Options struct {
	HeaderTimeout time.Duration // for a whole request head; if zero 10 s
	ReadTimeout   time.Duration // for head and body together; if zero 10 s
	WriteTimeout  time.Duration // for an answer to be made and taken; if zero 30 s
	IdleTimeout   time.Duration // between two requests of a connection; if zero 60 s
	MaxHeader     int           // bytes of a request head, first line included; if zero 32 KiB
}

// NewServer makes a server of h that no slow or endless request can hold, nor a client
// that does not take its answer; a connection that a handler hijacks is free of that. A
// head that is too long is answered with 431. What net/http complains about (broken requests,
// panics) goes to log at debug level, since clients cause it.
func NewServer(h http.Handler, o Options, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: cmp.Or(o.HeaderTimeout, 10*time.Second),
		ReadTimeout:       cmp.Or(o.ReadTimeout, 10*time.Second),
		WriteTimeout:      cmp.Or(o.WriteTimeout, 30*time.Second),
		IdleTimeout:       cmp.Or(o.IdleTimeout, 60*time.Second),
		MaxHeaderBytes:    cmp.Or(o.MaxHeader, 32<<10),
		// OPTIONS * is a method as any other: the handler says what it permits.
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// RetryAfter is what a 503 asks a client to wait, in seconds.
const RetryAfter = 1

const retryAfter = "Retry-After"

// Error answers with a status and one line that says why; a HEAD gets the header only.
// Headers that the caller has set stay, also a Retry-After of its own.
func Error(w http.ResponseWriter, status int, text string) {
	body := errorBody(status, text)
	h := w.Header()
	own := h.Get(retryAfter)
	for _, line := range errorHeader(status, len(body)) {
		h.Set(line[0], line[1])
	}
	if own != "" {
		h.Set(retryAfter, own)
	}
	w.WriteHeader(status)
	io.WriteString(w, body) // the client may be gone; there is nobody else to tell
}

// WriteError is Error for a connection that was taken from net/http. proto is the
// client's, as in http.Request.Proto: HTTP/1.0 is answered in kind. The answer says
// Connection: close, the caller closes. header are lines that it has besides.
func WriteError(conn io.Writer, proto string, status int, text string, header ...[2]string) error {
	body := errorBody(status, text)
	var b strings.Builder
	fmt.Fprintf(&b, "%s %d %s\r\n", Proto(proto), status, http.StatusText(status))
	fmt.Fprintf(&b, "Date: %s\r\n", time.Now().UTC().Format(http.TimeFormat))
	for _, line := range append(errorHeader(status, len(body)), header...) {
		fmt.Fprintf(&b, "%s: %s\r\n", line[0], line[1])
	}
	b.WriteString("Connection: close\r\n\r\n")
	b.WriteString(body)
	if _, err := io.WriteString(conn, b.String()); err != nil {
		return fmt.Errorf("answer %d: %w", status, err)
	}
	return nil
}

// Proto is the version of HTTP that answers a request of version proto: 1.0 or 1.1.
func Proto(proto string) string {
	if proto == "HTTP/1.0" {
		return proto
	}
	return "HTTP/1.1"
}

func errorHeader(status, length int) [][2]string {
	h := [][2]string{
		{"Content-Type", "text/plain; charset=utf-8"},
		{"X-Content-Type-Options", "nosniff"},
		{"Cache-Control", "no-store"}, // it may be otherwise in a moment
		{"Content-Length", strconv.Itoa(length)},
	}
	if status == http.StatusServiceUnavailable {
		h = append(h, [2]string{retryAfter, strconv.Itoa(RetryAfter)})
	}
	return h
}

// errorBody is one line whatever the text holds.
func errorBody(status int, text string) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))
	return fmt.Sprintf("%d %s: %s\n", status, http.StatusText(status), text)
}

// Permit reports whether the request has one of the methods; if not it has answered
// with 405 and the Allow header.
func Permit(w http.ResponseWriter, r *http.Request, methods ...string) bool {
	if slices.Contains(methods, r.Method) {
		return true
	}
	allow := strings.Join(methods, ", ")
	w.Header().Set("Allow", allow)
	Error(w, http.StatusMethodNotAllowed, "want "+allow)
	return false
}

// ClientAddr is the address and port of the other end of the connection: IPv4 as such
// also on an IPv6 socket, and without the zone of a link-local address, so that
// prefixes match. It is invalid on a connection without one (a Unix socket).
func ClientAddr(r *http.Request) netip.AddrPort {
	a, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}
