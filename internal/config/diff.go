package config

// Diff lists the keys that two configurations differ in, in the order of the example
// file: those that take effect at once, and those that want a restart. Channels and
// routes are named as channels.NAME, whatever differs in them.
func Diff(old, now Config) (atOnce, afterRestart []string) {
	before := old.settings()
	for i, s := range now.settings() {
		switch {
		case sameValue(s.value, before[i].value):
		case s.when == live:
			atOnce = append(atOnce, s.key)
		default:
			afterRestart = append(afterRestart, s.key)
		}
	}
	atOnce = append(atOnce, differentNames(channelsKey, named(old.Channels, (*Channel).binding), named(now.Channels, (*Channel).binding))...)
	atOnce = append(atOnce, differentNames(routesKey, named(old.Routes, (*Route).binding), named(now.Routes, (*Route).binding))...)
	return atOnce, afterRestart
}

// binding is a name with its table.
type binding struct {
	name  string
	table table
}

func (c *Channel) binding() binding { return binding{c.Name, c.settings()} }

func (r *Route) binding() binding { return binding{r.Name, r.settings()} }

func named[T any](list []T, bind func(*T) binding) []binding {
	out := make([]binding, len(list))
	for i := range list {
		out[i] = bind(&list[i])
	}
	return out
}

// differentNames are the names of those that are new, are not the same or are gone.
func differentNames(path string, old, now []binding) (names []string) {
	gone := make(map[string]table, len(old))
	for _, b := range old {
		gone[b.name] = b.table
	}
	for _, b := range now {
		before, ok := gone[b.name]
		if !ok || len(different(b.table, before)) > 0 {
			names = append(names, path+"."+b.name)
		}
		delete(gone, b.name)
	}
	for _, b := range old {
		if _, ok := gone[b.name]; ok {
			names = append(names, path+"."+b.name)
		}
	}
	return names
}
