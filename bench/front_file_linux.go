package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// filmLength is how much is sent of a film.
const filmLength = 6 * time.Second

// filmFile is a stream of a constant bit rate.
const filmFile = "film.ts"

// filmOf is sluice with a film that it may send to groups.
func filmOf(_, sluice string) ([]contestant, error) {
	film := newStream(tv)
	var b []byte
	for film.duration(int64(len(b))) < int64(filmLength) {
		b = film.appendDatagram(b, 0)
	}
	return []contestant{configured("sluice", sluice, "files: {read: [\"{DIR}\"]}\ntargets: [239.0.0.0/8]\n", map[string]string{filmFile: string(b)})}, nil
}

// filePace has the film sent to a group, and compares the times at which its datagrams come
// with those of the film's own clock.
func (s *scenario) filePace(ctx context.Context, c contestant, _ options) (m measured, err error) {
	server, err := c.start(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	group := groupAddr(0, 0)
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		return nil, err
	}
	conn, err := net.ListenMulticastUDP("udp4", lo, net.UDPAddrFromAddrPort(group))
	if err != nil {
		return nil, fmt.Errorf("join %s: %w", group, err)
	}
	defer conn.Close()
	if err := conn.SetReadBuffer(4 << 20); err != nil {
		return nil, err
	}
	answer := make(chan error, 1)
	go func() {
		answer <- server.begin(ctx, fmt.Sprintf("/src/file://%s/%s/dst/udp://%s", server.dir, filmFile, group))
	}()
	arrived, due, err := receiveFilm(conn, s.rate)
	if err := errors.Join(err, <-answer); err != nil {
		return nil, fmt.Errorf("%w: %s", err, server.errs)
	}
	wanted := len(c.files[filmFile]) / datagramSize
	off := offClock(arrived, due)
	return measured{
		gaps:         float64(max(wanted-len(arrived), len(arrived)-wanted)),
		offClockP99:  float64(percentile(off, 99)) / 1e6,
		offClockMost: float64(percentile(off, 100)) / 1e6,
	}, nil
}

// begin asks for a session that is not the requester's own stream.
func (s *server) begin(ctx context.Context, path string) error {
	ctx, cancel := context.WithTimeout(ctx, requestPatience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.addr.String()+path, nil)
	if err != nil {
		return err
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: %s: %s", path, resp.Status, text)
	}
	return err
}

// receiveFilm takes datagrams until none comes for a while. It returns when each came and
// when it was due by its place in the stream, in nanoseconds.
func receiveFilm(conn *net.UDPConn, rate int64) (arrived, due []int64, err error) {
	film := newStream(rate)
	for buf := make([]byte, 64<<10); ; {
		silence := 2 * time.Second
		if len(arrived) == 0 {
			silence = requestPatience
		}
		if err := conn.SetReadDeadline(time.Now().Add(silence)); err != nil {
			return nil, nil, err
		}
		n, err := conn.Read(buf)
		now := clock()
		var late net.Error
		if errors.As(err, &late) && late.Timeout() {
			break
		}
		if err != nil {
			return nil, nil, err
		}
		if at, ok := readStamp(buf[:n]); ok {
			arrived = append(arrived, now)
			due = append(due, film.duration(int64(at.seq)*packetSize))
		}
	}
	if len(arrived) == 0 {
		return nil, nil, errors.New("no datagram of the file came")
	}
	return arrived, due, nil
}
