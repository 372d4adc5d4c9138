// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestFloors measures for real what needs no layer.
func TestFloors(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("reads /proc")
	}
	file := filepath.Join(t.TempDir(), "figures.json")
	var table, progress bytes.Buffer
	require.NoError(t, run(t.Context(),
		[]string{
			"-layer", "", "-runs", "1", "-invocations", "0", "-memory", "full,1769", "-json", file, "-svg", filepath.Dir(file),
		}, &table, &progress))
	require.Contains(t, progress.String(), "run 1 of 1\n")
	require.Contains(t, table.String(), "exec → register")
	require.FileExists(t, filepath.Join(filepath.Dir(file), "cold-start.svg"))

	text, err := os.ReadFile(file)
	require.NoError(t, err)
	var d document
	require.NoError(t, json.Unmarshal(text, &d))
	require.Equal(t, runtime.Version(), d.Machine.GoVersion)
	require.Len(t, d.Subjects, 2)
	for _, s := range d.Subjects {
		for _, key := range []string{
			keyRegister, keyFirstNext, keyFirstNextCPU, prefixReady + processGuard + suffixAnonymous, keyGuardFile, keyZip,
		} {
			require.Positive(t, s.Figures[key].Median, "%s of %s", key, s.Name)
			require.Len(t, s.Figures[key].Samples, 1)
		}
		require.Greater(t, s.Figures[keyFirstNext].Median, s.Figures[keyRegister].Median)
		require.NotContains(t, s.Figures, keyListening)
		require.NotContains(t, s.Figures, keyHeld)
		require.Positive(t, s.Figures[keyMinorFaults].Median)
		require.Positive(t, s.Figures[processGuard+suffixInitPackages].Median)
		require.Greater(t, s.Figures[keyUnzipped].Median, s.Figures[keyZip].Median)
	}
	left := strings.Join(d.LeftOut, "\n")
	if !strings.Contains(left, string(partUncached)) {
		require.Positive(t, d.Subjects[0].Figures[prefixUncached+keyMajorFaults].Median)
	}
	if strings.Contains(left, "no cgroup") {
		require.Empty(t, d.Shares)
		return
	}
	require.Len(t, d.Shares, 1)
	require.Equal(t, 1769, d.Shares[0].MemoryMB)
	for _, s := range d.Shares[0].Subjects {
		require.Positive(t, s.Figures[keyRegister].Median)
		require.Greater(t, s.Figures[keyFirstNext].Median, s.Figures[keyRegister].Median)
		require.Positive(t, s.Figures[keyFirstNextCPU].Median)
		require.NotContains(t, s.Figures, keyZip)
	}
}

func TestFlags(t *testing.T) {
	t.Parallel()
	set, err := parse([]string{"-compare", "a=b", "-compare", "c=d=e"}, io.Discard)
	require.NoError(t, err)
	require.Equal(t, []string{"a=b", "c=d=e"}, set.compare)
	require.Equal(t, "build/layer", set.layer)
	require.True(t, set.cost && set.load && set.delivery && set.decode, "all parts")
	require.Equal(t, 3, set.loadRuns)
	require.False(t, set.sustained())
	require.Len(t, set.conditions, 4)
	require.Len(t, set.loadCells(), 7+2)
	require.Empty(t, set.stock)

	set, err = parse([]string{"-delivery", "-run", "^end/"}, io.Discard)
	require.NoError(t, err)
	require.True(t, set.delivery && !set.cost && !set.load)
	require.Len(t, set.matrix(), 3*8)
	set, err = parse([]string{"-delivery", "-load", "-load-time", "60s", "-connections", "64"}, io.Discard)
	require.NoError(t, err)
	require.True(t, set.delivery && !set.cost && set.load, "those that are asked for")
	require.True(t, set.sustained())
	require.Equal(t, 1, set.loadRuns)
	set, err = parse([]string{"-delivery=false"}, io.Discard)
	require.NoError(t, err)
	require.True(t, set.cost && set.load && !set.delivery)
	set, err = parse([]string{"-layer", ""}, io.Discard)
	require.NoError(t, err)
	require.True(t, set.cost && !set.load && !set.delivery && !set.decode, "without a layer nothing but the floors")
	set, err = parse([]string{"-layer", "", "-decode"}, io.Discard)
	require.NoError(t, err)
	require.True(t, set.decode && !set.processes(), "it needs none")

	for name, args := range map[string][]string{
		"an argument":        {"layer"},
		"no runs":            {"-runs", "0"},
		"less than no run":   {"-invocations", "-1"},
		"unknown flag":       {"-x"},
		"no cells":           {"-run", "often"},
		"no expression":      {"-run", "("},
		"no gap":             {"-rare", "0"},
		"none at a time":     {"-parallel", "0"},
		"no layer":           {"-layer", "", "-delivery"},
		"no layer to load":   {"-layer", "", "-load"},
		"nothing left":       {"-cost=false", "-load=false", "-delivery=false", "-decode=false"},
		"no memory size":     {"-memory", "12"},
		"no connections":     {"-connections", "0"},
		"no such backend":    {"-backend", "elsewhere"},
		"no time":            {"-load-time", "0"},
		"too much time":      {"-load-time", "1h"},
		"less than no load":  {"-load-runs", "-1"},
		"more attributes":    {"-attributes", "2,9"},
		"nothing decoded":    {"-decode-runs", "0"},
		"neither yes nor no": {"-delivery=no"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := parse(args, io.Discard)
			require.Error(t, err)
		})
	}
}

func TestLayerMissing(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("says something else")
	}
	t.Parallel()
	err := run(t.Context(), []string{"-layer", filepath.Join(t.TempDir(), "absent")}, io.Discard, io.Discard)
	require.ErrorContains(t, err, "make layer")
}
