// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// samplesOf is the memory of a collector, beside a guard whose memory stays as it is.
func samplesOf(n int, memory func(i int) int64) []sample {
	samples := make([]sample, n)
	for i := range samples {
		samples[i] = sample{guard: 1 << 20, collector: memory(i)}
	}
	return samples
}

func TestMemoryRule(t *testing.T) {
	t.Parallel()
	const base = 8 << 20
	for name, test := range map[string]struct {
		n      int
		memory func(i int) int64
		broken []string
	}{
		"flat": {n: 1200, memory: func(int) int64 { return base }},
		"leak": {
			n: 1200, memory: func(i int) int64 { return base + int64(i)*10<<10 },
			broken: []string{"the memory of the collector grew by 5.9 MiB in 1200 invocations, the bound is 5.2 MiB"},
		},
		"leak, too short to say": {n: 999, memory: func(i int) int64 { return base + int64(i)*32<<10 }},
		"grows until it is warm": {n: 1200, memory: func(i int) int64 { return base + int64(min(i, 300))*200<<10 }},
		"full queues now and then": {
			n: 1200, memory: func(i int) int64 {
				if i%10 < 7 {
					return base
				}
				return 10 * base
			},
		},
		"large once, given back slowly": {
			n: 1200, memory: func(i int) int64 {
				if i < 700 {
					return base
				}
				return base + (collectorGrowth - int64(i)<<10)
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, test.broken, judgeMemory(samplesOf(test.n, test.memory)))
		})
	}
	growing := samplesOf(2000, func(int) int64 { return base })
	for i := range growing {
		growing[i][guard] += int64(i) * 8 << 10
	}
	require.Equal(t, []string{"the memory of the guard grew by 7.8 MiB in 2000 invocations, the bound is 5.0 MiB"},
		judgeMemory(growing))
}

func TestMeasure(t *testing.T) {
	t.Parallel()
	require.Zero(t, measure(nil, collector))
	u := measure(samplesOf(1000, func(i int) int64 { return int64(i) * 10 }), collector)
	require.EqualValues(t, 9990, u.max)
	require.EqualValues(t, 5000, u.growth)
	require.InDelta(t, 10_000, u.slope, 0.001)
	require.InDelta(t, 0, measure(samplesOf(1, func(int) int64 { return 5 }), collector).slope, 0)
}

func TestParseRSSAnon(t *testing.T) {
	t.Parallel()
	n, err := parseRSSAnon("VmRSS:\t   2048 kB\nRssAnon:\t    1236 kB\nRssFile:\t 800 kB\n")
	require.NoError(t, err)
	require.EqualValues(t, 1236<<10, n)
	_, err = parseRSSAnon("Name:\tcollector\nState:\tZ (zombie)\n")
	require.Error(t, err)
}
