package gws

// candidate is an engine as pick sees it.
type candidate struct {
	carries bool // the channel runs there, or a client for it is on its way there
	tried   bool // asked for this client before, and gone
}

// pick decides which engine gets a client: the one that carries the channel, since a
// channel is received once; else the next from turn on in a circle. It returns -1
// when all were tried.
func pick(list []candidate, turn int) int {
	for i, c := range list {
		if c.carries && !c.tried {
			return i
		}
	}
	for k := range list {
		if i := (turn + k) % len(list); !list[i].tried {
			return i
		}
	}
	return -1
}
