// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package flush

import "time"

const (
	// spacings is into how many parts an interval is divided by the deliveries that idleness may cause. An instance that
	// turns idle a thousand times a second so makes four times the requests of a busy one, and not a thousand times; data
	// of one that has been quiet does not notice.
	spacings = 4

	// shortestInterval keeps an interval that was meant to have a unit (`interval: 10` is 10 ns) from taking a CPU.
	shortestInterval = 10 * time.Millisecond

	// longestInvocation is AWS Lambda's longest timeout. What began longer ago has ended, whether its report came or not.
	longestInvocation = 15 * time.Minute

	// mostInvocations is more than an instance runs at once: 64 for each of its vCPUs, as AWS Lambda's documentation has it.
	mostInvocations = 2048

	// longestDetour is how much later than its report the start of an invocation may come. Lambda tries a failed
	// asynchronous invocation again under the same id, a minute later at the earliest, and that start must count.
	longestDetour = 10 * time.Second
)

// Managed decides for an environment of Lambda Managed Instances, which runs many invocations at once, is never frozen, and
// does not tell its extensions of invocations: everything leaves once in an interval, and as soon as nothing runs any
// more, as far as the Telemetry API's events say that. Events may be missing, come twice or in any order; without any,
// the interval is all there is. The caller has the timer, and delivers when Next has come.
//
// The times are of a clock that is never set, as those of time.Now are among each other. Managed is for one goroutine at a
// time.
type Managed struct {
	interval time.Duration
	due      time.Time // the next delivery at the latest
	soonest  time.Time // the next delivery at the soonest
	running  recent
	early    recent // reports whose starts have not come
	ended    bool   // an invocation has, since the last delivery
	heard    bool   // there are events at all
}

// NewManaged is for an environment that begins now. The strategy in the settings does not matter, since nothing is held
// anyway; the interval does, and is DefaultContinuousInterval if there is none.
func NewManaged(s Settings, now time.Time) *Managed {
	s.Strategy = Continuous
	interval := max(s.interval(), shortestInterval)
	return &Managed{
		interval: interval,
		due:      now.Add(interval),
		soonest:  now,
		running:  recent{life: longestInvocation, room: mostInvocations, turned: now},
		early:    recent{life: longestDetour, room: mostInvocations, turned: now},
	}
}

// Started is for the event that an invocation has begun.
func (m *Managed) Started(requestID string, now time.Time) {
	if requestID == "" {
		return
	}
	m.heard = true
	m.running.age(now)
	m.early.age(now)
	if !m.early.remove(requestID) {
		m.running.add(requestID)
	}
}

// Reported is for the event that an invocation is over.
func (m *Managed) Reported(requestID string, now time.Time) {
	if requestID == "" {
		return
	}
	m.heard, m.ended = true, true
	m.running.age(now)
	m.early.age(now)
	if !m.running.remove(requestID) {
		m.early.add(requestID)
	}
}

// Delivered is for the start of a delivery of everything that waits.
func (m *Managed) Delivered(now time.Time) {
	m.due, m.soonest, m.ended = now.Add(m.interval), now.Add(m.interval/spacings), false
}

// Next is when the next delivery is due, which may be in the past. An event can bring it forward, and a start put it off
// again: data of an instance that is busy waits for the interval.
func (m *Managed) Next() time.Time {
	if m.ended && m.Idle() {
		return m.soonest
	}
	return m.due
}

// Idle reports whether it is known that no invocation runs.
func (m *Managed) Idle() bool { return m.heard && !m.Running() }

// Running reports whether it is known that one does.
func (m *Managed) Running() bool { return !m.running.empty() }

// Interval is the longest time between two deliveries.
func (m *Managed) Interval() time.Duration { return m.interval }

// recent is a set that forgets: an element stays for the time life and for room further ones, and leaves before twice as
// much of either has passed. Between calls of age nothing leaves.
type recent struct {
	life       time.Duration
	room       int
	turned     time.Time
	young, old map[string]struct{}
}

// age lets what is too old go.
func (r *recent) age(now time.Time) {
	passed := now.Sub(r.turned)
	if passed < r.life && len(r.young) < r.room {
		return
	}
	r.old, r.young, r.turned = r.young, nil, now
	if passed >= 2*r.life {
		r.old = nil
	}
}

func (r *recent) add(element string) {
	delete(r.old, element)
	if r.young == nil {
		r.young = map[string]struct{}{}
	}
	r.young[element] = struct{}{}
}

// remove reports whether the element was there.
func (r *recent) remove(element string) bool {
	_, young := r.young[element]
	_, old := r.old[element]
	delete(r.young, element)
	delete(r.old, element)
	return young || old
}

func (r *recent) empty() bool { return len(r.young)+len(r.old) == 0 }
