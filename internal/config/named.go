package config

// named is a group whose members the user names; each has a table of settings of its own.
type named struct {
	key  string                           // where it stands: channels, relay.pools
	add  func(name string) (table, error) // another member, with what holds for all of them
	need func() error                     // what the member that was added last must say and does not; nil = nothing
	all  []binding                        // in the order of the file
	base table                            // of a member about which nothing is said
}

// binding is a name with its table.
type binding struct {
	name  string
	table table
}

func (c *Config) relayGroups() []named {
	return []named{
		{key: listenersKey, add: c.addListener, all: bind(c.Relay.Listeners, (*RelayListener).binding), base: newListener("").settings()},
		{key: poolsKey, add: c.addPool, all: bind(c.Relay.Pools, (*RelayPool).binding), base: newPool("").settings()},
	}
}

func (c *Config) originGroups() []named {
	o := &c.Origin
	return []named{
		{key: sinksKey, add: c.addSink, need: c.needSink, all: bind(o.SinkList, (*OriginSink).binding), base: (&OriginSink{OriginSinkSettings: o.OriginSinkSettings}).settings()},
		{key: recordsKey, add: c.addRecord, need: c.needRecord, all: bind(o.RecordList, (*OriginRecord).binding), base: new(OriginRecord).settings()},
		{key: pushesKey, add: c.addPush, need: c.needPush, all: bind(o.PushList, (*OriginPush).binding), base: newPush("").settings()},
	}
}

func (c *Config) channelGroups() []named {
	return []named{
		{key: channelsKey, add: c.addChannel, need: c.needSource, all: bind(c.Channels, (*Channel).binding), base: (&Channel{Settings: c.Settings}).settings()},
		{key: routesKey, add: c.addRoute, all: bind(c.Routes, (*Route).binding), base: new(Route).settings()},
	}
}

func bind[T any](list []T, of func(*T) binding) []binding {
	out := make([]binding, len(list))
	for i := range list {
		out[i] = of(&list[i])
	}
	return out
}

func (l *RelayListener) binding() binding { return binding{l.Name, l.settings()} }

func (p *RelayPool) binding() binding { return binding{p.Name, p.settings()} }

func (s *OriginSink) binding() binding { return binding{s.Name, s.settings()} }

func (r *OriginRecord) binding() binding { return binding{r.Name, r.settings()} }

func (p *OriginPush) binding() binding { return binding{p.Name, p.settings()} }

func (c *Channel) binding() binding { return binding{c.Name, c.settings()} }

func (r *Route) binding() binding { return binding{r.Name, r.settings()} }

// addListener is AddListener for a file.
func (c *Config) addListener(name string) (table, error) {
	l, err := c.Relay.AddListener(name)
	if err != nil {
		return nil, err
	}
	return l.settings(), nil
}

// addPool is AddPool for a file.
func (c *Config) addPool(name string) (table, error) {
	p, err := c.Relay.AddPool(name)
	if err != nil {
		return nil, err
	}
	return p.settings(), nil
}
