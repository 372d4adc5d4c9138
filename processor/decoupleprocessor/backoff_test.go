// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package decoupleprocessor

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestBackoffGrowsToItsBound(t *testing.T) {
	now := time.Date(2026, 11, 20, 3, 0, 0, 0, time.UTC)
	var b backoff
	require.False(t, b.failing())
	require.Zero(t, b.wait(now, 0))

	b.fail(now, initialBackoff)
	require.True(t, b.failing())
	require.Equal(t, initialBackoff, b.wait(now, 0))
	require.Equal(t, initialBackoff/2, b.wait(now.Add(initialBackoff/2), 0))
	require.Zero(t, b.wait(now.Add(time.Hour), 0), "a long freeze makes the next try due")

	b.fail(now, initialBackoff)
	require.Equal(t, 2*initialBackoff, b.wait(now, 0))
	b.fail(now, stallBackoff)
	require.Equal(t, stallBackoff, b.wait(now, 0))
	for range 20 {
		b.fail(now, initialBackoff)
	}
	require.Equal(t, maxBackoff, b.wait(now, 0))

	require.Equal(t, lastBackoff, b.wait(now, lastBackoff))
	require.Zero(t, b.wait(now.Add(lastBackoff), lastBackoff))

	b.fail(now, time.Minute)
	require.Equal(t, time.Minute, b.wait(now, 0), "what the backend asked for counts")
	b.fail(now, initialBackoff)
	require.Equal(t, maxBackoff, b.wait(now, 0))

	b.succeed()
	require.False(t, b.failing())
	require.Zero(t, b.wait(now, 0))
}

func TestBackoffWithTheClockSetBack(t *testing.T) {
	now := time.Date(2026, 11, 20, 3, 0, 0, 0, time.UTC)
	var b backoff
	b.fail(now, initialBackoff)
	require.Equal(t, initialBackoff, b.wait(now.Add(-24*time.Hour), 0), "no wait is longer than its delay")
}
