// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdaextension

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// TestLateness has news that comes too late hold one invocation, and another one after minutes, and not each.
func TestLateness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := scheduled(t)
		var log recorder
		e.Join(&fakeParticipant{name: "decouple", log: &log, flush: untilDone})
		const timeout = 3 * time.Second
		id := 0
		held := func() bool {
			id++
			before := strconv.Itoa(id - 1)
			time.AfterFunc(time.Millisecond, func() { e.invocations.finish(before) })
			start := time.Now()
			e.invoke(t.Context(), invokeEvent(strconv.Itoa(id), timeout))
			took := time.Since(start)
			e.wg.Wait()
			return took > timeout/2
		}
		require.True(t, held())
		require.Equal(t, ScheduleFlush, e.Schedule())
		for range 3 {
			require.False(t, held())
		}
		require.Equal(t, ScheduleContinuous, e.Schedule())
		require.Contains(t, log.all(), "drain decouple", "what has waited need not wait for more data")

		time.Sleep(firstLateness) // in the bubble
		require.True(t, held(), "it may be well again")
		require.False(t, held())
		time.Sleep(firstLateness)
		require.False(t, held(), "it was in vain twice")
		time.Sleep(firstLateness)
		id++
		e.invocations.finish(strconv.Itoa(id))
		e.invoke(t.Context(), invokeEvent(strconv.Itoa(id), timeout))
		require.Equal(t, ScheduleFlush, e.Schedule())
		e.wg.Wait()
	})
}

func TestLatenessNext(t *testing.T) {
	now := time.Now()
	var l lateness
	begins, ends := l.next(now)
	require.False(t, begins || ends)
	for _, want := range []time.Duration{5 * time.Minute, 10 * time.Minute, 20 * time.Minute, 40 * time.Minute, time.Hour, time.Hour} {
		l.overdue = true
		begins, ends = l.next(now)
		require.True(t, begins && !ends)
		require.Equal(t, want, l.pause)
		begins, ends = l.next(now.Add(want - time.Millisecond))
		require.False(t, begins || ends)
		begins, ends = l.next(now.Add(want))
		require.True(t, ends && !begins)
	}
}
