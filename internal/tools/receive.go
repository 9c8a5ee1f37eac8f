package tools

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"sluice/internal/media/rtp"
	"sluice/internal/media/ts"
	"sluice/internal/netx"
	"sluice/internal/uri"
)

// http reads the stream from a web server.
func (w *watch) http(ctx context.Context, address string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	deadline := time.AfterFunc(w.remaining(), func() { cancel(errWatched) })
	defer deadline.Stop()

	answer := &HTTPResult{}
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { answer.ConnectMS = milliseconds(w.since()) }}
	request, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, trace), http.MethodGet, address, nil)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrProbeURL, err)
	}
	request.Header.Set("User-Agent", "sluice probe")
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, DisableCompression: true, DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport}).Do(request)
	if errors.Is(context.Cause(ctx), errWatched) {
		return fmt.Errorf("no answer within %s", firstByteTimeout)
	}
	if err != nil {
		return unwrapURL(err)
	}
	defer response.Body.Close()
	answer.head(response, address)
	answer.HeadMS = milliseconds(w.since())
	w.found.HTTP = answer
	if response.StatusCode != http.StatusOK {
		answer.Message = firstLine(response.Body)
		return nil
	}
	w.body(ctx, response.Body, deadline)
	return nil
}

// unwrapURL takes off the method and the URL that net/http puts before its errors.
func unwrapURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

// errWatched ends a probe that has seen enough.
var errWatched = errors.New("watched long enough")

// body reads until the stream ends or was watched long enough.
func (w *watch) body(ctx context.Context, body io.Reader, deadline *time.Timer) {
	buf := make([]byte, 64<<10)
	for {
		n, err := body.Read(buf)
		begins := n > 0 && !w.any
		w.take(buf[:n], w.since())
		if begins {
			deadline.Reset(w.remaining())
		}
		if err != nil {
			w.found.Ended = ctx.Err() == nil
			return
		}
	}
}

func (h *HTTPResult) head(r *http.Response, asked string) {
	h.Status = r.StatusCode
	h.Reason = harmless(strings.TrimSpace(strings.TrimPrefix(r.Status, fmt.Sprint(r.StatusCode))))
	h.Proto = r.Proto
	h.ContentType = harmless(r.Header.Get("Content-Type"))
	h.Server = harmless(r.Header.Get("Server"))
	if last := r.Request.URL.Redacted(); r.Request.Response != nil && last != asked {
		h.Location = last
	}
}

func firstLine(body io.Reader) string {
	line, err := bufio.NewReader(io.LimitReader(body, 4096)).ReadString('\n')
	if err != nil && line == "" {
		return ""
	}
	return harmless(line)
}

const (
	batchSize  = 64
	slotSize   = 2048 // a datagram of an Ethernet frame, with room
	maxSenders = 8
)

// udp joins a group, or binds an address of this machine, and reads from there.
func (w *watch) udp(ctx context.Context, end uri.End) error {
	socket, err := netx.OpenUDP(netx.UDPConfig{Addr: end.Addr, Source: end.Source, Interface: w.options.Interface})
	if err != nil {
		return err
	}
	// The file owns the descriptor from here on; it lets the runtime wait for it.
	file := os.NewFile(uintptr(socket.FD()), end.String())
	defer file.Close()
	raw, err := file.SyscallConn()
	if err != nil {
		return fmt.Errorf("wait for datagrams: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = file.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()

	batch := netx.NewBatch(batchSize)
	defer batch.Close()
	in := newIntake(w, socket.Interface())
	defer in.finish()
	for {
		left := w.remaining()
		if err := file.SetReadDeadline(time.Now().Add(left)); err != nil {
			return fmt.Errorf("wait for datagrams: %w", err)
		}
		if left <= 0 || ctx.Err() != nil { // asked after the deadline is set: stop sets the last one
			return nil
		}
		if err := in.receive(raw, batch); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return fmt.Errorf("receive: %w", err)
		}
	}
}

// intake takes datagrams apart.
type intake struct {
	watch   *watch
	index   int // of the interface that datagrams must come from; 0 = any
	slots   []byte
	joined  []byte // a datagram longer than its slot
	senders []netip.AddrPort
	counter rtp.Counter
	isRTP   bool
	packets uint64
	result  NetworkResult
}

func newIntake(w *watch, index int) *intake {
	in := &intake{watch: w, index: index, slots: make([]byte, batchSize*slotSize)}
	in.result = NetworkResult{Senders: []string{}, Interface: w.options.Interface}
	w.found.Network = &in.result
	return in
}

// receive waits for datagrams and reads them.
func (in *intake) receive(raw syscall.RawConn, batch *netx.Batch) error {
	count, failed := 0, error(nil)
	err := raw.Read(func(fd uintptr) bool {
		count, failed = batch.Receive(int(fd), in.slots, slotSize)
		return count > 0 || failed != nil
	})
	if err = errors.Join(err, failed); err != nil {
		return err
	}
	at := in.watch.since()
	for i := range count {
		in.datagram(batch.Datagram(i), in.slots[i*slotSize:(i+1)*slotSize], at)
	}
	return nil
}

func (in *intake) datagram(d netx.Datagram, slot []byte, at time.Duration) {
	if in.index != 0 && d.IfIndex != in.index {
		return
	}
	b := slot[:min(d.Len, slotSize)]
	if len(d.Overflow) > 0 {
		in.joined = append(append(in.joined[:0], b...), d.Overflow...)
		b = in.joined
	}
	in.result.Datagrams++
	in.result.HostLost = uint64(d.Dropped)
	if !slices.Contains(in.senders, d.Src) && len(in.senders) < maxSenders {
		in.senders = append(in.senders, d.Src)
	}
	if b = in.payload(b); len(b) > 0 {
		in.packets += uint64(len(b) / ts.PacketSize)
		if len(b)%ts.PacketSize != 0 {
			in.result.Unaligned++
		}
		in.watch.take(b, at)
	}
}

// payload takes the RTP header off, when there is one.
func (in *intake) payload(b []byte) []byte {
	if !in.isRTP {
		in.isRTP = rtp.Detect(b)
	}
	if !in.isRTP || (len(b) > 0 && b[0] == ts.SyncByte) {
		return b
	}
	header, payload, err := rtp.Parse(b)
	if err != nil {
		in.result.Malformed++
		return nil
	}
	in.counter.Add(header.Sequence, header.SSRC)
	return payload
}

// finish fills in the sums.
func (in *intake) finish() {
	r := &in.result
	for _, s := range in.senders {
		r.Senders = append(r.Senders, s.String())
	}
	if r.Datagrams > 0 {
		r.PerPacket = float64(in.packets) / float64(r.Datagrams)
	}
	if c := in.counter; in.isRTP {
		r.RTP = &RTPResult{Received: c.Received, Lost: c.Lost, Duplicates: c.Duplicate, Reordered: c.Reordered, Restarts: c.Restarts}
	}
}
