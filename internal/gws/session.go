package gws

import (
	"time"

	"sluice/internal/handoff"
	"sluice/internal/lineup"
	"sluice/internal/uri"
)

// patienceOf is how long an engine may take to answer: it may try one source after the
// other, each of which may take the no-data time to open and as long again to deliver, and
// open a target before. 0 = as long as the client stays.
func patienceOf(conf *Config, a handoff.Attach) time.Duration {
	if a.Channel.NoData == 0 {
		return 0
	}
	d := 2*a.Channel.NoData*time.Duration(len(a.Channel.Sources)) + conf.AnswerTimeout
	if a.Target != nil {
		d += conf.AnswerTimeout
	}
	return d
}

// shared says whether those who ask for a channel get the same bytes. A file that has no
// name in the configuration is sent to each of them from its beginning.
func shared(ch lineup.Channel) bool {
	return ch.Name != "" || ch.Sources[0][0].Scheme != uri.File
}

// ownLocked gives a client whose channel is not shared one of his own: with a number that no
// channel has at any engine or on its way there, and that lives as long as the file lasts.
func (s *Server) ownLocked(c *client) {
	ch := &c.attach.Channel
	if shared(*ch) {
		return
	}
	ch.Linger = 0
	if ch.NoData > 0 { // the end of the file is waited at first
		ch.NoData += ch.Growth
	}
	c.patience = patienceOf(c.conf, c.attach)
	for ch.Copy == 0 || s.tally.channels[c.tag] != nil {
		s.lastCopy++
		ch.Copy = s.lastCopy
		c.tag = ch.Tag()
	}
}
