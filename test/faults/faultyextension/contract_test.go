// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package faultyextension

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTrace(t *testing.T) {
	dir := t.TempDir()
	entries, err := ReadTrace(dir)
	require.NoError(t, err)
	require.Empty(t, entries)

	f, err := os.OpenFile(filepath.Join(dir, traceFile), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(t, err)
	before := time.Now()
	writeTrace(f, Started, "-")
	writeTrace(f, Done, "two\nlines of text")
	require.NoError(t, f.Close())

	entries, err = ReadTrace(dir)
	require.NoError(t, err)
	require.Len(t, entries, 2)
	require.Equal(t, Started, entries[0].What)
	require.Equal(t, os.Getpid(), entries[0].PID)
	require.WithinRange(t, entries[0].Time, before.Round(0), time.Now())
	require.Equal(t, Done, entries[1].What)
	require.Equal(t, "two lines of text", entries[1].Detail)
}

func TestTraceThatIsNone(t *testing.T) {
	for _, text := range []string{"started 1 2\n", "started one 2 -\n", "started 1 two -\n"} {
		_, err := parseTrace(text)
		require.Error(t, err, text)
	}
}

// Where nobody has asked for a fault, nothing begins.
func TestNoProcess(t *testing.T) {
	require.Nil(t, current)
	require.EqualError(t, (&faulty{}).Start(t.Context(), nil), EnvDir+" is not set")
}
