// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSummarise(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		samples          []float64
		median, p10, p90 float64
	}{
		"one sample is every quantile":       {[]float64{7}, 7, 7, 7},
		"between two samples":                {[]float64{20, 10}, 15, 11, 19},
		"odd number":                         {[]float64{3, 1, 2}, 2, 1.2, 2.8},
		"eleven samples fall on quantiles":   {[]float64{10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0}, 5, 1, 9},
		"one outlier does not move the rest": {[]float64{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 900}, 1, 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := summarise(c.samples)
			require.InDelta(t, c.median, s.Median, 1e-9)
			require.InDelta(t, c.p10, s.P10, 1e-9)
			require.InDelta(t, c.p90, s.P90, 1e-9)
			require.Equal(t, c.samples, s.Samples)
		})
	}
}

func TestRatio(t *testing.T) {
	t.Parallel()
	r, ok := ratioOf([]float64{12, 11, 13, 12, 12}, []float64{6, 6, 5.5, 6.5, 6})
	require.True(t, ok)
	require.InDelta(t, 2, r.Median, 1e-9)
	require.Less(t, r.Low, 2.0)
	require.Greater(t, r.Low, 1.6)
	require.Greater(t, r.High, 2.0)
	require.Less(t, r.High, 2.4)
	again, ok := ratioOf([]float64{12, 11, 13, 12, 12}, []float64{6, 6, 5.5, 6.5, 6})
	require.True(t, ok)
	require.Equal(t, r, again)

	r, ok = ratioOf([]float64{3}, []float64{2})
	require.True(t, ok)
	require.Equal(t, ratio{1.5, 1.5, 1.5}, r)
	require.Equal(t, "1.50", r.String())
	require.Equal(t, "1.50 (1.40–1.60)", (&ratio{1.5, 1.4, 1.6}).String())
	require.Empty(t, (*ratio)(nil).String())

	for name, by := range map[string][]float64{"nothing": nil, "zero": {0}, "mostly zero": {0, 0, 3}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, ok := ratioOf([]float64{1}, by)
			require.False(t, ok)
		})
	}
	_, ok = ratioOf(nil, []float64{1})
	require.False(t, ok)
	// Some of the samples drawn have a median of zero, by which nothing is divided.
	r, ok = ratioOf([]float64{1}, []float64{0, 1})
	require.True(t, ok)
	require.InDelta(t, 2, r.Median, 1e-9)
}
