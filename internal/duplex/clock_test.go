package duplex

import (
	"testing"
	"time"

	"sluice/internal/flow"
)

func TestDue(t *testing.T) {
	const s = time.Second
	for _, tt := range []struct {
		idle, half      time.Duration
		now, last, when time.Duration
		cause           flow.Cause
		wait            time.Duration
	}{
		{0, 0, 100 * s, 0, never, flow.CauseNone, 0},
		{0, 0, 100 * s, 0, 50 * s, flow.CauseNone, 0},
		{10 * s, 0, 0, 0, never, flow.CauseNone, 10 * s},
		{10 * s, 0, 14 * s, 5 * s, never, flow.CauseNone, s},
		{10 * s, 0, 15 * s, 5 * s, never, flow.CauseIdle, 0},
		{10 * s, 0, 99 * s, 5 * s, never, flow.CauseIdle, 0},
		{0, 5 * s, 99 * s, 0, never, flow.CauseNone, 0},                // both sides are open
		{0, 5 * s, 12 * s, 3 * s, 10 * s, flow.CauseNone, 3 * s},       // since a side ended
		{0, 5 * s, 12 * s, 11 * s, 10 * s, flow.CauseNone, 4 * s},      // since the other sent something
		{0, 5 * s, 16 * s, 11 * s, 10 * s, flow.CauseHalfClosed, 0},    //
		{3 * s, 60 * s, 12 * s, 11 * s, 10 * s, flow.CauseNone, 2 * s}, // what comes first
		{3 * s, 60 * s, 15 * s, 11 * s, 10 * s, flow.CauseIdle, 0},
		{60 * s, 3 * s, 12 * s, 11 * s, 10 * s, flow.CauseNone, 2 * s},
		{60 * s, 3 * s, 14 * s, 11 * s, 10 * s, flow.CauseHalfClosed, 0},
		{0, 5 * s, 5 * s, 0, 0, flow.CauseHalfClosed, 0}, // it ended at once
	} {
		cause, wait := limits{tt.idle, tt.half}.due(tt.now, tt.last, tt.when)
		if cause != tt.cause || wait != tt.wait {
			t.Errorf("%+v: %v, %v", tt, cause, wait)
		}
	}
}
