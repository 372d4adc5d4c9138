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
