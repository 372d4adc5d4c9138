// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapi

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestQueueOrderAndBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(10)
		require.True(t, q.put(t.Context(), []byte("12345"), 0))
		require.True(t, q.put(t.Context(), []byte("67890"), 0))

		start := time.Now()
		require.False(t, q.put(t.Context(), []byte("x"), time.Second), "full")
		require.Equal(t, time.Second, time.Since(start))

		body, ok := q.take()
		require.True(t, ok)
		require.Equal(t, "12345", string(body))
		require.False(t, q.put(t.Context(), []byte("x"), 0), "a body counts until it is released")

		waited := make(chan bool)
		go func() { waited <- q.put(t.Context(), []byte("x"), time.Minute) }()
		synctest.Wait()
		q.release(body)
		require.True(t, <-waited)

		q.close()
		require.False(t, q.put(t.Context(), nil, time.Minute), "closed")
		for _, want := range []string{"67890", "x"} {
			body, ok := q.take()
			require.True(t, ok)
			require.Equal(t, want, string(body))
			q.release(body)
		}
		_, ok = q.take()
		require.False(t, ok)
		require.Zero(t, q.bytes)
	})
}

func TestQueueClear(t *testing.T) {
	q := newQueue(10)
	require.Zero(t, q.clear())
	for range 3 {
		require.True(t, q.put(t.Context(), []byte("123"), 0))
	}
	body, ok := q.take()
	require.True(t, ok)
	require.Equal(t, 2, q.clear())
	require.Equal(t, 3, q.bytes, "what was taken is still to be released")
	q.release(body)
	require.Zero(t, q.bytes)
	require.NoError(t, q.idle(t.Context()))
	require.True(t, q.put(t.Context(), []byte("1234567890"), 0))
}

func TestQueueTakesOneOversizedBody(t *testing.T) {
	q := newQueue(3)
	require.True(t, q.put(t.Context(), []byte("12345"), 0))
	require.False(t, q.put(t.Context(), []byte("1"), 0))
}

func TestQueueWaitsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(1)
		require.NoError(t, q.idle(t.Context()), "nothing was put")
		require.True(t, q.put(t.Context(), []byte("1"), 0))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, q.idle(ctx), context.DeadlineExceeded)
		require.False(t, q.put(ctx, []byte("2"), time.Hour))

		closed := make(chan bool)
		go func() { closed <- q.put(t.Context(), []byte("3"), time.Hour) }()
		synctest.Wait()
		q.close()
		require.False(t, <-closed)
	})
}

func TestQueueIdleMeansWhatWasThereBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(10)
		require.True(t, q.put(t.Context(), []byte("1"), 0))
		idle := make(chan error, 1)
		go func() { idle <- q.idle(t.Context()) }()
		synctest.Wait()
		require.True(t, q.put(t.Context(), []byte("2"), 0))

		body, _ := q.take()
		synctest.Wait()
		require.Empty(t, idle, "taken is not worked off")
		q.release(body)
		require.NoError(t, <-idle)
	})
}
