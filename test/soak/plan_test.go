// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/otelcol-lambda/otelcol-lambda/test/soak/work"
)

func TestPlanIsThatOfItsSeed(t *testing.T) {
	t.Parallel()
	first, again := newPlan(7, 5000), newPlan(7, 5000)
	require.Equal(t, first, again)
	require.NotEqual(t, newPlan(7, 5000), newPlan(8, 5000))

	whole := newPlan(7, 5000)
	alone := whole.only(3)
	require.Len(t, alone.environments, 1)
	require.Equal(t, whole.environments[3], alone.environments[0])
	require.Empty(t, whole.only(1000).environments)
	require.Equal(t, newPlan(7, 5000), whole, "the plan itself is left alone")
}

// A short soak, as in CI, has everything in it.
func TestPlanHasEverything(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		p := newPlan(seed, 1000)
		require.Equal(t, 1000, p.invocations())
		kinds, ends := map[faultKind]int{}, map[work.End]int{}
		into, nothing, large, late := 0, 0, 0, 0
		for _, e := range p.environments {
			for _, s := range e.steps {
				ends[s.event.End]++
				if s.change != nil {
					kinds[s.change.kind]++
					into += min(1, int(s.change.into))
				}
				if s.event.Spans+s.event.Points+s.event.Logs+s.event.Lines == 0 {
					nothing++
				}
				if (s.event.Spans+s.event.Points+s.event.Logs)*s.event.ItemBytes > 100<<10 {
					large++
				}
				if s.gap >= 300*time.Millisecond {
					late++
				}
			}
		}
		for _, kind := range faultKinds() {
			require.Positive(t, kinds[kind], "seed %d has no fault %s", seed, kind)
		}
		for _, end := range []work.End{work.Succeed, work.Fail, work.Hang, work.Crash} {
			require.Positive(t, ends[end], "seed %d has no invocation that ends in %q", seed, end)
		}
		for what, n := range map[string]int{
			"change in an invocation": into, "empty invocation": nothing, "large invocation": large, "long gap": late,
		} {
			require.Positive(t, n, "seed %d has no %s", seed, what)
		}
	}
}

func TestPlanKeepsItsPromises(t *testing.T) {
	t.Parallel()
	for seed := range uint64(50) {
		p := newPlan(seed, 20_000)
		require.Equal(t, 20_000, p.invocations())
		long := 0
		used := map[string]int{}
		var gaps time.Duration
		for number, e := range p.environments {
			require.Equal(t, number, e.number)
			used[e.strategy]++
			kills, since := 0, 0
			for i, s := range e.steps {
				require.Equal(t, i+1, s.event.Number)
				gaps += s.gap
				since++
				if s.event.End.Kills() {
					kills++
					require.GreaterOrEqual(t, since, resetDistance, "seed %d, environment %d", seed, number)
					since = 0
				}
				if s.change == nil {
					continue
				}
				if s.change.kind == healthy {
					require.Empty(t, s.change.faults)
					continue
				}
				require.Len(t, s.change.faults, 1)
				require.NoError(t, s.change.faults[0].Validate())
			}
			// What a reset leaves behind needs a next process.
			require.GreaterOrEqual(t, since, resetDistance)
			if len(e.steps) >= longEnvironment {
				long++
				require.Zero(t, kills, "memory is compared within one process")
			}
		}
		require.GreaterOrEqual(t, long, 4)
		for _, s := range strategies() {
			require.GreaterOrEqual(t, used[s], 5)
		}
		// Three environments at a time have to be done in a quarter of an hour, most of which is for invocations.
		require.Less(t, gaps/3, 8*time.Minute)
	}
}

func TestPlanOfFew(t *testing.T) {
	t.Parallel()
	for _, n := range []int{fewest, 99, 100, 101, 399, 400, 401} {
		for seed := range uint64(50) {
			require.Equal(t, n, newPlan(seed, n).invocations())
		}
	}
}
