// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/otelcol-lambda/otelcol-lambda/internal/flush"
)

const (
	// frequentHold is how long adaptive may hold a frequent function at the median, once it knows that it is one, and
	// openHold what a dead backend may add while the breaker is open; in milliseconds.
	frequentHold = 2
	openHold     = 5
	// holdSlack is how much longer than flush.timeout a hold may last, because those who wait have to notice, in
	// milliseconds.
	holdSlack = 50
	// longHold is from when on a hold counts as a wait for the backend, in milliseconds: far from what one request takes
	// on a busy machine, and far from flush.timeout.
	longHold = 300
)

// promise is what the layer's users are told, and where it was not kept.
type promise struct {
	Text string `json:"promise"`
	// Cells is how many the promise is about.
	Cells int `json:"cells"`
	// Broken says for each cell that breaks it how.
	Broken []string `json:"broken,omitempty"`
}

func (p *promise) judge(d delivery, broken string) { p.add(d.cell.name(), broken) }

// add counts a cell, of which broken says how it breaks the promise, or nothing.
func (p *promise) add(cell, broken string) {
	p.Cells++
	if broken != "" {
		p.Broken = append(p.Broken, cell+": "+broken)
	}
}

// promises judges the rows, which have been compared.
func promises(rows []delivery) []promise {
	frequent := promise{Text: fmt.Sprintf(
		"adaptive holds a frequent function (gap %s) for less than %d ms at p50, once it has switched",
		gapFrequent, frequentHold)}
	once := promise{Text: fmt.Sprintf(
		"while a backend is dead (503, hanging, refused) it holds one invocation, for flush.timeout (%s) at most",
		flushTimeout)}
	open := promise{Text: fmt.Sprintf(
		"… and the others less than %d ms longer at p50 than the healthy one", openHold)}
	lost := promise{Text: "nothing is lost where the backend is back before SHUTDOWN"}
	twice := promise{Text: "nothing arrives twice where the backend is back before SHUTDOWN"}
	rules := promise{Text: "the layer breaks no rule of Lambda"}
	for _, d := range rows {
		rules.judge(d, strings.Join(d.Violations, "; "))
		if d.cell.strategy == flush.Adaptive && d.Gap == gapFrequent {
			frequent.judge(d, d.frequentBroken())
		}
		if healthy, ok := healthyRow(rows, d); ok && d.cell.backend.dead {
			over := d.outageHolds(healthy.Hold.P50)
			once.judge(d, onceBroken(over))
			open.judge(d, openBroken(over))
		}
		if d.cell.backend.inTime() {
			lost.judge(d, ofItems(d.Lost, d.Items))
			twice.judge(d, ofItems(d.Twice, d.Items))
		}
	}
	return []promise{frequent, once, open, lost, twice, rules}
}

func (d delivery) frequentBroken() string {
	switch {
	case d.Switched == nil:
		return "it has not switched"
	case *d.Switched >= frequentHold:
		return fmt.Sprintf("%.1f ms", *d.Switched)
	}
	return ""
}

// outageHolds are the holds of the invocations that began while the backend was down, sorted, less what the healthy one
// costs: that is Lambda's telemetry buffer most of all, and not the fault of the other.
func (d delivery) outageHolds(healthy float64) []float64 {
	over := slices.Sorted(slices.Values(d.Holds[:d.InOutage]))
	for i := range over {
		over[i] -= healthy
	}
	return over
}

// onceBroken is about the waits for the backend, openBroken about the rest.
func onceBroken(over []float64) string {
	n := len(over)
	switch {
	case n > 0 && over[n-1] > millis(flushTimeout)+holdSlack:
		return fmt.Sprintf("one is held %.0f ms longer than with the healthy one", over[n-1])
	case n > 1 && over[n-2] > longHold:
		return fmt.Sprintf("a second one is held %.0f ms longer than with the healthy one", over[n-2])
	}
	return ""
}

func openBroken(over []float64) string {
	rest, _ := slices.BinarySearch(over, longHold)
	if rest == 0 {
		return ""
	}
	if p50 := quantile(over[:rest], 0.5); p50 >= openHold {
		return fmt.Sprintf("%.1f ms longer", p50)
	}
	return ""
}

func ofItems(n, items int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%d of %d items", n, items)
}
