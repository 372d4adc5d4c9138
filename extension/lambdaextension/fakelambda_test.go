// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdaextension

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/otelcol-lambda/otelcol-lambda/internal/extensionsapi"
	"github.com/otelcol-lambda/otelcol-lambda/internal/guard/contract"
	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
)

const (
	fakeID = "0f7d2b4e-5c1a-4a55-8d0e-5f0d6f6c9a11"

	// patience is when a test gives up. It bounds hangs and nothing else.
	patience = 20 * time.Second
)

// fakeLambda is Lambda's Extensions and Telemetry API for one extension, as far as the extension can tell.
type fakeLambda struct {
	// guard is what a guard would add to events.
	guard string

	log    *recorder // register, subscribe and next, with everything else that a test adds
	server *httptest.Server

	register      http.HandlerFunc // answers instead of success
	telemetry     http.HandlerFunc // answers instead of success
	registrations chan *http.Request
	events        chan []string // what the extensions registered for
	subscriptions chan telemetryapi.Subscription
	next          chan struct{} // one for each call that arrives
	answers       chan answer
	pending       atomic.Int32
}

type answer struct {
	status int
	body   string
}

func newFakeLambda(t *testing.T) *fakeLambda {
	t.Helper()
	f := &fakeLambda{
		log:           &recorder{},
		registrations: make(chan *http.Request, 10),
		events:        make(chan []string, 10),
		subscriptions: make(chan telemetryapi.Subscription, 10),
		next:          make(chan struct{}, 100),
		answers:       make(chan answer, 100),
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /2020-01-01/extension/register", f.serveRegister)
	mux.HandleFunc("GET /2020-01-01/extension/event/next", f.serveNext)
	mux.HandleFunc("PUT /2022-07-01/telemetry", f.serveTelemetry)
	f.server = httptest.NewServer(mux)
	t.Cleanup(f.server.Close)
	t.Setenv(envRuntimeAPI, f.server.Listener.Addr().String())
	t.Setenv(envInitializationType, "on-demand")
	return f
}

func (f *fakeLambda) serveRegister(w http.ResponseWriter, r *http.Request) {
	f.log.add("register")
	var body struct {
		Events []string `json:"events"`
	}
	_ = json.NewDecoder(r.Body).Decode(&body)
	f.registrations <- r
	f.events <- body.Events
	if f.register != nil {
		f.register(w, r)
		return
	}
	w.Header().Set("Lambda-Extension-Identifier", fakeID)
	_, _ = io.WriteString(w, `{"functionName":"checkout","functionVersion":"7","handler":"h","accountId":"123456789012"}`)
}

func (f *fakeLambda) serveTelemetry(w http.ResponseWriter, r *http.Request) {
	f.log.add("subscribe")
	var s telemetryapi.Subscription
	_ = json.NewDecoder(r.Body).Decode(&s)
	_, _ = io.Copy(io.Discard, r.Body)
	f.subscriptions <- s
	if f.telemetry != nil {
		f.telemetry(w, r)
		return
	}
	_, _ = io.WriteString(w, `"OK"`)
}

func (f *fakeLambda) serveNext(w http.ResponseWriter, r *http.Request) {
	defer f.pending.Add(-1)
	if f.pending.Add(1) > 1 || r.Header.Get("Lambda-Extension-Identifier") != fakeID {
		f.log.add("next refused")
		w.WriteHeader(http.StatusForbidden)
		return
	}
	f.log.add("next")
	f.next <- struct{}{}
	select {
	case a := <-f.answers:
		w.Header().Set(contract.HeaderCounters, f.guard)
		w.WriteHeader(a.status)
		_, _ = io.WriteString(w, a.body)
	case <-r.Context().Done():
	}
}

// awaitNext waits until the extension has asked for the next event.
func (f *fakeLambda) awaitNext(t *testing.T) {
	t.Helper()
	receive(t, f.next)
}

// answer is the answer to one call for the next event, made or to come.
func (f *fakeLambda) answer(status int, body string) { f.answers <- answer{status, body} }

func (f *fakeLambda) invoke(requestID string) {
	f.answer(http.StatusOK,
		fmt.Sprintf(`{"eventType":"INVOKE","requestId":%q,"deadlineMs":%d}`, requestID, deadlineIn(time.Minute)))
}

func (f *fakeLambda) shutdown() {
	f.answer(http.StatusOK,
		fmt.Sprintf(`{"eventType":"SHUTDOWN","shutdownReason":"spindown","deadlineMs":%d}`, deadlineIn(2*time.Second)))
}

func deadlineIn(d time.Duration) int64 { return time.Now().Add(d).UnixMilli() }

// deliver posts telemetry to the subscriber.
func (f *fakeLambda) deliver(t *testing.T, s telemetryapi.Subscription, body string) {
	t.Helper()
	require.NoError(t, f.post(t.Context(), s, body))
}

// post does what Lambda does for the host sandbox.localdomain.
func (*fakeLambda) post(ctx context.Context, s telemetryapi.Subscription, body string) error {
	uri := strings.Replace(s.Destination.URI, "sandbox.localdomain", "127.0.0.1", 1)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, uri, strings.NewReader(body))
	if err != nil {
		return err
	}
	client := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the listener answered %s", resp.Status)
	}
	return resp.Body.Close()
}

func runtimeDone(requestID string) string {
	return fmt.Sprintf(`[{"time":"2026-10-08T07:30:27.768Z","type":"function","record":"the last line"},`+
		`{"time":"2026-10-08T07:30:27.769Z","type":"platform.runtimeDone","record":{"requestId":%q,"status":"success"}}]`,
		requestID)
}

func report(requestID string) string {
	return fmt.Sprintf(`[{"time":"2026-10-08T07:30:27.799Z","type":"platform.report","record":{"requestId":%q}}]`, requestID)
}

// receive waits for a value.
func receive[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		require.FailNow(t, "it did not come")
		panic("unreachable")
	}
}

// running is an extension in a collector.
type running struct {
	*lambdaExtension
	logs    *observer.ObservedLogs
	stopped chan time.Time
}

// newRunning returns an extension that a collector is about to start. It is shut down at the end of the test.
func newRunning(t *testing.T, options ...Option) *running {
	t.Helper()
	r := &running{stopped: make(chan time.Time, 1)}
	var set settings
	for _, option := range append([]Option{WithStop(func(deadline time.Time) { r.stopped <- deadline })}, options...) {
		option(&set)
	}
	var core zapcore.Core
	core, r.logs = observer.New(zapcore.DebugLevel)
	r.lambdaExtension = newExtension(zap.New(core), createDefaultConfig().(*Config), set)
	r.heap = noHeap()
	t.Cleanup(func() { require.NoError(t, r.Shutdown(context.Background())) })
	return r
}

// start starts the extension, and then its pipelines.
func (r *running) start(t *testing.T) {
	t.Helper()
	require.NoError(t, r.Start(t.Context(), componenttest.NewNopHost()))
	require.NoError(t, r.Ready())
}

// session is one that the process registers and keeps.
func session(t *testing.T, f *fakeLambda) SessionFunc {
	t.Helper()
	reg := extensionsapi.NewClient(f.server.Listener.Addr().String()).Begin(t.Context(), "otelcol-lambda",
		extensionsapi.Events(""))
	t.Cleanup(func() {
		if s, err := reg.Session(context.Background()); err == nil {
			s.Close()
		}
	})
	return reg.Session
}
