// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package layer

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelcol-lambda/otelcol-lambda/internal/lambdasim"
)

// ending is how an invocation ends badly, and what tells of it.
type ending struct {
	// uninstrumented and instrumented are the events that make it so for the two functions.
	uninstrumented, instrumented string
	options                      func(*lambdasim.Options)
	errorType                    string
	// resets says that the processes end with it.
	resets bool
	// sent says that the SDK's span has left when it happens.
	sent bool
}

func (e ending) event(instrumented bool) string {
	if instrumented {
		return e.instrumented
	}
	return e.uninstrumented
}

const (
	timedOut    = "timeout"
	outOfMemory = "out of memory"
)

func endings() map[string]ending {
	return map[string]ending{
		"error": {
			uninstrumented: `{"fail":true}`, instrumented: `{"error":true}`,
			errorType: "Function.Unknown", sent: true,
		},
		timedOut: {
			uninstrumented: `{"sleepMs":60000}`, instrumented: `{"hang":true}`,
			options:   func(o *lambdasim.Options) { o.Timeout = 3 * time.Second },
			errorType: timedOut, resets: true,
		},
		"crash": {
			uninstrumented: `{"crash":true}`, instrumented: `{"crash":true}`,
			errorType: "Runtime.ExitError", resets: true,
		},
		outOfMemory: {
			uninstrumented: `{}`, instrumented: `{}`,
			options:   func(o *lambdasim.Options) { o.OutOfMemory = 2 },
			errorType: "Runtime.OutOfMemory", resets: true, sent: true,
		},
	}
}

// TestInvocationsThatEndBadly has each of them in its trace and in the metrics, and the next invocation not take itself
// for a cold start, although all processes are new.
func TestInvocationsThatEndBadly(t *testing.T) {
	t.Parallel()
	for function, program := range map[string]func(*testing.T) string{
		"uninstrumented": uninstrumented.program, "go": goProgram,
	} {
		for name, e := range endings() {
			t.Run(function+"/"+name, func(t *testing.T) {
				t.Parallel()
				instrumented := function == "go"
				r := newTelemetryRig(t, program(t), e.options)
				r.init(t)
				r.succeed(t)
				bad := r.invoke(t, e.event(instrumented))
				require.NotEqual(t, lambdasim.StatusSuccess, bad.Status)
				r.succeed(t)
				r.end(t)

				invocations, rest := r.invocations(t)
				require.Empty(t, rest)
				r.platformRecordsArrived(t)
				r.linesArrived(t)
				if instrumented {
					r.nothingLost(t)
				} else {
					// The lines of an SDK that did not get to send its spans name a trace of which nothing else is there.
					r.recordsInTraces(t, invocations)
				}
				requireBadEnd(t, invocations[1], e, instrumented && e.sent)
				requireNoColdStart(t, invocations[2], e.resets)
				if !instrumented {
					require.Equal(t, "true", attribute(invocations[0].server.Attributes(), "faas.coldstart"))
				}
				r.badEndCounted(t, name, e)
				r.instance(t)
			})
		}
	}
}

// requireBadEnd checks how the trace of an invocation tells of its end.
func requireBadEnd(t *testing.T, i traced, e ending, sentBySDK bool) {
	t.Helper()
	require.Equal(t, !sentBySDK, i.ours())
	if sentBySDK && e.resets {
		return // its span had been sent before anything was wrong
	}
	require.Equal(t, ptrace.StatusCodeError, i.server.Status().Code())
	if i.ours() {
		require.Equal(t, e.errorType, attribute(i.server.Attributes(), "error.type"))
		require.Equal(t, "false", attribute(i.server.Attributes(), "faas.coldstart"))
	}
}

// requireNoColdStart checks that an invocation does not take itself for a cold start, whatever was initialized for it.
func requireNoColdStart(t *testing.T, i traced, initialized bool) {
	t.Helper()
	if i.ours() {
		require.Equal(t, "false", attribute(i.server.Attributes(), "faas.coldstart"))
	}
	if !initialized {
		require.Equal(t, platformSpans(), i.names())
		return
	}
	require.Equal(t, platformSpans("init"), i.names())
	suppressed := i.child(t, "init").Attributes()
	require.Equal(t, "invoke", attribute(suppressed, "aws.lambda.phase"))
	require.Equal(t, "false", attribute(suppressed, "faas.coldstart"))
}

// badEndCounted checks the metrics of three invocations of which one ended badly.
func (r *rig) badEndCounted(t *testing.T, name string, e ending) {
	t.Helper()
	expected := map[string]int{
		"faas.invocations": 2, "faas.invoke_duration": 3, "faas.coldstarts": 1, "faas.init_duration": 1,
		"faas.errors": 1, "faas.timeouts": 0, "aws.lambda.out_of_memory": 0,
	}
	switch name {
	case timedOut:
		expected["faas.errors"], expected["faas.timeouts"] = 0, 1
	case outOfMemory:
		expected["aws.lambda.out_of_memory"] = 1
	}
	for metric, total := range expected {
		require.Equal(t, total, r.total(t, metric), metric)
	}
	if expected["faas.errors"] == 1 {
		require.Equal(t, 1, r.total(t, "faas.errors", "error.type", e.errorType))
	}
	r.streamsOfEachProcess(t, "faas.invocations", e.resets)
}

// streamsOfEachProcess checks that the streams of a metric begin with the process that makes them.
func (r *rig) streamsOfEachProcess(t *testing.T, metric string, reset bool) {
	t.Helper()
	inits := r.Report().Inits
	starts := r.starts(metric)
	if !reset {
		require.Len(t, inits, 1)
		require.Len(t, starts, 1)
		return
	}
	require.Len(t, inits, 2)
	require.Len(t, starts, 2)
	for n, start := range starts {
		require.True(t, start.After(inits[n].Start), "stream %d begins at %s, its process at %s", n, start, inits[n].Start)
	}
	require.True(t, starts[0].Before(inits[1].Start))
}

// failingFunction is a program that fails to initialize, always or only once in an environment. The time until then is
// what it takes until the layer hears of it.
func failingFunction(t *testing.T, once bool) string {
	t.Helper()
	const script = "#!/bin/sh\n" +
		`if [ -n "$ALWAYS" ] || ! [ -e "$TMPDIR/tried" ]; then` + "\n" +
		`touch "$TMPDIR/tried"; sleep 1; echo 'no such module: orders'; exit 1` + "\n" +
		"fi\n" + `exec "$1"` + "\n"
	text := script
	if !once {
		text = "#!/bin/sh\nALWAYS=yes\n" + script
	}
	path := filepath.Join(t.TempDir(), "bootstrap")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o700)) //nolint:gosec // a program
	return path
}

// TestInitFailsOnce has the invocation that has Lambda try again be one like others, and the failed Init a trace of its
// own.
func TestInitFailsOnce(t *testing.T) {
	t.Parallel()
	for name, program := range map[string]func(*testing.T) string{
		"uninstrumented": uninstrumented.program, "go": goProgram,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			function := program(t)
			r := newTelemetryRig(t, failingFunction(t, true), func(o *lambdasim.Options) {
				o.Function = append(o.Function, function)
			})
			require.Error(t, r.Init(bounded(t)))
			r.succeed(t)
			r.succeed(t)
			r.end(t)

			invocations, rest := r.invocations(t)
			requireNoColdStart(t, invocations[0], true)
			requireNoColdStart(t, invocations[1], false)
			require.Len(t, rest, 1)
			require.Equal(t, "init", rest[0].Name())
			require.Equal(t, ptrace.StatusCodeError, rest[0].Status().Code())
			require.Equal(t, "Runtime.ExitError", attribute(rest[0].Attributes(), "error.type"))
			require.Contains(t, r.records("function"), "no such module: orders")
			require.Equal(t, 2, r.total(t, "faas.invocations"))
			require.Equal(t, 2, r.total(t, "faas.invoke_duration"))
			r.instance(t)
		})
	}
}

// TestInitAlwaysFails has each invocation tell why there is no answer.
func TestInitAlwaysFails(t *testing.T) {
	t.Parallel()
	r := newTelemetryRig(t, failingFunction(t, false), nil)
	require.Error(t, r.Init(bounded(t)))
	const count = 2
	for range count {
		require.NotEqual(t, lambdasim.StatusSuccess, r.invoke(t, `{}`).Status)
	}
	r.end(t)

	invocations, rest := r.invocations(t)
	require.Len(t, rest, 1, "the first Init, which no invocation waited for")
	for _, i := range invocations {
		require.True(t, i.ours())
		require.Equal(t, ptrace.StatusCodeError, i.server.Status().Code())
		require.Equal(t, "Runtime.ExitError", attribute(i.server.Attributes(), "error.type"))
		require.Equal(t, "false", attribute(i.server.Attributes(), "faas.coldstart"))
		require.Equal(t, []string{"init"}, i.names())
		require.Equal(t, ptrace.StatusCodeError, i.child(t, "init").Status().Code())
	}
	r.platformRecordsArrived(t)
	r.linesArrived(t)
	require.Equal(t, 1+count, r.total(t, "faas.errors", "error.type", "Runtime.ExitError"), "the first Init and the invocations")
	require.Zero(t, r.total(t, "faas.invocations"))
	require.Equal(t, count, r.total(t, "faas.invoke_duration"))
	r.instance(t)
}
