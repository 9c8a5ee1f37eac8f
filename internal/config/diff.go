package config

// Diff lists the keys that two configurations differ in, in the order of the example
// file: those that take effect at once, and those that want a restart. What the user
// names is named as channels.NAME, whatever differs in it.
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
	earlier := old.groups()
	for i, n := range now.groups() {
		atOnce = append(atOnce, differentNames(n.key, earlier[i].all, n.all)...)
	}
	return atOnce, afterRestart
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
