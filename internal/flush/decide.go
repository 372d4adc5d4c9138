// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package flush

import "time"

const (
	// DefaultInterval is that of Periodic and Adaptive. Data that waits is about as old as this when it leaves, which is
	// fresh enough for somebody who watches a dashboard, and one request in 10 s is nothing beside the invocations of a
	// busy function. Shorter, batches get small; longer, more is left behind when traffic stops.
	DefaultInterval = 10 * time.Second

	// DefaultContinuousInterval is that of Continuous. A function that is killed loses at most a second of data, and a
	// request a second is still one that carries a batch.
	DefaultContinuousInterval = time.Second
)

// Settings are what the user chose.
type Settings struct {
	// Strategy is Adaptive if it is empty or none of the constants.
	Strategy Strategy
	// Interval is the time between two deliveries. Zero or less is the default of the strategy; with End, which needs
	// none, it means that a long invocation delivers only when it ends.
	Interval time.Duration
}

// interval is the user's or the strategy's default.
func (s Settings) interval() time.Duration {
	switch {
	case s.Interval > 0:
		return s.Interval
	case s.Strategy == End:
		return 0
	case s.Strategy == Continuous:
		return DefaultContinuousInterval
	default:
		return DefaultInterval
	}
}

// Plan is what to do about one invocation. It is about data that nobody has tried to deliver yet: when to try again
// what failed is the business of the queue that keeps it.
type Plan struct {
	// AtStart is to deliver what is waiting while the handler runs. Nobody waits for it.
	AtStart bool
	// AtEnd is to wait for the end of the invocation, and to deliver before the next event is asked for.
	AtEnd bool
	// Every is to deliver each time the invocation has run for another such time, first after one of them. Zero is
	// never.
	Every time.Duration
}

// Decide is for the arrival of an invocation at the wall time now. The history it returns is the one to go on with.
func Decide(s Settings, h History, now time.Time) (Plan, History) {
	now = now.Round(0)
	interval := s.interval()
	waiting, due := h.waiting(), h.due(interval, now)
	quiet := h.arrive(interval, now)

	var p Plan
	switch s.Strategy {
	case End:
		p = Plan{AtEnd: true, Every: interval}
	case Periodic:
		// An invocation that is longer than the interval must not sit on its data.
		p = Plan{AtStart: waiting && due, Every: interval}
	case Continuous:
		p = Plan{AtStart: true, Every: interval}
	default:
		// What is left from before a quiet gap is old, however long the interval is.
		p = Plan{AtStart: waiting && (due || quiet), AtEnd: !h.frequent, Every: interval}
	}
	h.atEnd, h.sent = p.AtEnd, false
	return p, h
}
