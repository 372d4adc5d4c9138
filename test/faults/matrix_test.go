// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/otelcol-lambda/otelcol-lambda/test/faults/faultyextension"
)

func TestMatrixIsComplete(t *testing.T) {
	cells := matrix(regexp.MustCompile(""))
	require.Len(t, cells, 12*7)
	names := map[string]bool{}
	pointless := 0
	for _, c := range cells {
		names[c.name()] = true
		if c.pointless() != "" {
			pointless++
		}
	}
	require.Len(t, names, len(cells), "each has a name of its own")
	require.Equal(t, 1, pointless, "a cell that is not run is an exception")
}

func TestMatrixSelects(t *testing.T) {
	var names []string
	for _, c := range matrix(regexp.MustCompile("^(kill|stop)/(frozen|flush)$")) {
		names = append(names, c.name())
	}
	require.Equal(t, []string{"kill/frozen", "kill/flush", "stop/frozen", "stop/flush"}, names)
	require.Empty(t, matrix(regexp.MustCompile("flood")))
}

func TestOutcomes(t *testing.T) {
	for name, want := range map[string]outcome{
		"kill/frozen":                recovers,
		"kill/shutdown":              over,
		"port-taken/before-register": unharmed,
		"port-taken/after-register":  recovers,
		"garbage/init-next":          unharmed,
		"no-fds/after-register":      recovers,
		"no-fds/init-next":           lasting,
	} {
		cells := matrix(regexp.MustCompile("^" + name + "$"))
		require.Len(t, cells, 1)
		require.Equal(t, want, cells[0].outcome(), name)
	}
}

func TestEveryFaultHasAProof(t *testing.T) {
	for _, f := range faults() {
		r := &rig{cell: cell{f, faultyextension.Frozen}, dir: t.TempDir(), log: &transcript{}}
		if f.name == faultyextension.OutOfMemory {
			r.memory = &memoryGroup{dir: r.dir}
		}
		require.Error(t, r.happened(), "%s must not pass when nothing has happened", f.name)
	}
}
