// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSizeBudget builds the layer by the Makefile's own recipe and prints and gates what a cold start has to fetch, page
// in and initialise.
func TestSizeBudget(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the layer")
	}
	dir := t.TempDir()
	build, dist := filepath.Join(dir, "build"), filepath.Join(dir, "dist")
	cmd := exec.CommandContext(t.Context(), "make", "layer", "LAYER_ARCHES=amd64", "BUILD_DIR="+build, "DIST_DIR="+dist)
	// Under `make test` these would hand the outer make's flags and job slots on.
	cmd.Env = slices.DeleteFunc(os.Environ(), func(kv string) bool {
		return strings.HasPrefix(kv, "MAKEFLAGS=") || strings.HasPrefix(kv, "MAKELEVEL=") || strings.HasPrefix(kv, "MFLAGS=")
	})
	out, err := cmd.CombinedOutput()
	require.NoErrorf(t, err, "make layer:\n%s", out)

	for _, b := range []struct {
		name  string
		got   int64
		limit int64
		hint  string
	}{
		{
			name:  "guard bytes",
			got:   fileSize(t, filepath.Join(build, "layer-amd64", "extensions", "otelcol-lambda")),
			limit: maxGuardBytes,
			hint:  "TestFootprint says which packages it is",
		},
		{
			name:  "collector bytes",
			got:   fileSize(t, filepath.Join(build, "layer-amd64", "otelcol-lambda", "collector")),
			limit: maxCollectorBytes,
			hint:  "TestFootprint says which packages it is",
		},
		{
			name:  "zip bytes",
			got:   fileSize(t, filepath.Join(dist, "otelcol-lambda-layer-amd64.zip")),
			limit: maxZipBytes,
			hint:  "compare `unzip -lv dist/otelcol-lambda-layer-amd64.zip` with the last commit's",
		},
	} {
		t.Run(b.name, func(t *testing.T) {
			t.Logf("%d of at most %d %s", b.got, b.limit, b.name)
			require.LessOrEqualf(t, b.got, b.limit, "over the budget in budget_test.go; %s", b.hint)
			// A budget with much room in it gates nothing.
			require.Greater(t, b.got, b.limit*9/10, "lower the limit in budget_test.go")
		})
	}
}

func fileSize(t *testing.T, name string) int64 {
	t.Helper()
	info, err := os.Stat(name)
	require.NoError(t, err)
	return info.Size()
}
