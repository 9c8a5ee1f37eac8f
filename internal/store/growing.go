package store

import (
	"cmp"
	"slices"
)

// Growth is an object that is being written.
type Growth struct {
	Info
	Hidden  bool // nobody reads it before it is complete
	Readers int  // who has opened its name: also those who read what stood there before
}

// Growing is what is being written.
func (k *keeper) Growing(most int) (list []Growth, all int) {
	list = k.growths()
	slices.SortFunc(list, func(a, b Growth) int {
		return cmp.Or(a.Modified.Compare(b.Modified), cmp.Compare(a.Name, b.Name))
	})
	return slices.Clip(list[:min(len(list), most)]), len(list)
}

func (k *keeper) growths() []Growth {
	k.mu.Lock()
	defer k.mu.Unlock()
	var list []Growth
	for _, w := range k.writing {
		if w.object == nil {
			continue
		}
		g := Growth{Info: w.info(), Hidden: w.create.Hidden}
		if !g.Hidden {
			g.Readers = k.reading[w.name]
		}
		list = append(list, g)
	}
	return list
}
