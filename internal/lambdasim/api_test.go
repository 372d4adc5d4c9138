// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdasim

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
)

// api is an environment without processes: the test plays extension and runtime.
type api struct {
	*Environment
	t      *testing.T
	gen    *generation
	client *http.Client
}

func newAPI(t *testing.T, opts Options, extensions ...string) *api {
	t.Helper()
	e := newEnvironment(t, opts)
	require.NoError(t, e.open())
	a := &api{Environment: e, t: t, gen: e.newGeneration(phaseInit), client: &http.Client{Transport: &http.Transport{}}}
	t.Cleanup(a.client.CloseIdleConnections)
	for _, name := range extensions {
		a.gen.extensions = append(a.gen.extensions, &extension{name: name, state: stateStarted})
	}
	return a
}

// answer is a response of the API.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) errorType(t *testing.T) string {
	t.Helper()
	var body struct {
		ErrorType    string `json:"errorType"`
		ErrorMessage string `json:"errorMessage"`
	}
	require.NoError(t, json.Unmarshal([]byte(a.body), &body), a.body)
	require.NotEmpty(t, body.ErrorMessage)
	return body.ErrorType
}

func (a *api) request(ctx context.Context, method, path string, header map[string]string, body io.Reader) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+a.listener.Addr().String()+path, body)
	if err != nil {
		return answer{}, err
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	resp, err := a.client.Do(req)
	if err != nil {
		return answer{}, err
	}
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{}, err
	}
	return answer{resp.StatusCode, resp.Header, string(data)}, resp.Body.Close()
}

func (a *api) do(method, path string, header map[string]string, body string) answer {
	a.t.Helper()
	got, err := a.request(testContext(a.t), method, path, header, strings.NewReader(body))
	require.NoError(a.t, err)
	return got
}

// start makes a request that blocks, and returns where its answer will come. The channel is closed without one when
// the request fails.
func (a *api) start(ctx context.Context, path string, header map[string]string) <-chan answer {
	got := make(chan answer, 1)
	go func() {
		defer close(got)
		if res, err := a.request(ctx, http.MethodGet, path, header, http.NoBody); err == nil {
			got <- res
		}
	}()
	return got
}

func (a *api) register(name, events string) string {
	a.t.Helper()
	got := a.do(http.MethodPost, pathRegister, map[string]string{headerName: name}, `{"events":`+events+`}`)
	require.Equal(a.t, http.StatusOK, got.status, got.body)
	return got.header.Get(headerIdentifier)
}

// until waits for a condition that is asked with the lock held.
func (a *api) until(cond func() bool) {
	a.t.Helper()
	require.True(a.t, a.await(time.Now().Add(testTimeout), cond))
}

func (a *api) ready(name string) func() bool {
	return func() bool { return a.gen.external(name).state == stateReady }
}

const (
	pathRegister  = "/2020-01-01/extension/register"
	pathNext      = "/2020-01-01/extension/event/next"
	pathInitError = "/2020-01-01/extension/init/error"
	pathExitError = "/2020-01-01/extension/exit/error"
	pathTelemetry = "/2022-07-01/telemetry"
	pathRuntime   = "/2018-06-01/runtime/"
)

func TestRegister(t *testing.T) {
	for name, tt := range map[string]struct {
		header    map[string]string
		body      string
		prepare   func(a *api)
		status    int
		errorType string
		want      string
	}{
		"plain": {
			header: map[string]string{headerName: "ext.sh"}, body: `{"events":["SHUTDOWN","INVOKE"]}`, status: 200,
			want: `{"functionName":"checkout","functionVersion":"7","handler":"h"}`,
		},
		"account": {
			header: map[string]string{headerName: "ext.sh", headerFeature: "other, accountId"}, body: `{}`, status: 200,
			want: `{"functionName":"checkout","functionVersion":"7","handler":"h","accountId":"123456789012"}`,
		},
		"no body": {header: map[string]string{headerName: "ext.sh"}, status: 200},
		"no name": {body: `{}`, status: 403, errorType: "Extension.InvalidExtensionName"},
		"no JSON": {
			header: map[string]string{headerName: "ext.sh"}, body: `{"events`, status: 403, errorType: "InvalidRequestFormat",
		},
		"configuration keys": {
			header: map[string]string{headerName: "ext.sh"}, body: `{"configurationKeys":["a"]}`, status: 403,
			errorType: "InvalidRequestFormat",
		},
		"unknown event": {
			header: map[string]string{headerName: "ext.sh"}, body: `{"events":["INVOKE","FREEZE"]}`, status: 403,
			errorType: "Extension.InvalidEventType",
		},
		"twice": {
			header: map[string]string{headerName: "ext.sh"}, body: `{}`, status: 403,
			prepare:   func(a *api) { a.register("ext.sh", `[]`) },
			errorType: "Extension.InvalidExtensionState",
		},
		"internal": {header: map[string]string{headerName: "wrapper"}, body: `{"events":["INVOKE"]}`, status: 200},
		"internal with shutdown": {
			header: map[string]string{headerName: "wrapper"}, body: `{"events":["SHUTDOWN"]}`, status: 403,
			errorType: "Extension.InvalidEventType",
		},
		"internal twice": {
			header: map[string]string{headerName: "wrapper"}, body: `{}`, status: 403,
			prepare:   func(a *api) { a.register("wrapper", `[]`) },
			errorType: "Extension.InvalidExtensionState",
		},
		"too many": {
			header: map[string]string{headerName: "wrapper"}, body: `{}`, status: 403,
			prepare: func(a *api) {
				for n := range maxExtensions - 1 {
					a.register("wrapper"+string(rune('a'+n)), `[]`)
				}
			},
			errorType: "Extension.TooManyExtensions",
		},
		"closed": {
			header: map[string]string{headerName: "ext.sh"}, body: `{}`, status: 403,
			prepare: func(a *api) {
				a.start(a.t.Context(), pathRuntime+"invocation/next", nil)
				a.until(func() bool { return a.gen.registrationClosed })
			},
			errorType: "Extension.RegistrationClosed",
		},
		"huge body": {
			header: map[string]string{headerName: "ext.sh"}, body: strings.Repeat(" ", maxAPIBody+1), status: 413,
			errorType: "RequestEntityTooLarge",
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAPI(t, Options{FunctionName: "checkout", FunctionVersion: "7", Handler: "h"}, "ext.sh")
			if tt.prepare != nil {
				tt.prepare(a)
			}
			got := a.do(http.MethodPost, pathRegister, tt.header, tt.body)
			require.Equal(t, tt.status, got.status, got.body)
			if tt.errorType != "" {
				require.Equal(t, tt.errorType, got.errorType(t))
				return
			}
			require.Len(t, got.header.Get(headerIdentifier), 36)
			if tt.want != "" {
				require.JSONEq(t, tt.want, got.body)
			}
		})
	}
}

// Every call but register wants to know who calls.
func TestIdentifiers(t *testing.T) {
	a := newAPI(t, Options{}, "ext")
	for _, call := range []struct{ method, path string }{
		{http.MethodGet, pathNext},
		{http.MethodPost, pathInitError},
		{http.MethodPost, pathExitError},
		{http.MethodPut, pathTelemetry},
	} {
		for identifier, want := range map[string]string{
			"":                                     "Extension.MissingExtensionIdentifier",
			"me":                                   "Extension.InvalidExtensionIdentifier",
			"00000000-0000-4000-8000-000000000000": "Extension.UnknownExtensionIdentifier",
		} {
			header := map[string]string{headerExtErrType: "Extension.Any"}
			if identifier != "" {
				header[headerIdentifier] = identifier
			}
			got := a.do(call.method, call.path, header, "")
			require.Equal(t, http.StatusForbidden, got.status)
			require.Equal(t, want, got.errorType(t), "%s %q", call.path, identifier)
		}
	}
}

func TestExtensionStates(t *testing.T) {
	type step struct {
		path      string
		errorType string // header
		status    int
		want      string
	}
	initError := step{path: pathInitError, errorType: "Extension.Bad", status: 202}
	exitError := step{path: pathExitError, errorType: "Extension.Bad", status: 202}
	refused := func(s step) step {
		s.status, s.want = 403, "Extension.InvalidExtensionState"
		return s
	}
	next := step{path: pathNext}
	for name, tt := range map[string]struct {
		steps   []step
		final   agentState
		failure string
	}{
		"init error": {steps: []step{initError}, final: stateInitError, failure: "Extension.InitError"},
		"init error again": {
			steps: []step{initError, initError}, final: stateInitError, failure: "Extension.InitError",
		},
		"nothing after an init error": {
			steps: []step{initError, refused(next), refused(exitError)}, final: stateInitError, failure: "Extension.InitError",
		},
		"exit error": {steps: []step{exitError}, final: stateExitError, failure: "Extension.ExitError"},
		"exit error again": {
			steps: []step{exitError, exitError}, final: stateExitError, failure: "Extension.ExitError",
		},
		"nothing after an exit error": {
			steps: []step{exitError, refused(next), refused(initError)}, final: stateExitError, failure: "Extension.ExitError",
		},
		"no error type": {
			steps: []step{{path: pathInitError, status: 403, want: "Extension.MissingHeader"}}, final: stateRegistered,
		},
		"no init error when ready": {steps: []step{next, refused(initError)}, final: stateReady},
		"exit error when ready": {
			steps: []step{next, exitError}, final: stateExitError, failure: "Extension.ExitError",
		},
		"second next": {steps: []step{next, refused(next)}, final: stateReady},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAPI(t, Options{}, "ext")
			header := map[string]string{headerIdentifier: a.register("ext", `["INVOKE"]`)}
			for _, s := range tt.steps {
				if s.path == pathNext && s.status == 0 {
					a.start(t.Context(), pathNext, header)
					a.until(a.ready("ext"))
					continue
				}
				method := http.MethodPost
				if s.path == pathNext {
					method = http.MethodGet
				}
				delete(header, headerExtErrType)
				if s.errorType != "" {
					header[headerExtErrType] = s.errorType
				}
				got := a.do(method, s.path, header, `{"errorMessage":"details"}`)
				require.Equal(t, s.status, got.status, got.body)
				if s.want != "" {
					require.Equal(t, s.want, got.errorType(t))
				} else {
					require.JSONEq(t, `{"status":"OK"}`, got.body)
				}
			}
			a.mu.Lock()
			defer a.mu.Unlock()
			require.Equal(t, tt.final, a.gen.external("ext").state)
			if tt.failure == "" {
				require.Nil(t, a.gen.failure)
				return
			}
			require.Equal(t, tt.failure, a.gen.failure.errorType)
			require.Contains(t, a.gen.failure.message, "details")
		})
	}
}

// INVOKE and SHUTDOWN as extensions see them; one that is busy gets its event when it asks.
func TestEvents(t *testing.T) {
	a := newAPI(t, Options{Region: "eu-west-1", FunctionName: "checkout"}, "ext")
	header := map[string]string{headerIdentifier: a.register("ext", `["INVOKE","SHUTDOWN"]`)}
	pending := a.start(t.Context(), pathNext, header)
	a.until(a.ready("ext"))
	runtimeNext := a.start(t.Context(), pathRuntime+"invocation/next", nil)
	a.until(func() bool { return a.gen.runtime.state == stateReady })

	inv := newInvocation([]byte(`{"a":1}`))
	inv.deadline = time.UnixMilli(1775516174092)
	a.mu.Lock()
	a.gen.running[inv.RequestID] = inv
	a.mu.Unlock()
	require.Nil(t, a.dispatch(a.gen, inv))

	got := <-pending
	require.Equal(t, http.StatusOK, got.status)
	require.NotEmpty(t, got.header.Get(headerEventID))
	require.JSONEq(t, `{"eventType":"INVOKE","deadlineMs":1775516174092,"requestId":"`+inv.RequestID+`",
		"invokedFunctionArn":"arn:aws:lambda:eu-west-1:123456789012:function:checkout",
		"tracing":{"type":"X-Amzn-Trace-Id","value":"`+inv.tracing.Value+`"}}`, got.body)

	got = <-runtimeNext
	require.Equal(t, http.StatusOK, got.status)
	require.JSONEq(t, `{"a":1}`, got.body)
	require.Equal(t, "application/json", got.header.Get("Content-Type"))
	require.Equal(t, inv.RequestID, got.header.Get("Lambda-Runtime-Aws-Request-Id"))
	require.Equal(t, "1775516174092", got.header.Get("Lambda-Runtime-Deadline-Ms"))
	require.Equal(t, inv.tracing.Value, got.header.Get("Lambda-Runtime-Trace-Id"))
	require.Equal(t, "arn:aws:lambda:eu-west-1:123456789012:function:checkout",
		got.header.Get("Lambda-Runtime-Invoked-Function-Arn"))

	a.mu.Lock()
	a.gen.external("ext").send(extensionEvent{EventType: eventShutdown, ShutdownReason: "spindown", DeadlineMs: 1775516176092})
	a.mu.Unlock()
	got = <-a.start(t.Context(), pathNext, header)
	require.JSONEq(t, `{"eventType":"SHUTDOWN","shutdownReason":"spindown","deadlineMs":1775516176092}`, got.body)
	require.Empty(t, got.header.Get(headerEventID))
}

// Someone who gave a next up has not had his event, and cannot ask again.
func TestAbandonedExtensionNext(t *testing.T) {
	a := newAPI(t, Options{}, "ext")
	header := map[string]string{headerIdentifier: a.register("ext", `["INVOKE"]`)}
	ctx, cancel := context.WithCancel(t.Context())
	pending := a.start(ctx, pathNext, header)
	a.until(a.ready("ext"))
	cancel()
	_, answered := <-pending
	require.False(t, answered)
	got := a.do(http.MethodGet, pathNext, header, "")
	require.Equal(t, "Extension.InvalidExtensionState", got.errorType(t))
	require.Equal(t, []ViolationKind{ViolationSecondNext}, kinds(a.Report()))
}

func TestRuntimeStates(t *testing.T) {
	const wrongID = "00000000-0000-4000-8000-000000000000"
	type want struct {
		status    int
		errorType string
	}
	for name, tt := range map[string]struct {
		// idle means that the runtime has not got the invocation.
		idle   bool
		path   string
		header map[string]string
		body   io.Reader
		want   want
		// again is what a second call of the same kind gets.
		again  want
		result Invocation
	}{
		"response": {
			path: "response", body: strings.NewReader(`"ok"`), want: want{status: 202}, again: want{403, "InvalidStateTransition"},
			result: Invocation{Status: StatusSuccess, Response: []byte(`"ok"`)},
		},
		"empty response": {
			path: "response", body: http.NoBody, want: want{status: 202}, result: Invocation{Status: StatusSuccess},
		},
		"streamed response": {
			path: "response", header: map[string]string{"Lambda-Runtime-Function-Response-Mode": "streaming"},
			body: io.MultiReader(strings.NewReader("one,"), strings.NewReader("two")), want: want{status: 202},
			result: Invocation{Status: StatusSuccess, Response: []byte("one,two")},
		},
		"unknown mode": {
			path: "response", header: map[string]string{"Lambda-Runtime-Function-Response-Mode": "buffered"},
			body: http.NoBody, want: want{400, "InvalidFunctionResponseMode"},
		},
		"wrong id": {
			path: "../" + wrongID + "/response", body: http.NoBody, want: want{400, "InvalidRequestID"},
		},
		"wrong invocation id": {
			path: "response", header: map[string]string{"Lambda-Runtime-Invocation-Id": wrongID}, body: http.NoBody,
			want: want{400, "InvalidInvocationId"},
		},
		"too early": {idle: true, path: "response", body: http.NoBody, want: want{400, "InvalidRequestID"}},
		"error": {
			path: "error", header: map[string]string{headerRuntimeType: "Function.MyError"},
			body: strings.NewReader(`{"errorMessage":"no","errorType":"MyError"}`), want: want{status: 202},
			again: want{403, "InvalidStateTransition"},
			result: Invocation{
				Status: StatusError, ErrorType: "Function.MyError", Message: "no",
				Response: []byte(`{"errorMessage":"no","errorType":"MyError"}`),
			},
		},
		"error of unknown type": {
			path: "error", header: map[string]string{headerRuntimeType: "Runtime.my error"},
			body: strings.NewReader("words"), want: want{status: 202},
			result: Invocation{
				Status: StatusError, ErrorType: "Runtime.Unknown", Message: "words", Response: []byte("words"),
			},
		},
		"too large": {
			path: "response", body: strings.NewReader(strings.Repeat("x", maxResponse+1)),
			want: want{413, "RequestEntityTooLarge"},
			result: Invocation{
				Status: StatusError, ErrorType: "Function.ResponseSizeTooLarge",
				Message: "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
				Response: []byte(`{"errorMessage":"Response payload size exceeded maximum allowed payload size ` +
					`(6291556 bytes).","errorType":"Function.ResponseSizeTooLarge"}`),
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAPI(t, Options{})
			inv := a.running(tt.idle)
			path := pathRuntime + "invocation/" + inv.RequestID + "/" + tt.path
			if id, found := strings.CutPrefix(tt.path, "../"); found {
				path = pathRuntime + "invocation/" + id
			}
			got, err := a.request(testContext(t), http.MethodPost, path, tt.header, tt.body)
			require.NoError(t, err)
			require.Equal(t, tt.want.status, got.status, got.body)
			if tt.want.errorType != "" {
				require.Equal(t, tt.want.errorType, got.errorType(t))
			}
			if tt.again.status != 0 {
				got := a.do(http.MethodPost, path, tt.header, "")
				require.Equal(t, tt.again.status, got.status)
				require.Equal(t, tt.again.errorType, got.errorType(t))
			}
			a.mu.Lock()
			defer a.mu.Unlock()
			require.Equal(t, tt.result.Status != "", inv.answered)
			require.Equal(t, tt.result.Status, inv.Status)
			require.Equal(t, tt.result.ErrorType, inv.ErrorType)
			require.Equal(t, tt.result.Message, inv.Message)
			require.Equal(t, string(tt.result.Response), string(inv.Response))
		})
	}
}

// running brings the runtime into an invocation, or only up to its next.
func (a *api) running(idle bool) *invocation {
	a.t.Helper()
	inv := newInvocation(nil)
	pending := a.start(a.t.Context(), pathRuntime+"invocation/next", nil)
	a.until(func() bool { return a.gen.runtime.state == stateReady && a.gen.runtime.workers[0].waiting.Err() == nil })
	if idle {
		return inv
	}
	a.mu.Lock()
	a.gen.running[inv.RequestID] = inv
	a.mu.Unlock()
	require.Nil(a.t, a.dispatch(a.gen, inv))
	require.Equal(a.t, http.StatusOK, (<-pending).status)
	return inv
}

// An error in the middle of a response comes behind it.
func TestErrorTrailer(t *testing.T) {
	a := newAPI(t, Options{})
	inv := a.running(false)
	pr, pw := io.Pipe()
	req, err := http.NewRequestWithContext(testContext(t), http.MethodPost,
		"http://"+a.listener.Addr().String()+pathRuntime+"invocation/"+inv.RequestID+"/response", pr)
	require.NoError(t, err)
	req.Header.Set("Lambda-Runtime-Function-Response-Mode", "streaming")
	req.Trailer = http.Header{headerRuntimeType: nil, "Lambda-Runtime-Function-Error-Body": nil}
	go func() {
		_, _ = io.WriteString(pw, "half")
		req.Trailer.Set(headerRuntimeType, "Function.Late")
		req.Trailer.Set("Lambda-Runtime-Function-Error-Body", "eyJlcnJvck1lc3NhZ2UiOiJsYXRlIn0=")
		_ = pw.Close()
	}()
	resp, err := a.client.Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusAccepted, resp.StatusCode)
	a.mu.Lock()
	defer a.mu.Unlock()
	require.Equal(t, StatusError, inv.Status)
	require.Equal(t, "Function.Late", inv.ErrorType)
	require.Equal(t, "late", inv.Message)
	require.Equal(t, "half", string(inv.Response))
}

// A response that breaks off is the runtime's error.
func TestTruncatedResponse(t *testing.T) {
	a := newAPI(t, Options{})
	inv := a.running(false)
	ctx, cancel := context.WithCancel(testContext(t))
	pr, pw := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, err := a.request(ctx, http.MethodPost, pathRuntime+"invocation/"+inv.RequestID+"/response", nil, pr)
		if err == nil {
			t.Error("a broken request succeeded")
		}
	}()
	_, err := io.WriteString(pw, "half")
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		return inv.responding
	}, testTimeout, time.Millisecond)
	cancel()
	_ = pw.CloseWithError(context.Canceled)
	<-done
	a.until(func() bool { return inv.answered })
	a.mu.Lock()
	defer a.mu.Unlock()
	require.Equal(t, "Runtime.TruncatedResponse", inv.ErrorType)
}

func TestRuntimeNextStates(t *testing.T) {
	a := newAPI(t, Options{})
	// One that has given up may ask again, another one may not.
	ctx, cancel := context.WithCancel(t.Context())
	first := a.start(ctx, pathRuntime+"invocation/next", nil)
	a.until(func() bool { return a.gen.runtime.state == stateReady })
	got := a.do(http.MethodGet, pathRuntime+"invocation/next", nil, "")
	require.Equal(t, http.StatusForbidden, got.status)
	require.Equal(t, "InvalidStateTransition", got.errorType(t))
	a.mu.Lock()
	abandoned := a.gen.runtime.workers[0].waiting
	a.mu.Unlock()
	cancel()
	<-first
	<-abandoned.Done()
	inv := a.running(false)
	// The invocation has not been answered yet.
	got = a.do(http.MethodGet, pathRuntime+"invocation/next", nil, "")
	require.Equal(t, "InvalidStateTransition", got.errorType(t))
	got = a.do(http.MethodPost, pathRuntime+"init/error", nil, "")
	require.Equal(t, "InvalidStateTransition", got.errorType(t))
	a.do(http.MethodPost, pathRuntime+"invocation/"+inv.RequestID+"/response", nil, "1")
	a.start(t.Context(), pathRuntime+"invocation/next", nil)
	a.until(func() bool { return a.gen.runtime.state == stateReady })
}

func TestRuntimeInitError(t *testing.T) {
	a := newAPI(t, Options{})
	got := a.do(http.MethodPost, pathRuntime+"init/error", map[string]string{headerRuntimeType: "Runtime.HandlerNotFound"},
		`{"errorMessage":"no handler"}`)
	require.Equal(t, http.StatusAccepted, got.status)
	a.mu.Lock()
	require.Equal(t, &failure{StatusError, "Runtime.HandlerNotFound", "no handler"}, a.gen.failure)
	a.mu.Unlock()
	got = a.do(http.MethodGet, pathRuntime+"invocation/next", nil, "")
	require.Equal(t, "InvalidStateTransition", got.errorType(t))
}

func TestOtherEndpoints(t *testing.T) {
	a := newAPI(t, Options{})
	got := a.do(http.MethodGet, "/2018-06-01/ping", nil, "")
	require.Equal(t, answer{status: 200, body: "pong"}, answer{status: got.status, body: got.body})
	require.Equal(t, http.StatusNotFound, a.do(http.MethodGet, pathRuntime+"restore/next", nil, "").status)
	got = a.do(http.MethodPut, "/2020-08-15/logs", nil, "{}")
	require.Equal(t, http.StatusAccepted, got.status)
	require.Equal(t, "Logs.NotSupported", got.errorType(t))
	require.Equal(t, http.StatusNotFound, a.do(http.MethodGet, "/", nil, "").status)
	require.Equal(t, http.StatusMethodNotAllowed, a.do(http.MethodPost, pathNext, nil, "").status)
}

const validSubscription = `{"schemaVersion":"2025-01-29","types":["platform"],` +
	`"destination":{"protocol":"HTTP","URI":"http://sandbox.localdomain:4243"}}`

func TestSubscribe(t *testing.T) {
	for name, tt := range map[string]struct {
		mode       TelemetryMode
		body       string
		twice      bool
		late       bool
		status     int
		errorType  string
		violations []ViolationKind
	}{
		"supported":     {body: validSubscription, status: 200},
		"not supported": {mode: TelemetryNotSupported, body: validSubscription, status: 202, errorType: "Telemetry.NotSupported"},
		"refused":       {mode: TelemetryRefused, body: validSubscription, status: 403, errorType: "Telemetry.SubscriptionClosed"},
		"failing":       {mode: TelemetryFailing, body: validSubscription, status: 500, errorType: "InternalServerError"},
		"invalid":       {body: `{}`, status: 400, errorType: "ValidationError"},
		"twice": {
			body: validSubscription, twice: true, status: 500, errorType: "InternalServerError",
			violations: []ViolationKind{ViolationSecondSubscription},
		},
		"late": {
			body: validSubscription, late: true, status: 403, errorType: "Telemetry.SubscriptionClosed",
			violations: []ViolationKind{ViolationLateSubscription},
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAPI(t, Options{Telemetry: tt.mode}, "ext")
			header := map[string]string{headerIdentifier: a.register("ext", `[]`)}
			if tt.twice {
				require.Equal(t, http.StatusOK, a.do(http.MethodPut, pathTelemetry, header, tt.body).status)
			}
			if tt.late {
				require.Nil(t, a.endInit(a.gen, time.Now(), nil))
			}
			got := a.do(http.MethodPut, pathTelemetry, header, tt.body)
			require.Equal(t, tt.status, got.status, got.body)
			if tt.errorType != "" {
				require.Equal(t, tt.errorType, got.errorType(t))
			} else {
				require.JSONEq(t, `"OK"`, got.body)
			}
			require.Equal(t, append([]ViolationKind{}, tt.violations...), kinds(a.Report()))
		})
	}
}

// A subscriber hears of what was before, in order, and of its own subscription.
func TestReplay(t *testing.T) {
	a := newAPI(t, Options{LogFormat: LogFormatJSON}, "ext")
	posts := newListener(t)
	a.gen.hub.emit(telemetryapi.EventInitStart, initStartRecord{Phase: phaseInit})
	a.gen.hub.line(telemetryapi.StreamFunction, `{"message":"early"}`)
	a.gen.hub.line(telemetryapi.StreamExtension, "not asked for")
	header := map[string]string{headerIdentifier: a.register("ext", `[]`)}
	body := `{"schemaVersion":"2022-12-13","types":["platform","function"],"buffering":{"timeoutMs":25},` +
		`"destination":{"protocol":"HTTP","URI":"http://sandbox:` + posts.port + `/some/path"}}`
	require.Equal(t, http.StatusOK, a.do(http.MethodPut, pathTelemetry, header, body).status)
	a.gen.hub.line(telemetryapi.StreamFunction, "a <plain> line")
	var events []map[string]any
	for len(events) < 4 {
		post := <-posts.received
		require.Equal(t, "/some/path", post.path)
		require.Equal(t, "application/json", post.contentType)
		var batch []map[string]any
		require.NoError(t, json.Unmarshal(post.body, &batch))
		events = append(events, batch...)
	}
	require.Len(t, events, 4)
	require.Equal(t, "platform.initStart", events[0]["type"])
	require.Equal(t, map[string]any{"message": "early"}, events[1]["record"])
	require.Equal(t, "platform.telemetrySubscription", events[2]["type"])
	require.Equal(t, "a <plain> line", events[3]["record"])
	for _, e := range events {
		_, err := time.Parse(timeFormat, e["time"].(string))
		require.NoError(t, err)
	}
}

// listener is a subscriber's listener.
type listener struct {
	port     string
	received chan post
	status   func() int
}

type post struct {
	path, contentType string
	body              []byte
}

func newListener(t *testing.T) *listener {
	t.Helper()
	l := &listener{received: make(chan post, 100), status: func() int { return http.StatusOK }}
	server := newTestServer(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		l.received <- post{r.URL.Path, r.Header.Get("Content-Type"), body}
		w.WriteHeader(l.status())
	})
	_, l.port, _ = strings.Cut(strings.TrimPrefix(server.URL, "http://"), ":")
	return l
}

// Two clients that do different things at the same time do not get in each other's way.
func TestConcurrentCalls(t *testing.T) {
	a := newAPI(t, Options{}, "one", "two")
	var wg sync.WaitGroup
	for _, name := range []string{"one", "two"} {
		wg.Go(func() {
			got, err := a.request(t.Context(), http.MethodPost, pathRegister, map[string]string{headerName: name}, http.NoBody)
			if err != nil || got.status != http.StatusOK {
				t.Errorf("%s: %v %v", name, got, err)
				return
			}
			header := map[string]string{headerIdentifier: got.header.Get(headerIdentifier)}
			for range 20 {
				got, err := a.request(t.Context(), http.MethodPut, pathTelemetry, header, strings.NewReader(validSubscription))
				if err != nil || got.status == http.StatusForbidden {
					t.Errorf("%s: %v %v", name, got, err)
				}
				_ = a.Report()
			}
		})
	}
	wg.Wait()
}
