// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"math/rand/v2"
	"net/http"
	"slices"
	"time"

	"github.com/otelcol-lambda/otelcol-lambda/internal/otlpsink"
	"github.com/otelcol-lambda/otelcol-lambda/test/soak/work"
)

// A plan is everything that a soak does, drawn from its seed. What it leaves open is only how long things take.
type plan struct {
	seed         uint64
	environments []environmentPlan
}

// environmentPlan is the life of one environment.
type environmentPlan struct {
	number   int
	strategy string
	interval time.Duration
	steps    []step
}

// step is one invocation and what comes before it.
type step struct {
	// gap is how long the environment has been frozen since the invocation before.
	gap time.Duration
	// change, if not nil, is what the backend begins to do.
	change *change
	event  work.Event
}

// change is the beginning or the end of a fault.
type change struct {
	kind faultKind
	// faults is empty for healthy.
	faults []otlpsink.Fault
	// into is how far into the invocation the change comes; 0 is before it, while everything is frozen.
	into time.Duration
}

// faultKind names what the backend does.
type faultKind string

const (
	healthy        faultKind = "healthy"
	unavailable    faultKind = "503"
	throttled      faultKind = "429"
	hanging        faultKind = "hang"
	notReading     faultKind = "hang before read"
	slow           faultKind = "slow"
	resetting      faultKind = "reset"
	closing        faultKind = "close"
	answerLost     faultKind = "answer lost"
	refusing       faultKind = "refuse"
	refusedForGood faultKind = "400"
)

func faultKinds() []faultKind {
	return []faultKind{
		unavailable, throttled, hanging, notReading, slow, resetting, closing, answerLost, refusing, refusedForGood,
	}
}

// weights is how often each kind comes in a deck; those that hide the others, by filling queues, or that cost data come
// less often.
func weights() map[faultKind]int {
	return map[faultKind]int{
		unavailable: 4, throttled: 2, hanging: 2, notReading: 1, slow: 4, resetting: 3, closing: 2, answerLost: 2,
		refusing: 3, refusedForGood: 1,
	}
}

// strategies are those of the lambda extension.
func strategies() []string { return []string{"adaptive", "end", "periodic", "continuous"} }

const (
	// longEnvironment is how many invocations the memory rule needs. Such an environment is not reset: what grows must
	// be one process.
	longEnvironment = 1000
	// longEvery is how often there is one. In a short soak it would be the only one.
	longEvery = 6
	longFrom  = 5 * longEnvironment

	// hangLimit ends a request that hangs. It is longer than a flush and shorter than the exporter's own timeout, after
	// which it would send the request again.
	hangLimit = 8 * time.Second
	// resetDistance is how many invocations there are before, between and after resets: the data that a reset leaves
	// behind has a next process to deliver it.
	resetDistance = 20
)

// newPlan draws a plan for so many invocations.
func newPlan(seed uint64, invocations int) plan {
	d := &dealer{rng: rand.New(rand.NewPCG(seed, 0))} //nolint:gosec // the same numbers for the same seed are the point
	p := plan{seed: seed}
	for left, n := invocations, 0; left > 0; n++ {
		count := d.between(100, 300)
		long := invocations >= longFrom && n%longEvery == 0 && left >= 2*longEnvironment
		if long {
			count = d.between(longEnvironment, longEnvironment*3/2)
		}
		if rest := left - count; rest < 100 {
			count = left
		}
		p.environments = append(p.environments, d.environment(n, count, long))
		left -= count
	}
	return p
}

// only leaves the environment with the given number.
func (p plan) only(number int) plan {
	p.environments = slices.DeleteFunc(slices.Clone(p.environments), func(e environmentPlan) bool {
		return e.number != number
	})
	return p
}

func (p plan) invocations() (n int) {
	for _, e := range p.environments {
		n += len(e.steps)
	}
	return n
}

// dealer draws. Kinds of faults, strategies and resets come from decks, so that a short soak has them all.
type dealer struct {
	rng    *rand.Rand
	faults []faultKind
	dealt  bool // the first deck has been dealt, with one of each kind
	hands  []string
	resets int
}

// between draws from low to high.
func (d *dealer) between(low, high int) int { return low + d.rng.IntN(high-low+1) }

// in draws true once in n times.
func (d *dealer) in(n int) bool { return d.rng.IntN(n) == 0 }

func (d *dealer) milliseconds(low, high int) time.Duration {
	return time.Duration(d.between(low, high)) * time.Millisecond
}

func shuffled[T any](rng *rand.Rand, deck []T) []T {
	rng.Shuffle(len(deck), func(i, j int) { deck[i], deck[j] = deck[j], deck[i] })
	return deck
}

func (d *dealer) kind() faultKind {
	if len(d.faults) == 0 {
		for _, kind := range faultKinds() {
			copies := 1
			if d.dealt {
				copies = weights()[kind]
			}
			d.faults = append(d.faults, slices.Repeat([]faultKind{kind}, copies)...)
		}
		d.faults, d.dealt = shuffled(d.rng, d.faults), true
	}
	kind := d.faults[0]
	d.faults = d.faults[1:]
	return kind
}

func (d *dealer) strategy() string {
	if len(d.hands) == 0 {
		d.hands = shuffled(d.rng, strategies())
	}
	s := d.hands[0]
	d.hands = d.hands[1:]
	return s
}

func (d *dealer) environment(number, count int, long bool) environmentPlan {
	e := environmentPlan{
		number: number, strategy: d.strategy(), interval: d.milliseconds(100, 1000), steps: make([]step, count),
	}
	for i := range e.steps {
		e.steps[i] = step{gap: d.gap(), event: d.event(i + 1)}
	}
	d.addFaults(e.steps)
	if !long {
		d.addResets(e.steps)
	}
	return e
}

// gap is short mostly, as in an environment that is busy.
func (d *dealer) gap() time.Duration {
	switch n := d.rng.IntN(1000); {
	case n < 4:
		return d.milliseconds(1000, 3000)
	case n < 50:
		return 300 * time.Millisecond
	default:
		return d.milliseconds(0, 50)
	}
}

// event draws what an invocation does, from nothing to some hundred kilobytes.
func (d *dealer) event(number int) work.Event {
	e := work.Event{Number: number}
	switch n := d.rng.IntN(100); {
	case n < 10:
	case n < 75:
		e.Spans, e.Points, e.Logs = d.between(0, 20), d.between(0, 4), d.between(0, 8)
		e.Lines, e.ItemBytes, e.LineBytes = d.between(0, 5), d.between(0, 200), d.between(0, 100)
	case n < 92:
		e.Spans, e.Points, e.Logs = d.between(20, 100), d.between(0, 20), d.between(0, 60)
		e.Lines, e.ItemBytes, e.LineBytes = d.between(0, 20), d.between(0, 300), d.between(0, 300)
	default:
		e.Spans, e.Points, e.Logs = d.between(50, 150), d.between(0, 30), d.between(0, 100)
		e.Lines, e.ItemBytes, e.LineBytes = d.between(0, 40), d.between(300, 1500), d.between(0, 1000)
	}
	switch n := d.rng.IntN(100); {
	case n < 70:
	case n < 97:
		e.SleepMS = d.between(1, 20)
	default:
		e.SleepMS = d.between(100, 400)
	}
	if d.in(50) {
		e.End = work.Fail
	}
	return e
}

// addFaults has faults come and go. Every second environment ends in one.
func (d *dealer) addFaults(steps []step) {
	for at := d.between(5, 40); at < len(steps); {
		steps[at].change = d.begin()
		at += d.between(3, 20)
		if at >= len(steps) {
			break
		}
		steps[at].change = d.end()
		at += d.between(10, 60)
	}
	if last := &steps[len(steps)-d.between(1, 3)]; last.change == nil && d.in(2) {
		last.change = d.begin()
	}
}

// into is before the invocation as often as in it.
func (d *dealer) into() time.Duration {
	if d.in(2) {
		return 0
	}
	return d.milliseconds(1, 20)
}

func (d *dealer) end() *change { return &change{kind: healthy, into: d.into()} }

func (d *dealer) begin() *change {
	kind := d.kind()
	return &change{kind: kind, into: d.into(), faults: []otlpsink.Fault{d.fault(kind)}}
}

func (d *dealer) fault(kind faultKind) otlpsink.Fault {
	switch kind {
	case unavailable:
		return otlpsink.Fault{
			Action: otlpsink.ActionStatus, Status: http.StatusServiceUnavailable, Every: d.between(1, 3),
		}
	case throttled:
		return otlpsink.Fault{
			Action: otlpsink.ActionStatus, Status: http.StatusTooManyRequests, RetryAfter: time.Second,
		}
	case hanging:
		return otlpsink.Fault{Action: otlpsink.ActionHang, For: hangLimit, Every: d.between(1, 3)}
	case notReading:
		return otlpsink.Fault{Action: otlpsink.ActionHangBeforeRead, For: hangLimit, Every: d.between(1, 3)}
	case slow:
		return otlpsink.Fault{Action: otlpsink.ActionLatency, Latency: d.milliseconds(20, 400)}
	case resetting:
		return otlpsink.Fault{Action: otlpsink.ActionReset, Every: d.between(1, 3)}
	case closing:
		return otlpsink.Fault{Action: otlpsink.ActionClose, Every: d.between(1, 3)}
	case answerLost:
		// Each of them makes duplicates by intention; a few show what is to be shown.
		return otlpsink.Fault{Action: otlpsink.ActionAckLost, Every: d.between(1, 3), First: d.between(1, 4)}
	case refusing:
		return otlpsink.Fault{Action: otlpsink.ActionRefuse}
	case refusedForGood:
		return otlpsink.Fault{
			Action: otlpsink.ActionStatus, Status: http.StatusBadRequest, First: d.between(1, 4),
		}
	default:
		return otlpsink.Fault{}
	}
}

// addResets has the function time out or crash, by turns, half of the times while the backend has a fault: that is when
// something is left behind.
func (d *dealer) addResets(steps []step) {
	for at := d.between(resetDistance, 80); at < len(steps)-resetDistance; at += d.between(resetDistance, 200) {
		steps[at].event.End = work.Crash
		if d.resets%2 == 0 {
			steps[at].event.End = work.Hang
		}
		d.resets++
		before, after := &steps[at-d.between(0, 2)], &steps[at+d.between(1, 10)]
		if before.change == nil && after.change == nil && d.in(2) {
			before.change, after.change = d.begin(), d.end()
		}
	}
}
