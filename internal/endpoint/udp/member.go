package udp

import (
	"errors"

	"sluice/internal/endpoint"
	"sluice/internal/logs"
	"sluice/internal/netx"
)

var _ endpoint.Member = (*source)(nil)

// Renew implements endpoint.Member by a membership report for each group. Where the
// process may not send any, that is logged once and Renew does nothing: the system still
// answers queries.
func (s *source) Renew() error {
	r := s.opener.reports()
	if r == nil {
		return nil
	}
	var all []error
	for i := range s.legs {
		sock := s.legs[i].sock
		if sock == nil {
			continue
		}
		if group, source, ifindex := sock.Joined(); group.IsValid() {
			all = append(all, r.Report(group, source, ifindex))
		}
	}
	return errors.Join(all...)
}

// reports is the one Reporter of all sources, nil where there is none.
func (o *Opener) reports() *netx.Reporter {
	o.renewal.Do(func() {
		var err error
		if o.reporter, err = netx.OpenReporter(); err != nil {
			o.reporter = nil
			o.warn("memberships are not renewed; queries are still answered", logs.Error, err)
		}
	})
	return o.reporter
}

// Rejoin implements endpoint.Member. A leg that could not be joined at first is opened.
func (s *source) Rejoin() error {
	var all []error
	for i := range s.legs {
		l := &s.legs[i]
		if l.sock == nil {
			err := s.openLeg(l)
			l.late = err == nil
			all = append(all, err)
			continue
		}
		l.failed = l.sock.Rejoin()
		all = append(all, l.failed)
	}
	return errors.Join(all...)
}
