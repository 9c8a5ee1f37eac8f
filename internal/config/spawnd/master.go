package spawnd

import "slices"

func spawndGrammar() grammar[Spawnd] {
	return grammar[Spawnd]{
		words: slices.Concat(
			within(func(s *Spawnd) *Common { return &s.Common }, commonWords()),
			[]directive[Spawnd]{
				{name: "permit", read: func(p *parser, s *Spawnd) error { return p.rule(s, false) }},
				{name: "deny", read: func(p *parser, s *Spawnd) error { return p.rule(s, true) }},
				{name: "acl", read: then(
					directive[Spawnd]{name: "permit", also: []string{"accept"}, read: func(p *parser, s *Spawnd) error { return p.rule(s, false) }},
					directive[Spawnd]{name: "deny", also: []string{"reject"}, read: func(p *parser, s *Spawnd) error { return p.rule(s, true) }},
				)},
				{name: "listen", read: (*parser).listen},
				boolean("background", func(s *Spawnd) *Said[bool] { return &s.Background }),
				retryDelay(func(s *Spawnd) *Said[int] { return &s.RetryDelay }),
				{name: "tcp", read: then(
					keepAlive(func(s *Spawnd) *KeepAlive { return &s.KeepAlive }),
					ignored(directive[Spawnd]{name: "bufsize", read: (*parser).bufsize}, "'tcp bufsize' has no effect: connections are not passed through sockets"),
				)},
				text("pidfile", func(s *Spawnd) *Said[string] { return &s.PIDFile }, "pid-file"),
				choice("overload", func(s *Spawnd) *Said[string] { return &s.Overload }, "close", "queue", "reset"),
				{name: "single", read: then(boolean("process", func(s *Spawnd) *Said[bool] { return &s.SingleProcess }))},
				{name: "spawn", read: (*parser).spawn},
				sticky(func(s *Spawnd) *Sticky { return &s.Sticky }),
				mavis[Spawnd](),
			}),
	}
}

// rule takes [not] ADDRESS[/BITS].
func (p *parser) rule(s *Spawnd, deny bool) error {
	rule := Rule{Deny: deny, Not: p.now.is("not")}
	if rule.Not {
		if err := p.advance(); err != nil {
			return err
		}
	}
	if !p.now.value() {
		return p.now.place.Errorf("Expected an IP address or network in CIDR notation, but got '%s'.", p.got(p.now))
	}
	err := p.text(&rule.Network)
	s.Rules = append(s.Rules, rule)
	return err
}

// retryDelay is "bind retry delay".
func retryDelay[T any](field func(*T) *Said[int]) directive[T] {
	return directive[T]{name: "bind", read: then(directive[T]{name: "retry", read: then(number("delay", field))})}
}

// keepAlive is "keepalive", which stands behind "tcp".
func keepAlive[T any](part func(*T) *KeepAlive) directive[T] {
	return directive[T]{name: "keepalive", read: then(within(part, []directive[KeepAlive]{
		number("count", func(k *KeepAlive) *Said[int] { return &k.Count }),
		number("idle", func(k *KeepAlive) *Said[int] { return &k.Idle }),
		number("interval", func(k *KeepAlive) *Said[int] { return &k.Interval }),
	})...)}
}

// sticky is "sticky cache".
func sticky[T any](part func(*T) *Sticky) directive[T] {
	return directive[T]{name: "sticky", read: then(directive[T]{name: "cache", read: then(within(part, []directive[Sticky]{
		number("period", func(s *Sticky) *Said[int] { return &s.Period }),
		number("size", func(s *Sticky) *Said[int] { return &s.Size }),
	})...)})}
}

// bufsize takes an integer; = may be left out, as the documentation does.
func (p *parser) bufsize(*Spawnd) error {
	if err := p.optional("="); err != nil {
		return err
	}
	return p.amount(new(Said[int]))
}

// open goes behind the opening brace of a group.
func (p *parser) openGroup() error {
	if err := p.optional("="); err != nil {
		return err
	}
	return p.expect("{")
}

func (p *parser) spawn(s *Spawnd) error {
	if err := p.openGroup(); err != nil {
		return err
	}
	return spawnGrammar().block(p, s)
}

func spawnGrammar() grammar[Spawnd] {
	none := void[Spawnd, int]
	return grammar[Spawnd]{words: []directive[Spawnd]{
		ignored(directive[Spawnd]{name: "exec", read: (*parser).exec}, "'exec' has no effect: this program is the worker"),
		text("id", func(s *Spawnd) *Said[string] { return &s.WorkerID }),
		text("config", func(s *Spawnd) *Said[string] { return &s.WorkerConfig }),
		{name: "instances", also: []string{"servers"}, read: then(
			number("min", none, "minimum"),
			number("max", func(s *Spawnd) *Said[int] { return &s.InstancesMax }, "maximum"),
		)},
		{name: "users", read: then(
			number("min", none, "minimum"),
			number("max", func(s *Spawnd) *Said[int] { return &s.UsersMax }, "maximum"),
		)},
		text("userid", func(s *Spawnd) *Said[string] { return &s.User }),
		text("groupid", func(s *Spawnd) *Said[string] { return &s.Group }),
		{name: "working", read: then(ignored(text("directory", void[Spawnd, string]), "'working directory' has no effect"))},
		{name: "ipc", read: then(ignored(number("key", none), "'ipc key' has no effect: the file is read once"))},
		sticky(func(s *Spawnd) *Sticky { return &s.Sticky }),
	}}
}

// exec takes a path; = may be left out, as the documentation does.
func (p *parser) exec(*Spawnd) error {
	if err := p.optional("="); err != nil {
		return err
	}
	return p.text(new(Said[string]))
}
