// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdasim

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// Timers stand still while the gate is shut, however often that is.
func TestGateTimersStandStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		start := time.Now()
		var fired atomic.Int64
		g.afterFunc(100*time.Millisecond, func() { fired.Store(int64(time.Since(start))) })
		for range 3 {
			time.Sleep(30 * time.Millisecond)
			g.freeze()
			g.freeze()
			time.Sleep(time.Hour)
			g.thaw()
			g.thaw()
		}
		require.Zero(t, fired.Load())
		time.Sleep(10 * time.Millisecond)
		synctest.Wait()
		require.Equal(t, 3*time.Hour+100*time.Millisecond, time.Duration(fired.Load()))
		require.Empty(t, g.timers)
	})
}

func TestGateTimerMadeWhileFrozen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		g.freeze()
		var fired atomic.Bool
		timer := g.afterFunc(10*time.Millisecond, func() { fired.Store(true) })
		stopped := g.afterFunc(10*time.Millisecond, func() { t.Error("a stopped timer fired") })
		time.Sleep(time.Hour)
		require.False(t, fired.Load())
		stopped.stop()
		g.thaw()
		time.Sleep(10 * time.Millisecond)
		synctest.Wait()
		require.True(t, fired.Load())
		timer.stop()
	})
}

// A timer that expires in the moment of the freeze fires after the thaw, and once.
func TestGateTimerAtTheFreeze(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		var fired atomic.Int32
		timer := g.afterFunc(time.Hour, func() { fired.Add(1) })
		g.freeze()
		timer.expire()
		require.Zero(t, fired.Load())
		g.mu.Lock()
		timer.remaining = 0
		g.mu.Unlock()
		g.thaw()
		synctest.Wait()
		require.EqualValues(t, 1, fired.Load())
		timer.expire()
		require.EqualValues(t, 1, fired.Load())
	})
}

func TestGateWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		require.NoError(t, g.wait(t.Context()))
		g.freeze()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, g.wait(ctx), context.DeadlineExceeded)
		require.ErrorIs(t, g.sleep(ctx, time.Nanosecond), context.DeadlineExceeded)
		start := time.Now()
		time.AfterFunc(time.Minute, g.thaw)
		require.NoError(t, g.wait(t.Context()))
		require.Equal(t, time.Minute, time.Since(start))
		require.NoError(t, g.sleep(t.Context(), time.Second))
		require.Equal(t, time.Minute+time.Second, time.Since(start))
	})
}
