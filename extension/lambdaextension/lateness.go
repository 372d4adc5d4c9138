// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdaextension

import (
	"time"

	"go.uber.org/zap"
)

// How long the end of invocations is not waited for after it was in vain: the shortest doubles up to the longest, as it is
// in vain again.
const (
	firstLateness   = 5 * time.Minute
	longestLateness = time.Hour
)

// lateness is about news of the end of an invocation that comes after the next one has begun, or not at all. Each such
// invocation is held until shortly before its deadline, billed, with the function long done. So it is waited for once, and
// then not for some time. It belongs to the loop.
type lateness struct {
	// overdue says that the last invocation's end was not known before its deadline.
	overdue bool
	// until is the wall time before which nothing is waited for, zero if that is not so.
	until time.Time
	pause time.Duration
}

// next is called when an invocation begins. Lambda ends the environment of a function that is not done at its deadline, so
// one that was overdue had ended.
func (l *lateness) next(now time.Time) (begins, ends bool) {
	now = now.Round(0)
	switch {
	case l.overdue:
		l.overdue = false
		l.pause = min(max(2*l.pause, firstLateness), longestLateness)
		l.until = now.Add(l.pause)
		return true, false
	case !l.until.IsZero() && !now.Before(l.until):
		l.until = time.Time{}
		return false, true
	default:
		return false, false
	}
}

// judgeLateness decides whether the end of the invocation that begins is waited for.
func (e *lambdaExtension) judgeLateness(now time.Time) {
	begins, ends := e.late.next(now)
	if !begins && !ends {
		return
	}
	e.mu.Lock()
	if begins {
		e.schedule = ScheduleContinuous
	} else {
		e.schedule = ScheduleFlush
	}
	e.mu.Unlock()
	if begins {
		e.logger.Warn("Lambda told of the end of an invocation too late, or not at all, and the environment was held for it: "+
			"for some time data is delivered as it comes, and nothing is waited for", zap.Duration("time", e.late.pause))
		e.deliverWhatWaited(e.running)
	}
}
