package duplex

import (
	"time"

	"sluice/internal/flow"
)

// never is a moment that has not come.
const never = time.Duration(-1)

// limits are how long a session may be quiet; zero = for ever.
type limits struct {
	idle time.Duration // with both sides open, or not
	half time.Duration // since one side has ended
}

// due is the cause for which a quiet session is over, or CauseNone and how long to wait
// before the next look; zero = there is nothing to wait for. last is when it carried a
// byte last, half when one side ended (or never); all of them since the same moment.
func (l limits) due(now, last, half time.Duration) (why flow.Cause, wait time.Duration) {
	if l.half > 0 && half != never {
		wait = max(last, half) + l.half - now
		if wait <= 0 {
			return flow.CauseHalfClosed, 0
		}
	}
	if l.idle > 0 {
		idle := last + l.idle - now
		if idle <= 0 {
			return flow.CauseIdle, 0
		}
		if wait == 0 || idle < wait {
			wait = idle
		}
	}
	return flow.CauseNone, wait
}
