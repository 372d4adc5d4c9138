// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"strings"
)

// comparison sets the layer beside another one that was measured in the same run.
type comparison struct {
	With string `json:"with"`
	// Tables are for each condition, and each kind of load.
	Tables []comparisonTable `json:"tables"`
}

type comparisonTable struct {
	Title string          `json:"title"`
	Rows  []comparisonRow `json:"rows"`
}

// comparisonRow is one figure of both.
type comparisonRow struct {
	Figure string `json:"figure"`
	// Mine and Theirs are medians.
	Mine   float64 `json:"layer"`
	Theirs float64 `json:"other"`
	// Ratio is nil if the other is 0.
	Ratio *ratio `json:"ratio,omitempty"`

	figure figure
}

// compares reports whether a subject was given by -compare.
func (set settings) compares(name string) bool {
	for _, text := range set.compare {
		if given, _, _ := strings.Cut(text, "="); given == name {
			return set.layer != ""
		}
	}
	return false
}

// compare adds a table to the comparison with another layer.
func (d *document) compare(with, title string, rows []comparisonRow) {
	if len(rows) == 0 {
		return
	}
	table := comparisonTable{title, rows}
	for i := range d.Comparisons {
		if d.Comparisons[i].With == with {
			d.Comparisons[i].Tables = append(d.Comparisons[i].Tables, table)
			return
		}
	}
	d.Comparisons = append(d.Comparisons, comparison{with, []comparisonTable{table}})
}

// compareFigures leaves the details out where there are many tables.
func compareFigures(c condition, mine, theirs observations) []comparisonRow {
	list := slices.DeleteFunc(figures(), func(f figure) bool { return f.detail && c.limited() })
	return compareEach(list, mine, theirs)
}

func compareLoad(mine, theirs observations) []comparisonRow {
	return compareEach(loadFigures(), mine, theirs)
}

// compareEach has a row for each figure that both have.
func compareEach(list []figure, mine, theirs observations) (rows []comparisonRow) {
	for _, f := range list {
		a, b := mine[f.key], theirs[f.key]
		if len(a) == 0 || len(b) == 0 {
			continue
		}
		row := comparisonRow{Figure: f.key, Mine: summarise(a).Median, Theirs: summarise(b).Median, figure: f}
		if r, ok := ratioOf(a, b); ok {
			row.Ratio = &r
		}
		rows = append(rows, row)
	}
	return rows
}
