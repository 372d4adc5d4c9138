// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package decoupleprocessor

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// A goroutine delivers many times, and each delivery has the whole time, also if the one before ended together with a step
// of its own.
func TestEachDeliveryHasTheWholeTime(t *testing.T) {
	const limit = 30 * time.Second
	synctest.Test(t, func(t *testing.T) {
		var took time.Duration
		var cause error
		s := start(t, func(ctx context.Context, n int, _ ptrace.Traces) error {
			switch n {
			case 1, 2:
				time.Sleep(limit - time.Second)
				return nil
			case 3:
				began := time.Now()
				<-ctx.Done()
				took, cause = time.Since(began), context.Cause(ctx)
				return ctx.Err()
			default:
				return nil
			}
		}, func(c *Config) { c.Timeout = limit })
		for _, name := range []string{"first", "second", "hangs"} {
			s.send(t, name)
			require.NoError(t, s.lifecycle.joined[0].Flush(t.Context()))
		}
		require.Equal(t, limit, took)
		require.ErrorIs(t, cause, context.DeadlineExceeded)
		require.Equal(t, []string{"first", "second", "hangs"}, s.backend.arrived())
		s.stop(t)
	})
}

// Of deliveries that end at the same time, one leaves its goroutine for the next, and none stays after Shutdown: the bubble
// would not end.
func TestOneGoroutineStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, func(context.Context, int, ptrace.Traces) error {
			time.Sleep(time.Second)
			return nil
		}, func(c *Config) { c.MaxRequestBytes = 1 })
		d := s.Traces.(tracesProcessor).decouple
		var stayed *flight[ptrace.Traces]
		for range 2 {
			s.send(t, "a", "b", "c")
			_, err := s.flush(t, time.Minute)
			require.NoError(t, err)
			d.mu.Lock()
			require.Empty(t, d.flights)
			require.NotNil(t, d.spare)
			require.Zero(t, d.spare.item, "what is delivered is not kept")
			stayed = d.spare
			d.mu.Unlock()
		}
		s.send(t, "alone")
		_, err := s.flush(t, time.Minute)
		require.NoError(t, err)
		d.mu.Lock()
		require.Same(t, stayed, d.spare)
		d.mu.Unlock()
		s.stop(t)
		require.Len(t, s.backend.arrived(), 7)
	})
}
