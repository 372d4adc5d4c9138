// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/otelcol-lambda/otelcol-lambda/internal/flush"
	"github.com/otelcol-lambda/otelcol-lambda/internal/lambdasim"
	"github.com/otelcol-lambda/otelcol-lambda/internal/otlpsink"
)

const (
	// flushInterval is that of adaptive and periodic. With their own, 10 s, nothing would leave while a cell runs, and
	// adaptive would not get to know the traffic, because that has to last for one interval.
	flushInterval = 300 * time.Millisecond
	// flushTimeout is the layer's own, given explicitly because a promise is about it.
	flushTimeout = 3 * time.Second
	// outage is how long a backend is down that comes back, from the first invocation.
	outage = 5 * time.Second
	// hangTime is how long one hangs. The layer leaves a backend that has not answered a flush alone for 5 s and then asks
	// again: it is longer than both together.
	hangTime = 10 * time.Second
	// shutdownTime is what Lambda gives extensions at the end of an environment.
	shutdownTime = 2 * time.Second
)

// cell is a flush strategy, a gap between invocations and a backend.
type cell struct {
	strategy flush.Strategy
	gap      gap
	backend  backend
}

// gap is the time for which the environment is frozen between two invocations.
type gap struct {
	name        string
	pause       time.Duration
	invocations int
}

// backend is what the layer delivers to.
type backend struct {
	name string
	// fault is how it misbehaves; no action for one that is healthy.
	fault otlpsink.Fault
	// dead says that it takes nothing until it is back, and does not say when that will be.
	dead bool
}

const (
	gapFrequent    = "10ms"
	gapRare        = "rare"
	backendHealthy = "healthy"
)

func strategies() []flush.Strategy {
	return []flush.Strategy{flush.Adaptive, flush.End, flush.Periodic, flush.Continuous}
}

// gaps are in the order of the table. What adaptive calls rare is fixed, and too rare to wait for. It does the same in
// the first ten invocations, however long the gaps are, because it does not know the traffic yet.
func gaps(rare time.Duration) []gap {
	return []gap{
		{gapFrequent, 10 * time.Millisecond, 40},
		{"1s", time.Second, 12},
		{gapRare, rare, 6},
	}
}

func backends() []backend {
	return []backend{
		{name: backendHealthy},
		{name: "slow-100ms", fault: otlpsink.Fault{Action: otlpsink.ActionLatency, Latency: 100 * time.Millisecond}},
		{name: "slow-2.5s", fault: otlpsink.Fault{Action: otlpsink.ActionLatency, Latency: 2500 * time.Millisecond}},
		{name: "503", dead: true, fault: otlpsink.Fault{
			Action: otlpsink.ActionStatus, Status: http.StatusServiceUnavailable, For: outage,
		}},
		{name: "hanging", dead: true, fault: otlpsink.Fault{Action: otlpsink.ActionHang, For: hangTime}},
		{name: "refused", dead: true, fault: otlpsink.Fault{Action: otlpsink.ActionRefuse, For: outage}},
		{name: "429", fault: otlpsink.Fault{
			Action: otlpsink.ActionStatus, Status: http.StatusTooManyRequests, RetryAfter: 2 * time.Second, For: outage,
		}},
		// Not each third request: there are three signals, and one of them would be hit each time.
		{name: "resets", fault: otlpsink.Fault{Action: otlpsink.ActionReset, Every: 4}},
	}
}

// faults are for otlpsink.
func (b backend) faults() []otlpsink.Fault {
	if b.fault.Action == "" {
		return nil
	}
	return []otlpsink.Fault{b.fault}
}

// inTime reports whether the backend answers within the time that SHUTDOWN leaves, so that nothing need be lost.
func (b backend) inTime() bool { return b.fault.Latency < shutdownTime }

func (c cell) name() string { return string(c.strategy) + "/" + c.gap.name + "/" + c.backend.name }

// expected is about how long the cell takes.
func (c cell) expected() time.Duration {
	return max(time.Duration(c.gap.invocations)*(c.gap.pause+c.backend.fault.Latency), c.backend.fault.For)
}

// interval is the flush interval that the cell sets, 0 for none.
func (c cell) interval() time.Duration {
	if c.strategy == flush.Adaptive || c.strategy == flush.Periodic {
		return flushInterval
	}
	return 0
}

// allCells are in the order of the table.
func allCells(rare time.Duration) (cells []cell) {
	for _, s := range strategies() {
		for _, g := range gaps(rare) {
			for _, b := range backends() {
				cells = append(cells, cell{s, g, b})
			}
		}
	}
	return cells
}

// matrix returns the cells to run.
func (set settings) matrix() []cell {
	return slices.DeleteFunc(allCells(set.rare), func(c cell) bool { return !set.match.MatchString(c.name()) })
}

// watched is what was seen of a cell.
type watched struct {
	invocations []lambdasim.Invocation
	violations  []lambdasim.Violation
	// broken is since when the backend misbehaves.
	broken time.Time
	// accepted is what the collector took from the function, arrived what the backend got, of whatever origin.
	accepted, arrived []otlpsink.Item
	requests          int
}

// delivery is a row of the table. Times are in milliseconds.
type delivery struct {
	cell cell

	Strategy string `json:"strategy"`
	Gap      string `json:"gap"`
	Backend  string `json:"backend"`
	// Hold is about the time from the function's next to the extension's, Holds are all of them.
	Hold  tail      `json:"hold_ms"`
	Holds []float64 `json:"holds_ms"`
	// Switched is the median of the holds since adaptive does what periodic does, nil if that never happened.
	Switched *float64 `json:"hold_switched_p50_ms,omitempty"`
	// OverHealthy is the median of the holds less that of the healthy backend, nil if that was not measured.
	OverHealthy *float64 `json:"hold_over_healthy_p50_ms,omitempty"`
	// InOutage is how many invocations began before the backend was back: the first ones.
	InOutage int `json:"invocations_in_outage"`
	// Requests are those that reached the backend.
	Requests int `json:"requests"`
	// Delay is from the end of the invocation that made an item to its first arrival, nil if nothing arrived.
	Delay *tail `json:"delay_ms,omitempty"`
	// Items were accepted by the collector. Lost ones never arrived, Twice counts arrivals beyond the first.
	Items int `json:"items"`
	Lost  int `json:"lost"`
	Twice int `json:"twice"`
	// Violations are the rules of Lambda that the layer broke.
	Violations []string `json:"violations,omitempty"`
}

// newDelivery expects one invocation at least.
func newDelivery(c cell, w watched) delivery {
	ledger := lambdasim.Account(count(w.accepted), count(w.arrived))
	d := delivery{
		cell: c, Strategy: string(c.strategy), Gap: c.gap.name, Backend: c.backend.name,
		Requests: w.requests, Items: len(w.accepted), Lost: len(ledger.Lost), Twice: len(ledger.Duplicated),
	}
	for _, i := range w.invocations {
		d.Holds = append(d.Holds, millis(i.Held))
		if i.Start.Before(w.broken.Add(c.backend.fault.For)) {
			d.InOutage++
		}
	}
	for _, v := range w.violations {
		d.Violations = append(d.Violations, fmt.Sprintf("%s in invocation %d: %s", v.Kind, v.Invocation, v.Detail))
	}
	d.Hold = tailOf(d.Holds)
	if n := switched(c, w.invocations); n < len(d.Holds) {
		p50 := tailOf(d.Holds[n:]).P50
		d.Switched = &p50
	}
	if delays := w.delays(); len(delays) > 0 {
		t := tailOf(delays)
		d.Delay = &t
	}
	return d
}

func count(items []otlpsink.Item) map[string]int {
	counts := map[string]int{}
	for _, it := range items {
		counts[it.ID]++
	}
	return counts
}

// switched is the index of the first invocation in which adaptive does what periodic does, or how many there are.
func switched(c cell, invocations []lambdasim.Invocation) int {
	if c.strategy != flush.Adaptive {
		return len(invocations)
	}
	var h flush.History
	for n, i := range invocations {
		_, h = flush.Decide(flush.Settings{Strategy: c.strategy, Interval: c.interval()}, h, i.Start)
		if h.Mode() == flush.Periodic {
			return n
		}
	}
	return len(invocations)
}

// delays are those of the items that arrived. What arrived while its invocation was still going on has none.
func (w watched) delays() (delays []float64) {
	first := map[string]time.Time{}
	for _, it := range w.arrived {
		if at, ok := first[it.ID]; !ok || it.Arrived.Before(at) {
			first[it.ID] = it.Arrived
		}
	}
	for _, it := range w.accepted {
		if at, ok := first[it.ID]; ok {
			delays = append(delays, millis(max(0, at.Sub(w.endOf(it)))))
		}
	}
	return delays
}

// endOf is when the function was done with the invocation that made an item: the last that had begun when the collector
// took it, because the function sends everything before it answers.
func (w watched) endOf(it otlpsink.Item) time.Time {
	n, _ := slices.BinarySearchFunc(w.invocations, it.Arrived, func(i lambdasim.Invocation, at time.Time) int {
		return i.Start.Compare(at)
	})
	i := w.invocations[max(0, n-1)]
	return i.Start.Add(i.Duration - i.Held)
}

// compare adds to each row how it differs from that of the healthy backend.
func compare(rows []delivery) {
	for i := range rows {
		if healthy, ok := healthyRow(rows, rows[i]); ok {
			over := rows[i].Hold.P50 - healthy.Hold.P50
			rows[i].OverHealthy = &over
		}
	}
}

// healthyRow is the row of the healthy backend with the same strategy and gap.
func healthyRow(rows []delivery, d delivery) (healthy delivery, ok bool) {
	for _, r := range rows {
		if r.Backend == backendHealthy && r.Strategy == d.Strategy && r.Gap == d.Gap {
			return r, true
		}
	}
	return delivery{}, false
}
