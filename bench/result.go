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
const schema = 1

// document is what -json writes.
type document struct {
	Schema   int      `json:"schema"`
	Machine  machine  `json:"machine"`
	Settings recorded `json:"settings"`
	Subjects []result `json:"subjects,omitempty"`
	// Delivery has a row for each cell, Promises what they say about them.
	Delivery []delivery `json:"delivery,omitempty"`
	Promises []promise  `json:"promises,omitempty"`
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
	// Parallel is how many cells of the delivery run at a time.
	Parallel int `json:"parallel,omitempty"`
	// RareGap is that of its rare invocations, in milliseconds.
	RareGap float64 `json:"rare_gap_ms,omitempty"`
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
	// Budget is the most that the median should be, in the unit of the median, 0 if there is no budget.
	Budget float64 `json:"budget,omitempty"`
}

// evaluate summarises the observations, which are in the order of the subjects.
func evaluate(subjects []subject, observed []observations) []result {
	floor := observations{}
	for i, s := range subjects {
		if s.name == nameNetHTTP {
			floor = observed[i]
		}
	}
	results := make([]result, 0, len(subjects))
	for i, s := range subjects {
		r := result{Name: s.name, Figures: map[string]outcome{}}
		for _, f := range figures() {
			samples := observed[i][f.key]
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
				o.Budget = f.budget.limit + f.budget.floors*base
			}
			r.Figures[f.key] = o
		}
		results = append(results, r)
	}
	return results
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
			Parallel: set.parallel, RareGap: millis(set.rare),
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
