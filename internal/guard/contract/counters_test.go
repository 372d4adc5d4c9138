// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestCounters(t *testing.T) {
	since := time.UnixMilli(1_800_000_000_000)
	require.Empty(t, Counters{Since: since}.Text())
	for text, c := range map[string]Counters{
		"since=1800000000000 deaths=1": {Since: since, Deaths: 1},
		"since=1800000000000 deaths=1 kills=2 restarts=3 init_overruns=4 invoke_overruns=5 skipped=6": {
			Since: since, Deaths: 1, Kills: 2, Restarts: 3, InitOverruns: 4, InvokeOverruns: 5, Skipped: 6,
		},
	} {
		require.Equal(t, text, c.Text())
		require.Equal(t, c, ParseCounters(text))
	}
}

// A collector of one version may run behind a guard of another.
func TestParseCountersIsLenient(t *testing.T) {
	require.Equal(t, Counters{Kills: 7}, ParseCounters("new=3 kills=7 deaths=many skipped=-1 restarts = 2 ="))
	require.Equal(t, Counters{}, ParseCounters(""))
}
