package gws

import (
	"container/list"
	"time"
)

// maxFailures bounds how many channels are known to have failed: who asks for one dead
// group after the other makes gws forget the oldest.
const maxFailures = 4096

// failures are the channels that could not be had when that was last tried. The zero value
// is empty.
type failures struct {
	byTag map[string]*list.Element
	order list.List // of failure, the oldest in front
}

type failure struct {
	tag string
	at  time.Time
}

// note remembers that a channel has failed now.
func (f *failures) note(tag string, now time.Time) {
	f.forget(tag)
	if f.byTag == nil {
		f.byTag = make(map[string]*list.Element)
	}
	f.byTag[tag] = f.order.PushBack(failure{tag, now})
	if f.order.Len() > maxFailures {
		f.forget(f.order.Front().Value.(failure).tag)
	}
}

// forget is for a channel that delivers.
func (f *failures) forget(tag string) {
	if e := f.byTag[tag]; e != nil {
		f.order.Remove(e)
		delete(f.byTag, tag)
	}
}

// lately reports whether a channel has failed less than that long before now.
func (f *failures) lately(tag string, now time.Time, long time.Duration) bool {
	e := f.byTag[tag]
	return e != nil && now.Sub(e.Value.(failure).at) < long
}
