// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// printTable writes a block for each figure, with a line for each subject.
func printTable(w io.Writer, d document) error {
	var text strings.Builder
	m, set := d.Machine, d.Settings
	fmt.Fprintf(&text, "%s, %s/%s, %d CPUs; %d cold starts and %d × %d warm invocations of each, function of %d MB\n",
		m.GoVersion, m.OS, m.Arch, m.CPUCount, set.Runs, set.WarmRuns, set.Invocations, set.MemoryMB)
	width := 0
	for _, r := range d.Subjects {
		width = max(width, utf8.RuneCountInString(r.Name))
	}
	for _, f := range figures() {
		lines := rows(f, d.Subjects, width)
		if lines == "" {
			continue
		}
		fmt.Fprintf(&text, "\n%s, %s: %s\n", f.title, f.unit.name, f.means)
		fmt.Fprintf(&text, "  %-*s %9s %9s %9s %9s  %s\n", width, "", "median", "p10", "p90", "× floor", "budget")
		text.WriteString(lines)
	}
	_, err := io.WriteString(w, text.String())
	return err
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
