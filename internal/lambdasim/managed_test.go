// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdasim

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
)

func newManaged(t *testing.T, opts Options, extensions ...string) (*Environment, *recorder) {
	t.Helper()
	timeline := &recorder{}
	opts.Mode, opts.LayerDir, opts.OnEvent = ModeManagedInstances, newLayer(t, extensions...), timeline.observe
	return newEnvironment(t, opts), timeline
}

// together runs so many invocations at once.
func together(t *testing.T, e *Environment, n int, w work) []Invocation {
	t.Helper()
	ctx, event := testContext(t), payload(t, w)
	all, errs := make([]Invocation, n), make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { all[i], errs[i] = e.Invoke(ctx, event) })
	}
	wg.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
	return all
}

// A Managed Instance serves several invocations at once, is never frozen, and tells less about them.
func TestManagedInstances(t *testing.T) {
	t.Parallel()
	e, timeline := newManaged(t, Options{Concurrency: 3, FunctionVersion: "7"}, "correct")
	ctx := testContext(t)
	require.NoError(t, e.Init(ctx))
	// They could not all meet if they came one after another.
	first := together(t, e, 3, work{Meet: 3, Log: []string{`{"message":"here"}`}})
	second := together(t, e, 3, work{Meet: 3, Size: 10})
	for _, inv := range append(first, second...) {
		require.Equal(t, StatusSuccess, inv.Status, inv.Message)
	}
	require.NoError(t, e.Settle(ctx))
	require.NoError(t, e.Shutdown(ctx))

	report := e.Report()
	require.Equal(t, "lambda-managed-instances", report.InitializationType)
	require.Empty(t, report.Violations)
	require.Zero(t, report.Freezes)
	require.Equal(t, []string{"SHUTDOWN"}, report.Inits[0].Extensions[0].Events)
	require.Equal(t, "spindown", report.Shutdowns[0].Reason)
	require.Equal(t, "exit status 0", report.Shutdowns[0].Extensions[0].Status)
	require.Len(t, report.Invocations, 6)
	for _, inv := range report.Invocations {
		require.True(t, inv.Settled)
		require.Positive(t, inv.Duration)
		require.Zero(t, inv.Billed)
	}

	start := timeline.of(t, "platform.initStart")[0]
	require.Equal(t, "lambda-managed-instances", start["initializationType"])
	require.InEpsilon(t, 2147483648, start["instanceMaxMemory"], 0)
	require.Len(t, timeline.of(t, "platform.start"), 6)
	require.NotContains(t, timeline.types(), "platform.runtimeDone")
	require.NotContains(t, timeline.types(), "sim.freeze")
	reports := timeline.of(t, "platform.report")
	require.Len(t, reports, 6)
	ids := map[any]bool{}
	for _, r := range reports {
		ids[r["requestId"]] = true
		metrics := r["metrics"].(map[string]any)
		require.Len(t, metrics, 1)
		require.Positive(t, metrics["durationMs"])
		var spans []any
		for _, s := range r["spans"].([]any) {
			spans = append(spans, s.(map[string]any)["name"])
		}
		require.Equal(t, []any{"responseLatency", "responseDuration"}, spans)
	}
	require.Len(t, ids, 6)
	// Its lines are objects.
	require.Equal(t, map[string]any{"message": "here"}, timeline.of(t, "function")[0])
	require.Equal(t, Counts{Generated: 6, Delivered: 6}, report.Telemetry[0].Events[telemetryapi.EventReport])
}

// More invocations than workers wait for their turn, and Init comes with the first.
func TestManagedInstancesQueue(t *testing.T) {
	t.Parallel()
	e, _ := newManaged(t, Options{Concurrency: 2}, "correct")
	for _, inv := range together(t, e, 10, work{}) {
		require.Equal(t, StatusSuccess, inv.Status, inv.Message)
	}
	require.Len(t, e.Report().Inits, 1)
	impatient, cancel := newCanceled()
	defer cancel()
	_, err := e.Invoke(impatient, nil)
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, e.Shutdown(testContext(t)))
	_, err = e.Invoke(testContext(t), nil)
	require.ErrorIs(t, err, ErrEnded)
}

// What a function reports, and a timeout, are matters of one invocation alone.
func TestManagedInstancesErrors(t *testing.T) {
	t.Parallel()
	e, timeline := newManaged(t, Options{Concurrency: 2, Timeout: 2 * time.Second}, "correct")
	ctx := testContext(t)
	inv := invoke(t, e, work{Do: "error"})
	require.Equal(t, StatusError, inv.Status)
	require.Equal(t, "Function.Unknown", inv.ErrorType)
	// It answers at the deadline, about when the time is over, or later.
	late, err := e.Invoke(ctx, payload(t, work{Do: "deadline"}))
	require.NoError(t, err)
	require.Contains(t, []string{StatusTimeout, StatusError}, late.Status)
	hanging, err := e.Invoke(ctx, payload(t, work{Do: "hang"}))
	require.NoError(t, err)
	require.Equal(t, StatusTimeout, hanging.Status)
	require.Contains(t, hanging.Message, "Task timed out after 2.00 seconds")
	// One worker is left.
	require.Equal(t, StatusSuccess, invoke(t, e, work{}).Status)
	require.Equal(t, StatusSuccess, invoke(t, e, work{}).Status)
	report := e.Report()
	require.Len(t, report.Inits, 1)
	require.Empty(t, report.Shutdowns)
	require.Empty(t, report.Violations)
	require.Equal(t, "error", timeline.of(t, "platform.report")[0]["status"])
	require.Equal(t, "timeout", timeline.of(t, "platform.report")[2]["status"])
	require.InEpsilon(t, 2000.0, timeline.of(t, "platform.report")[2]["metrics"].(map[string]any)["durationMs"], 0)
	require.NotContains(t, timeline.of(t, "platform.report")[2], "spans")
}

// An invocation that no worker asks for has not begun.
func TestManagedInstancesWithoutWorkers(t *testing.T) {
	t.Parallel()
	e, timeline := newManaged(t, Options{Concurrency: 1, Timeout: time.Second}, "correct")
	require.Equal(t, StatusTimeout, invoke(t, e, work{Do: "hang"}).Status)
	inv := invoke(t, e, work{})
	require.Equal(t, StatusFailure, inv.Status)
	require.Contains(t, inv.Message, "no worker")
	require.Len(t, timeline.of(t, "platform.start"), 1)
	require.Len(t, timeline.of(t, "platform.report"), 1)
}

// A crash fails all that runs and ends the instance. Nothing is started again.
func TestManagedInstancesCrash(t *testing.T) {
	t.Parallel()
	e, timeline := newManaged(t, Options{Concurrency: 3}, "correct")
	require.NoError(t, e.Init(testContext(t)))
	for _, inv := range together(t, e, 3, work{Meet: 3, Do: "exit"}) {
		require.Equal(t, StatusFailure, inv.Status)
		require.Equal(t, "Runtime.ExitError", inv.ErrorType)
	}
	requireEnded(t, e)
	report := e.Report()
	require.Equal(t, "failure", report.Shutdowns[0].Reason)
	require.Equal(t, "exit status 0", report.Shutdowns[0].Extensions[0].Status)
	require.Len(t, report.Inits, 1)
	require.Equal(t, []any{"error", "error", "error"}, statuses(timeline.of(t, "platform.report")))
	require.NoError(t, e.Shutdown(testContext(t)))
}

// requireEnded waits until an instance has ended by itself.
func requireEnded(t *testing.T, e *Environment) {
	t.Helper()
	require.Eventually(t, func() bool {
		return len(e.Report().Shutdowns) == 1
	}, testTimeout, time.Millisecond)
	_, err := e.Invoke(testContext(t), nil)
	require.ErrorIs(t, err, ErrEnded)
}

// Between invocations a crash is noticed as well, because nothing is frozen.
func TestManagedInstancesExtensionCrash(t *testing.T) {
	t.Parallel()
	e, _ := newManaged(t, Options{}, "correct", "quitting")
	require.NoError(t, e.Init(testContext(t)))
	requireEnded(t, e)
	require.Equal(t, []ViolationKind{ViolationCrash}, kinds(e.Report()))
	require.Equal(t, "failure", e.Report().Shutdowns[0].Reason)
}

// INVOKE is refused, and fails Init even if the extension does not mind.
func TestManagedInstancesRefuseInvoke(t *testing.T) {
	t.Parallel()
	e, _ := newManaged(t, Options{}, "invoking")
	var initErr *InitError
	require.ErrorAs(t, e.Init(testContext(t)), &initErr)
	require.Equal(t, "Extension.InitError", initErr.ErrorType)
	require.Contains(t, initErr.Message, "INVOKE")
	require.Contains(t, kinds(e.Report()), ViolationInvokeRegistered)
	_, err := e.Invoke(testContext(t), nil)
	require.ErrorIs(t, err, ErrEnded)
}

// The invocation that Init was made for fails with it.
func TestManagedInstancesInitFailure(t *testing.T) {
	t.Parallel()
	e, timeline := newManaged(t, Options{Handler: "initexit"}, "silent")
	inv := invoke(t, e, work{})
	require.Equal(t, StatusFailure, inv.Status)
	require.Equal(t, "Runtime.ExitError", inv.ErrorType)
	require.Empty(t, timeline.of(t, "platform.start"))
	requireEnded(t, e)
}

// Close cuts all running invocations short.
func TestCloseManagedWhileRunning(t *testing.T) {
	t.Parallel()
	e, timeline := newManaged(t, Options{Concurrency: 2, Timeout: 10 * time.Minute}, "correct")
	ctx := testContext(t)
	results := make(chan Invocation, 2)
	for range 2 {
		go func() {
			inv, _ := e.Invoke(ctx, []byte(`{"do":"hang","log":["hanging"]}`))
			results <- inv
		}()
	}
	require.Eventually(t, func() bool {
		return strings.Count(fmt.Sprint(timeline.types()), " function") == 2
	}, testTimeout, time.Millisecond)
	impatient, cancel := newCanceled()
	defer cancel()
	require.ErrorIs(t, e.Settle(impatient), context.Canceled)
	require.Error(t, e.Shutdown(impatient))
	pids := e.pids()
	require.NoError(t, e.Close())
	require.Equal(t, StatusFailure, (<-results).Status)
	require.Equal(t, StatusFailure, (<-results).Status)
	require.Empty(t, family(pids))
}

func TestManagedInstancesAPI(t *testing.T) {
	a := newAPI(t, Options{Mode: ModeManagedInstances, Concurrency: 2}, "ext")
	got := a.do(http.MethodPost, pathRegister, map[string]string{headerName: "ext"}, `{"events":["INVOKE","SHUTDOWN"]}`)
	require.Equal(t, http.StatusForbidden, got.status)
	require.Equal(t, "Extension.InvalidEventType", got.errorType(t))
	header := map[string]string{headerIdentifier: a.register("ext", `["SHUTDOWN"]`)}

	old := strings.Replace(validSubscription, "2025-01-29", "2022-12-13", 1)
	got = a.do(http.MethodPut, pathTelemetry, header, old)
	require.Equal(t, http.StatusBadRequest, got.status)
	require.Equal(t, "ValidationError", got.errorType(t))
	require.Equal(t, http.StatusOK, a.do(http.MethodPut, pathTelemetry, header, validSubscription).status)
	require.Equal(t, http.StatusInternalServerError, a.do(http.MethodPut, pathTelemetry, header, validSubscription).status)

	// As many workers as invocations, and no more.
	for n := range 2 {
		a.start(t.Context(), pathRuntime+"invocation/next", nil)
		a.until(func() bool { return len(a.gen.runtime.workers) == n+1 })
	}
	got = a.do(http.MethodGet, pathRuntime+"invocation/next", nil, "")
	require.Equal(t, http.StatusForbidden, got.status)
	require.Equal(t, "InvalidStateTransition", got.errorType(t))
}

// An answer after the timeout is accepted, so that the runtime goes on, and changes nothing.
func TestManagedInstancesLateAnswer(t *testing.T) {
	a := newAPI(t, Options{Mode: ModeManagedInstances, Concurrency: 1, Timeout: 50 * time.Millisecond})
	pending := a.start(t.Context(), pathRuntime+"invocation/next", nil)
	a.until(func() bool { return len(a.gen.runtime.workers) == 1 })
	inv, err := a.Invoke(testContext(t), nil)
	require.NoError(t, err)
	require.Equal(t, StatusTimeout, inv.Status)
	require.Equal(t, http.StatusOK, (<-pending).status)
	require.NoError(t, a.Settle(testContext(t)))
	path := pathRuntime + "invocation/" + inv.RequestID + "/response"
	require.Equal(t, http.StatusAccepted, a.do(http.MethodPost, path, nil, "1").status)
	require.Equal(t, http.StatusBadRequest, a.do(http.MethodPost, path, nil, "1").status)
	require.Equal(t, StatusTimeout, a.Report().Invocations[0].Status)
}
