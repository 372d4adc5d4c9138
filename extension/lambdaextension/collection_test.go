// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdaextension

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestGCPercent(t *testing.T) {
	t.Parallel()
	const mib = 1 << 20
	for name, test := range map[string]struct {
		used, memory uint64
		pause        time.Duration
		want         int
	}{
		"idle":                             {2 * mib, 512 * mib, time.Millisecond, 100},
		"a burst":                          {8 * mib, 512 * mib, time.Millisecond, 400},
		"no more than an eighth":           {16 * mib, 512 * mib, time.Millisecond, 300},
		"more than half of that":           {40 * mib, 512 * mib, time.Millisecond, 100},
		"all of it":                        {64 * mib, 512 * mib, time.Millisecond, 100},
		"more":                             {128 * mib, 512 * mib, time.Millisecond, 100},
		"a small function":                 {4 * mib, 128 * mib, time.Millisecond, 300},
		"a large function":                 {32 * mib, 10240 * mib, time.Millisecond, 300},
		"data that waits, and few come":    {8 * mib, 512 * mib, 2 * time.Second, 100},
		"the longest pause":                {8 * mib, 512 * mib, time.Second, 400},
		"the first collection of all":      {8 * mib, 512 * mib, 1 << 62, 100},
		"the size of the function unknown": {8 * mib, 0, time.Millisecond, 100},
	} {
		require.Equal(t, test.want, gcPercent(test.used, test.memory, test.pause), name)
	}
}

func TestNewCollections(t *testing.T) {
	t.Setenv(envGoGC, "")
	t.Setenv(envMemorySize, "")
	require.Nil(t, newCollections())
	newCollections().watch()()

	t.Setenv(envMemorySize, "512")
	require.Equal(t, uint64(512<<20), newCollections().memory)

	t.Setenv(envGoGC, "50")
	require.Nil(t, newCollections())
}

func TestCollectionsInABurst(t *testing.T) {
	t.Parallel()
	var used atomic.Uint64
	var percents []int
	now := time.Now()
	c := &collections{
		memory: 512 << 20, percent: usualPercent, now: func() time.Time { return now },
		set: func(percent int) { percents = append(percents, percent) },
	}
	c.next = func() uint64 { return used.Load() * uint64(100+c.percent) / 100 }
	collect := func(inUse uint64, pause time.Duration) {
		now = now.Add(pause)
		used.Store(inUse)
		c.ended(new(cycle))
	}
	collect(8<<20, 0) // the first
	collect(8<<20, burstPause)
	collect(8<<20, burstPause)
	require.Equal(t, []int{burstPercent}, percents)
	collect(8<<20, time.Hour) // in which the environment was frozen
	collect(32<<20, burstPause)
	collect(2<<20, burstPause)
	require.Equal(t, []int{burstPercent, usualPercent}, percents)
	collect(8<<20, burstPause)
	c.watch()()
	require.Equal(t, []int{burstPercent, usualPercent, burstPercent, usualPercent}, percents)
	collect(8<<20, burstPause)
	require.Len(t, percents, 4, "it is stopped")
}

func TestCollectionsAreNoticed(t *testing.T) {
	t.Parallel()
	var noticed atomic.Int64
	c := &collections{
		percent: usualPercent, now: time.Now, set: func(int) {},
		next: func() uint64 {
			noticed.Add(1)
			return nextCollection()
		},
	}
	stop := c.watch()
	for n := range int64(3) {
		require.Eventually(t, func() bool {
			runtime.GC()
			return noticed.Load() > n
		}, time.Minute, time.Millisecond)
	}
	stop()
	require.GreaterOrEqual(t, nextCollection(), uint64(4<<20), "Go's least")
}
