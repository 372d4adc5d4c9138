// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseStatus(t *testing.T) {
	t.Parallel()
	m, err := parseStatus("Name:\tcollector: kB\nVmHWM:\t   23900 kB\nVmRSS:\t   23000 kB\nRssAnon:\t    6570 kB\n" +
		"RssFile:\t   17330 kB\nRssShmem:\t       0 kB\nThreads:\t9\n")
	require.NoError(t, err)
	require.Equal(t, memory{rssAnon: 6570 * 1024, rssFile: 17330 * 1024, vmHWM: 23900 * 1024}, m)

	for name, c := range map[string]struct{ text, says string }{
		"a process that has ended has none": {"Name:\tcollector\nState:\tZ (zombie)\n", " is missing"},
		"one is missing":                    {"RssAnon:\t1 kB\nRssFile:\t1 kB\n", "VmHWM is missing"},
		"not a number":                      {"RssAnon:\tmany kB\n", "RssAnon: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := parseStatus(c.text)
			require.ErrorContains(t, err, c.says)
		})
	}
}

func TestParseFaults(t *testing.T) {
	t.Parallel()
	minor, major, err := parseFaults("25184 (a) b (c)) R 25137 25137 6898 0 -1 4194304 101 7 3 9 0 0 0 0 20\n")
	require.NoError(t, err)
	require.InDelta(t, 101, minor, 0)
	require.InDelta(t, 3, major, 0)

	for _, text := range []string{"", "1 (x) R 1 2 3", "1 (x) R 1 1 1 0 -1 4 many 7 3 9"} {
		_, _, err := parseFaults(text)
		require.Error(t, err, text)
	}
}

func TestParseChildren(t *testing.T) {
	t.Parallel()
	pids, err := parseChildren("12 345 \n")
	require.NoError(t, err)
	require.Equal(t, []int{12, 345}, pids)

	pids, err = parseChildren("")
	require.NoError(t, err)
	require.Empty(t, pids)

	_, err = parseChildren("12 x")
	require.Error(t, err)
}

func TestProcessClock(t *testing.T) {
	t.Parallel()
	// The values of clock_getcpuclockid(3).
	require.Equal(t, int32(-6), processClock(0))
	require.Equal(t, int32(-14), processClock(1))
	require.Equal(t, int32(-33_554_430), processClock(4_194_303))
}

func TestOwnProcess(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("reads /proc")
	}
	t.Parallel()
	pids, err := family(os.Getpid())
	require.NoError(t, err)
	require.Equal(t, os.Getpid(), pids[0])
	used, err := cpuTime(pids[:1])
	require.NoError(t, err)
	require.Positive(t, used)
	minor, _, err := faultsOf(pids[:1])
	require.NoError(t, err)
	require.Positive(t, minor)
	_, _, err = faultsOf([]int{-1})
	require.ErrorIs(t, err, os.ErrNotExist)
	bytes, err := anonymous(pids[:1])
	require.NoError(t, err)
	require.Positive(t, bytes)
	m, err := memoryOf(os.Getpid())
	require.NoError(t, err)
	require.Positive(t, m.rssAnon)
	require.GreaterOrEqual(t, m.vmHWM, m.rssAnon)
}
