// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"flag"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestTable(t *testing.T) {
	t.Parallel()
	subjects := []subject{
		{name: nameLayer, collector: true, budgeted: true},
		{name: nameRaw},
		{name: nameNetHTTP},
	}
	observed := []observations{
		{
			keyRegister: {2, 1, 3}, keyListening: {11}, keyFirstNext: {14.5}, keyFirstNextCPU: {15},
			prefixReady + processAll + suffixAnonymous: {4.9e6}, keyMissing: {0},
		},
		{keyRegister: {1.5}, keyFirstNext: {2}},
		{keyRegister: {2.5, 2.6, 2.4}, keyFirstNext: {4}, keyMissing: {0}},
	}
	d := document{
		Machine:  machine{GoVersion: "go1.99", OS: "linux", Arch: "arm64", CPUCount: 2},
		Settings: recorded{Runs: 3, WarmRuns: 3, Invocations: 20, MemoryMB: 512},
		Subjects: evaluate(subjects, observed),
	}
	var got bytes.Buffer
	require.NoError(t, printTable(&got, d))
	golden(t, "testdata/table.golden", got.String())
}

// golden compares with a file.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(got), 0o600))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), got)
}

func TestEvaluate(t *testing.T) {
	t.Parallel()
	results := evaluate(
		[]subject{{name: nameLayer, budgeted: true}, {name: nameNetHTTP}},
		[]observations{{keyRegister: {3}, keyHeld: {1}}, {keyRegister: {2}, keyHeld: {0}}},
	)
	register := results[0].Figures[keyRegister]
	require.InDelta(t, 1.5, register.FloorRatio, 1e-9)
	require.InDelta(t, 2, register.Budget, 1e-9)
	require.Zero(t, results[1].Figures[keyRegister].Budget, "budgets are the layer's")

	held := results[0].Figures[keyHeld]
	require.Zero(t, held.FloorRatio, "nothing is a multiple of nothing")
	require.InDelta(t, 29, held.Budget, 1e-9)
	require.NotContains(t, results[0].Figures, keyZip)
}

func TestFiguresAreDistinct(t *testing.T) {
	t.Parallel()
	keys := map[string]bool{}
	for _, f := range figures() {
		require.False(t, keys[f.key], f.key)
		keys[f.key] = true
		require.NotEmpty(t, f.means, f.key)
	}
}
