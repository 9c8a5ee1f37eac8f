package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"time"
)

// look reads what the processes occupy.
func look(pids []int, at time.Duration) (sample, error) {
	s := sample{at: at}
	for _, pid := range pids {
		dir := fmt.Sprintf("/proc/%d", pid)
		status, err := os.ReadFile(filepath.Join(dir, "status"))
		if err != nil {
			return s, err
		}
		h := holding{pid: pid}
		if h.memory, h.threads, err = parseHolding(string(status)); err != nil {
			return s, err
		}
		fds, err := os.ReadDir(filepath.Join(dir, "fd"))
		if err != nil {
			return s, err
		}
		h.descriptors, h.kinds = len(fds), map[string]int{}
		for _, fd := range fds {
			if link, err := os.Readlink(filepath.Join(dir, "fd", fd.Name())); err == nil { // else closed meanwhile
				h.kinds[kindOf(link)]++
			}
		}
		if h.name, err = roleOf(pid); err != nil {
			return s, err
		}
		s.processes = append(s.processes, h)
	}
	return s, nil
}

// status is the part of /status that a soak compares with its own books. The names are
// those of the product's report, which are public.
type status struct {
	Engines []struct {
		Channels []struct {
			Tag     string    `json:"tag"`
			Since   time.Time `json:"since"`
			Sources []struct {
				RTPLost    int64 `json:"rtp_lost"`
				Reordered  int64 `json:"reordered"`
				Late       int64 `json:"late"`
				Duplicates int64 `json:"duplicates"`
				Restarts   int64 `json:"restarts"`
				Legs       []struct {
					KernelLost int64 `json:"kernel_lost"`
				} `json:"legs"`
			} `json:"sources"`
			Clients []struct {
				ID    uint64 `json:"id"`
				Skips int64  `json:"skips"`
			} `json:"clients"`
		} `json:"channels"`
	} `json:"engines"`
}

// ask gets the status.
func ask(ctx context.Context, admin netip.AddrPort) (s status, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+admin.String()+"/status?format=json", nil)
	if err != nil {
		return s, err
	}
	req.Close = true // no connection stays open: its descriptor would be counted
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return s, fmt.Errorf("ask for the status: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return s, fmt.Errorf("ask for the status: %w: %s", errAnswer, resp.Status)
	}
	if err := json.NewDecoder(resp.Body).Decode(&s); err != nil {
		return s, fmt.Errorf("read the status: %w", err)
	}
	return s, nil
}

// told are counters that the engine keeps of its sources.
type told struct{ lost, reordered, late, duplicates, restarts, kernel int64 }

func (t *told) add(o told) {
	t.lost += o.lost
	t.reordered += o.reordered
	t.late += o.late
	t.duplicates += o.duplicates
	t.restarts += o.restarts
	t.kernel += o.kernel
}

func (t told) String() string {
	return fmt.Sprintf("%d lost, %d put in place, %d late, %d duplicates, %d restarts, %d lost by the kernel",
		t.lost, t.reordered, t.late, t.duplicates, t.restarts, t.kernel)
}

// ledger adds up what the engine tells of its channels, each of which counts from its
// opening. What it counted between the last look and the end of a channel is missing.
type ledger struct {
	open   map[string]told // by tag and time of opening
	closed told
}

// enter notes a status and returns how many channels it shows.
func (l *ledger) enter(s status) int {
	now := map[string]told{}
	for _, e := range s.Engines {
		for _, c := range e.Channels {
			var t told
			for _, src := range c.Sources {
				t.add(told{src.RTPLost, src.Reordered, src.Late, src.Duplicates, src.Restarts, 0})
				for _, leg := range src.Legs {
					t.kernel += leg.KernelLost
				}
			}
			now[c.Tag+c.Since.String()] = t
		}
	}
	for key, t := range l.open {
		if _, still := now[key]; !still {
			l.closed.add(t)
		}
	}
	l.open = now
	return len(now)
}

// sum is what the engine told of all its channels, ended ones included.
func (l *ledger) sum() told {
	all := l.closed
	for _, t := range l.open {
		all.add(t)
	}
	return all
}

var errBusy = errors.New("channels are still open")
