package origin

import (
	"context"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"sluice/internal/media/hls"
	"sluice/internal/store"
)

const (
	maxHeld   = 16384                  // requests that wait at the same time; any more are answered with 503
	maxHeldBy = 16                     // of one connection: a player waits for a playlist and a part of each of its renditions
	lookAgain = 250 * time.Millisecond // at a playlist that another program writes, of which nobody tells
)

// hold lets a request wait: until wait returns, whose context ends with the client, the time or the origin.
func (v *visit) hold(most time.Duration, wait func(ctx context.Context)) *refusal {
	o := v.origin
	waiting, held := o.counts.waiting.Add(1), v.conn.hold(1)
	defer func() {
		o.counts.waiting.Add(-1)
		v.conn.hold(-1)
	}()
	if waiting > maxHeld || held > maxHeldBy {
		return &refusal{status: http.StatusServiceUnavailable, text: "too many requests wait here already, please try again"}
	}
	ctx, cancel := context.WithTimeout(v.r.Context(), most)
	defer cancel()
	defer context.AfterFunc(o.ending, cancel)()
	wait(ctx)
	if o.ending.Err() != nil {
		return &refusal{status: http.StatusServiceUnavailable, text: "this server ends, please try again"}
	}
	return nil
}

// hold counts requests of a connection that wait.
func (c *conn) hold(n int32) (held int32) {
	if c == nil {
		return 0
	}
	return c.held.Add(n)
}

// awaitPlaylist holds a request for a playlist that is to have a segment or a part (RFC 8216bis, 6.2.5.2) until it has.
func (v *visit) awaitPlaylist(at place) *refusal {
	if !isPlaylist(at.name) || v.r.Method != http.MethodGet {
		return nil
	}
	b, err := hls.ParseBlock(v.r.URL.RawQuery)
	switch {
	case err != nil:
		return &refusal{status: http.StatusBadRequest, text: err.Error()}
	case b == nil:
		return nil
	}
	p, err := at.shelf.playlist(at.name)
	if err != nil || p.is.Has(*b) {
		return nil // it is served as it is
	}
	if !p.is.Reasonable(*b) {
		return &refusal{status: http.StatusBadRequest, text: fmt.Sprintf("segment %d is too far ahead", b.Sequence)}
	}
	has := false
	if no := v.hold(p.is.Patience(), func(ctx context.Context) { has = at.shelf.await(ctx, at.name, p, *b) }); no != nil {
		return no
	}
	if !has {
		return &refusal{status: http.StatusServiceUnavailable, text: fmt.Sprintf("segment %d did not come in time", b.Sequence)}
	}
	return nil
}

// await waits until a playlist has b, or is not there any more; false when ctx ends first. p is how it is now.
func (s *shelf) await(ctx context.Context, name string, p *playlist, b hls.Block) bool {
	again := time.NewTicker(lookAgain)
	defer again.Stop()
	for {
		select {
		case <-p.gone:
		case <-again.C:
		case <-ctx.Done():
			return false
		}
		next, err := s.playlist(name)
		if err != nil || next.is.Has(b) {
			return true
		}
		p = next
	}
}

// awaitObject holds a request for an object that is not there but will be: a part that a playlist announces, or the next segment of a
// representation. Without an item there is none.
func (v *visit) awaitObject(at place) (*store.Item, *refusal) {
	if v.r.Method != http.MethodGet {
		return nil, nil
	}
	most, ok := at.shelf.hinted(at.name)
	if !ok && v.site.conf.WaitNext > 0 && isNext(at.Store, at.name) {
		most, ok = v.site.conf.WaitNext, true
	}
	if !ok {
		return nil, nil
	}
	var it *store.Item
	no := v.hold(most, func(ctx context.Context) {
		if at.Store.Await(ctx, at.name) != nil {
			return
		}
		it, _ = at.Store.Open(at.name) // gone again: it is not there
	})
	if no != nil && it != nil {
		it.Close()
		it = nil
	}
	return it, no
}

// isNext says whether name is the segment that comes after the newest of its representation: the one before it is there, and none after it.
func isNext(st store.Store, name string) bool {
	before, after := neighbours(name)
	return anyOf(st, before) && !anyOf(st, after)
}

func anyOf(st store.Store, names []string) bool {
	for _, name := range names {
		if _, err := st.Stat(name); err == nil {
			return true
		}
	}
	return false
}

// maxBase bounds the names of segments without their directories, in bytes: what is longer is in no directory, and each of its numbers
// would be tried.
const maxBase = 255

// neighbours are the names that the segments before and after one may have: with as many digits in their number as it has, or with as
// many as are needed.
func neighbours(name string) (before, after []string) {
	dir, base := path.Split(name)
	representation, number, ok := store.Representation(name)
	if !ok || len(base) > maxBase {
		return nil, nil
	}
	for _, run := range digitRuns(base) {
		front, text, back := dir+base[:run[0]], base[run[0]:run[1]], base[run[1]:]
		if n, err := strconv.ParseInt(text, 10, 64); err != nil || n != number {
			continue
		}
		for _, width := range []int{len(text), 1} {
			before = appendSegment(before, fmt.Sprintf("%s%0*d%s", front, width, number-1, back), representation, number-1)
			after = appendSegment(after, fmt.Sprintf("%s%0*d%s", front, width, number+1, back), representation, number+1)
		}
	}
	return before, after
}

// appendSegment appends a name if it is that of a segment of the representation, and not there yet.
func appendSegment(list []string, name, representation string, number int64) []string {
	r, n, ok := store.Representation(name)
	if !ok || r != representation || n != number || slices.Contains(list, name) {
		return list
	}
	return append(list, name)
}

// digitRuns are the places of the numbers in a name.
func digitRuns(name string) (runs [][2]int) {
	for end := len(name); end > 0; {
		begin := len(strings.TrimRight(name[:end], "0123456789"))
		if begin < end {
			runs = append(runs, [2]int{begin, end})
		}
		end = len(strings.TrimRightFunc(name[:begin], func(r rune) bool { return r < '0' || r > '9' }))
	}
	return runs
}
