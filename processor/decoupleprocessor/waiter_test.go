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

	"github.com/otelcol-lambda/otelcol-lambda/extension/lambdaextension"
)

// TestFlushesAtTheSameTime has two flushes of different patience wait for the same delivery. What becomes of one flush alone
// is tested with each of the others.
func TestFlushesAtTheSameTime(t *testing.T) {
	const short, long = time.Second, 3 * time.Second
	for name, test := range map[string]struct {
		takes       time.Duration
		fails       int // so many tries
		short, long error
		within      time.Duration
	}{
		"both see it delivered":   {takes: short / 2, within: short / 2},
		"both see it tried again": {takes: short / 10, fails: 2, within: 3*short/10 + 3*initialBackoff},
		"one gives up":            {takes: 2 * short, short: errKept, within: 2 * short},
		"the backend is down":     {fails: 100, short: errKept, long: errKept, within: 7 * initialBackoff},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := start(t, func(_ context.Context, n int, _ ptrace.Traces) error {
					time.Sleep(test.takes)
					if n <= test.fails {
						return errUnavailable
					}
					return nil
				})
				s.send(t, "a")
				began := time.Now()
				flush := func(within time.Duration) <-chan error {
					ctx, cancel := context.WithTimeout(t.Context(), within)
					done := make(chan error, 2)
					s.lifecycle.joined[0].(lambdaextension.Holder).FlushThen(ctx, func(err error) {
						cancel()
						done <- err
					})
					return done
				}
				first, second := flush(short), flush(long)
				require.ErrorIs(t, <-first, test.short)
				require.ErrorIs(t, <-second, test.long)
				require.Equal(t, test.within, time.Since(began))
				time.Sleep(time.Hour)
				require.Empty(t, first, "it is said once")
				require.Empty(t, second)
				s.stop(t)
				d := s.Traces.(tracesProcessor).decouple
				d.mu.Lock()
				defer d.mu.Unlock()
				require.Empty(t, d.waiters)
				require.Zero(t, d.flushes)
			})
		})
	}
}

func TestFlushThenOfNothing(t *testing.T) {
	s := start(t, nil)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	done := make(chan error, 1)
	s.lifecycle.joined[0].(lambdaextension.Holder).FlushThen(ctx, func(err error) { done <- err })
	require.Len(t, done, 1, "nobody has to wait for anything")
	require.NoError(t, <-done)
	s.stop(t)
}

// A flush whose time is over before it begins has everything sent.
func TestFlushThenAfterItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, nil)
		s.send(t, "a")
		_, _ = s.flush(t, -time.Second) // whether it sees the delivery is a matter of chance
		synctest.Wait()
		require.Equal(t, []string{"a"}, s.backend.arrived())
		s.stop(t)
	})
}
