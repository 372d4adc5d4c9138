// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package flush

import "time"

// What Adaptive calls frequent. None of it follows from a setting of the user, but that a shorter interval shortens
// settling: changing how often data leaves, or how long a request may take, must not change how traffic is judged.
const (
	// window is how many gaps the rate is the mean of. The mean of ten gaps of random (Poisson) traffic is off by a third
	// typically, and by a factor of three hardly ever. Learning it at the end of eleven invocations holds the environment
	// for some 30 ms each, a third of a second in all.
	window = 10

	// settling is how long traffic has to go on as well before it counts as frequent, or the interval if that is shorter:
	// until then Periodic would not have delivered anything. A burst or a load test of a few seconds so leaves nothing
	// behind in a frozen environment. It matters for gaps below a second only, and costs such a function 10 s with a
	// longer hold, once.
	settling = 10 * time.Second

	// frequentGap is the largest mean gap with which invocations become frequent. With longer ones than DefaultInterval,
	// Periodic delivers in each invocation as End does, just one gap later, and 30 ms in 10 s are no burden.
	frequentGap = 10 * time.Second

	// rareGap is the largest mean gap with which they stay frequent. It is three times frequentGap, because the means of
	// a rate whose gaps vary by ±50 % are at most a factor of three apart: no such rate is both.
	rareGap = 3 * frequentGap

	// quietGap is the gap after which traffic has died and must be learnt anew: what comes next need not be like what was
	// before. Random traffic that is just frequent has such a gap once in 400 (e⁶).
	quietGap = 60 * time.Second
)

// History is what an environment has seen. It is a value: a copy is a snapshot. The zero value has seen nothing.
//
// All times are wall times, since monotonic time may stand still while the environment is frozen. The wall clock may
// be set: back, which is a gap of unknown length and makes a delivery due at once if the last one now lies ahead; or
// far forward, which makes one due too early. Adaptive cannot tell that from a quiet gap, and learns the rate anew.
type History struct {
	arrived   time.Time // the last invocation; zero before the first
	delivered time.Time // the last delivery; zero before the first

	// atEnd and sent are about the last invocation: that its plan was AtEnd, and that there was a delivery since.
	atEnd, sent bool

	frequent bool
	gaps     [window]time.Duration // a ring
	seen     int                   // gaps since it was quiet
	lasted   time.Duration         // their sum
}

// Delivered is for the start, at the wall time now, of a delivery of everything that waits. One that fails counts: what
// it carried has been tried.
func (h History) Delivered(now time.Time) History {
	h.delivered, h.sent = now.Round(0), true
	return h
}

// Mode is what Adaptive has chosen: End or Periodic. It follows the invocations under other strategies too.
func (h History) Mode() Strategy {
	if h.frequent {
		return Periodic
	}
	return End
}

// waiting reports whether the last invocation may have left data that nobody has tried to deliver. If it was killed
// after it had delivered something, the rest waits for the next end.
func (h *History) waiting() bool {
	return !h.arrived.IsZero() && (!h.atEnd || !h.sent)
}

// due reports whether the interval has passed since the last delivery, which is the year 1 if there was none.
func (h *History) due(interval time.Duration, now time.Time) bool {
	return now.Before(h.delivered) || now.Sub(h.delivered) >= interval
}

// arrive takes an arrival into account, and reports whether it ends a quiet gap.
func (h *History) arrive(interval time.Duration, now time.Time) (quiet bool) {
	gap := now.Sub(h.arrived)
	first := h.arrived.IsZero()
	h.arrived = now
	switch {
	case first, gap < 0: // the clock was set back
		return false
	case gap >= quietGap:
		h.frequent, h.seen, h.lasted = false, 0, 0
		return true
	}
	h.gaps[h.seen%window] = gap
	h.seen++
	h.lasted += gap
	h.judge(interval)
	return false
}

// judge changes its mind only if the rate is known and clearly different.
func (h *History) judge(interval time.Duration) {
	if h.seen < window || h.lasted < min(interval, settling) {
		return
	}
	var sum time.Duration
	for _, gap := range h.gaps {
		sum += gap
	}
	switch {
	case sum <= window*frequentGap:
		h.frequent = true
	case sum > window*rareGap:
		h.frequent = false
	}
}
