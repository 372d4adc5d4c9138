// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// printTable writes a block for each figure, with a line for each subject, and the table of the delivery.
func printTable(w io.Writer, d document) error {
	var text strings.Builder
	m := d.Machine
	fmt.Fprintf(&text, "%s, %s/%s, %d CPUs, function of %d MB\n",
		m.GoVersion, m.OS, m.Arch, m.CPUCount, d.Settings.MemoryMB)
	if len(d.Subjects) > 0 {
		writeFigures(&text, d)
	}
	if len(d.Delivery) > 0 {
		writeDelivery(&text, d)
	}
	_, err := io.WriteString(w, text.String())
	return err
}

func writeFigures(text *strings.Builder, d document) {
	set := d.Settings
	fmt.Fprintf(text, "%d cold starts and %d × %d warm invocations of each\n", set.Runs, set.WarmRuns, set.Invocations)
	width := 0
	for _, r := range d.Subjects {
		width = max(width, utf8.RuneCountInString(r.Name))
	}
	for _, f := range figures() {
		lines := rows(f, d.Subjects, width)
		if lines == "" {
			continue
		}
		fmt.Fprintf(text, "\n%s, %s: %s\n", f.title, f.unit.name, f.means)
		fmt.Fprintf(text, "  %-*s %9s %9s %9s %9s  %s\n", width, "", "median", "p10", "p90", "× floor", "budget")
		text.WriteString(lines)
	}
}

func rows(f figure, results []result, width int) string {
	var text strings.Builder
	for _, r := range results {
		o, ok := r.Figures[f.key]
		if !ok {
			continue
		}
		ratio := ""
		if o.FloorRatio > 0 {
			ratio = fmt.Sprintf("%.2f", o.FloorRatio)
		}
		line := fmt.Sprintf("  %-*s %9s %9s %9s %9s  %s", width, r.Name,
			f.unit.text(o.Median), f.unit.text(o.P10), f.unit.text(o.P90), ratio, f.verdict(o))
		text.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return text.String()
}

func (u unit) text(value float64) string { return fmt.Sprintf("%.*f", u.digits, value/u.scale) }

// verdict is the budget of a figure, and whether it is kept.
func (f figure) verdict(o outcome) string {
	if o.Budget == 0 {
		return ""
	}
	text := f.unit.text(o.Budget)
	if f.budget.floors > 0 {
		text = fmt.Sprintf("%.2f × floor = %s", f.budget.floors, text)
	}
	if o.Median > o.Budget {
		return text + ", exceeded"
	}
	return text + ", kept"
}

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
	text.WriteString("\n")
	for _, p := range d.Promises {
		fmt.Fprintf(text, "%s: %s\n", p.Text, p.verdict())
		for _, broken := range p.Broken {
			fmt.Fprintf(text, "  %s\n", broken)
		}
	}
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
