// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"html"
	"os"
	"path/filepath"
	"strings"
)

// chart is a file with horizontal bars.
type chart struct {
	file   string
	title  string
	groups []barGroup
}

// barGroup is one figure. All groups of a chart with the same unit have the same scale.
type barGroup struct {
	title string
	unit  unit
	// budget is drawn as a line where it is not 0.
	budget float64
	bars   []bar
}

// bar is the median of a subject, with a line from the 10th to the 90th percentile.
type bar struct {
	name string
	summary
}

// charts are those of which something was measured.
func (d document) charts() (list []chart) {
	add := func(file, title string, groups ...[]barGroup) {
		c := chart{file: file, title: title}
		for _, g := range groups {
			c.groups = append(c.groups, g...)
		}
		if len(c.groups) > 0 {
			list = append(list, c)
		}
	}
	add("cold-start.svg", "Cold start",
		costGroups("", d.Subjects, keyRegister, keyListening, keyFirstNext),
		costGroups("programs not in the page cache: ", d.Subjects, prefixUncached+keyFirstNext))
	var shares []barGroup
	for _, s := range d.Shares {
		shares = append(shares, costGroups(fmt.Sprintf("%d MB: ", s.MemoryMB), s.Subjects, keyFirstNext)...)
	}
	add("cold-start-by-memory.svg", "Cold start with the share of the CPU that comes with a memory size", shares)
	add("cpu.svg", "CPU", costGroups("", d.Subjects, keyFirstNextCPU, keyFirstCPU, keyInvocationCPU,
		prefixFrequent+keyInvocationCPU))
	add("memory.svg", "Memory", costGroups("", d.Subjects,
		prefixReady+processAll+suffixAnonymous, prefixEnd+processAll+suffixAnonymous, keyZip))
	add("throughput.svg", "Throughput", loadGroups(d.Load, keySpanCPU), loadGroups(d.Load, keySpanRate))
	return list
}

// costGroups has a group for each figure that somebody has.
func costGroups(prefix string, results []result, keys ...string) (groups []barGroup) {
	for _, key := range keys {
		for _, f := range figures() {
			if f.key != key {
				continue
			}
			g := barGroup{title: prefix + f.name(), unit: f.unit}
			for _, r := range results {
				g.add(r.Name, r.Figures[key])
			}
			if len(g.bars) > 0 {
				groups = append(groups, g)
			}
		}
	}
	return groups
}

// loadGroups has a group for each kind of load.
func loadGroups(rows []loadRow, key string) (groups []barGroup) {
	for _, f := range loadFigures() {
		if f.key != key {
			continue
		}
		index := map[loadCell]int{}
		for _, r := range rows {
			i, ok := index[r.cell()]
			if !ok {
				i = len(groups)
				index[r.cell()] = i
				groups = append(groups, barGroup{title: f.name() + "; " + r.cell().name(), unit: f.unit})
			}
			groups[i].add(r.Subject, r.Figures[key])
		}
	}
	return groups
}

func (g *barGroup) add(name string, o outcome) {
	if len(o.Samples) == 0 {
		return
	}
	g.bars = append(g.bars, bar{name, o.summary})
	g.budget = max(g.budget, o.Budget)
}

// draw writes the charts into a folder.
func (d document) draw(folder string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil { //nolint:gosec // they are no secret
		return fmt.Errorf("-svg: %w", err)
	}
	for _, c := range d.charts() {
		//nolint:gosec // it is no secret
		if err := os.WriteFile(filepath.Join(folder, c.file), []byte(c.svg()), 0o644); err != nil {
			return fmt.Errorf("-svg: %w", err)
		}
	}
	return nil
}

// Sizes of a chart, in pixels.
const (
	chartWidth  = 760
	chartMargin = 16
	// Names are to the left of the bars, values to the right.
	barsFrom    = 150
	barsTo      = 590
	titleHeight = 34
	groupHeight = 24
	barHeight   = 20
	groupGap    = 10
)

// The chart has a background of its own, so that it can be read whatever is around it, and follows the reader's choice
// of light and dark where that is known.
const chartStyle = `<style>
text { font: 12px system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2328 }
.title { font-size: 15px; font-weight: 600 }
.group { font-weight: 600 }
.card { fill: #ffffff; stroke: #d1d9e0 }
.bar { fill: #8c959f }
.mine { fill: #0969da }
.spread { stroke: #1f2328 }
.budget { stroke: #cf222e; stroke-dasharray: 4 3 }
.limit { fill: #cf222e }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 }
.card { fill: #0d1117; stroke: #3d444d }
.bar { fill: #6e7681 }
.mine { fill: #4493f8 }
.spread { stroke: #e6edf3 }
.budget { stroke: #f85149 }
.limit { fill: #f85149 }
}
</style>
`

func (c chart) svg() string {
	highest := map[string]float64{}
	height := titleHeight + chartMargin
	for _, g := range c.groups {
		for _, b := range g.bars {
			highest[g.unit.name] = max(highest[g.unit.name], b.P90, g.budget)
		}
		height += groupHeight + len(g.bars)*barHeight + groupGap
	}
	var text strings.Builder
	title := html.EscapeString(c.title)
	fmt.Fprintf(&text, `<svg xmlns="http://www.w3.org/2000/svg" role="img" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d">`+
		"\n<title>%[3]s</title>\n", chartWidth, height, title)
	text.WriteString(chartStyle)
	fmt.Fprintf(&text, `<rect class="card" x="0.5" y="0.5" width="%d" height="%d" rx="6"/>`+"\n", chartWidth-1, height-1)
	fmt.Fprintf(&text, `<text class="title" x="%d" y="%d">%s</text>`+"\n", chartMargin, chartMargin+10, title)
	y := titleHeight
	for _, g := range c.groups {
		g.draw(&text, y, highest[g.unit.name])
		y += groupHeight + len(g.bars)*barHeight + groupGap
	}
	text.WriteString("</svg>\n")
	return text.String()
}

// draw writes the group from y on, whose scale ends at highest.
func (g barGroup) draw(text *strings.Builder, y int, highest float64) {
	at := func(value float64) float64 { return barsFrom + (barsTo-barsFrom)*value/max(highest, 1e-9) }
	fmt.Fprintf(text, `<text class="group" x="%d" y="%d">%s</text>`+"\n", chartMargin, y+16, html.EscapeString(g.title))
	top := y + groupHeight
	for i, b := range g.bars {
		middle := float64(top+i*barHeight) + barHeight/2.0
		class := "bar"
		if b.name == nameLayer {
			class = "bar mine"
		}
		fmt.Fprintf(text, `<text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n", barsFrom-8, middle+4,
			html.EscapeString(b.name))
		fmt.Fprintf(text, `<rect class="%s" x="%d" y="%.1f" width="%.1f" height="%d"/>`+"\n", class, barsFrom, middle-7,
			max(at(b.Median)-barsFrom, 1), 14)
		if b.P90 > b.P10 {
			fmt.Fprintf(text, `<line class="spread" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1[2]f"/>`+"\n",
				at(b.P10), middle, at(b.P90))
		}
		fmt.Fprintf(text, `<text x="%.1f" y="%.1f">%s</text>`+"\n", max(at(b.Median), at(b.P90))+6, middle+4,
			g.unit.spread(b.summary))
	}
	if g.budget > 0 {
		bottom := top + len(g.bars)*barHeight
		fmt.Fprintf(text, `<line class="budget" x1="%.1f" y1="%d" x2="%.1[1]f" y2="%[3]d"/>`+"\n",
			at(g.budget), top-4, bottom)
		fmt.Fprintf(text, `<text class="limit" x="%d" y="%d" text-anchor="end">budget %s</text>`+"\n",
			chartWidth-chartMargin, y+16, g.unit.text(g.budget))
	}
}
