// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package extensionsapi

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestEvents(t *testing.T) {
	for initializationType, want := range map[string][]EventType{
		"":                        {EventInvoke, EventShutdown},
		"on-demand":               {EventInvoke, EventShutdown},
		"provisioned-concurrency": {EventInvoke, EventShutdown},
		"snap-start":              {EventInvoke, EventShutdown},
		"lambda-managed-instances": {
			EventShutdown,
		},
	} {
		require.Equal(t, want, Events(initializationType), initializationType)
	}
}

func TestDeadline(t *testing.T) {
	now := time.Date(2026, 4, 6, 22, 56, 11, 92e6, time.UTC)
	for name, test := range map[string]struct {
		deadlineMs int64
		want       time.Time
	}{
		"none":                       {0, time.Time{}},
		"negative":                   {-1, time.Time{}},
		"most negative":              {math.MinInt64, time.Time{}},
		"epoch":                      {1775516174092, time.UnixMilli(1775516174092)},
		"epoch, passed":              {1775516171000, time.UnixMilli(1775516171000)},
		"time remaining":             {676051, now.Add(676051 * time.Millisecond)},
		"longest time remaining":     {999_999_999_999, now.Add(999_999_999_999 * time.Millisecond)},
		"earliest point in time":     {1_000_000_000_000, time.Date(2001, 9, 9, 1, 46, 40, 0, time.UTC)},
		"beyond what a duration can": {math.MaxInt64 / 4, now.Add(math.MaxInt64)},
	} {
		t.Run(name, func(t *testing.T) {
			got := Event{DeadlineMs: test.deadlineMs}.Deadline(now)
			require.True(t, test.want.Equal(got), "%v, not %v", got, test.want)
		})
	}
}

func TestDeadlineIsMonotonic(t *testing.T) {
	now := time.Now()
	for _, deadlineMs := range []int64{2000, now.Add(2 * time.Second).UnixMilli()} {
		deadline := Event{DeadlineMs: deadlineMs}.Deadline(now)
		require.NotEqual(t, deadline, deadline.Round(0), "a deadline without a monotonic reading moves with the wall clock")
		require.InDelta(t, 2*time.Second, deadline.Sub(now), float64(time.Millisecond))
	}
}

func TestReason(t *testing.T) {
	for _, text := range []string{"spindown", "SPINDOWN", "Spindown"} {
		require.Equal(t, "spindown", Event{ShutdownReason: text}.Reason())
	}
	require.Equal(t, "sandboxterminated", Event{ShutdownReason: "SandboxTerminated"}.Reason())
	require.Empty(t, Event{}.Reason())
}
