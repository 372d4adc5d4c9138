// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseConditions(t *testing.T) {
	t.Parallel()
	list, err := parseConditions("512, 1769,full")
	require.NoError(t, err)
	require.Equal(t, []condition{
		{memoryMB: 512}, {memoryMB: 512, share: 512.0 / 1769}, {memoryMB: 1769, share: 1},
	}, list, "the one without a limit comes first")
	require.Equal(t, "full CPU, function of 512 MB", list[0].String())
	require.Equal(t, "function of 512 MB, 28.9 % of one CPU", list[1].String())
	require.False(t, list[0].limited())
	require.True(t, list[1].limited())

	for _, text := range []string{"", "full,", "127", "10241", "half", "128,128", "full,full"} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			_, err := parseConditions(text)
			require.Error(t, err)
		})
	}
}

func TestBudgetUnderCondition(t *testing.T) {
	t.Parallel()
	b := budget{limit: 14, small: 35}
	require.InDelta(t, 14, b.under(unlimited(), 3), 1e-9)
	require.InDelta(t, 35, b.under(condition{memoryMB: 512, share: 0.29}, 3), 1e-9)
	require.Zero(t, b.under(condition{memoryMB: 128, share: 0.07}, 3), "there is none")
	require.InDelta(t, 6, budget{floors: 2}.under(unlimited(), 3), 1e-9)
	require.Zero(t, budget{floors: 2}.under(condition{memoryMB: 512, share: 0.29}, 3))
}
