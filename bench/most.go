package main

// The search for the most clients that a server holds, without the I/O;
// most_linux.go does the rest.

const (
	mostStep    = 500 // clients between two sizes that are tried
	mostAge     = 500 // ms: whose oldest one percent of packets is older does not keep up
	loadLag     = 100 // ms: clients that are behind by more are no measure of a server
	leastPace   = 99  // %: a sender below is no measure either
	leastShare  = 99  // %: of what was sent, to every client
	mostClimbed = 100 // steps; nobody has come near
)

// keepsUp says whether the figures are those of a server that holds all its clients.
func keepsUp(m measured) bool {
	return m[gaps] == 0 && m[delivered] >= leastShare && m[ageP99] <= mostAge
}

// strained says whether the load itself was behind: what was measured is its limit, not
// that of the server.
func strained(m measured) bool {
	slips := m[pace] > 0 && m[pace] < leastPace
	return slips || m[crowdLag] > loadLag
}

// climb finds the largest size that holds, in steps: up from first until one does not,
// or down from it until one does. failed is the size above that was seen not to hold, 0
// if none; most is 0 when not even the smallest does.
func climb(first, step int, holds func(size int) (bool, error)) (most, failed int, err error) {
	for size := first; size > 0 && size <= first+mostClimbed*step; {
		ok, err := holds(size)
		switch {
		case err != nil:
			return most, failed, err
		case ok:
			most = size
		default:
			failed = size
		}
		if most > 0 && failed > 0 {
			break
		}
		if ok {
			size += step
		} else {
			size -= step
		}
	}
	return most, failed, nil
}
