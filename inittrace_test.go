// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"maps"
	"os/exec"
	"regexp"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// initRuns is how often a program is started. A map with an unlucky seed allocates more, so the least counts: 20 runs
// differ from another 20 by less than 1 kB and 10 allocations in all.
const initRuns = 20

// leastInits starts a program several times, and returns bytes and allocations of those packages that allocate.
func leastInits(t *testing.T, binary string, args []string) map[string][]int64 {
	t.Helper()
	var least map[string][]int64
	for range initRuns {
		cmd := exec.CommandContext(t.Context(), binary, args...)
		// What is pooled is made again on another processor and after a collection.
		cmd.Env = []string{"GODEBUG=inittrace=1", "GOMAXPROCS=1", "GOGC=off"}
		output, _ := cmd.CombinedOutput() // the guard fails, because there is no collector
		rows := parseInits(output)
		require.NotEmptyf(t, rows, "%s", output)
		if least == nil {
			least = rows
		}
		for pkg, row := range rows {
			require.Containsf(t, least, pkg, "%s", output)
			for i, n := range row {
				least[pkg][i] = min(least[pkg][i], n)
			}
		}
	}
	maps.DeleteFunc(least, func(_ string, row []int64) bool { return row[0] == 0 && row[1] == 0 })
	return least
}

// initOrder returns the packages in the order in which they are initialized.
func initOrder(t *testing.T, binary string, args []string) (order []string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Env = []string{"GODEBUG=inittrace=1"}
	output, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) { // the guard does not find a collector
		require.NoErrorf(t, err, "%s", output)
	}
	for line := range bytes.Lines(output) {
		if match := initLine.FindSubmatch(bytes.TrimSpace(line)); match != nil {
			order = append(order, string(match[1]))
		}
	}
	return order
}

var initLine = regexp.MustCompile(`^init (\S+) @.* clock, (\d+) bytes, (\d+) allocs$`)

// parseInits reads what a program prints with GODEBUG=inittrace=1: bytes and allocations by package.
func parseInits(output []byte) map[string][]int64 {
	rows := map[string][]int64{}
	for line := range bytes.Lines(output) {
		match := initLine.FindSubmatch(bytes.TrimSpace(line))
		if match == nil {
			continue
		}
		pkg := string(match[1])
		if _, again := rows[pkg]; again {
			break // the guard has become a collector after all
		}
		// Digits cannot fail.
		size, _ := strconv.ParseInt(string(match[2]), 10, 64)
		allocations, _ := strconv.ParseInt(string(match[3]), 10, 64)
		rows[pkg] = []int64{size, allocations}
	}
	return rows
}

func TestParseInits(t *testing.T) {
	require.Equal(t, map[string][]int64{"runtime": {0, 0}, "net/http": {4712, 49}}, parseInits([]byte(
		"init runtime @0.45 ms, 0.13 ms clock, 0 bytes, 0 allocs\n"+
			"init net/http @11 ms, 0.007 ms clock, 4712 bytes, 49 allocs\n"+
			"otelcol-lambda version 0.1.0\n"+
			"init runtime @0.45 ms, 0.13 ms clock, 8 bytes, 1 allocs\n"+
			"init more @0.45 ms, 0.13 ms clock, 0 bytes, 0 allocs\n")))
}
