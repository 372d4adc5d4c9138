// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdasim

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Provisioned environments are frozen before the first invocation, which does not count as started for the caller.
func TestProvisionedConcurrency(t *testing.T) {
	t.Parallel()
	for name, tells := range map[string]bool{"default": false, "with the duration of Init": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			timeline := &recorder{}
			e := newEnvironment(t, Options{
				Mode: ModeProvisionedConcurrency, LayerDir: newLayer(t, "correct"), OnEvent: timeline.observe,
				ReportInitDuration: tells,
			})
			inv := invoke(t, e, work{})
			require.Equal(t, StatusSuccess, inv.Status)
			require.Equal(t, StatusSuccess, invoke(t, e, work{}).Status)
			require.Equal(t, []string{
				"platform.initStart", "platform.initRuntimeDone", "platform.initReport", "sim.freeze", "sim.thaw",
				"platform.start",
			}, timeline.platform()[:6])
			for _, eventType := range []string{"platform.initStart", "platform.initRuntimeDone", "platform.initReport"} {
				record := timeline.of(t, eventType)[0]
				require.Equal(t, "provisioned-concurrency", record["initializationType"])
				require.Equal(t, "init", record["phase"])
			}
			metrics := timeline.of(t, "platform.report")[0]["metrics"].(map[string]any)
			require.Equal(t, tells, metrics["initDurationMs"] != nil)
			// What Init cost is not this invocation's.
			require.InEpsilon(t, float64(ceilMillis(inv.Duration)), metrics["billedDurationMs"], 0)
			require.NotContains(t, timeline.of(t, "platform.report")[1]["metrics"], "initDurationMs")
			require.Empty(t, e.Report().Violations)
		})
	}
}

// The modes differ in what the processes are told.
func TestModeEnvironment(t *testing.T) {
	for mode, want := range map[Mode]string{
		ModeProvisionedConcurrency: "provisioned-concurrency", ModeManagedInstances: "lambda-managed-instances",
	} {
		timeline := &recorder{}
		e := newEnvironment(t, Options{
			Mode: mode, LayerDir: newLayer(t, "environment"), Handler: "environment", OnEvent: timeline.observe,
			Env: map[string]string{envAccessKey: "AKIA"},
		})
		require.NoError(t, e.Init(testContext(t)))
		extension, function := environmentOf(t, timeline, "extension"), environmentOf(t, timeline, "function")
		require.Equal(t, want, extension["AWS_LAMBDA_INITIALIZATION_TYPE"])
		require.Equal(t, want, function["AWS_LAMBDA_INITIALIZATION_TYPE"])
		require.NotContains(t, extension, "AWS_LAMBDA_MAX_CONCURRENCY")
		require.NotEmpty(t, function["AWS_LAMBDA_LOG_STREAM_NAME"])
		require.Equal(t, "AKIA", function[envAccessKey])
		if mode == ModeManagedInstances {
			require.Equal(t, "16", function["AWS_LAMBDA_MAX_CONCURRENCY"])
			require.Equal(t, "JSON", extension["AWS_LAMBDA_LOG_FORMAT"])
		} else {
			require.NotContains(t, function, "AWS_LAMBDA_MAX_CONCURRENCY")
		}
	}
}
