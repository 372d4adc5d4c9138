// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdasim

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// newSnapStart makes an environment whose function knows of SnapStart, unless the options name another handler.
func newSnapStart(t *testing.T, opts Options, extensions ...string) (*Environment, *recorder) {
	t.Helper()
	timeline := &recorder{}
	opts.Mode, opts.LayerDir, opts.OnEvent = ModeSnapStart, newLayer(t, extensions...), timeline.observe
	if opts.Handler == "" {
		opts.Handler = "restoring"
	}
	return newEnvironment(t, opts), timeline
}

// Init makes a snapshot, which the first invocation restores.
func TestSnapStart(t *testing.T) {
	t.Parallel()
	e, timeline := newSnapStart(t, Options{FunctionVersion: "7"}, "telling")
	ctx := testContext(t)
	require.NoError(t, e.Init(ctx))
	require.Empty(t, e.Report().Restores)
	inv := invoke(t, e, work{})
	require.Equal(t, StatusSuccess, inv.Status, inv.Message)
	require.True(t, inv.Cold)
	require.True(t, inv.Restored)
	again := invoke(t, e, work{})
	require.Equal(t, StatusSuccess, again.Status)
	require.False(t, again.Restored)
	require.NoError(t, e.Shutdown(ctx))

	require.Equal(t, []string{
		"platform.initStart", "platform.initRuntimeDone", "platform.initReport", "sim.freeze",
		"platform.restoreStart", "sim.thaw", "platform.restoreRuntimeDone", "platform.restoreReport",
		"platform.start", "platform.runtimeDone", "platform.report", "sim.freeze", "sim.thaw",
		"platform.start", "platform.runtimeDone", "platform.report", "sim.freeze", "sim.thaw", "sim.shutdown",
	}, timeline.platform())
	// The extension hears of the Init that was before it was there, too.
	var told []string
	for _, line := range timeline.lines(t, "extension") {
		if event, ok := strings.CutPrefix(line, "telemetry platform."); ok && !strings.Contains(event, "Subscription") {
			told = append(told, event)
		}
	}
	told = slices.DeleteFunc(told, func(event string) bool { return event == "extension" })
	require.Equal(t, []string{
		"initStart", "initRuntimeDone", "initReport", "restoreStart", "restoreRuntimeDone", "restoreReport", "start",
	}, told[:7])

	report := e.Report()
	require.Empty(t, report.Violations)
	require.Len(t, report.Inits, 1)
	require.Positive(t, report.Inits[0].Runtime)
	require.Len(t, report.Restores, 1)
	restored := report.Restores[0]
	require.Equal(t, StatusSuccess, restored.Status)
	require.Positive(t, restored.Billed)
	require.Greater(t, restored.Duration, restored.Billed)

	init, start := timeline.of(t, "platform.initStart")[0], timeline.of(t, "platform.restoreStart")[0]
	require.Equal(t, "snap-start", init["initializationType"])
	require.Equal(t, "init", init["phase"])
	require.Equal(t, "7", start["functionVersion"])
	require.Equal(t, restored.InstanceID, start["instanceId"])
	require.NotEqual(t, init["instanceId"], start["instanceId"])
	require.Equal(t, []any{"success"}, statuses(timeline.of(t, "platform.restoreRuntimeDone")))
	end := timeline.of(t, "platform.restoreReport")[0]
	require.Equal(t, "success", end["status"])

	reports := timeline.of(t, "platform.report")
	metrics := reports[0]["metrics"].(map[string]any)
	require.NotContains(t, metrics, "initDurationMs")
	require.Equal(t, end["metrics"].(map[string]any)["durationMs"], metrics["restoreDurationMs"])
	require.InEpsilon(t, float64(ceilMillis(restored.Billed)), metrics["billedRestoreDurationMs"], 0)
	require.InEpsilon(t, float64(ceilMillis(inv.Duration+restored.Billed)), metrics["billedDurationMs"], 0)
	require.NotContains(t, reports[1]["metrics"], "restoreDurationMs")
}

// A runtime that does not know of SnapStart is restored in its next, and an Invoke without an Init before makes both.
func TestSnapStartUnaware(t *testing.T) {
	t.Parallel()
	e, timeline := newSnapStart(t, Options{Handler: "bootstrap", InitPhase: phaseSnapStart}, "correct")
	require.Equal(t, StatusSuccess, invoke(t, e, work{}).Status)
	require.Equal(t, []string{
		"platform.initStart", "platform.initRuntimeDone", "platform.initReport", "sim.freeze",
		"platform.restoreStart", "sim.thaw", "platform.restoreRuntimeDone", "platform.restoreReport",
	}, timeline.platform()[:8])
	require.Equal(t, "snap-start", timeline.of(t, "platform.initStart")[0]["phase"])
	require.Equal(t, "snap-start", timeline.of(t, "platform.initReport")[0]["phase"])
	require.Zero(t, e.Report().Restores[0].Billed)
	require.Empty(t, e.Report().Violations)
}

// A restore that fails fails the invocation it was made for.
func TestSnapStartFailures(t *testing.T) {
	t.Parallel()
	for handler, want := range map[string]RestoreReport{
		"restoreerror": {Status: StatusError, ErrorType: "Runtime.Unknown", Message: "hook failed"},
		"restorehang":  {Status: StatusTimeout, ErrorType: "Sandbox.Timedout"},
	} {
		t.Run(handler, func(t *testing.T) {
			t.Parallel()
			if handler == "restoreerror" {
				want.ErrorType = "Runtime.AfterRestoreFailed"
			}
			e, timeline := newSnapStart(t, Options{Handler: handler, RestoreTimeout: 3 * time.Second}, "correct")
			require.NoError(t, e.Init(testContext(t)))
			inv := invoke(t, e, work{})
			require.NotEqual(t, StatusSuccess, inv.Status)
			report := e.Report()
			require.Empty(t, report.Violations)
			got := report.Restores[0]
			require.Equal(t, want.Status, got.Status)
			require.Equal(t, want.ErrorType, got.ErrorType)
			require.Contains(t, got.Message, want.Message)
			require.Equal(t, []any{want.Status}, statuses(timeline.of(t, "platform.restoreReport")))
			require.Equal(t, []any{want.Status}, statuses(timeline.of(t, "platform.restoreRuntimeDone")))
			require.Len(t, report.Shutdowns, 1)
			require.Equal(t, e.resetReason(want.Status), report.Shutdowns[0].Reason)
			require.Len(t, timeline.of(t, "platform.report"), 1)
		})
	}
}

// After a reset there is no snapshot: a suppressed init, in which nobody waits for a restore.
func TestSnapStartReset(t *testing.T) {
	t.Parallel()
	e, timeline := newSnapStart(t, Options{}, "correct")
	require.Equal(t, StatusSuccess, invoke(t, e, work{}).Status)
	require.Equal(t, StatusFailure, invoke(t, e, work{Do: "exit"}).Status)
	again := invoke(t, e, work{})
	require.Equal(t, StatusSuccess, again.Status)
	require.True(t, again.Cold)
	require.False(t, again.Restored)
	require.Equal(t, "invoke", timeline.of(t, "platform.initStart")[1]["phase"])
	require.Len(t, timeline.of(t, "platform.restoreStart"), 1)
	require.NotContains(t, timeline.of(t, "platform.report")[2]["metrics"], "restoreDurationMs")
	restored := slices.DeleteFunc(timeline.lines(t, "function"), func(line string) bool { return line != "restored" })
	require.Len(t, restored, 2)
	require.Empty(t, e.Report().Violations)
}

// Whom a snapshot outlives gets no credentials of its own: they are served.
func TestSnapStartCredentials(t *testing.T) {
	timeline := &recorder{}
	e := newEnvironment(t, Options{
		Mode: ModeSnapStart, LayerDir: newLayer(t, "environment"), Handler: "environment", OnEvent: timeline.observe,
		Env: map[string]string{envAccessKey: "AKIA", envSecretKey: "secret", envSessionToken: "session"},
	})
	require.NoError(t, e.Init(testContext(t)))
	extension, function := environmentOf(t, timeline, "extension"), environmentOf(t, timeline, "function")
	for _, env := range []map[string]string{extension, function} {
		require.Equal(t, "snap-start", env["AWS_LAMBDA_INITIALIZATION_TYPE"])
		for _, key := range []string{
			envAccessKey, envSecretKey, envSessionToken, "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME",
		} {
			require.NotContains(t, env, key)
		}
		for token, want := range map[string]int{
			env["AWS_CONTAINER_AUTHORIZATION_TOKEN"]: http.StatusOK, "": http.StatusNotFound, "wrong": http.StatusNotFound,
		} {
			status, body := get(t, env["AWS_CONTAINER_CREDENTIALS_FULL_URI"], token)
			require.Equal(t, want, status)
			if want == http.StatusOK {
				require.JSONEq(t, `{"AccessKeyId":"AKIA","SecretAccessKey":"secret","Token":"session"}`, body)
			}
		}
	}
}

func get(t *testing.T, url, authorization string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(testContext(t), http.MethodGet, url, http.NoBody)
	require.NoError(t, err)
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	require.NoError(t, err)
	defer func() { require.NoError(t, resp.Body.Close()) }()
	var raw json.RawMessage
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&raw))
	return resp.StatusCode, string(raw)
}

func TestRestoreStates(t *testing.T) {
	a := newAPI(t, Options{Mode: ModeSnapStart})
	next, fail := pathRuntime+"restore/next", pathRuntime+"restore/error"
	// Nothing has been restored yet.
	got := a.do(http.MethodPost, fail, map[string]string{headerRuntimeType: "Runtime.Any"}, "{}")
	require.Equal(t, "InvalidStateTransition", got.errorType(t))
	pending := a.start(t.Context(), next, nil)
	a.until(func() bool { return a.gen.runtime.state == stateRestoreReady })
	require.Equal(t, http.StatusForbidden, a.do(http.MethodGet, next, nil, "").status)
	require.Equal(t, http.StatusForbidden, a.do(http.MethodGet, pathRuntime+"invocation/next", nil, "").status)
	require.False(t, a.tellRestored(a.gen).IsZero())
	got = <-pending
	require.Equal(t, http.StatusOK, got.status)
	require.Empty(t, got.body)
	got = a.do(http.MethodPost, fail, map[string]string{headerRuntimeType: "Function.Hook"}, `{"errorMessage":"no"}`)
	require.Equal(t, http.StatusAccepted, got.status)
	a.mu.Lock()
	require.Equal(t, &failure{StatusError, "Function.Hook", "no"}, a.gen.failure)
	a.mu.Unlock()
	require.Equal(t, http.StatusForbidden, a.do(http.MethodPost, fail, nil, "{}").status)
	require.Equal(t, http.StatusForbidden, a.do(http.MethodGet, next, nil, "").status)

	// What does not start from a snapshot is not asked.
	other := newAPI(t, Options{})
	require.Equal(t, http.StatusNotFound, other.do(http.MethodPost, fail, nil, "{}").status)
}
