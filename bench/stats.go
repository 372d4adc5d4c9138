// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"
	"slices"
)

// summary is a distribution in a few numbers.
type summary struct {
	Median float64 `json:"median"`
	P10    float64 `json:"p10"`
	P90    float64 `json:"p90"`
	// Samples are in the order in which they were taken.
	Samples []float64 `json:"samples"`
}

// summarise expects at least one sample.
func summarise(samples []float64) summary {
	sorted := slices.Sorted(slices.Values(samples))
	return summary{
		Median:  quantile(sorted, 0.5),
		P10:     quantile(sorted, 0.1),
		P90:     quantile(sorted, 0.9),
		Samples: slices.Clone(samples),
	}
}

// tail is a distribution of which the worst matters.
type tail struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// tailOf expects at least one sample.
func tailOf(samples []float64) tail {
	sorted := slices.Sorted(slices.Values(samples))
	return tail{P50: quantile(sorted, 0.5), P99: quantile(sorted, 0.99), Max: sorted[len(sorted)-1]}
}

// quantile interpolates between the two samples that q, from 0 to 1, falls between. The samples must be sorted.
func quantile(sorted []float64, q float64) float64 {
	position := q * float64(len(sorted)-1)
	below := int(math.Floor(position))
	above := min(below+1, len(sorted)-1)
	share := position - float64(below)
	return sorted[below]*(1-share) + sorted[above]*share
}
