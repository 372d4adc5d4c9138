// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/otelcol-lambda/otelcol-lambda/internal/flush"
)

// TestFrequentShare has invocations that come up to a third of a gap late.
func TestFrequentShare(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // it is no secret
	start := time.Unix(1_700_000_000, 0)
	var history flush.History
	var deliveries []int
	for i := range frequentShare + frequentInvocations {
		now := start.Add(time.Duration(i)*frequentGap + time.Duration(random.Int64N(int64(frequentGap/3))))
		var plan flush.Plan
		plan, history = flush.Decide(flush.Settings{Strategy: flush.Periodic, Interval: frequentInterval}, history, now)
		require.False(t, plan.AtEnd)
		if plan.AtStart {
			history = history.Delivered(now)
			deliveries = append(deliveries, i+1)
		}
	}
	require.Equal(t, []int{2, 12, 22, 32, 42}, deliveries, "the first when there is something, then one for each ten")
}
