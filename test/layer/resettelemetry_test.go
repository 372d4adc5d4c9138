// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package layer

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/otelcol-lambda/otelcol-lambda/internal/lambdasim"
)

// TestKilledInvocationIsInTheTraceOfItsSDK has the span that the layer makes be above what the SDK had sent before.
func TestKilledInvocationIsInTheTraceOfItsSDK(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]int{"first": 0, "second": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, setup{
				config:  defaultConfig(t),
				env:     map[string]string{"OTEL_BSP_SCHEDULE_DELAY": "50"},
				options: func(o *lambdasim.Options) { o.Timeout = 2 * time.Second },
			})
			r.init(t)
			for range before {
				r.succeed(t)
			}
			r.invoke(t, `{"hang":true}`)
			r.end(t)
			invocations, rest := r.invocations(t)
			require.Empty(t, rest)
			require.NotEmpty(t, invocations[before].others)
			r.recordsInTraces(t, invocations)
		})
	}
}

// TestFailedInitIsCounted has the failure in the metrics when the second try goes well.
func TestFailedInitIsCounted(t *testing.T) {
	t.Parallel()
	function := uninstrumented.program(t)
	r := newTelemetryRig(t, failingFunction(t, true), func(o *lambdasim.Options) {
		o.Function = append(o.Function, function)
	})
	require.Error(t, r.Init(bounded(t)))
	r.succeed(t)
	r.end(t)
	require.Equal(t, 1, r.total(t, "faas.errors", "error.type", "Runtime.ExitError"), "faas.errors")
}

// TestFailedInitIsAColdStart has the first invocation of the environment be a cold start in the metrics, as the span of
// the first Init says.
func TestFailedInitIsAColdStart(t *testing.T) {
	t.Parallel()
	function := uninstrumented.program(t)
	r := newTelemetryRig(t, failingFunction(t, true), func(o *lambdasim.Options) {
		o.Function = append(o.Function, function)
	})
	require.Error(t, r.Init(bounded(t)))
	r.succeed(t)
	r.end(t)
	_, rest := r.invocations(t)
	require.Equal(t, "true", attribute(rest[0].Attributes(), "faas.coldstart"))
	require.Equal(t, 1, r.total(t, "faas.coldstarts"), "faas.coldstarts")
}

// TestSuppressedInitIsPartOfItsInvocation has it be a child of the invocation's span in every mode.
func TestSuppressedInitIsPartOfItsInvocation(t *testing.T) {
	t.Parallel()
	for name, mode := range map[string]lambdasim.Mode{
		"on demand": lambdasim.ModeOnDemand, "provisioned concurrency": lambdasim.ModeProvisionedConcurrency,
		"SnapStart": lambdasim.ModeSnapStart,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newTelemetryRig(t, uninstrumented.program(t), func(o *lambdasim.Options) { o.Mode = mode })
			r.init(t)
			r.succeed(t)
			r.invoke(t, `{"crash":true}`)
			r.succeed(t)
			r.end(t)
			invocations, _ := r.invocations(t)
			requireNoColdStart(t, invocations[2], true)
		})
	}
}

// TestSuppressedInitIsInsideItsInvocation has it lie inside the invocation's span, whose duration includes it.
func TestSuppressedInitIsInsideItsInvocation(t *testing.T) {
	t.Parallel()
	r := newTelemetryRig(t, uninstrumented.program(t), nil)
	r.init(t)
	r.succeed(t)
	r.invoke(t, `{"crash":true}`)
	r.succeed(t)
	r.end(t)
	invocations, _ := r.invocations(t)
	init, server := invocations[2].child(t, "init"), invocations[2].server
	// Lambda tells when the invocation ended and how long it took, and the simulator tells the former late when the machine is
	// busy. A span without the Init would begin at its end.
	length := init.EndTimestamp().AsTime().Sub(init.StartTimestamp().AsTime())
	require.False(t, init.StartTimestamp().AsTime().Before(server.StartTimestamp().AsTime().Add(-length/2)))
	require.False(t, init.EndTimestamp().AsTime().After(server.EndTimestamp().AsTime().Add(millisecond)))
}

// TestLinesOfKilledInvocation has the span that the layer makes be in the trace that the lines name. Which span they name, the
// SDK had no time to tell.
func TestLinesOfKilledInvocation(t *testing.T) {
	t.Parallel()
	r := newTelemetryRig(t, goProgram(t), nil)
	r.init(t)
	r.succeed(t)
	r.invoke(t, `{"crash":true}`)
	r.end(t)
	invocations, _ := r.invocations(t)
	killed := invocations[1]
	lines := r.recordsOf(killed.id, "function")
	require.NotEmpty(t, lines)
	for _, line := range lines {
		require.Equal(t, killed.server.TraceID(), line.TraceID(), line.Body().AsString())
	}
}
