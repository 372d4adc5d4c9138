// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package layer

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelcol-lambda/otelcol-lambda/internal/lambdasim"
)

// initializationType is the attribute that tells of the mode.
const initializationType = "aws.lambda.initialization_type"

// TestProvisionedConcurrency has no cold start, although there is an Init: it was over when the first invocation came.
func TestProvisionedConcurrency(t *testing.T) {
	t.Parallel()
	for name, program := range map[string]func(*testing.T) string{
		"uninstrumented": uninstrumented.program, "go": goProgram,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newTelemetryRig(t, program(t), func(o *lambdasim.Options) { o.Mode = lambdasim.ModeProvisionedConcurrency })
			r.init(t)
			const count = 3
			for range count {
				r.succeed(t)
			}
			r.end(t)

			invocations, rest := r.invocations(t)
			for _, i := range invocations {
				requireNoColdStart(t, i, false)
			}
			require.Len(t, rest, 1)
			require.Equal(t, "init", rest[0].Name())
			require.Equal(t, "false", attribute(rest[0].Attributes(), "faas.coldstart"))
			require.Equal(t, "provisioned-concurrency", attribute(rest[0].Attributes(), initializationType))
			r.recordsInTraces(t, invocations)
			r.linesArrived(t)
			require.Zero(t, r.total(t, "faas.coldstarts"))
			require.Equal(t, 1, r.total(t, "faas.init_duration", initializationType, "provisioned-concurrency"))
			require.Equal(t, count, r.total(t, "faas.invocations"))
			require.Equal(t, r.announcedInstance(t), r.instance(t))
		})
	}
}

// TestSnapStart has the life of the environment begin with its restore: the Init of the day when the version was
// published is neither a span nor in the metrics.
func TestSnapStart(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		program   func(*testing.T) string
		initPhase string
	}{
		"uninstrumented":                   {program: uninstrumented.program},
		"uninstrumented, phase of its own": {program: uninstrumented.program, initPhase: "snap-start"},
		"go":                               {program: goProgram},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newTelemetryRig(t, tt.program(t), func(o *lambdasim.Options) {
				o.Mode, o.InitPhase = lambdasim.ModeSnapStart, tt.initPhase
			})
			r.init(t)
			const count = 3
			for range count {
				r.succeed(t)
			}
			r.end(t)
			restored := r.Report().Restores
			require.Len(t, restored, 1)

			invocations, rest := r.invocations(t)
			require.Empty(t, rest)
			require.Equal(t, platformSpans("restore"), invocations[0].names())
			for _, i := range invocations[1:] {
				require.Equal(t, platformSpans(), i.names())
			}
			for _, s := range r.sink.Spans() {
				require.False(t, s.StartTimestamp().AsTime().Before(restored[0].Start.Truncate(millisecond)), s.Name())
			}
			r.recordsInTraces(t, invocations)
			r.linesArrived(t)
			require.Zero(t, r.total(t, "faas.coldstarts")+r.total(t, "faas.init_duration"))
			require.Equal(t, 1, r.total(t, "aws.lambda.restores"))
			require.Equal(t, 1, r.total(t, "aws.lambda.restore_duration"))
			require.Equal(t, count, r.total(t, "faas.invocations"))
			starts := r.starts("faas.invocations")
			require.Len(t, starts, 1)
			require.False(t, starts[0].Before(restored[0].Start.Truncate(millisecond)), "of the snapshot")
			require.Equal(t, restored[0].InstanceID, r.instanceSince(t, restored[0].Start.Truncate(millisecond)))
		})
	}
}

// TestManagedInstances has every invocation of many at once in a trace of its own, with those of its lines that tell
// whose they are.
func TestManagedInstances(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		program          func(*testing.T) string
		success, failure string
		// lines is how many lines of an invocation that succeeds tell its id.
		lines int
		// instrumented says that there is an SDK.
		instrumented bool
	}{
		"uninstrumented": {program: uninstrumented.program, success: `{"sleepMs":50}`, failure: `{"fail":true}`},
		"lines with ids": {program: workers, success: `{}`, lines: 1},
		"go": {
			program: goProgram, success: `{"sleep_ms":50}`, failure: `{"error":true}`, lines: 2, instrumented: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const count = 24
			r := newTelemetryRig(t, tt.program(t), func(o *lambdasim.Options) {
				o.Mode, o.Concurrency = lambdasim.ModeManagedInstances, concurrency
			})
			r.init(t)
			require.Equal(t, []string{"SHUTDOWN"}, r.Report().Inits[0].Extensions[0].Events)
			// What the first invocation sends tells whether there is an SDK.
			r.invoke(t, tt.success)
			failed := r.invokeAtOnce(t, count, tt.success, tt.failure)
			r.end(t)

			invocations, rest := r.invocations(t)
			require.Len(t, invocations, 1+count)
			for _, i := range invocations[1:] {
				require.Equal(t, tt.instrumented, !i.ours())
				require.Equal(t, []string{"responseDuration", "responseLatency"}, i.names())
				lines := i.has(t, r.recordsOf(i.id, "function"))
				if failed[i.id] {
					require.Equal(t, ptrace.StatusCodeError, i.server.Status().Code())
				} else {
					require.Equal(t, ptrace.StatusCodeUnset, i.server.Status().Code())
					require.Equal(t, tt.lines, lines)
				}
				if i.ours() {
					require.Equal(t, "false", attribute(i.server.Attributes(), "faas.coldstart"))
					require.Equal(t, 1, i.has(t, r.recordsOf(i.id, "platform.start")))
				}
			}
			require.Len(t, rest, 1)
			require.Equal(t, "init", rest[0].Name())
			require.Equal(t, "false", attribute(rest[0].Attributes(), "faas.coldstart"))
			r.linesArrived(t)
			if tt.instrumented {
				r.nothingLost(t)
			}
			require.Len(t, r.records("platform.start"), 1+count)
			require.Zero(t, r.total(t, "faas.coldstarts"))
			require.Equal(t, 1+count-len(failed), r.total(t, "faas.invocations"))
			require.Equal(t, len(failed), r.total(t, "faas.errors"))
			require.Equal(t, 1+count, r.total(t, "faas.invoke_duration"))
			require.Equal(t, r.announcedInstance(t), r.instance(t))
		})
	}
}

// concurrency is how many invocations a Managed Instance of the tests takes at once.
const concurrency = 8

// workers makes a function whose lines of JSON have the id of their invocation, with as many workers as are wanted:
// each is a process.
func workers(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("the function needs curl: ", err)
	}
	path := filepath.Join(t.TempDir(), "bootstrap")
	text := fmt.Sprintf("#!/bin/sh\nfor worker in $(seq %d); do sh %q & done\nwait\n", concurrency,
		filepath.Join(examples(), "uninstrumented", "bootstrap.sh"))
	require.NoError(t, os.WriteFile(path, []byte(text), 0o700)) //nolint:gosec // a program
	return path
}

// invokeAtOnce makes so many invocations, as many at once as there may be. Each third fails, if there is an event for
// that. It returns those.
func (r *rig) invokeAtOnce(t *testing.T, count int, success, failure string) (failed map[string]bool) {
	t.Helper()
	failed = map[string]bool{}
	var mu sync.Mutex
	var errs []error
	var wg sync.WaitGroup
	ctx := bounded(t)
	for n := range count {
		wg.Go(func() {
			event, status := success, lambdasim.StatusSuccess
			if n%3 == 2 && failure != "" {
				event, status = failure, lambdasim.StatusError
			}
			i, err := r.Invoke(ctx, []byte(event))
			mu.Lock()
			defer mu.Unlock()
			if err == nil && i.Status != status {
				err = errors.New(i.Status + ": " + i.Message)
			}
			errs = append(errs, err)
			if status == lambdasim.StatusError {
				failed[i.RequestID] = true
			}
		})
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
	require.NoError(t, r.Settle(bounded(t)))
	return failed
}

// TestTenant has the tenant at the span and at the records of an invocation.
func TestTenant(t *testing.T) {
	t.Parallel()
	r := newTelemetryRig(t, uninstrumented.program(t), func(o *lambdasim.Options) { o.TenantID = "blue" })
	r.init(t)
	r.succeed(t)
	r.succeed(t)
	r.end(t)
	const tenantID = "aws.lambda.tenant_id"
	invocations, rest := r.invocations(t)
	require.Empty(t, rest)
	for _, i := range invocations {
		require.Equal(t, "blue", attribute(i.server.Attributes(), tenantID))
	}
	for _, rec := range r.sink.LogRecords() {
		switch attribute(rec.Attributes(), "type") {
		case "platform.start", "platform.runtimeDone":
			require.Equal(t, "blue", attribute(rec.Attributes(), tenantID))
		}
	}
	r.platformRecordsArrived(t)
	r.recordsInTraces(t, invocations)
}
