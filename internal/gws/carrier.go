package gws

import (
	"fmt"
	"net"
	"net/http"
	"syscall"
	"time"

	"sluice/internal/handoff"
	"sluice/internal/httpx"
)

// carrier is how the stream of one client, or the word that it has begun, gets from an
// engine to whom it is for. One goroutine calls its methods: hand for one engine after the
// other, then one of carry, refuse and giveUp, then close.
type carrier interface {
	// hand sends a to an engine, with what the engine is to write to. After an error the
	// engine has got nothing.
	hand(to *handoff.Conn, a handoff.Attach) error
	// untouched reports that what an engine wrote since hand has not reached the client. It
	// is asked when that engine is gone, and decides whether another one may be.
	untouched() bool
	// carry does what there is for gws to do once the engine has begun, and returns when that
	// is done. The error is why the client was ended before its stream was.
	carry() error
	// refuse answers that there will be no stream; no engine writes any more.
	refuse(no *refusal)
	// giveUp ends it where nobody knows what an engine has written, or is about to.
	giveUp(out outcome)
	// close frees what gws has of it, and no more.
	close()
}

// carrierOf chooses: a plain TCP connection goes to the engine, whatever else carries a
// request (TLS, HTTP/2) has its bytes pumped, and who has a target of his own gets a line.
func (s *Server) carrierOf(w http.ResponseWriter, r *http.Request, c *client) (carrier, error) {
	control := http.NewResponseController(w)
	conn, _ := r.Context().Value(connKey{}).(net.Conn)
	if sock, plain := conn.(syscall.Conn); plain && c.attach.Target == nil {
		if _, _, err := control.Hijack(); err != nil {
			return nil, fmt.Errorf("take the connection from net/http: %w", err)
		}
		return &socket{c: c, conn: conn, sock: sock}, nil
	}
	if err := unhurried(control); err != nil {
		return nil, err
	}
	a := answered{w: w, r: r, control: control}
	if c.attach.Target != nil {
		return &remote{answered: a, c: c}, nil
	}
	return &pump{answered: a, c: c, buffers: &s.buffers}, nil
}

// unhurried lifts the time-outs of a request that is answered at once. The one for reading
// would end the context of the request, too.
func unhurried(control *http.ResponseController) error {
	if err := control.SetReadDeadline(time.Time{}); err != nil {
		return fmt.Errorf("lift the time-out for reading: %w", err)
	}
	if err := control.SetWriteDeadline(time.Time{}); err != nil {
		return fmt.Errorf("lift the time-out for writing: %w", err)
	}
	return nil
}

// answered is what those carriers share whose client net/http answers.
type answered struct {
	w       http.ResponseWriter
	r       *http.Request
	control *http.ResponseController
}

func (a answered) refuse(no *refusal) {
	_ = a.control.SetWriteDeadline(time.Now().Add(grace)) // it fails as the answer will
	no.answer(a.w)
}

// giveUp is an answer, too: whatever an engine may yet write does not reach the client.
func (a answered) giveUp(out outcome) {
	switch out.verdict {
	case stopped:
		a.refuse(&refusal{code: http.StatusServiceUnavailable, text: noEngine})
	case silent:
		a.refuse(&refusal{code: http.StatusGatewayTimeout, text: out.reason})
	default:
		a.refuse(&refusal{code: http.StatusServiceUnavailable, text: out.reason})
	}
}

// announce begins an answer of status 200.
func (a answered) announce(header [][2]string) {
	h := a.w.Header()
	for _, line := range header {
		if line[0] == "Connection" && a.r.ProtoMajor > 1 {
			continue // it would end the other streams of the connection
		}
		h.Set(line[0], line[1])
	}
	a.w.WriteHeader(http.StatusOK)
}

// answer writes the refusal as net/http's answer.
func (no *refusal) answer(w http.ResponseWriter) {
	for _, line := range no.header {
		w.Header().Set(line[0], line[1])
	}
	httpx.Error(w, no.code, no.text)
}
