// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"
	"math/rand/v2"
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

// resamples is how often samples are drawn anew to see how far a ratio could have been another one.
const resamples = 2000

// ratio is that of two medians, with an interval in which it lies in 95 of 100 cases (bootstrap).
type ratio struct {
	Median float64 `json:"ratio"`
	Low    float64 `json:"low_95"`
	High   float64 `json:"high_95"`
}

// ratioOf is not ok if the median of what is divided by is 0. It is the same for the same samples.
func ratioOf(samples, by []float64) (r ratio, ok bool) {
	if len(samples) == 0 || len(by) == 0 {
		return r, false
	}
	over, under := slices.Sorted(slices.Values(samples)), slices.Sorted(slices.Values(by))
	if quantile(under, 0.5) == 0 {
		return r, false
	}
	r.Median = quantile(over, 0.5) / quantile(under, 0.5)
	random := rand.New(rand.NewPCG(uint64(len(samples)), uint64(len(by)))) //nolint:gosec // it is no secret
	drawn := make([]float64, 0, resamples)
	for range resamples {
		if m := drawnMedian(random, under); m != 0 {
			drawn = append(drawn, drawnMedian(random, over)/m)
		}
	}
	if len(drawn) == 0 {
		r.Low, r.High = r.Median, r.Median
		return r, true
	}
	slices.Sort(drawn)
	r.Low, r.High = quantile(drawn, 0.025), quantile(drawn, 0.975)
	return r, true
}

// drawnMedian is that of as many samples as there are, of which some are drawn several times and others never.
func drawnMedian(random *rand.Rand, samples []float64) float64 {
	drawn := make([]float64, len(samples))
	for i := range drawn {
		drawn[i] = samples[random.IntN(len(samples))]
	}
	slices.Sort(drawn)
	return quantile(drawn, 0.5)
}
