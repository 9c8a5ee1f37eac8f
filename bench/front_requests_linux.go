package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"sluice/internal/auth"
)

// openDoor is the configuration of whom requests are sent to. Streams begin with the newest
// byte: a request is measured, and not the history that a new client gets.
const openDoor = "start: live\n"

// frontToken is what lets in, where something has to.
const frontToken = "8d0c1f5e7a"

// doorsOf are the ways in which sluice decides who may watch, and the least that could answer.
func doorsOf(self, sluice string) ([]contestant, error) {
	script, err := shipped("auth/helper.sh")
	if err != nil {
		return nil, err
	}
	signed := path(0, 0)
	secret := []byte("a secret of thirty-two letters ..")
	query := auth.Sign(secret, signed, time.Now().Add(time.Hour), netip.Addr{})
	// Who was denied is asked about again: it is the helper that is measured.
	asks := func(n int, command string) string {
		return fmt.Sprintf("%sauth: {helper: [%s], helpers: %d, denied_for: 0s}\n", openDoor, command, n)
	}
	binary := strings.Join([]string{strconv.Quote(self), wordHelper, "-token", strconv.Quote(frontToken)}, ", ")
	all := []contestant{
		configured("sluice", sluice, openDoor, nil),
		answerer(self),
		configured("tokens", sluice, openDoor+"auth: {tokens: \"{DIR}/tokens\"}\n", map[string]string{"tokens": "tv " + frontToken + "\n"}),
		configured("signed", sluice, openDoor+"auth: {secrets: \"{DIR}/secrets\"}\n", map[string]string{"secrets": hex.EncodeToString(secret) + "\n"}),
		configured("1 helper", sluice, asks(1, binary), nil),
		configured("8 helpers", sluice, asks(8, binary), nil),
		configured("8 of helper.sh", sluice, asks(8, strconv.Quote(script)+", \"{DIR}/tokens\""), map[string]string{"tokens": "tv " + frontToken + "\n"}),
	}
	// What lets in and what does not; two need nothing.
	queries := [][2]string{2: {"token=" + frontToken, "token=wrong"}, 3: {query, strings.Replace(query, "sign=", "sign=00", 1)}}
	for i := 2; i < len(all); i++ {
		q := [2]string{"auth=" + frontToken, "auth=wrong"}
		if i < len(queries) {
			q = queries[i]
		}
		all[i].probe, all[i].refused = signed+"?"+q[0], signed+"?"+q[1]
	}
	return all, nil
}

// askers is how many clients ask at once.
const askers = 16

// requests measures how fast one kind of request after the other is answered.
func (s *scenario) requests(ctx context.Context, c contestant, o options) (m measured, err error) {
	stage, err := s.raise(ctx, c)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stage.Close()) }()
	good := path(0, 0)
	if c.refused != "" {
		good = c.probe
	}
	if !c.yardstick { // it keeps the channel warm
		if err := stage.crowd.join(stage.server.addr, good); err != nil {
			return nil, err
		}
		if err := stage.crowd.wait(); err != nil {
			return nil, err
		}
	}
	errands := []errand{
		{http.MethodHead, good, http.StatusOK, headRate, headP99},
		{http.MethodGet, good, http.StatusOK, streamRate, streamP99},
	}
	if c.refused != "" {
		errands = append(errands, errand{http.MethodGet, c.refused, http.StatusForbidden, refusalRate, refusalP99})
	}
	pids, err := stage.server.pids()
	if err != nil {
		return nil, err
	}
	before, err := read(pids)
	if err != nil {
		return nil, err
	}
	m = measured{}
	for _, e := range errands {
		waits, took, err := e.run(ctx, stage.server.addr, o.lasts(600*time.Millisecond))
		if err != nil {
			return nil, err
		}
		m[e.rate] = float64(len(waits)) / took.Seconds()
		m[e.p99] = float64(percentile(waits, 99)) / 1e6
	}
	after, err := read(pids)
	if err != nil {
		return nil, err
	}
	m[serverBusy] = 100 * busyShare(after.server-before.server, after.time-before.time)
	m[loadBusy] = 100 * busyShare(after.load-before.load, after.time-before.time)
	return m, nil
}

// lasts is the length of a measurement that has one of its own, unless the options say
// another.
func (o options) lasts(own time.Duration) time.Duration {
	if o.seconds > 0 {
		return o.length()
	}
	return own
}

// errand is a request that is made over and over, each time on a connection of its own.
type errand struct {
	method, path string
	want         int // status
	rate, p99    figure
}

// run has all askers make the request for some time. It returns how long each request
// waited, sorted, in nanoseconds, and how long they took together.
func (e errand) run(ctx context.Context, server netip.AddrPort, length time.Duration) (waits []int64, took time.Duration, err error) {
	ctx, stop := context.WithTimeout(ctx, length)
	defer stop()
	var (
		mu    sync.Mutex // guards waits and err
		group sync.WaitGroup
	)
	begin := clock()
	for range askers {
		group.Go(func() {
			own, failed := e.repeat(ctx, server)
			mu.Lock()
			defer mu.Unlock()
			waits, err = append(waits, own...), errors.Join(err, failed)
		})
	}
	group.Wait()
	took = time.Duration(clock() - begin)
	slices.Sort(waits)
	if err == nil && len(waits) == 0 {
		err = fmt.Errorf("%s %s: no answer in %v", e.method, e.path, length)
	}
	return waits, took, err
}

// repeat makes the request until ctx ends; the one that is under way is brought to its end.
func (e errand) repeat(ctx context.Context, server netip.AddrPort) (waits []int64, err error) {
	buf := make([]byte, 16<<10)
	for ctx.Err() == nil {
		begin := clock()
		if err := e.once(server, buf); err != nil {
			return nil, fmt.Errorf("%s %s: %w", e.method, e.path, err)
		}
		waits = append(waits, clock()-begin)
	}
	return waits, nil
}

// once makes the request and waits for its head or, when it is a stream, for the first byte
// behind the head; then it leaves.
func (e errand) once(server netip.AddrPort, buf []byte) error {
	conn, err := net.DialTimeout("tcp4", server.String(), requestPatience)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(requestPatience)); err != nil {
		return err
	}
	request := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", e.method, e.path, server)
	if _, err := io.WriteString(conn, request); err != nil {
		return err
	}
	stream := e.method == http.MethodGet && e.want == http.StatusOK
	for n := 0; ; {
		more, err := conn.Read(buf[n:])
		n += more
		status, rest, whole := answerOf(buf[:n])
		switch {
		case whole && status != e.want:
			return fmt.Errorf("answered %d, want %d", status, e.want)
		case whole && (rest > 0 || !stream):
			return nil
		case err != nil:
			return err
		case n == len(buf):
			return errAnswer
		}
	}
}

// requestPatience is how long a request may wait for its answer.
const requestPatience = 10 * time.Second
