// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// update writes testdata/table.txt anew.
var update = flag.Bool("update", false, "write the golden file")

func TestTable(t *testing.T) {
	results := []result{
		{cell: one(t, "kill/frozen"), invocations: 12, hold: 31 * time.Millisecond, restarts: 1, arrived: 168, sent: 168},
		{cell: one(t, "stop/shutdown"), invocations: 13, hold: 2871 * time.Millisecond},
		{cell: one(t, "oom/flush"), notHere: "no control group for memory is mounted"},
		{cell: one(t, "port-taken/shutdown"), skipped: "nobody wants the port"},
		{
			cell: one(t, "next-never/flush"), invocations: 12, failed: 1, hold: 3 * time.Second, arrived: 1, sent: 2,
			broken: []string{"invocation 3: status timeout", "1 of 2 items were lost"}, log: "[function] a line\n",
		},
	}
	var out bytes.Buffer
	require.NoError(t, writeTable(&out, results))
	require.True(t, writeBroken(&out, results))
	golden := filepath.Join("testdata", "table.txt")
	if *update {
		require.NoError(t, os.WriteFile(golden, out.Bytes(), 0o600))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, string(want), out.String())

	require.False(t, writeBroken(&out, results[:4]))
}

func one(t *testing.T, name string) cell {
	t.Helper()
	cells := matrix(regexp.MustCompile("^" + name + "$"))
	require.Len(t, cells, 1)
	return cells[0]
}
