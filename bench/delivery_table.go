// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// writeDelivery says what was scaled for the run, writes a line for each cell, and then which promises were kept.
func writeDelivery(text *strings.Builder, d document) {
	n := d.Settings.Parallel
	fmt.Fprintf(text, "\ndelivery: a new environment for each line; %d at a time with gaps of %s, %d with others: "+
		"they disturb each other's tail, p50 less\n", n, gapFrequent, n*calmCells)
	for _, note := range deliveryNotes(d.Settings.RareGap) {
		fmt.Fprintf(text, "  %s\n", note)
	}
	line := func(columns ...any) {
		const format = "  %-10s %-4s %-10s %3s %8s %8s %8s %8s %8s %8s %8s %8s %5s %5s"
		text.WriteString(strings.TrimRight(fmt.Sprintf(format, columns...), " ") + "\n")
	}
	text.WriteString("\n")
	line("", "", "", "", "hold, ms", "", "", "after", "over", "", "delay, ms", "", "", "")
	line("strategy", "gap", "backend", "n", "p50", "p99", "max", "switch", "healthy", "requests", "p50", "p99", "lost",
		"twice")
	for i, r := range d.Delivery {
		if i > 0 && (r.Strategy != d.Delivery[i-1].Strategy || r.Gap != d.Delivery[i-1].Gap) {
			text.WriteString("\n")
		}
		delay50, delay99 := "–", "–"
		if r.Delay != nil {
			delay50, delay99 = tenths(r.Delay.P50), tenths(r.Delay.P99)
		}
		line(r.Strategy, r.Gap, r.Backend, strconv.Itoa(len(r.Holds)), tenths(r.Hold.P50), tenths(r.Hold.P99),
			tenths(r.Hold.Max), maybe(r.Switched), maybe(r.OverHealthy), strconv.Itoa(r.Requests), delay50, delay99,
			strconv.Itoa(r.Lost), strconv.Itoa(r.Twice))
	}
	writePromises(text, d.Promises)
}

// deliveryNotes are what one has to know to read the table. The gap of rare invocations is in milliseconds.
func deliveryNotes(rare float64) (notes []string) {
	for _, g := range gaps(time.Duration(rare * float64(time.Millisecond))) {
		notes = append(notes, fmt.Sprintf("gap %s: up to %d invocations, the environment is frozen for %s after each",
			g.name, g.invocations, g.pause))
	}
	notes = append(notes,
		"scaled: adaptive and periodic have an interval of "+flushInterval.String()+" instead of 10s; adaptive so switches "+
			"in the 11th invocation",
		"scaled: rare is what adaptive does while it does not know the traffic; really rare are mean gaps above 10s, and "+
			"they outlast a request's limit of 30s, which these do not unless -rare is longer",
		"scaled: SHUTDOWN comes one gap after the last invocation, or when the backend is back, in Lambda after minutes: "+
			"what waits for it is older there",
		"continuous has its own interval, 1s; flush.timeout is "+flushTimeout.String())
	for _, b := range backends() {
		note := "backend " + b.name + ": " + b.fault.String()
		if !b.inTime() {
			note += ", more than the " + shutdownTime.String() + " that SHUTDOWN leaves, so what is left then is lost"
		}
		if b.fault.Action != "" {
			notes = append(notes, note)
		}
	}
	return append(notes,
		"hold: from the function's next to the extension's; end waits up to "+strconv.Itoa(telemetryBuffer)+
			" ms of it for Lambda's telemetry buffer",
		"over healthy: p50 less that of the healthy backend; after switch: p50 since adaptive does what periodic does",
		"requests: those that reached the backend; delay: from the end of the invocation that made an item until the "+
			"backend had read it")
}

func tenths(value float64) string { return strconv.FormatFloat(value, 'f', 1, 64) }

func maybe(value *float64) string {
	if value == nil {
		return "–"
	}
	return tenths(*value)
}

func (p promise) verdict() string {
	switch {
	case p.Cells == 0:
		return "not measured"
	case len(p.Broken) > 0:
		return fmt.Sprintf("NOT KEPT in %d of %d cells", len(p.Broken), p.Cells)
	}
	return fmt.Sprintf("kept in %d of %d cells", p.Cells, p.Cells)
}
