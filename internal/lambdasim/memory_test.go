// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdasim

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A function that needs too much memory has done its work when it is killed, and resets the environment.
func TestOutOfMemory(t *testing.T) {
	t.Parallel()
	timeline := &recorder{}
	e := newEnvironment(t, Options{
		LayerDir: newLayer(t, "correct"), OnEvent: timeline.observe, OutOfMemory: 2, MemoryMB: 10240,
	})
	require.Equal(t, StatusSuccess, invoke(t, e, work{}).Status)
	inv := invoke(t, e, work{Log: []string{"worked"}})
	require.Equal(t, StatusFailure, inv.Status)
	require.Equal(t, "Runtime.OutOfMemory", inv.ErrorType)
	require.Contains(t, inv.Message, "signal: killed")
	require.Equal(t, 10240, inv.MaxMemoryMB)
	again := invoke(t, e, work{})
	require.Equal(t, StatusSuccess, again.Status)
	require.Less(t, again.MaxMemoryMB, 10240)

	done, reports := timeline.of(t, "platform.runtimeDone"), timeline.of(t, "platform.report")
	require.Equal(t, []any{"success", "error", "success"}, statuses(done))
	require.Equal(t, "Runtime.OutOfMemory", done[1]["errorType"])
	require.Equal(t, "Runtime.OutOfMemory", reports[1]["errorType"])
	metrics := reports[1]["metrics"].(map[string]any)
	require.Equal(t, metrics["memorySizeMB"], metrics["maxMemoryUsedMB"])
	require.Equal(t, []string{"worked"}, timeline.lines(t, "function"))
	report := e.Report()
	require.Equal(t, "failure", report.Shutdowns[0].Reason)
	require.Equal(t, "invoke", report.Inits[1].Phase)
	require.Empty(t, report.Violations)
}

// Another process may have killed it: the platform sees a signal.
func TestFunctionKilled(t *testing.T) {
	t.Parallel()
	e := newEnvironment(t, Options{LayerDir: newLayer(t, "correct")})
	inv := invoke(t, e, work{Do: "kill"})
	require.Equal(t, StatusFailure, inv.Status)
	require.Equal(t, "Runtime.ExitError", inv.ErrorType)
	require.Contains(t, inv.Message, "signal: killed")
}

// On a Managed Instance all that runs goes with it.
func TestManagedInstancesOutOfMemory(t *testing.T) {
	t.Parallel()
	e, timeline := newManaged(t, Options{Concurrency: 2, OutOfMemory: 1}, "correct")
	for _, inv := range together(t, e, 2, work{Meet: 2, Do: "slow"}) {
		if inv.Number == 1 {
			require.Equal(t, StatusFailure, inv.Status)
		}
	}
	requireEnded(t, e)
	require.Equal(t, "Runtime.OutOfMemory", e.Report().Invocations[0].ErrorType)
	require.Contains(t, statuses(timeline.of(t, "platform.report")), any("error"))
}
