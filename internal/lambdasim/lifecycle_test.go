// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdasim

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
)

// Each extension does one thing wrong, and exactly that is reported.
func TestViolations(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		extension string
		opts      Options
		want      []ViolationKind
		// status are the callers' views of the invocations.
		status []string
		detail string
	}{
		{extension: "correct", want: []ViolationKind{}, status: []string{"success", "success", "success"}},
		{extension: "shutdownonly", want: []ViolationKind{}, status: []string{"success", "success", "success"}},
		{extension: "silent", want: []ViolationKind{}, status: []string{"success", "success", "success"}},
		{
			extension: "holding", opts: Options{HoldLimit: 300 * time.Millisecond},
			want:   []ViolationKind{ViolationOverHold, ViolationOverHold, ViolationOverHold},
			status: []string{"success", "success", "success"}, detail: "the limit is 300ms",
		},
		{
			extension: "overholding", opts: Options{Timeout: 5 * time.Second, ShutdownTimeout: 3 * time.Second},
			want: []ViolationKind{ViolationPastDeadline, ViolationIgnoredShutdown},
			// The caller of the second has its answer before the time is over.
			status: []string{"success", "success", "success"}, detail: "timeout of 5s",
		},
		{
			extension: "crashing", want: []ViolationKind{ViolationCrash},
			status: []string{"success", "", "success"}, detail: "exit status 3",
		},
		{
			extension: "leaving", want: []ViolationKind{ViolationCrash},
			status: []string{"success", "", "success"}, detail: "exit status 0",
		},
		{
			extension: "exiterror", want: []ViolationKind{ViolationReportedError},
			status: []string{"success", "", "success"}, detail: "Extension.Unlucky",
		},
		{
			extension: "stubborn", opts: Options{ShutdownTimeout: 500 * time.Millisecond},
			want:   []ViolationKind{ViolationIgnoredShutdown},
			status: []string{"success", "success", "success"}, detail: "still running",
		},
		{
			extension: "badexit", want: []ViolationKind{ViolationExitStatus},
			status: []string{"success", "success", "success"}, detail: "exit status 7",
		},
		{
			extension: "refusing", want: []ViolationKind{ViolationListenerRefused},
			status: []string{"success", "success", "success"}, detail: "connection refused",
		},
		{
			extension: "rude", want: []ViolationKind{ViolationListenerStatus},
			status: []string{"success", "success", "success"}, detail: "status 500",
		},
		{
			extension: "latesubscriber",
			want:      []ViolationKind{ViolationLateSubscription, ViolationLateSubscription, ViolationLateSubscription},
			status:    []string{"success", "success", "success"}, detail: "after Init",
		},
		{
			extension: "twice", want: []ViolationKind{ViolationSecondSubscription},
			status: []string{"success", "success", "success"}, detail: "second time",
		},
		{
			extension: "reregistering", want: []ViolationKind{ViolationSecondRegister},
			status: []string{"success", "success", "success"}, detail: "second time",
		},
		{
			extension: "slowfirst", opts: Options{FirstNextLimit: 290 * time.Millisecond},
			want:   []ViolationKind{ViolationLateFirstNext},
			status: []string{"success", "success", "success"}, detail: "the limit is 290ms",
		},
	} {
		t.Run(tt.extension, func(t *testing.T) {
			t.Parallel()
			tt.opts.LayerDir = newLayer(t, tt.extension)
			e := newEnvironment(t, tt.opts)
			require.NoError(t, e.Init(testContext(t)))
			for n, status := range tt.status {
				inv := invoke(t, e, work{Log: []string{fmt.Sprint("line ", n)}})
				if status != "" {
					require.Equal(t, status, inv.Status, inv.Message)
				}
			}
			require.NoError(t, e.Shutdown(testContext(t)))
			report := e.Report()
			require.Equal(t, tt.want, kinds(report), "%+v", report.Violations)
			for _, v := range report.Violations {
				require.Equal(t, tt.extension, v.Extension)
			}
			if tt.detail != "" {
				require.Contains(t, report.Violations[0].Detail, tt.detail)
			}
		})
	}
}

// What an extension does wrong before the function runs fails Init.
func TestInitViolations(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		extension string
		limit     time.Duration
		window    time.Duration
		want      []ViolationKind
		status    string
		errorType string
		message   string
		reason    string
	}{
		{
			extension: "mute", limit: 500 * time.Millisecond, want: []ViolationKind{ViolationNeverRegistered},
			status: StatusTimeout, errorType: "Sandbox.Timedout", message: "extension mute had not registered",
			reason: "timeout",
		},
		{
			extension: "neverfirst", limit: 5 * time.Second, window: 300 * time.Millisecond,
			// It cannot know that it should end either.
			want:   []ViolationKind{ViolationLateFirstNext, ViolationIgnoredShutdown},
			status: StatusTimeout, errorType: "Sandbox.Timedout", message: "extension neverfirst had not called next",
			reason: "timeout",
		},
		{
			extension: "misnamed", limit: 5 * time.Second,
			want:   []ViolationKind{ViolationWrongName, ViolationNeverRegistered},
			status: StatusTimeout, errorType: "Sandbox.Timedout", message: "extension misnamed had not registered",
			reason: "timeout",
		},
		{
			extension: "initerror", want: []ViolationKind{ViolationReportedError},
			status: StatusError, errorType: "Extension.InitError", message: "Extension.ConfigInvalid", reason: "failure",
		},
		{
			extension: "initexit", want: []ViolationKind{ViolationCrash},
			status: StatusError, errorType: "Extension.Crash", message: "exit status 5", reason: "failure",
		},
	} {
		t.Run(tt.extension, func(t *testing.T) {
			t.Parallel()
			e := newEnvironment(t, Options{
				LayerDir: newLayer(t, tt.extension), InitTimeout: tt.limit, ShutdownTimeout: tt.window,
			})
			err := e.Init(testContext(t))
			var initErr *InitError
			require.ErrorAs(t, err, &initErr)
			require.Equal(t, tt.status, initErr.Status)
			require.Equal(t, tt.errorType, initErr.ErrorType)
			require.Contains(t, initErr.Message, tt.message)
			require.ErrorContains(t, err, tt.message)
			report := e.Report()
			require.Equal(t, tt.want, kinds(report), "%+v", report.Violations)
			require.Len(t, report.Shutdowns, 1)
			require.Equal(t, tt.reason, report.Shutdowns[0].Reason)
			require.Zero(t, report.Freezes)
		})
	}
}

func TestLaunchError(t *testing.T) {
	t.Parallel()
	layer := newLayer(t)
	require.NoError(t, os.WriteFile(filepath.Join(layer, "extensions", "notes.txt"), []byte("not a program"), 0o600))
	require.NoError(t, os.Mkdir(filepath.Join(layer, "extensions", "folder"), 0o755))
	timeline := &recorder{}
	e := newEnvironment(t, Options{LayerDir: layer, OnEvent: timeline.observe})
	var initErr *InitError
	require.ErrorAs(t, e.Init(testContext(t)), &initErr)
	require.Equal(t, "Extension.LaunchError", initErr.ErrorType)
	require.Contains(t, initErr.Message, "notes.txt")
	require.Equal(t, []ViolationKind{ViolationLaunch}, kinds(e.Report()))
	require.Equal(t, []map[string]any{{
		"name": "notes.txt", "state": "LaunchError", "events": []any{}, "errorType": "PermissionDenied",
	}}, timeline.of(t, "platform.extension"))
}

func TestTooManyExtensions(t *testing.T) {
	t.Parallel()
	var names []string
	for n := range maxExtensions + 1 {
		names = append(names, fmt.Sprintf("silent%02d", n))
	}
	e := newEnvironment(t, Options{LayerDir: newLayer(t, names...), ShutdownTimeout: 100 * time.Millisecond})
	var initErr *InitError
	require.ErrorAs(t, e.Init(testContext(t)), &initErr)
	require.Equal(t, "Extension.LaunchError", initErr.ErrorType)
	require.Contains(t, initErr.Message, "allows 10 extensions, there are 11")
}

func TestMissingLayer(t *testing.T) {
	t.Parallel()
	e := newEnvironment(t, Options{LayerDir: filepath.Join(t.TempDir(), "nowhere")})
	require.ErrorContains(t, e.Init(testContext(t)), "cannot read the layer")
}

// The second of two nexts at a time is refused.
func TestSecondNext(t *testing.T) {
	t.Parallel()
	e := newEnvironment(t, Options{LayerDir: newLayer(t, "doublenext"), ShutdownTimeout: 300 * time.Millisecond})
	require.NoError(t, e.Init(testContext(t)))
	require.Eventually(t, func() bool {
		// The environment is frozen when one of the two has come; the other follows after the thaw.
		_, err := e.Invoke(testContext(t), []byte("{}"))
		return err == nil && slices.Contains(kinds(e.Report()), ViolationSecondNext)
	}, testTimeout, 10*time.Millisecond)
}

// What gets lost or doubled on the way to the backend shows in the account.
func TestLossAndDuplication(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		extension string
		want      Ledger
	}{
		{"correct", Ledger{Lost: []string{}, Duplicated: []string{}, Unexpected: []string{}}},
		{"losing", Ledger{Lost: []string{"0 first", "1 first"}, Duplicated: []string{}, Unexpected: []string{}}},
		{"duplicating", Ledger{Lost: []string{}, Duplicated: []string{"0 first", "1 first"}, Unexpected: []string{}}},
	} {
		t.Run(tt.extension, func(t *testing.T) {
			t.Parallel()
			b := newBackend(t)
			e := newEnvironment(t, Options{
				LayerDir: newLayer(t, tt.extension), Env: map[string]string{backendVariable: b.url},
			})
			var sent []string
			for n := range 2 {
				lines := []string{fmt.Sprintf("%d first", n), fmt.Sprintf("%d second", n)}
				sent = append(sent, lines...)
				require.Equal(t, StatusSuccess, invoke(t, e, work{Log: lines}).Status)
			}
			require.NoError(t, e.Shutdown(testContext(t)))
			require.Equal(t, tt.want, b.account(sent...))
			require.Empty(t, e.Report().Violations)
		})
	}
}

// An extension that keeps data back over a freeze is late with it.
func TestDelay(t *testing.T) {
	t.Parallel()
	const gap = 500 * time.Millisecond
	for extension, want := range map[string][]string{"correct": {}, "delaying": {"0", "1"}} {
		b := newBackend(t)
		e := newEnvironment(t, Options{LayerDir: newLayer(t, extension), Env: map[string]string{backendVariable: b.url}})
		sent := map[string]time.Time{}
		for n := range 2 {
			line := strconv.Itoa(n)
			inv := invoke(t, e, work{Log: []string{line}})
			sent[line] = inv.Start.Add(inv.Duration)
			<-time.After(gap)
		}
		require.NoError(t, e.Shutdown(testContext(t)))
		require.True(t, b.account("0", "1").Balanced())
		b.mu.Lock()
		require.Equal(t, want, Late(sent, b.last, gap), extension)
		b.mu.Unlock()
	}
}

// Lambda answers the caller before the extensions are done.
func TestCallerDoesNotWaitForExtensions(t *testing.T) {
	t.Parallel()
	e := newEnvironment(t, Options{LayerDir: newLayer(t, "holding")})
	ctx := testContext(t)
	require.NoError(t, e.Init(ctx))
	inv, err := e.Invoke(ctx, []byte("{}"))
	require.NoError(t, err)
	require.Equal(t, StatusSuccess, inv.Status)
	require.False(t, inv.Settled)
	require.False(t, e.Report().Invocations[0].Settled)
	require.NoError(t, e.Settle(ctx))
	settled := e.Report().Invocations[0]
	require.True(t, settled.Settled)
	require.GreaterOrEqual(t, settled.Held, 400*time.Millisecond)
	require.Equal(t, map[string]time.Duration{"holding": settled.Held}, settled.Holds)
	require.GreaterOrEqual(t, settled.Duration, 400*time.Millisecond)
}

// An invocation waits for the extensions that are still busy with the one before.
func TestInvocationsComeOneAfterAnother(t *testing.T) {
	t.Parallel()
	e := newEnvironment(t, Options{LayerDir: newLayer(t, "holding")})
	ctx := testContext(t)
	for range 3 {
		_, err := e.Invoke(ctx, []byte("{}"))
		require.NoError(t, err)
	}
	require.NoError(t, e.Settle(ctx))
	all := e.Report().Invocations
	for i := 1; i < len(all); i++ {
		require.False(t, all[i].Start.Before(all[i-1].Start.Add(all[i-1].Duration)))
	}
}

func ticks(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return 0
	}
	require.NoError(t, err)
	return info.Size()
}

// While the environment is frozen nothing runs: not the function, not the extension, not what the extension started.
func TestFreezeStopsProcesses(t *testing.T) {
	t.Parallel()
	modes := map[string]FreezeMode{"signal": FreezeSignal, "none": FreezeNone}
	if cgroupsWritable(t) {
		modes["cgroup"] = FreezeCgroup
	}
	for name, mode := range modes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			base := filepath.Join(t.TempDir(), "ticks")
			files := []string{base + ".function", base + ".extension", base + ".forked"}
			e := newEnvironment(t, Options{
				LayerDir: newLayer(t, "ticking", "forking"), Freeze: mode, Env: map[string]string{tickVariable: base},
			})
			require.NoError(t, e.Init(testContext(t)))
			total := func() (sum int64) {
				for _, f := range files {
					sum += ticks(t, f)
				}
				return sum
			}
			for range 2 {
				// Every one of them runs while the environment does.
				before := map[string]int64{}
				for _, f := range files {
					before[f] = ticks(t, f)
				}
				require.Eventually(t, func() bool {
					invoke(t, e, work{})
					return !slices.ContainsFunc(files, func(f string) bool { return ticks(t, f) <= before[f] })
				}, testTimeout, time.Millisecond)
				frozen := total()
				moved := func() bool { return total() > frozen }
				if mode == FreezeNone {
					require.Eventually(t, moved, testTimeout, time.Millisecond)
				} else {
					require.Never(t, moved, 150*time.Millisecond, 10*time.Millisecond)
				}
			}
			require.NoError(t, e.Shutdown(testContext(t)))
			// Not even the child in a session of its own is left.
			last := total()
			require.Never(t, func() bool { return total() > last }, 50*time.Millisecond, 10*time.Millisecond)
			require.Empty(t, e.Report().FreezeErrors)
			require.Empty(t, e.Report().Violations)
		})
	}
}

// A timeout resets the environment; the next invocation starts everything again.
func TestFunctionTimeout(t *testing.T) {
	t.Parallel()
	timeline := &recorder{}
	e := newEnvironment(t, Options{
		LayerDir: newLayer(t, "correct"), Timeout: 5 * time.Second, OnEvent: timeline.observe,
	})
	first := invoke(t, e, work{})
	require.Equal(t, StatusSuccess, first.Status)
	inv := invoke(t, e, work{Do: "hang", Log: []string{"before"}})
	require.Equal(t, StatusTimeout, inv.Status)
	require.Equal(t, StatusTimeout, inv.PlatformStatus)
	require.Contains(t, inv.Message, "Task timed out after 5.00 seconds")
	require.Contains(t, string(inv.Response), "Task timed out after 5.00 seconds")
	require.Equal(t, 5*time.Second, inv.Duration)
	require.False(t, inv.Cold)
	again := invoke(t, e, work{})
	require.Equal(t, StatusSuccess, again.Status)
	require.True(t, again.Cold)

	report := e.Report()
	require.Empty(t, report.Violations)
	require.Len(t, report.Shutdowns, 1)
	require.Equal(t, "timeout", report.Shutdowns[0].Reason)
	require.Equal(t, "exit status 0", report.Shutdowns[0].Extensions[0].Status)
	require.Len(t, report.Inits, 2)
	require.Equal(t, "init", report.Inits[0].Phase)
	require.Equal(t, "invoke", report.Inits[1].Phase)
	require.NotEqual(t, report.Inits[0].Extensions[0].PID, report.Inits[1].Extensions[0].PID)
	// A suppressed init is part of the invocation, and not a cold start that is told.
	require.Greater(t, again.Duration, report.Inits[1].Duration)

	done := timeline.of(t, "platform.runtimeDone")
	require.Len(t, done, 3)
	require.Equal(t, "timeout", done[1]["status"])
	require.NotContains(t, done[1], "spans")
	require.NotContains(t, done[1], "errorType")
	reports := timeline.of(t, "platform.report")
	require.Equal(t, "timeout", reports[1]["status"])
	require.InEpsilon(t, 5000.0, reports[1]["metrics"].(map[string]any)["durationMs"], 0)
	require.InEpsilon(t, 5000.0, reports[1]["metrics"].(map[string]any)["billedDurationMs"], 0)
	require.Contains(t, reports[0]["metrics"], "initDurationMs")
	require.NotContains(t, reports[2]["metrics"], "initDurationMs")

	// Two subscriptions, of two processes; the first was told about the timeout before it ended.
	require.Len(t, report.Telemetry, 2)
	require.Equal(t, 2, report.Telemetry[0].Events[telemetryapi.EventRuntimeDone].Delivered)
	require.Equal(t, 2, report.Telemetry[0].Events[telemetryapi.EventReport].Delivered)
	require.Equal(t, []string{"before"}, report.Telemetry[0].Function)
}

func TestFunctionCrash(t *testing.T) {
	t.Parallel()
	timeline := &recorder{}
	e := newEnvironment(t, Options{LayerDir: newLayer(t, "correct"), OnEvent: timeline.observe})
	require.NoError(t, e.Init(testContext(t)))
	inv := invoke(t, e, work{Do: "exit"})
	require.Equal(t, StatusFailure, inv.Status)
	require.Equal(t, "Runtime.ExitError", inv.ErrorType)
	require.Contains(t, inv.Message, "Runtime exited with error: exit status 1")
	require.Equal(t, StatusError, inv.PlatformStatus)
	require.Equal(t, StatusSuccess, invoke(t, e, work{}).Status)
	report := e.Report()
	require.Empty(t, report.Violations)
	require.Equal(t, "failure", report.Shutdowns[0].Reason)
	done := timeline.of(t, "platform.runtimeDone")
	require.Equal(t, "error", done[0]["status"])
	require.Equal(t, "Runtime.ExitError", done[0]["errorType"])
	starts := timeline.of(t, "platform.initStart")
	require.Len(t, starts, 2)
	require.Equal(t, "invoke", starts[1]["phase"])
}

// An extension that ends takes the invocation with it.
func TestExtensionCrashFailsTheInvocation(t *testing.T) {
	t.Parallel()
	timeline := &recorder{}
	e := newEnvironment(t, Options{LayerDir: newLayer(t, "crashing", "correct"), OnEvent: timeline.observe})
	require.Equal(t, StatusSuccess, invoke(t, e, work{}).Status)
	inv := invoke(t, e, work{Do: "hang"})
	require.Equal(t, StatusFailure, inv.Status)
	require.Equal(t, "Extension.Crash", inv.ErrorType)
	require.Equal(t, StatusSuccess, invoke(t, e, work{}).Status)
	report := e.Report()
	require.Equal(t, []ViolationKind{ViolationCrash}, kinds(report))
	require.Equal(t, 2, report.Violations[0].Invocation)
	require.Equal(t, "failure", report.Shutdowns[0].Reason)
	exits := map[string]ExtensionExit{}
	for _, x := range report.Shutdowns[0].Extensions {
		exits[x.Name] = x
	}
	require.True(t, exits["crashing"].Crashed)
	require.Equal(t, 3, exits["crashing"].ExitCode)
	require.False(t, exits["correct"].Crashed)
	require.Equal(t, 0, exits["correct"].ExitCode)
	require.Equal(t, "Extension.Crash", timeline.of(t, "platform.report")[1]["errorType"])
}

// What the handler reports is the function's own business: nothing is reset.
func TestFunctionError(t *testing.T) {
	t.Parallel()
	timeline := &recorder{}
	e := newEnvironment(t, Options{LayerDir: newLayer(t, "correct"), OnEvent: timeline.observe})
	inv := invoke(t, e, work{Do: "error"})
	require.Equal(t, StatusError, inv.Status)
	require.Equal(t, "Function.Unknown", inv.ErrorType)
	require.Equal(t, "on purpose", inv.Message)
	require.JSONEq(t, `{"errorMessage":"on purpose","errorType":"errorString"}`, string(inv.Response))
	require.Equal(t, StatusSuccess, invoke(t, e, work{}).Status)
	report := e.Report()
	require.Len(t, report.Inits, 1)
	require.Empty(t, report.Shutdowns)
	require.Equal(t, "error", timeline.of(t, "platform.runtimeDone")[0]["status"])
	require.Equal(t, "error", timeline.of(t, "platform.report")[0]["status"])
}

// aws-lambda-go reports a panic and ends the process.
func TestFunctionPanic(t *testing.T) {
	t.Parallel()
	e := newEnvironment(t, Options{LayerDir: newLayer(t, "correct")})
	inv := invoke(t, e, work{Do: "panic"})
	require.Equal(t, StatusError, inv.Status)
	require.Equal(t, StatusError, inv.PlatformStatus)
	require.Equal(t, StatusSuccess, invoke(t, e, work{}).Status)
	require.Len(t, e.Report().Inits, 2)
	require.Empty(t, e.Report().Violations)
}

func TestResponseTooLarge(t *testing.T) {
	t.Parallel()
	e := newEnvironment(t, Options{})
	_, err := e.Invoke(testContext(t), make([]byte, maxPayload+1))
	require.ErrorContains(t, err, "AWS Lambda allows 6291456")
	inv := invoke(t, e, work{Size: maxResponse})
	require.Equal(t, StatusError, inv.Status)
	require.Equal(t, "Function.ResponseSizeTooLarge", inv.ErrorType)
	// The payload's frame counts too.
	largest := invoke(t, e, work{Size: maxResponse - len(`{"echo":""}`)})
	require.Equal(t, StatusSuccess, largest.Status, largest.Message)
	require.Len(t, largest.Response, maxResponse)
}

// A function whose Init fails is tried again by the first invocation.
func TestInitFailureIsRetried(t *testing.T) {
	t.Parallel()
	timeline := &recorder{}
	e := newEnvironment(t, Options{
		LayerDir: newLayer(t, "correct"), Handler: "initonce", OnEvent: timeline.observe,
		Env: map[string]string{tickVariable: filepath.Join(t.TempDir(), "ticks")},
	})
	var initErr *InitError
	require.ErrorAs(t, e.Init(testContext(t)), &initErr)
	require.Equal(t, "Runtime.ExitError", initErr.ErrorType)
	require.ErrorIs(t, e.Init(testContext(t)), errInitialised)
	require.Equal(t, StatusSuccess, invoke(t, e, work{}).Status)
	report := e.Report()
	require.Empty(t, report.Violations)
	require.Equal(t, "error", report.Inits[0].Status)
	require.Equal(t, "invoke", report.Inits[1].Phase)
	require.Equal(t, "success", report.Inits[1].Status)
	require.Equal(t, []any{"error", "success"}, statuses(timeline.of(t, "platform.initRuntimeDone")))
	require.Equal(t, []any{"error", "success"}, statuses(timeline.of(t, "platform.initReport")))
	require.Equal(t, []any{"success"}, statuses(timeline.of(t, "platform.report")))
}

func statuses(records []map[string]any) []any {
	list := []any{}
	for _, r := range records {
		list = append(list, r["status"])
	}
	return list
}

// An Init that always fails fails each invocation.
func TestInitFailures(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		handler   string
		status    string
		errorType string
	}{
		{"initexit", StatusFailure, "Runtime.ExitError"},
		{"initerror", StatusFailure, "Runtime.ImportModuleError"},
		{"inithang", StatusTimeout, "Sandbox.Timedout"},
	} {
		t.Run(tt.handler, func(t *testing.T) {
			t.Parallel()
			timeline := &recorder{}
			limit := 20 * time.Second
			if tt.handler == "inithang" {
				limit = 4 * time.Second
			}
			e := newEnvironment(t, Options{
				LayerDir: newLayer(t, "silent"), Handler: tt.handler, InitTimeout: limit, Timeout: limit,
				OnEvent: timeline.observe,
			})
			inv := invoke(t, e, work{})
			require.Equal(t, tt.status, inv.Status)
			require.Equal(t, tt.errorType, inv.ErrorType)
			require.NotEmpty(t, inv.Response)
			// One as such, one within the invocation.
			report := e.Report()
			require.Len(t, report.Inits, 2)
			require.Len(t, report.Shutdowns, 2)
			require.Len(t, timeline.of(t, "platform.start"), 1)
			require.Len(t, timeline.of(t, "platform.runtimeDone"), 1)
			require.Len(t, timeline.of(t, "platform.report"), 1)
			require.Empty(t, report.Violations)
		})
	}
}

func TestFunctionProgramMissing(t *testing.T) {
	t.Parallel()
	e := newEnvironment(t, Options{Function: []string{filepath.Join(t.TempDir(), "nowhere")}})
	var initErr *InitError
	require.ErrorAs(t, e.Init(testContext(t)), &initErr)
	require.Equal(t, "Runtime.InvalidEntrypoint", initErr.ErrorType)
	inv := invoke(t, e, work{})
	require.Equal(t, StatusFailure, inv.Status)
	require.Equal(t, "Runtime.InvalidEntrypoint", inv.ErrorType)
}

// Whatever the Telemetry API answers, an extension that does not insist sees its invocations through.
func TestTelemetryModes(t *testing.T) {
	t.Parallel()
	for name, mode := range map[string]TelemetryMode{
		"not supported": TelemetryNotSupported, "refused": TelemetryRefused, "failing": TelemetryFailing,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEnvironment(t, Options{
				LayerDir: newLayer(t, "correct"), Telemetry: mode, Timeout: 2 * time.Second,
			})
			require.NoError(t, e.Init(testContext(t)))
			// The test extension waits for telemetry until shortly before the deadline.
			inv := invoke(t, e, work{})
			require.Equal(t, StatusSuccess, inv.PlatformStatus)
			require.Greater(t, inv.Held, 500*time.Millisecond)
			require.Empty(t, e.Report().Telemetry)
			require.Empty(t, e.Report().Violations)
		})
	}
}

func TestSlowPlatform(t *testing.T) {
	t.Parallel()
	e := newEnvironment(t, Options{
		LayerDir: newLayer(t, "correct"), RegisterDelay: 200 * time.Millisecond, SubscribeDelay: 100 * time.Millisecond,
	})
	require.NoError(t, e.Init(testContext(t)))
	init := e.Report().Inits[0]
	require.GreaterOrEqual(t, init.Extensions[0].Register, 200*time.Millisecond)
	require.GreaterOrEqual(t, init.Extensions[0].FirstNext, 300*time.Millisecond)
	require.Equal(t, StatusSuccess, invoke(t, e, work{}).Status)
	require.Empty(t, e.Report().Violations)
}

// The order of events is Lambda's.
func TestTimeline(t *testing.T) {
	t.Parallel()
	timeline := &recorder{}
	e := newEnvironment(t, Options{LayerDir: newLayer(t, "correct"), OnEvent: timeline.observe, MemoryMB: 512})
	require.NoError(t, e.Init(testContext(t)))
	invoke(t, e, work{Log: []string{"hello"}, Size: 29})
	require.NoError(t, e.Shutdown(testContext(t)))

	types := timeline.types()
	// Extension and runtime start at the same time.
	subscribed := slices.Index(types, "platform.telemetrySubscription")
	ready := slices.Index(types, "platform.extension")
	require.Positive(t, subscribed)
	require.Greater(t, ready, subscribed)
	require.Less(t, ready, slices.Index(types, "platform.initReport"))
	parallel := []string{"platform.telemetrySubscription", "platform.extension", "extension", "sim.exit"}
	types = slices.DeleteFunc(types, func(s string) bool { return slices.Contains(parallel, s) })
	require.Equal(t, []string{
		"platform.initStart", "platform.initRuntimeDone", "platform.initReport",
		"sim.freeze", "sim.thaw",
		"platform.start", "function", "platform.runtimeDone", "platform.report",
		"sim.freeze", "sim.thaw", "sim.shutdown",
	}, types)

	start := timeline.of(t, "platform.initStart")[0]
	require.Equal(t, "on-demand", start["initializationType"])
	require.Equal(t, "init", start["phase"])
	require.Equal(t, "function", start["functionName"])
	require.Equal(t, "$LATEST", start["functionVersion"])
	require.InEpsilon(t, 512*1024*1024, start["instanceMaxMemory"], 0)
	require.Contains(t, start["instanceId"], "[$LATEST]")
	require.Equal(t, map[string]any{
		"name": "correct", "state": "Subscribed", "types": []any{"platform", "function"},
	}, timeline.of(t, "platform.telemetrySubscription")[0])
	require.Equal(t, map[string]any{
		"name": "correct", "state": "Ready", "events": []any{"INVOKE", "SHUTDOWN"},
	}, timeline.of(t, "platform.extension")[0])

	inv := e.Report().Invocations[0]
	begin := timeline.of(t, "platform.start")[0]
	require.Equal(t, inv.RequestID, begin["requestId"])
	require.Equal(t, "$LATEST", begin["version"])
	tracing := begin["tracing"].(map[string]any)
	require.Regexp(t, `^Root=1-[0-9a-f]{8}-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=1$`, tracing["value"])
	require.Equal(t, "X-Amzn-Trace-Id", tracing["type"])

	done := timeline.of(t, "platform.runtimeDone")[0]
	require.Equal(t, inv.RequestID, done["requestId"])
	require.Equal(t, tracing, done["tracing"])
	require.InEpsilon(t, 40, done["metrics"].(map[string]any)["producedBytes"], 0)
	var spans []any
	for _, s := range done["spans"].([]any) {
		spans = append(spans, s.(map[string]any)["name"])
	}
	require.Equal(t, []any{"responseLatency", "responseDuration", "runtimeOverhead"}, spans)

	report := timeline.of(t, "platform.report")[0]
	metrics := report["metrics"].(map[string]any)
	require.InEpsilon(t, 512, metrics["memorySizeMB"], 0)
	require.Positive(t, metrics["maxMemoryUsedMB"])
	initDuration, duration := metrics["initDurationMs"].(float64), metrics["durationMs"].(float64)
	require.InDelta(t, initDuration+duration, metrics["billedDurationMs"], 1.01)
	require.Greater(t, duration, done["metrics"].(map[string]any)["durationMs"])
	overhead := report["spans"].([]any)[0].(map[string]any)
	require.Equal(t, "extensionOverhead", overhead["name"])
	require.InDelta(t, float64(inv.Held)/1e6, overhead["durationMs"], 0.001)
}

// Processes get Lambda's variables and the customer's, and nothing of ours.
func TestProcessEnvironment(t *testing.T) {
	t.Setenv("SECRET_OF_THE_DEVELOPER", "1")
	timeline := &recorder{}
	layer := newLayer(t, "environment")
	e := newEnvironment(t, Options{
		LayerDir: layer, Handler: "environment", OnEvent: timeline.observe, Region: "eu-west-1", FunctionName: "checkout",
		MemoryMB: 256, LogFormat: LogFormatJSON, Env: map[string]string{"CUSTOMER": "a=b c", "TZ": "Europe/Berlin"},
	})
	require.NoError(t, e.Init(testContext(t)))
	variables := func(eventType telemetryapi.EventType) map[string]string {
		found := map[string]string{}
		timeline.mu.Lock()
		defer timeline.mu.Unlock()
		for _, r := range timeline.records {
			if r.Type == eventType {
				key, value, _ := strings.Cut(strings.Trim(string(r.Record), `"`), "=")
				found[key] = value
			}
		}
		return found
	}
	extension, function := variables("extension"), variables("function")
	for _, env := range []map[string]string{extension, function} {
		require.Equal(t, "eu-west-1", env["AWS_REGION"])
		require.Equal(t, "eu-west-1", env["AWS_DEFAULT_REGION"])
		require.Equal(t, "checkout", env["AWS_LAMBDA_FUNCTION_NAME"])
		require.Equal(t, "$LATEST", env["AWS_LAMBDA_FUNCTION_VERSION"])
		require.Equal(t, "256", env["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"])
		require.Equal(t, "on-demand", env["AWS_LAMBDA_INITIALIZATION_TYPE"])
		require.Equal(t, "JSON", env["AWS_LAMBDA_LOG_FORMAT"])
		require.Regexp(t, `^127\.0\.0\.1:\d+$`, env["AWS_LAMBDA_RUNTIME_API"])
		require.Equal(t, "a=b c", env["CUSTOMER"])
		require.Equal(t, "Europe/Berlin", env["TZ"])
		require.Contains(t, env["PATH"], filepath.Join(layer, "bin"))
		require.NotContains(t, env, "SECRET_OF_THE_DEVELOPER")
	}
	for _, key := range []string{
		"_HANDLER", "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR", "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME",
	} {
		require.NotContains(t, extension, key)
		require.NotEmpty(t, function[key])
	}
	require.Equal(t, function["cwd"], function["LAMBDA_TASK_ROOT"])
}

// A call after the end says so, and so does one that is out of time.
func TestEndedAndImpatient(t *testing.T) {
	t.Parallel()
	e := newEnvironment(t, Options{LayerDir: newLayer(t, "holding")})
	ctx := testContext(t)
	require.NoError(t, e.Init(ctx))
	_, err := e.Invoke(ctx, []byte("{}"))
	require.NoError(t, err)
	impatient, cancel := newCanceled()
	defer cancel()
	_, err = e.Invoke(impatient, nil)
	require.ErrorIs(t, err, impatient.Err())
	require.ErrorIs(t, e.Settle(impatient), impatient.Err())
	require.ErrorIs(t, e.Shutdown(impatient), impatient.Err())
	require.NoError(t, e.Shutdown(ctx))
	require.NoError(t, e.Shutdown(ctx))
	require.NoError(t, e.Settle(ctx))
	_, err = e.Invoke(ctx, nil)
	require.ErrorIs(t, err, ErrEnded)
	require.ErrorIs(t, e.Init(ctx), ErrEnded)
	require.NoError(t, e.Close())
	require.NoError(t, e.Close())
}

// Whoever has no time to wait for a phase does not stop it.
func TestImpatientCallers(t *testing.T) {
	t.Parallel()
	e := newEnvironment(t, Options{LayerDir: newLayer(t, "correct")})
	ctx := testContext(t)
	// A context that ends while the phase is under way.
	impatient := func() context.Context {
		short, cancel := context.WithTimeout(ctx, time.Millisecond)
		t.Cleanup(cancel)
		return short
	}
	require.ErrorContains(t, e.Init(impatient()), "init goes on")
	require.NoError(t, e.Settle(ctx))
	require.Equal(t, StatusSuccess, e.Report().Inits[0].Status)
	_, err := e.Invoke(impatient(), payload(t, work{Do: "slow"}))
	require.ErrorContains(t, err, "invocation goes on")
	require.NoError(t, e.Settle(ctx))
	require.Equal(t, StatusSuccess, e.Report().Invocations[0].Status)
	require.ErrorContains(t, e.Shutdown(impatient()), "shutdown goes on")
	require.NoError(t, e.Settle(ctx))
	require.Len(t, e.Report().Shutdowns, 1)
	require.Empty(t, e.Report().Violations)
}

// Close cuts a running invocation short and leaves no process.
func TestCloseWhileRunning(t *testing.T) {
	t.Parallel()
	timeline := &recorder{}
	e := newEnvironment(t, Options{
		LayerDir: newLayer(t, "correct"), Timeout: 10 * time.Minute, OnEvent: timeline.observe,
	})
	result := make(chan Invocation, 1)
	ctx := testContext(t)
	go func() {
		inv, err := e.Invoke(ctx, []byte(`{"do":"hang","log":["hanging"]}`))
		if err == nil {
			result <- inv
		}
		close(result)
	}()
	require.Eventually(t, func() bool { return slices.Contains(timeline.types(), "function") }, testTimeout, time.Millisecond)
	pids := e.pids()
	require.NoError(t, e.Close())
	require.Equal(t, StatusFailure, (<-result).Status)
	require.Empty(t, family(pids))
}
