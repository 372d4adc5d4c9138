// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdaextension

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// fakeHeap has so much memory, of which so much is in use.
type fakeHeap struct{ size, used, collected, released atomic.Uint64 }

func (f *fakeHeap) heap() *heap {
	return &heap{size: f.size.Load, collect: func() { f.collected.Add(1) }, release: func() {
		f.released.Add(1)
		f.size.Store(f.used.Load())
	}}
}

// noHeap is for tests of other things: a process under test has any amount of memory.
func noHeap() *heap {
	return &heap{size: func() uint64 { return 0 }, collect: func() {}, release: func() {}}
}

func TestTrimCollectsTheGarbageOfTheStart(t *testing.T) {
	t.Parallel()
	var f fakeHeap
	h := f.heap()
	for invocation := range 5 {
		h.trim(t.Context(), func(do func()) { do() })
		require.Equal(t, invocation+1 >= tidyInvocation, f.collected.Load() == 1, "invocation %d", invocation+1)
	}
	require.Zero(t, f.released.Load())
}

func TestTrimAfterABurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f fakeHeap
		h := f.heap()
		spawn := func(do func()) { go do() }
		f.size.Store(ampleHeap)
		h.trim(t.Context(), spawn)
		synctest.Wait()
		require.Zero(t, f.released.Load(), "it will be needed again")

		// Data is on its way still, and then it is not.
		f.size.Store(10 * ampleHeap)
		f.used.Store(4 * ampleHeap)
		h.trim(t.Context(), spawn)
		h.trim(t.Context(), spawn)
		synctest.Wait()
		require.EqualValues(t, 1, f.released.Load())
		f.used.Store(ampleHeap / 10)
		time.Sleep(heapCheck)
		synctest.Wait()
		require.EqualValues(t, 2, f.released.Load())
		time.Sleep(time.Hour)
		require.EqualValues(t, 2, f.released.Load())
	})
}

func TestTrimGivesUpOnDataThatStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f fakeHeap
		h := f.heap()
		spawn := func(do func()) { go do() }
		f.size.Store(4 * ampleHeap)
		f.used.Store(4 * ampleHeap)
		h.trim(t.Context(), spawn)
		time.Sleep(time.Hour)
		require.EqualValues(t, heapChecks, f.released.Load())
		h.trim(t.Context(), spawn)
		time.Sleep(time.Hour)
		require.EqualValues(t, heapChecks, f.released.Load(), "each try costs a garbage collection")

		ctx, cancel := context.WithCancel(t.Context())
		f.size.Store(9 * ampleHeap)
		h.trim(ctx, spawn)
		synctest.Wait()
		cancel()
		time.Sleep(time.Hour)
		require.EqualValues(t, heapChecks+1, f.released.Load())
	})
}

func TestAnonymous(t *testing.T) {
	if _, err := os.Stat("/proc/self/statm"); err != nil {
		t.Skip("there is no /proc")
	}
	const size = 64 << 20
	ballast := make([]byte, size)
	for i := 0; i < size; i += 4096 {
		ballast[i] = 1
	}
	with := new(statm).anonymous()
	require.GreaterOrEqual(t, with, uint64(size))
	runtime.KeepAlive(ballast)
	debug.FreeOSMemory()
	require.Less(t, new(statm).anonymous(), with-size/2)
}
