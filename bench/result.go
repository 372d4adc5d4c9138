// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
)

// schema counts the incompatible changes of document.
const schema = 2

// document is what -json writes.
type document struct {
	Schema   int      `json:"schema"`
	Machine  machine  `json:"machine"`
	Settings recorded `json:"settings"`
	// Speed is that of the machine, left out if the floors were not measured.
	Speed speed `json:"speed_factors,omitzero"`
	// Subjects are what was found with all the CPU there is, Shares with parts of it.
	Subjects []result `json:"subjects,omitempty"`
	Shares   []share  `json:"shares,omitempty"`
	// Load has a row for each subject, protocol and number of connections, LoadPromises what they say about them if the
	// load was long enough.
	Load         []loadRow `json:"load,omitempty"`
	LoadPromises []promise `json:"load_promises,omitempty"`
	LoadNotes    []string  `json:"load_notes,omitempty"`
	// LoadWork is what was sent.
	LoadWork []recordedWork `json:"load_work,omitempty"`
	// Delivery has a row for each cell, Promises what they say about them.
	Delivery []delivery `json:"delivery,omitempty"`
	Promises []promise  `json:"promises,omitempty"`
	// Decode has a row for each kind of telemetry, DecodePromises what they say about them.
	Decode         []decodeRow `json:"decode,omitempty"`
	DecodePromises []promise   `json:"decode_promises,omitempty"`
	// Comparisons are of the layer with each other one that was given.
	Comparisons []comparison `json:"comparisons,omitempty"`
	// LeftOut says what could not be measured, and why.
	LeftOut []string   `json:"left_out,omitempty"`
	Took    []duration `json:"took,omitempty"`
}

// recordedWork is a kind of load: spans with so many attributes, of so many bytes in a request in the mean.
type recordedWork struct {
	Attributes int     `json:"attributes"`
	SpanBytes  float64 `json:"span_bytes"`
	// Bare is the CPU for 1,000 spans, in milliseconds, that decoding, encoding and compressing them takes by itself,
	// BarePlain that of decoding and encoding.
	Bare      summary `json:"bare_cpu_ms_per_1000_spans"`
	BarePlain summary `json:"bare_uncompressed_cpu_ms_per_1000_spans"`
}

// share is what was found with a part of the CPU.
type share struct {
	MemoryMB int      `json:"memory_mb"`
	CPU      float64  `json:"cpu_share"`
	Subjects []result `json:"subjects"`
}

// duration is how long a part of the run took.
type duration struct {
	Part    string  `json:"part"`
	Seconds float64 `json:"seconds"`
}

type machine struct {
	GoVersion string `json:"go_version"`
	OS        string `json:"os"`
	Arch      string `json:"arch"`
	CPUCount  int    `json:"cpu_count"`
}

// recorded are the settings that the figures depend on.
type recorded struct {
	Runs        int `json:"runs"`
	WarmRuns    int `json:"warm_runs"`
	Invocations int `json:"invocations_per_warm_run"`
	MemoryMB    int `json:"memory_mb"`
	// FrequentInvocations are those that count of each warm run with frequent ones.
	FrequentInvocations int `json:"invocations_per_frequent_run"`
	// LoadTime is how long the load lasts in each environment, in seconds, LoadRuns how many environments there are.
	LoadTime float64 `json:"load_time_s,omitempty"`
	LoadRuns int     `json:"load_runs,omitempty"`
	// LoadBackends are where the backend was.
	LoadBackends []string `json:"load_backends,omitempty"`
	// Parallel is how many cells of the delivery run at a time.
	Parallel int `json:"parallel,omitempty"`
	// RareGap is that of its rare invocations, in milliseconds.
	RareGap float64 `json:"rare_gap_ms,omitempty"`
	// DecodeRuns is how many samples of decoding there are, DecodePasses how often each goes through the telemetry.
	DecodeRuns   int `json:"decode_runs,omitempty"`
	DecodePasses int `json:"decode_passes,omitempty"`
}

// result is what was found about one subject.
type result struct {
	Name string `json:"name"`
	// Figures are by key. Those that do not exist for the subject are left out.
	Figures map[string]outcome `json:"figures"`
}

// outcome is one figure of one subject.
type outcome struct {
	summary

	// FloorRatio is the median divided by that of the net/http floor, 0 if that is unknown.
	FloorRatio float64 `json:"nethttp_floor_ratio,omitempty"`
	// BareRatio is the median divided by that of the bare work, for CPU under load, 0 elsewhere.
	BareRatio float64 `json:"bare_ratio,omitempty"`
	// StockRatio is the median divided by that of a stock Collector, for the same where there is one, 0 elsewhere.
	StockRatio float64 `json:"stock_ratio,omitempty"`
	// MapsRatio is the median divided by that of decoding into maps, nil for itself and where there is none.
	MapsRatio *ratio `json:"maps_ratio,omitempty"`
	// Budget is the most that the median should be, in the unit of the median, 0 if there is no budget.
	Budget float64 `json:"budget,omitempty"`
	// SpeedFactor is how many times as long this machine takes as the one that the budget is from, BudgetAtSpeed the budget
	// times that; 0 for a budget that does not depend on the speed, and if that is unknown.
	SpeedFactor   float64 `json:"speed_factor,omitempty"`
	BudgetAtSpeed float64 `json:"budget_at_speed,omitempty"`
}

// evaluate summarises the observations, which are in the order of the subjects.
func evaluate(subjects []subject, c conditionCosts, at speed) []result {
	floor := observations{}
	for i, s := range subjects {
		if s.name == nameNetHTTP {
			floor = c.observed[i]
		}
	}
	results := make([]result, 0, len(subjects))
	for i, s := range subjects {
		r := result{Name: s.name, Figures: map[string]outcome{}}
		for _, f := range figures() {
			samples := c.observed[i][f.key]
			if len(samples) == 0 {
				continue
			}
			o := outcome{summary: summarise(samples)}
			base := 0.0
			if len(floor[f.key]) > 0 {
				base = summarise(floor[f.key]).Median
			}
			if base > 0 {
				o.FloorRatio = o.Median / base
			}
			if s.budgeted {
				o.Budget = f.budget.under(c.condition, base)
				o = o.atSpeed(at.factor(f.budget.pace, c.condition))
			}
			r.Figures[f.key] = o
		}
		results = append(results, r)
	}
	return results
}

// under is the limit that holds under a condition, 0 for none. Base is the median of the floor.
func (b budget) under(c condition, base float64) float64 {
	switch {
	case !c.limited():
		return b.limit + b.floors*base
	case c.memoryMB == memoryMB:
		return b.small
	}
	return 0
}

func (d *document) addCosts(set settings, subjects []subject, c costs) {
	d.LeftOut = append(d.LeftOut, c.leftOut...)
	d.Speed = speedOf(subjects, c.conditions)
	for _, each := range c.conditions {
		results := evaluate(subjects, each, d.Speed)
		for i, s := range subjects {
			if set.compares(s.name) {
				d.compare(s.name, each.condition.String(), compareFigures(each.condition, each.observed[0], each.observed[i]))
			}
		}
		if each.condition.limited() {
			d.Shares = append(d.Shares, share{each.condition.memoryMB, each.condition.share, results})
		} else {
			d.Subjects = results
		}
	}
}

func (d *document) addLoad(set settings, l loads) {
	d.Load, d.LoadPromises, d.LoadNotes = l.rows, l.promises, l.notes
	for _, w := range l.work {
		if len(w.bare) > 0 {
			d.LoadWork = append(d.LoadWork, recordedWork{
				w.attributes, spanSize(w.load), summarise(w.bare[compressionGzip]), summarise(w.bare[compressionNone]),
			})
		}
	}
	for _, row := range l.rows {
		for _, f := range loadFigures() {
			if o, ok := row.Figures[f.key]; ok {
				row.Figures[f.key] = o.atSpeed(d.Speed.factor(f.budget.pace, unlimited()))
			}
		}
		for _, stock := range l.rows {
			if stock.Subject == nameStock && stock.cell() == row.cell() {
				row.against(stock)
			}
		}
	}
	for _, mine := range l.rows {
		if mine.Subject != nameLayer {
			continue
		}
		for _, other := range l.rows {
			if set.compares(other.Subject) && other.cell() == mine.cell() {
				d.compare(other.Subject, "load: "+mine.cell().name(), compareLoad(mine.observed, other.observed))
			}
		}
	}
}

// newDocument has the circumstances of a run and nothing of its results.
func newDocument(set settings) document {
	return document{
		Schema: schema,
		Machine: machine{
			GoVersion: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH, CPUCount: runtime.NumCPU(),
		},
		Settings: recorded{
			Runs: set.runs, WarmRuns: warmRuns, Invocations: set.invocations, MemoryMB: memoryMB,
			FrequentInvocations: frequentInvocations,
			LoadTime:            set.loadTime.Seconds(), LoadRuns: set.loadRuns, LoadBackends: set.backends,
			Parallel: set.parallel, RareGap: millis(set.rare),
			DecodeRuns: set.decodeRuns, DecodePasses: decodePasses,
		},
	}
}

func (d document) write(file string) error {
	text, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the figures: %w", err)
	}
	if err := os.WriteFile(file, append(text, '\n'), 0o644); err != nil { //nolint:gosec // it is no secret
		return fmt.Errorf("-json: %w", err)
	}
	return nil
}
