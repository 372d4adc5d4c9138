// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdaextension

import (
	"context"
	"strconv"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

func TestAwaitFinish(t *testing.T) {
	for name, happen := range map[string]func(*invocations){
		"runtimeDone":                     func(i *invocations) { i.finish("1") },
		"report without runtimeDone":      func(i *invocations) { i.report("1") },
		"runtimeDone twice":               func(i *invocations) { i.finish("1"); i.finish("1") },
		"runtimeDone of another in front": func(i *invocations) { i.finish("0"); i.finish("1"); i.finish("2") },
	} {
		t.Run(name, func(t *testing.T) {
			before := new(invocations)
			happen(before)
			require.NoError(t, before.awaitFinish(t.Context(), "1"), "it had happened before")

			synctest.Test(t, func(t *testing.T) {
				i := new(invocations)
				done := make(chan error, 1)
				go func() { done <- i.awaitFinish(t.Context(), "1") }()
				synctest.Wait()
				i.finish("another")
				i.report("")
				synctest.Wait()
				require.Empty(t, done)
				happen(i)
				require.NoError(t, <-done)
			})
		})
	}
}

func TestAwaitReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := new(invocations)
		done := make(chan error, 1)
		go func() { done <- i.awaitReport(t.Context(), "1") }()
		i.finish("1")
		i.report("0")
		synctest.Wait()
		require.Empty(t, done, "runtimeDone is not the report, and the report of another is none")
		i.report("1")
		require.NoError(t, <-done)
		require.NoError(t, i.awaitReport(t.Context(), "1"))
	})
}

func TestAwaitEndsWithContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	i := new(invocations)
	require.ErrorIs(t, i.awaitFinish(ctx, "1"), context.Canceled)
	require.ErrorIs(t, i.awaitReport(ctx, "1"), context.Canceled)
	i.report("1")
	require.NoError(t, i.awaitFinish(ctx, "1"), "what has happened is known without waiting")
	require.NoError(t, i.awaitReport(ctx, "1"))
}

func TestInvocationsAreBounded(t *testing.T) {
	i := new(invocations)
	const n = 10 * maxRemembered
	for id := range n {
		i.finish(strconv.Itoa(id))
		i.report(strconv.Itoa(id))
	}
	require.Len(t, i.finished, maxRemembered)
	require.Len(t, i.reported, maxRemembered)
	require.NoError(t, i.awaitFinish(t.Context(), strconv.Itoa(n-maxRemembered)))
	require.NoError(t, i.awaitReport(t.Context(), strconv.Itoa(n-1)))
}
