package spawnd

import "slices"

func workerGrammar() grammar[Worker] {
	return grammar[Worker]{
		words: slices.Concat(
			within(func(w *Worker) *Common { return &w.Common }, commonWords()),
			[]directive[Worker]{
				{name: "tls", also: []string{"ssl"}, read: then(
					text("cert-file", func(w *Worker) *Said[string] { return &w.Certificate }, "certfile", "cert"),
					text("key-file", func(w *Worker) *Said[string] { return &w.Key }, "keyfile", "key"),
					directive[Worker]{name: "passphrase", read: (*parser).passphrase},
				)},
				number("rebalance", func(w *Worker) *Said[int] { return &w.Rebalance }),
				{name: "idle", read: then(number("timeout", func(w *Worker) *Said[int] { return &w.IdleTimeout }))},
				{name: "retire", read: (*parser).retire},
				{name: "remote", read: (*parser).remote},
				{name: "local", read: then(text("address", func(w *Worker) *Said[string] { return &w.Local }))},
				mavis[Worker](),
			}),
		other: func(p *parser, _ *Worker) error {
			return p.now.place.Errorf("'%s' unexpected", p.got(p.now))
		},
	}
}

// passphrase takes a secret, which no error shows; so = may be left out.
func (p *parser) passphrase(w *Worker) error {
	if err := p.optional("="); err != nil {
		return err
	}
	p.secret = p.now.place
	return p.text(&w.Passphrase)
}

// retire takes "limit = n", or "= n" as in the documentation.
func (p *parser) retire(w *Worker) error {
	if p.now.is("=") {
		return p.natural(&w.Retire)
	}
	return then(number("limit", func(w *Worker) *Said[int] { return &w.Retire }))(p, w)
}

func (p *parser) remote(w *Worker) error {
	r := Remote{Place: p.at}
	err := p.openGroup()
	if err == nil {
		err = remoteGrammar().block(p, &r)
	}
	w.Remotes = append(w.Remotes, r)
	return err
}

func remoteGrammar() grammar[Remote] {
	return grammar[Remote]{words: []directive[Remote]{
		text("address", func(r *Remote) *Said[string] { return &r.Address }),
		text("port", func(r *Remote) *Said[string] { return &r.Port }),
		choice("protocol", func(r *Remote) *Said[string] { return &r.Protocol }, "TCP", "SCTP"),
		{name: "weight", read: func(p *parser, r *Remote) error { return p.integer(&r.Weight) }},
		{name: "proxy", ours: true, read: then(choice("protocol", func(r *Remote) *Said[string] { return &r.Proxy }, "v1", "v2"))},
	}}
}
