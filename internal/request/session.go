package request

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"sluice/internal/endpoint"
	"sluice/internal/lineup"
	"sluice/internal/uri"
)

// session reads the parameters of the session; each may be there once. The others are
// returned as they were written.
func (r *Request) session(query string) (string, error) {
	var others, seen []string
	for pair := range strings.SplitSeq(query, "&") {
		key, escaped, _ := strings.Cut(pair, "=")
		set := r.setter(key)
		if set == nil {
			others = append(others, pair)
			continue
		}
		value, err := url.QueryUnescape(escaped)
		switch {
		case err != nil:
			return "", badValue(key, err)
		case len(value) > maxValue:
			return "", bad("parameter %s of %d characters: want at most %d", key, len(value), maxValue)
		case slices.Contains(seen, key):
			return "", bad("parameter %s is there twice", key)
		}
		seen = append(seen, key)
		if err := set(value); err != nil {
			return "", badValue(key, err)
		}
	}
	return strings.Join(others, "&"), nil
}

// badValue is for a parameter of ours; err may repeat its value, which logs must not.
func badValue(key string, err error) error {
	return &Error{
		Status: http.StatusBadRequest, Text: fmt.Sprintf("parameter %s: %v", key, err), Logged: "bad value of the parameter " + key,
	}
}

// setter is what a parameter of ours does; nil for others.
func (r *Request) setter(key string) func(string) error {
	switch {
	case key == "start":
		return func(s string) (err error) {
			r.Start = new(lineup.Start)
			*r.Start, err = lineup.ParseStart(s)
			return err
		}
	case key == "slow":
		return func(s string) (err error) {
			r.Slow = new(lineup.Slow)
			*r.Slow, err = lineup.ParseSlow(s)
			return err
		}
	case r.Target == nil:
		return nil
	case key == "write":
		return r.setWrite
	case key == "method":
		return r.setMethod
	case key == "bitrate":
		return r.setBitrate
	}
	return nil
}

func (r *Request) setWrite(s string) (err error) {
	if r.Target.End.Scheme != uri.File {
		return errors.New("only a file can be written so")
	}
	r.Target.Write, err = endpoint.ParseWrite(s)
	return err
}

func (r *Request) setMethod(s string) error {
	if !r.Target.End.Web() {
		return errors.New("only http and https have methods")
	}
	if s != http.MethodPut && s != http.MethodPost {
		return fmt.Errorf("bad method %q: want PUT or POST", s)
	}
	r.Target.Method = s
	return nil
}

func (r *Request) setBitrate(s string) (err error) {
	if !r.Target.End.Datagrams() {
		return errors.New("only udp and rtp are paced")
	}
	r.Target.Bitrate, err = lineup.ParseBitrate(s)
	return err
}

// collect adds the parameters of a query to r.Query, behind those that are there.
func (r *Request) collect(query string) { r.add(Parameters(query)) }

// collectFirst adds them before those that are there.
func (r *Request) collectFirst(query string) {
	behind := r.Query
	r.Query = Parameters(query)
	r.add(behind)
}

func (r *Request) add(more url.Values) {
	for key, values := range more {
		r.Query[key] = append(r.Query[key], values...)
	}
}

// Parameters are those of a query, as in Request.Query.
func Parameters(query string) url.Values {
	all := make(url.Values)
	for pair := range strings.SplitSeq(query, "&") {
		if key, value, _ := strings.Cut(pair, "="); pair != "" {
			all.Add(plain(key), plain(value))
		}
	}
	return all
}

// plain is a part of a query decoded, as far as it is printable.
func plain(s string) string {
	if decoded, err := url.PathUnescape(s); err == nil {
		s = decoded
	}
	return uri.Printable(s)
}
