// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
)

func (d *document) addDecode(rows []decodeRow) {
	if len(rows) > 0 {
		d.Decode, d.DecodePromises = rows, []promise{decodePromise(rows)}
	}
}

// writeDecode writes a table for each kind of telemetry.
func writeDecode(text *strings.Builder, d document) {
	set := d.Settings
	fmt.Fprintf(text, "\n## decode\n\n%d samples of each, with %d times the telemetry; median (10th–90th percentile)\n",
		set.DecodeRuns, set.DecodePasses)
	for _, row := range d.Decode {
		fmt.Fprintf(text, "\n%s: %s\n\n%s", row.Telemetry, row.amount(), markdown(row.table()))
	}
	text.WriteString("\n")
	for _, f := range decodeFigures() {
		fmt.Fprintf(text, "- %s: %s\n", f.title, f.means)
	}
	fmt.Fprintf(text, "- %s: internal/telemetryapi alone; %s: the same and the telemetryapi receiver, from the body of a "+
		"delivery to the log records in the next component\n", nameDecoder, nameMapper)
	fmt.Fprintf(text, "- %s: log records by way of encoding/json and map[string]any; … × %s: the ratio to its median, with "+
		"the interval in which it lies in 95 of 100 cases\n", nameMaps, nameMaps)
	writePromises(text, d.DecodePromises)
}

func (row decodeRow) amount() string {
	events := "events"
	if row.lines {
		events = "lines"
	}
	size := megabytes.text(float64(row.Bytes)) + " MB"
	if row.Deliveries == 1 {
		return fmt.Sprintf("%d %s, %s", row.Events, events, size)
	}
	return fmt.Sprintf("%d deliveries with %d %s, %s", row.Deliveries, row.Events, events, size)
}

func (row decodeRow) table() [][]string {
	head := []string{""}
	for _, w := range row.Ways {
		head = append(head, w.Name)
	}
	table := [][]string{append(head, "budget")}
	for _, f := range decodeFigures() {
		cells, ratios, judged := []string{f.name()}, []string{"… × " + nameMaps}, ""
		for _, w := range row.Ways {
			o := w.Figures[f.key]
			ratio := o.MapsRatio.String()
			if w.Name == nameMaps {
				ratio = "1.00"
			}
			cells, ratios = append(cells, f.unit.spread(o.summary)), append(ratios, ratio)
			if o.Budget > 0 {
				judged = f.verdict(o)
			}
		}
		table = append(table, append(cells, judged), append(ratios, ""))
	}
	return table
}
