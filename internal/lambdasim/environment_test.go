// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdasim

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
)

// A correct extension is no reason to complain, whichever way it is frozen.
func TestCorrectExtension(t *testing.T) {
	for name, mode := range map[string]FreezeMode{
		"auto": FreezeAuto, "signal": FreezeSignal, "none": FreezeNone,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBackend(t)
			timeline := &recorder{}
			e := newEnvironment(t, Options{
				LayerDir: newLayer(t, "correct"), Freeze: mode, OnEvent: timeline.observe,
				Env: map[string]string{backendVariable: b.url},
			})
			require.NoError(t, e.Init(testContext(t)))
			var sent []string
			for n := range 4 {
				line := fmt.Sprintf("line %d", n)
				sent = append(sent, line, line+" again")
				inv := invoke(t, e, work{Log: []string{line, line + " again"}, Size: 10})
				require.Equal(t, StatusSuccess, inv.Status)
				require.Equal(t, StatusSuccess, inv.PlatformStatus)
				require.JSONEq(t, `{"echo":"xxxxxxxxxx"}`, string(inv.Response))
				require.Equal(t, n == 0, inv.Cold)
				require.True(t, inv.Settled)
				require.GreaterOrEqual(t, inv.Duration, inv.FunctionDuration+inv.Held)
				// It waits for runtimeDone.
				require.Positive(t, inv.Held)
			}
			require.NoError(t, e.Shutdown(testContext(t)))

			report := e.Report()
			require.Empty(t, report.Violations)
			require.Empty(t, report.FreezeErrors)
			require.True(t, b.account(sent...).Balanced(), "%+v", b.account(sent...))
			if mode == FreezeNone {
				require.Zero(t, report.Freezes)
			} else {
				require.Equal(t, 5, report.Freezes)
				require.Positive(t, report.Frozen)
			}
			require.Len(t, report.Inits, 1)
			require.Equal(t, StatusSuccess, report.Inits[0].Status)
			require.Len(t, report.Inits[0].Extensions, 1)
			x := report.Inits[0].Extensions[0]
			require.Equal(t, "correct", x.Name)
			require.Equal(t, []string{"INVOKE", "SHUTDOWN"}, x.Events)
			require.Positive(t, x.Register)
			require.Greater(t, x.FirstNext, x.Register)
			require.Positive(t, report.Inits[0].Runtime)

			require.Len(t, report.Shutdowns, 1)
			require.Equal(t, "spindown", report.Shutdowns[0].Reason)
			require.Equal(t, "exit status 0", report.Shutdowns[0].Extensions[0].Status)
			require.False(t, report.Shutdowns[0].Extensions[0].Killed)
			require.Positive(t, report.Shutdowns[0].Extensions[0].Duration)

			require.Len(t, report.Telemetry, 1)
			require.Equal(t, sent, report.Telemetry[0].Function)
			require.Equal(t, Counts{Generated: 8, Delivered: 8}, report.Telemetry[0].Events[telemetryapi.EventFunction])
			require.Equal(t, Counts{Generated: 4, Delivered: 4}, report.Telemetry[0].Events[telemetryapi.EventReport])
		})
	}
}
