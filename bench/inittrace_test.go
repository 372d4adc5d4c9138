// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseInitTrace(t *testing.T) {
	t.Parallel()
	const lines = "init internal/bytealg @0.008 ms, 0 ms clock, 0 bytes, 0 allocs\n" +
		"init runtime @0.033 ms, 0.058 ms clock, 0 bytes, 0 allocs\n" +
		"init example.com/a b @19 ms, 1.5 ms clock, 1024 bytes, 7 allocs\n"
	want := initialisation{packages: 3, clock: 1.558, bytes: 1024, allocs: 7}
	for name, text := range map[string]string{
		"one program":               lines + "version 1.2.3\n",
		"what it writes":            lines + "init done\n",
		"one that becomes another":  lines + "init internal/bytealg @0.001 ms, 9 ms clock, 9 bytes, 9 allocs\n" + lines,
		"nothing at its end":        lines[:len(lines)-1],
		"something else before":     "warning\n" + lines,
		"a package of the other, 2": lines + lines,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := parseInitTrace(text)
			require.NoError(t, err)
			require.InDelta(t, want.clock, got.clock, 1e-9)
			got.clock = want.clock
			require.Equal(t, want, got)
		})
	}

	_, err := parseInitTrace("init runtime @soon\n")
	require.ErrorContains(t, err, "init runtime @soon")
	none, err := parseInitTrace("no Go program\n")
	require.NoError(t, err)
	require.Zero(t, none)
}

// TestTraceInit traces this test program, which ends because it does not know the flag.
func TestTraceInit(t *testing.T) {
	t.Parallel()
	program, err := os.Executable()
	require.NoError(t, err)
	i, err := traceInit(t.Context(), program)
	require.NoError(t, err)
	require.Greater(t, i.packages, 10)
	require.Positive(t, i.bytes)
	require.Positive(t, i.allocs)
	require.Positive(t, i.clock)

	_, err = traceInit(t.Context(), filepath.Join(t.TempDir(), "absent"))
	require.ErrorContains(t, err, "absent")
}
