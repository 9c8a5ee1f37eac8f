package ts

// clock follows the PCR of one PID.
type clock struct {
	pid       uint16
	announced bool // the next PCR need not fit
	started   bool
	last      int64 // the latest PCR
	at        int64 // its offset
	now       int64 // sum of the steps
	breaks    uint64
	line      line
}

// tick takes a PCR, counts what is wrong with it and returns how far the time went on
// since the one before: 0 for the first of a time base.
func (c *clock) tick(pcr, offset int64, h *health) (step int64) {
	old := *c
	c.last, c.at, c.started, c.announced, c.breaks = pcr, offset, true, false, h.breaks
	if !old.started {
		c.line.add(point{offset, c.now, h.nulls})
		return 0
	}
	step = mod(pcr-old.last, wrapPCR)
	jump := step > maxClockStep
	switch {
	case old.announced:
	case jump:
		h.count.PCRJump++
	case step > maxPCRGap:
		h.count.PCRInterval++
	}
	if jump || old.announced {
		step = 0
	}
	c.now += step
	switch {
	case jump || old.announced || offset-old.at > maxLineStep:
		c.line = line{}
	case h.breaks != old.breaks:
		c.line.shift()
	}
	h.count.PCRJitter += c.line.add(point{offset, c.now, h.nulls})
	return step
}

const (
	// linePoints is how many PCRs in a row show a constant rate; at least lineMost of
	// them must be on the line between the first and the last.
	linePoints = 17
	lineMost   = linePoints/2 + 1
	// linePatience is how many in a row may be off a line before it is given up.
	linePatience = 16
	// lineWidth is how far off the line a PCR may be, in ticks: 1 µs.
	lineWidth = ClockRate / 1_000_000
	// maxLineStep is the most bytes between two PCRs on a line, at which products of
	// bytes and ticks still fit into 63 bits: 2 Gbit/s with one PCR a second.
	maxLineStep = 1 << 28
)

// point is a PCR: where it stands, its time, and how many null packets came before it.
type point struct {
	at, time int64
	nulls    uint64
}

// line finds the constant rate of a stream and the PCRs that do not fit it. The zero
// line is looking for one.
type line struct {
	points [linePoints]point // the latest, while it is looked for
	count  int
	known  bool
	bytes  int64 // in
	ticks  int64 // so many
	on     point // the latest on the line
	off    int   // PCRs since
	moved  bool  // the next PCR is on the line, wherever it is
}

// add takes the next PCR and returns how many have turned out to be off the line.
func (l *line) add(p point) (off uint64) {
	if !l.known {
		return l.learn(p)
	}
	if l.moved {
		l.on, l.off, l.moved = p, 0, false
		return 0
	}
	if !l.fits(l.on, p) {
		if l.off++; l.off == linePatience {
			*l = line{}
		}
		return 0
	}
	off = uint64(l.off)
	l.on, l.off = p, 0
	return off
}

// shift says that bytes are missing or too many before the next PCR: the rate holds,
// the place does not.
func (l *line) shift() {
	l.moved, l.count = l.known, 0
}

// learn looks for a line through most of the latest PCRs. Null packets are what
// holds a rate constant: without them equal steps are chance.
func (l *line) learn(p point) (off uint64) {
	if l.count == linePoints {
		l.count = copy(l.points[:], l.points[1:])
	}
	l.points[l.count] = p
	l.count++
	first := l.points[0]
	if l.count < linePoints || p.nulls == first.nulls {
		return 0
	}
	l.bytes, l.ticks = p.at-first.at, p.time-first.time
	on := 0
	for _, q := range l.points {
		if l.fits(first, q) {
			on++
		}
	}
	if on < lineMost {
		return 0
	}
	l.known, l.on, l.off = true, p, 0
	return uint64(linePoints - on)
}

// fits reports that q is on the line through p.
func (l *line) fits(p, q point) bool {
	d := (q.time-p.time)*l.bytes - (q.at-p.at)*l.ticks
	return max(d, -d) <= lineWidth*l.bytes
}
