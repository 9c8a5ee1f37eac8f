package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// The values of the parameter cached.
const (
	reportFresh  = 0
	reportCached = 1
)

// reports measures how long each form of a report takes, made and given again, beside
// clients that lose nothing meanwhile.
func (s *scenario) reports(ctx context.Context, c contestant, _ options) (m measured, err error) {
	stage, err := s.raise(ctx, c)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stage.Close()) }()
	if err := stage.fill(s.clients); err != nil {
		return nil, err
	}
	if err := pause(ctx, time.Second); err != nil { // after so many clients came
		return nil, err
	}
	stage.crowd.take(nil)
	waits := map[figure][]float64{}
	for range 5 {
		for _, form := range []struct {
			name          string
			fresh, cached figure
		}{{"html", htmlFresh, htmlCached}, {"xml", xmlFresh, xmlCached}, {"json", jsonFresh, jsonCached}} {
			for cached, f := range [...]figure{reportFresh: form.fresh, reportCached: form.cached} {
				begin := clock()
				if _, err := stage.server.report(ctx, form.name, cached); err != nil {
					return nil, err
				}
				waits[f] = append(waits[f], float64(clock()-begin)/1e6)
			}
		}
	}
	t := stage.crowd.take(nil)
	m = measured{gaps: float64(t.gaps) + float64(t.ended), crowdLag: lagOf(t)}
	for f, ms := range waits {
		m[f] = median(ms)
	}
	return m, nil
}

// report fetches a report from the admin port, on a connection of its own.
func (s *server) report(ctx context.Context, format string, cached int) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, requestPatience)
	defer cancel()
	url := fmt.Sprintf("http://%s/report?type=traffic&format=%s&cached=%d", s.admin, format, cached)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: %s", url, resp.Status)
	}
	return body, err
}

// trafficReport is what this program reads of a report.
type trafficReport struct {
	Channels []struct {
		Received trafficFlow `json:"received"`
		Clients  []struct {
			Sent trafficFlow `json:"sent"`
		} `json:"clients"`
	} `json:"channels"`
}

type trafficFlow struct {
	Rate float64 `json:"rate_bps"`
}

// rateLength is how long reported rates are compared with what is sent.
const rateLength = 10 * time.Second

// rates compares the mean of the rates that reports tell, one a second, with what was sent
// in the same time.
func (s *scenario) rates(ctx context.Context, c contestant, o options) (m measured, err error) {
	stage, err := s.raise(ctx, c)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stage.Close()) }()
	if err := stage.fill(s.clients); err != nil {
		return nil, err
	}
	if err := pause(ctx, 2*time.Second); err != nil { // a client begins with more than the rate
		return nil, err
	}
	begin, sent := clock(), stage.sender.sent.Load()
	looks := int(o.lasts(rateLength) / time.Second)
	var channel, client float64
	for range looks {
		if err := pause(ctx, time.Second); err != nil {
			return nil, err
		}
		r, err := stage.server.traffic(ctx)
		if err != nil {
			return nil, err
		}
		channel += r.Channels[0].Received.Rate / float64(looks)
		client += r.Channels[0].Clients[0].Sent.Rate / float64(looks)
	}
	should := float64(stage.sender.sent.Load()-sent) * 8e9 / float64(clock()-begin)
	return measured{offChannel: offBy(channel, should), offClient: offBy(client, should), pace: 100 * should / float64(s.rate)}, nil
}

// traffic is a fresh report of one channel with one client.
func (s *server) traffic(ctx context.Context) (r trafficReport, err error) {
	body, err := s.report(ctx, "json", reportFresh)
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(body, &r); err != nil {
		return r, fmt.Errorf("read the report: %w", err)
	}
	if len(r.Channels) != 1 || len(r.Channels[0].Clients) != 1 {
		return r, fmt.Errorf("the report has not one channel with one client: %s", body)
	}
	return r, nil
}
