// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// printTable writes everything that was found. The tables are Markdown whose columns stand below each other.
func printTable(w io.Writer, d document) error {
	var text strings.Builder
	m := d.Machine
	fmt.Fprintf(&text, "%s, %s/%s, %d CPUs; function of %d MB where no other size is given\n",
		m.GoVersion, m.OS, m.Arch, m.CPUCount, d.Settings.MemoryMB)
	for _, each := range d.LeftOut {
		fmt.Fprintf(&text, "\nleft out: %s\n", each)
	}
	if len(d.Subjects)+len(d.Shares) > 0 {
		writeCosts(&text, d)
	}
	if len(d.Load) > 0 {
		writeLoad(&text, d)
	}
	for _, c := range d.Comparisons {
		writeComparison(&text, c)
	}
	if len(d.Delivery) > 0 {
		writeDelivery(&text, d)
	}
	if len(d.Decode) > 0 {
		writeDecode(&text, d)
	}
	writeBudgets(&text, d)
	if len(d.Took) > 0 {
		text.WriteString("\ntook")
		for i, t := range d.Took {
			if i > 0 {
				text.WriteString(",")
			}
			fmt.Fprintf(&text, " %s %.0f s", t.Part, t.Seconds)
		}
		text.WriteString("\n")
	}
	_, err := io.WriteString(w, text.String())
	return err
}

func writeCosts(text *strings.Builder, d document) {
	set := d.Settings
	fmt.Fprintf(text, "%d cold starts and %d × %d warm invocations of each; median (10th–90th percentile); "+
		"MB are 10⁶ bytes\n", set.Runs, set.WarmRuns, set.Invocations)
	writeSpeed(text, d.Speed)
	if len(d.Subjects) > 0 {
		fmt.Fprintf(text, "\n## %s\n", unlimited())
		writeFigures(text, d.Subjects, true)
	}
	for _, s := range d.Shares {
		fmt.Fprintf(text, "\n## %s\n", condition{s.MemoryMB, s.CPU})
		writeFigures(text, s.Subjects, false)
	}
	text.WriteString("\n## what the figures are\n")
	for _, p := range parts() {
		var lines strings.Builder
		for _, f := range figures() {
			if f.part == p && f.means != "" {
				fmt.Fprintf(&lines, "- %s: %s\n", f.title, f.means)
			}
		}
		fmt.Fprintf(text, "\n%s:\n\n%s", p, lines.String())
	}
}

// writeFigures writes a table for each part of which there is a figure, with or without details.
func writeFigures(text *strings.Builder, results []result, details bool) {
	for _, p := range parts() {
		head := []string{string(p)}
		for _, r := range results {
			head = append(head, r.Name)
		}
		table := [][]string{append(head, "budget")}
		for _, f := range figures() {
			if f.part == p && (details || !f.detail) {
				table = append(table, figureRows(f, results)...)
			}
		}
		if len(table) > 1 {
			text.WriteString("\n" + markdown(table))
		}
	}
}

// figureRows are none for a figure that nobody has.
func figureRows(f figure, results []result) (rows [][]string) {
	row, ratios, judged := []string{f.name()}, []string{"… × floor"}, ""
	found, floored := false, false
	for _, r := range results {
		o, ok := r.Figures[f.key]
		if !ok {
			row, ratios = append(row, ""), append(ratios, "")
			continue
		}
		found = true
		row = append(row, f.unit.spread(o.summary))
		cell := ""
		if f.ratio && o.FloorRatio > 0 {
			floored = true
			cell = times(o.FloorRatio)
		}
		ratios = append(ratios, cell)
		if o.Budget > 0 {
			judged = f.verdict(o)
		}
	}
	if !found {
		return nil
	}
	rows = append(rows, append(row, judged))
	if floored {
		rows = append(rows, append(ratios, ""))
	}
	return rows
}

// name is the title with the unit.
func (f figure) name() string {
	if f.unit.name == "" {
		return f.title
	}
	return f.title + ", " + f.unit.name
}

// fullName is for a place where the part of the figure cannot be seen.
func (f figure) fullName() string {
	if f.part == partUncached {
		return "not cached: " + f.name()
	}
	return f.name()
}

func (u unit) text(value float64) string { return fmt.Sprintf("%.*f", u.digits, value/u.scale) }

// spread leaves the percentiles out where they are the same as the median.
func (u unit) spread(s summary) string {
	median, low, high := u.text(s.Median), u.text(s.P10), u.text(s.P90)
	if low == median && high == median {
		return median
	}
	return fmt.Sprintf("%s (%s–%s)", median, low, high)
}

// verdict is the budget of a figure, and whether it is kept.
func (f figure) verdict(o outcome) string {
	if o.Budget == 0 {
		return ""
	}
	text := f.unit.text(o.Budget)
	if f.budget.floors > 0 {
		text = fmt.Sprintf("%.2f × floor", f.budget.floors)
	}
	if f.budget.maps > 0 {
		text = fmt.Sprintf("%.2f × maps", f.budget.maps)
	}
	return f.judged(o, text)
}

// judged says of a limit whether it is kept, and the same of what it is at the speed of the machine.
func (f figure) judged(o outcome, limit string) string {
	verdict := func(kept bool) string {
		if kept {
			return ", kept"
		}
		return ", exceeded"
	}
	text := limit + verdict(o.kept())
	if o.BudgetAtSpeed == 0 {
		return text
	}
	how := fmt.Sprintf("at this speed (× %.2f)", o.SpeedFactor)
	if o.StockRatio > 0 {
		how = fmt.Sprintf("%.2f × %s", f.budget.limit/labSpanCPU, nameStock)
	}
	return text + "; " + how + " " + f.unit.text(o.BudgetAtSpeed) + verdict(o.keptAtSpeed())
}

func (o outcome) kept() bool { return o.Budget == 0 || o.Median <= o.Budget }

func writeLoad(text *strings.Builder, d document) {
	set := d.Settings
	fmt.Fprintf(text, "\n## load\n\n%g s in each environment, after %s to warm up; environments of each kind: %d; "+
		"requests of %d to %d spans, one after the other on each connection\n\n",
		set.LoadTime, loadWarmUp, set.LoadRuns, spanStep, mostSpans)
	stock := slices.ContainsFunc(d.Load, func(r loadRow) bool { return r.Subject == nameStock })
	head := []string{"", "attributes", "", "connections", "backend", "compression"}
	for _, f := range loadFigures() {
		head = append(head, f.name())
		if f.key == keySpanCPU {
			head = append(head, "× bare")
			if stock {
				head = append(head, "× "+nameStock)
			}
		}
	}
	table := [][]string{append(head, "budget")}
	for _, r := range d.Load {
		row, judged := []string{
			r.Subject, strconv.Itoa(r.Attributes), r.Protocol, strconv.Itoa(r.Connections), r.Backend, r.Compression,
		}, ""
		for _, f := range loadFigures() {
			o := r.Figures[f.key]
			row = append(row, f.unit.spread(o.summary))
			if f.key == keySpanCPU {
				row = append(row, times(o.BareRatio))
				if stock {
					row = append(row, times(o.StockRatio))
				}
			}
			if o.Budget > 0 {
				judged = f.verdict(o)
			}
		}
		table = append(table, append(row, judged))
	}
	text.WriteString(markdown(table) + "\n")
	for _, f := range loadFigures() {
		fmt.Fprintf(text, "- %s: %s\n", f.title, f.means)
	}
	fmt.Fprintf(text, "- attributes: those of each span; backend: where it is, as the layer sees it; compression: what most "+
		"spans arrived there with\n- × bare: a multiple of what decoding, encoding and, with %s, compressing the same takes by "+
		"itself, without a collector and without garbage collection", compressionGzip)
	for _, w := range d.LoadWork {
		fmt.Fprintf(text, "; with %d attributes, %.0f bytes for each span: %s ms of CPU for 1,000 spans, or %s without "+
			"compressing", w.Attributes, w.SpanBytes, milliseconds.spread(w.Bare), milliseconds.spread(w.BarePlain))
	}
	text.WriteString("\n")
	if stock {
		fmt.Fprintf(text, "- × %s: a multiple of what a Collector as it comes takes for the same spans. The budget is from spans "+
			"and a machine for which the layer that this one is to replace took %.1f ms; here %s stands for it\n",
			nameStock, labSpanCPU, nameStock)
	}
	writePromises(text, d.LoadPromises)
	for _, note := range d.LoadNotes {
		fmt.Fprintf(text, "- %s\n", note)
	}
}

// times writes a ratio, and nothing where there is none.
func times(ratio float64) string {
	if ratio == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f", ratio)
}

func writePromises(text *strings.Builder, list []promise) {
	if len(list) > 0 {
		text.WriteString("\n")
	}
	for _, p := range list {
		fmt.Fprintf(text, "%s: %s\n", p.Text, p.verdict())
		for _, broken := range p.Broken {
			fmt.Fprintf(text, "  %s\n", broken)
		}
	}
}

func writeComparison(text *strings.Builder, c comparison) {
	fmt.Fprintf(text, "\n## %s compared with %s\n\nmedians, and their ratio with the interval in which it lies in 95 of "+
		"100 cases; what includes 1 is no difference\n", nameLayer, c.With)
	for _, t := range c.Tables {
		table := [][]string{{t.Title, nameLayer, c.With, "ratio"}}
		for _, r := range t.Rows {
			u := r.figure.unit
			table = append(table, []string{r.figure.fullName(), u.text(r.Mine), u.text(r.Theirs), r.Ratio.String()})
		}
		text.WriteString("\n" + markdown(table))
	}
}

// String leaves the interval out where there is none.
func (r *ratio) String() string {
	if r == nil {
		return ""
	}
	return unit{"", 1, 2}.spread(summary{Median: r.Median, P10: r.Low, P90: r.High})
}

// writeBudgets sums up which budgets are kept, as they are and at the speed of the machine.
func writeBudgets(text *strings.Builder, d document) {
	budgets, kept, keptAtSpeed, over := 0, 0, 0, []string{}
	count := func(where string, f figure, o outcome) {
		if o.Budget == 0 {
			return
		}
		budgets++
		if o.kept() {
			kept++
		}
		if o.keptAtSpeed() {
			keptAtSpeed++
		}
		if !o.kept() || !o.keptAtSpeed() {
			over = append(over, fmt.Sprintf("%s%s: %s of %s", where, f.fullName(), f.unit.text(o.Median),
				f.judged(o, f.unit.text(o.Budget))))
		}
	}
	costs := func(where string, results []result) {
		for _, r := range results {
			for _, f := range figures() {
				count(where, f, r.Figures[f.key])
			}
		}
	}
	costs("", d.Subjects)
	for _, s := range d.Shares {
		costs(fmt.Sprintf("%d MB, ", s.MemoryMB), s.Subjects)
	}
	for _, r := range d.Load {
		for _, f := range loadFigures() {
			count("load, "+r.cell().name()+", ", f, r.Figures[f.key])
		}
	}
	for _, row := range d.Decode {
		for _, w := range row.Ways {
			for _, f := range decodeFigures() {
				count("decode, "+row.Telemetry+", ", f, w.Figures[f.key])
			}
		}
	}
	if budgets == 0 {
		return
	}
	fmt.Fprintf(text, "\nbudgets: %d of %d kept\n", kept, budgets)
	if d.Speed != (speed{}) {
		fmt.Fprintf(text, "at the speed of this machine: %d of %d kept\n", keptAtSpeed, budgets)
	}
	for _, each := range over {
		fmt.Fprintf(text, "- %s\n", each)
	}
}

// markdown writes a table whose first row is the head. Its columns stand below each other as text as well.
func markdown(table [][]string) string {
	width := make([]int, len(table[0]))
	for _, row := range table {
		for i, cell := range row {
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	var text strings.Builder
	line := func(row []string, fill string) {
		for i, cell := range row {
			text.WriteString("| " + cell + strings.Repeat(fill, width[i]-utf8.RuneCountInString(cell)) + " ")
		}
		text.WriteString("|\n")
	}
	line(table[0], " ")
	line(make([]string, len(width)), "-")
	for _, row := range table[1:] {
		line(row, " ")
	}
	return text.String()
}

// oneLine is an error for a place where there is one line.
func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
