// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package faasmetrics

import (
	"math"
	"slices"
)

const (
	// maxScale is the finest resolution that OpenTelemetry's exponential histograms have.
	maxScale = 20
	// maxBuckets is the default of OpenTelemetry's SDKs.
	maxBuckets = 160
)

// histogram counts values that are zero or more. Its buckets are explicit, or exponential, which is up to whoever adds.
type histogram struct {
	count         uint64
	sum, min, max float64
	buckets       []uint64

	// Of exponential ones: the number of zeros, which have no bucket, the resolution, and the index of the first bucket.
	zeros         uint64
	scale, offset int
}

func (h *histogram) addExplicit(v float64, bounds []float64) {
	h.add(v)
	if h.buckets == nil {
		h.buckets = make([]uint64, len(bounds)+1)
	}
	// A bound belongs to the bucket below it.
	i, _ := slices.BinarySearch(bounds, v)
	h.buckets[i]++
}

func (h *histogram) addExponential(v float64) {
	h.add(v)
	if v == 0 {
		h.zeros++
		return
	}
	if len(h.buckets) == 0 {
		h.scale = maxScale
		h.offset = exponentialIndex(v, maxScale)
		h.buckets = append(h.buckets, 1)
		return
	}
	index := exponentialIndex(v, h.scale)
	low, high := h.offset, h.offset+len(h.buckets)-1
	shift := 0
	for max(high, index)>>shift-min(low, index)>>shift >= maxBuckets {
		shift++
	}
	if shift > 0 {
		h.coarsen(shift)
		index >>= shift
	}
	h.cover(index)
	h.buckets[index-h.offset]++
}

func (h *histogram) add(v float64) {
	if h.count == 0 || v < h.min {
		h.min = v
	}
	if h.count == 0 || v > h.max {
		h.max = v
	}
	h.count++
	h.sum += v
}

// coarsen merges each 2^shift buckets into one.
func (h *histogram) coarsen(shift int) {
	first := h.offset >> shift
	last := 0
	for i, n := range h.buckets {
		last = (h.offset+i)>>shift - first
		h.buckets[i] = 0
		h.buckets[last] += n
	}
	h.buckets = h.buckets[:last+1]
	h.offset = first
	h.scale -= shift
}

// cover adds empty buckets up to index, at the side where it is missing.
func (h *histogram) cover(index int) {
	if missing := h.offset - index; missing > 0 {
		grown := make([]uint64, missing+len(h.buckets))
		copy(grown[missing:], h.buckets)
		h.buckets = grown
		h.offset = index
	}
	if missing := index - h.offset - len(h.buckets) + 1; missing > 0 {
		h.buckets = append(h.buckets, make([]uint64, missing)...)
	}
}

// exponentialIndex returns the bucket of v: i for values above base^i up to base^(i+1), with base = 2^(2^-scale).
func exponentialIndex(v float64, scale int) int {
	fraction, exponent := math.Frexp(v)
	if scale > 0 {
		return exponent<<scale + int(math.Log(fraction)*math.Ldexp(math.Log2E, scale)) - 1
	}
	// Frexp has 2^n as a half of 2^(n+1), and it belongs to the bucket below.
	exponent--
	if fraction == 0.5 {
		exponent--
	}
	return exponent >> -scale
}

// reset forgets the values, and keeps the memory.
func (h *histogram) reset(explicit bool) {
	buckets := h.buckets
	clear(buckets)
	if !explicit {
		buckets = buckets[:0]
	}
	*h = histogram{buckets: buckets}
}
