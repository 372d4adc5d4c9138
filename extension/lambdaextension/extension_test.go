// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdaextension

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/otelcol-lambda/otelcol-lambda/internal/extensionsapi"
	"github.com/otelcol-lambda/otelcol-lambda/internal/guard/contract"
	"github.com/otelcol-lambda/otelcol-lambda/internal/health"
	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
)

// The life of an environment: Init, two invocations, and its end.
func TestLife(t *testing.T) {
	f := newFakeLambda(t)
	e := newRunning(t, WithSession(session(t, f)))
	e.Join(&holder{name: "decouple", log: f.log})
	e.Join(&holder{name: "batch", log: f.log})
	_, err := e.SubscribeTelemetry(TelemetrySubscriber{
		Streams: streams{platform, function},
		Consume: func(_ context.Context, events []telemetryapi.Event) {
			for _, event := range events {
				f.log.add(string(event.Type))
			}
		},
	})
	require.NoError(t, err)
	e.start(t)
	require.Equal(t, ScheduleFlush, e.Schedule())
	require.Equal(t, extensionsapi.Registration{
		FunctionName: "checkout", FunctionVersion: "7", Handler: "h", AccountID: "123456789012",
	}, e.Registration())
	require.Equal(t, []string{"INVOKE", "SHUTDOWN"}, receive(t, f.events))

	s := receive(t, f.subscriptions)
	require.Equal(t, telemetryapi.SchemaVersion, s.SchemaVersion)
	require.Equal(t, streams{platform, function}, s.Types)
	f.awaitNext(t)
	require.Equal(t, []string{"register", "subscribe", "next"}, f.log.all())
	_, err = e.SubscribeTelemetry(TelemetrySubscriber{})
	require.ErrorIs(t, err, errSubscriptionClosed)

	for i, requestID := range []string{"1", "2"} {
		before := len(f.log.all())
		if i == 0 {
			f.invoke(requestID)
			f.deliver(t, s, runtimeDone(requestID))
		} else {
			f.deliver(t, s, runtimeDone(requestID))
			f.invoke(requestID)
		}
		f.awaitNext(t)
		calls := f.log.all()[before:]
		require.Len(t, calls, 7)
		require.Equal(t, []string{"function", "platform.runtimeDone", "drain batch", "drain decouple"}, calls[:4])
		require.ElementsMatch(t, []string{"delivered batch", "delivered decouple"}, calls[4:6])
		require.Equal(t, "next", calls[6])
	}

	before := len(f.log.all())
	f.deliver(t, s, report("2"))
	asked := time.Now()
	f.shutdown()
	deadline := receive(t, e.stopped)
	require.WithinRange(t, deadline, asked, asked.Add(2*time.Second))
	calls := f.log.all()[before:]
	require.Equal(t, []string{"platform.report", "drain batch", "drain decouple"}, calls[:3])
	require.ElementsMatch(t, []string{"delivered batch", "delivered decouple"}, calls[3:])
	require.False(t, e.ShutdownDeadline().IsZero())
	require.True(t, e.ShutdownDeadline().Before(deadline))

	require.NoError(t, e.Shutdown(t.Context()))
	require.NoError(t, e.Shutdown(t.Context()))
	require.NotContains(t, f.log.all(), "next refused")
	require.Empty(t, e.logs.FilterLevelExact(zapcore.ErrorLevel).All())
	require.Empty(t, e.logs.FilterLevelExact(zapcore.WarnLevel).All())
}

// holder has something to deliver after each drain. Which of several flushes delivers it does not matter.
type holder struct {
	name string
	log  *recorder

	mu    sync.Mutex
	holds bool
}

func (h *holder) Drain(context.Context) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.log.add("drain " + h.name)
	h.holds = true
	return false
}

func (h *holder) Flush(context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.holds {
		h.log.add("delivered " + h.name)
	}
	h.holds = false
	return nil
}

func TestSubscription(t *testing.T) {
	probe, err := new(net.ListenConfig).Listen(t.Context(), "tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	port := probe.Addr().(*net.TCPAddr).Port
	_, text, err := net.SplitHostPort(probe.Addr().String())
	require.NoError(t, err)
	require.NoError(t, probe.Close())

	f := newFakeLambda(t)
	e := newRunning(t, WithSession(session(t, f)))
	for _, wish := range []TelemetrySubscriber{
		{Streams: streams{extensionLog}}, {Streams: streams{function}, Port: port}, {Streams: streams{function}},
	} {
		_, err := e.SubscribeTelemetry(wish)
		require.NoError(t, err)
	}
	e.start(t)
	s := receive(t, f.subscriptions)
	require.Equal(t, streams{platform, function, extensionLog}, s.Types)
	require.Equal(t, "http://sandbox.localdomain:"+text+"/", s.Destination.URI)
	f.awaitNext(t)
	require.Empty(t, f.subscriptions, "Lambda takes one subscription")
}

func TestSubscriptionThroughAnInheritedListener(t *testing.T) {
	inherited, err := new(net.ListenConfig).Listen(t.Context(), "tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = inherited.Close() })
	uri := "http://sandbox.localdomain:" + strconv.Itoa(inherited.Addr().(*net.TCPAddr).Port) + "/"
	give := func() (net.Listener, error) { return inherited, nil } //nolint:unparam // the option's signature

	t.Run("used", func(t *testing.T) {
		f := newFakeLambda(t)
		e := newRunning(t, WithSession(session(t, f)), WithTelemetryListener(give))
		_, err := e.SubscribeTelemetry(TelemetrySubscriber{Streams: streams{function}, Port: 1})
		require.NoError(t, err)
		e.start(t)
		require.Equal(t, uri, receive(t, f.subscriptions).Destination.URI)
		f.awaitNext(t)
	})
	for name, listen := range map[string]func() (net.Listener, error){
		"none":   func() (net.Listener, error) { return nil, nil },
		"broken": func() (net.Listener, error) { return nil, errors.New("not a socket") },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFakeLambda(t)
			e := newRunning(t, WithSession(session(t, f)), WithTelemetryListener(listen))
			e.start(t)
			require.NotEqual(t, uri, receive(t, f.subscriptions).Destination.URI)
			f.awaitNext(t)
		})
	}
}

// Lambda sends what happened before the subscription as soon as it has accepted it.
func TestEventsComeWithTheSubscription(t *testing.T) {
	f := newFakeLambda(t)
	delivered := make(chan error, 1)
	f.telemetry = func(_ http.ResponseWriter, r *http.Request) {
		delivered <- f.post(r.Context(), <-f.subscriptions, `[{"type":"platform.initStart","record":{}}]`)
	}
	e := newRunning(t, WithSession(session(t, f)))
	consumed := make(chan telemetryapi.EventType, 1)
	_, err := e.SubscribeTelemetry(TelemetrySubscriber{
		Streams: streams{platform},
		Consume: func(_ context.Context, events []telemetryapi.Event) { consumed <- events[0].Type },
	})
	require.NoError(t, err)
	e.start(t)
	require.NoError(t, receive(t, delivered))
	require.Equal(t, telemetryapi.EventInitStart, receive(t, consumed))
	f.awaitNext(t)
	require.Equal(t, ScheduleFlush, e.Schedule())
}

// Whatever becomes of the subscription, Lambda gets its answer at once and the data its way out.
func TestTelemetryUnavailable(t *testing.T) {
	occupied, err := new(net.ListenConfig).Listen(t.Context(), "tcp4", "0.0.0.0:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = occupied.Close() })

	status := func(code int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(code)
			_, _ = io.WriteString(w, body)
		}
	}
	for name, test := range map[string]struct {
		telemetry http.HandlerFunc
		port      int
		level     zapcore.Level
		message   string
	}{
		"not supported": {
			telemetry: status(202, `{"errorMessage":"Telemetry API is not supported","errorType":"Telemetry.NotSupported"}`),
			level:     zapcore.WarnLevel, message: "There is no Telemetry API here",
		},
		"closed": {
			telemetry: status(403, `{"errorType":"Telemetry.SubscriptionClosed","errorMessage":"closed already"}`),
			level:     zapcore.ErrorLevel, message: "Subscribing to the Telemetry API failed",
		},
		"broken": {telemetry: status(500, ""), level: zapcore.ErrorLevel, message: "Subscribing to the Telemetry API failed"},
		"hangs": {
			telemetry: func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
			level:     zapcore.ErrorLevel, message: "Subscribing to the Telemetry API failed",
		},
		"port in use": {port: occupied.Addr().(*net.TCPAddr).Port, level: zapcore.ErrorLevel, message: "Set another `port`"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFakeLambda(t)
			f.telemetry = test.telemetry
			e := newRunning(t, WithSession(session(t, f)))
			_, err := e.SubscribeTelemetry(TelemetrySubscriber{Streams: streams{platform}, Port: test.port})
			require.NoError(t, err)
			flushed := make(chan struct{}, 10)
			e.Join(&fakeParticipant{flush: func(context.Context) error {
				flushed <- struct{}{}
				return nil
			}})
			e.start(t)
			receive(t, flushed) // what came in during Init
			f.awaitNext(t)
			require.Equal(t, ScheduleContinuous, e.Schedule())
			logged := e.logs.Filter(func(entry observer.LoggedEntry) bool { return entry.Level >= zapcore.WarnLevel }).All()
			require.Len(t, logged, 1)
			require.Equal(t, test.level, logged[0].Level)
			require.Contains(t, logged[0].Message, test.message)

			f.invoke("1")
			f.awaitNext(t) // although nobody has said that the function is done
			start := time.Now()
			f.shutdown()
			receive(t, e.stopped)
			require.Less(t, time.Since(start), 2*time.Second)
			require.Len(t, flushed, 1, "at shutdown everything goes")
		})
	}
}

// What the guard tells with an event is part of the layer's health, also when it says the same again.
func TestGuardCounters(t *testing.T) {
	f := newFakeLambda(t)
	since := time.UnixMilli(1_800_000_000_000)
	f.guard = contract.Counters{Since: since, Deaths: 2, Restarts: 1, InvokeOverruns: 3}.Text()
	e := newRunning(t, WithSession(session(t, f)))
	require.Empty(t, e.Health().Counts())
	f.answer(http.StatusOK, `{"eventType":"NEW"}`)
	f.shutdown()
	e.start(t)
	receive(t, e.stopped)
	require.Equal(t, []health.Count{
		{Metric: health.GuardDeaths, Total: 2, Since: since},
		{
			Metric: health.GuardOverruns, Total: 3, Since: since,
			Attributes: []health.Attribute{{Key: health.AttrPhase, Value: "invoke"}},
		},
		{Metric: health.GuardRestarts, Total: 1, Since: since},
	}, e.Health().Counts())
}

// Lambda initialises environments that it never uses.
func TestShutdownIsTheFirstEvent(t *testing.T) {
	f := newFakeLambda(t)
	e := newRunning(t, WithSession(session(t, f)))
	_, err := e.SubscribeTelemetry(TelemetrySubscriber{Streams: streams{platform}})
	require.NoError(t, err)
	e.Join(&fakeParticipant{name: "decouple", log: f.log})
	f.shutdown()
	e.start(t)
	receive(t, e.stopped)
	require.Equal(t, []string{"register", "subscribe", "next", "drain decouple", "flush decouple"}, f.log.all())
}

// What Lambda has delivered may still be on its way through the pipelines when SHUTDOWN comes.
func TestShutdownWaitsForWhatIsBeingConsumed(t *testing.T) {
	f := newFakeLambda(t)
	e := newRunning(t, WithSession(session(t, f)))
	consuming, goOn := make(chan struct{}), make(chan struct{})
	_, err := e.SubscribeTelemetry(TelemetrySubscriber{
		Streams: streams{function},
		Consume: func(context.Context, []telemetryapi.Event) {
			close(consuming)
			<-goOn
			f.log.add("consumed")
		},
	})
	require.NoError(t, err)
	e.Join(&fakeParticipant{name: "decouple", log: f.log})
	e.start(t)
	s := receive(t, f.subscriptions)
	f.awaitNext(t)
	f.deliver(t, s, runtimeDone("1"))
	receive(t, consuming)
	f.shutdown()
	require.Eventually(t, func() bool { return !e.ShutdownDeadline().IsZero() }, patience, time.Millisecond)
	close(goOn)
	receive(t, e.stopped)
	require.Equal(t, []string{"register", "subscribe", "next", "consumed", "drain decouple", "flush decouple"}, f.log.all())
}

func TestUnknownEventsAreIgnored(t *testing.T) {
	f := newFakeLambda(t)
	e := newRunning(t, WithSession(session(t, f)))
	e.Join(&fakeParticipant{name: "decouple", log: f.log})
	e.start(t)
	for _, body := range []string{`{"eventType":"RESTORE"}`, `{}`} {
		f.awaitNext(t)
		f.answer(http.StatusOK, body)
	}
	f.awaitNext(t)
	require.Equal(t, []string{"register", "subscribe", "next", "next", "next"}, f.log.all())
	require.Empty(t, e.stopped)
}

func TestNextFailsForAWhile(t *testing.T) {
	f := newFakeLambda(t)
	e := newRunning(t, WithSession(session(t, f)))
	e.start(t)
	// Not in a row, that many failures do not mean that the API is gone.
	const pairs = 4
	for range pairs {
		f.answer(http.StatusForbidden, `{"errorType":"Extension.InvalidExtensionState"}`)
		f.answer(http.StatusOK, `{"eventType":"NEW"}`)
		f.answer(http.StatusOK, `not json`)
		f.answer(http.StatusOK, `{"eventType":"NEW"}`)
	}
	f.shutdown()
	receive(t, e.stopped)
	require.Len(t, f.log.all(), len([]string{"register", "subscribe"})+4*pairs+1)
	require.Empty(t, e.logs.FilterLevelExact(zapcore.ErrorLevel).All())
}

// The contract of 500 is that there will be no other answer. The process has to end, as after SHUTDOWN.
func TestTheAPIIsGone(t *testing.T) {
	f := newFakeLambda(t)
	e := newRunning(t, WithSession(session(t, f)))
	e.Join(&fakeParticipant{name: "decouple", log: f.log})
	f.answer(http.StatusInternalServerError, `{"errorType":"InternalServerError","errorMessage":"container error"}`)
	e.start(t)
	deadline := receive(t, e.stopped)
	require.InDelta(t, defaultShutdownTime, time.Until(deadline), float64(time.Second))
	require.Equal(t, []string{"register", "subscribe", "next", "drain decouple", "flush decouple"}, f.log.all())
	logged := e.logs.FilterLevelExact(zapcore.ErrorLevel).All()
	require.Len(t, logged, 1)
	require.Contains(t, logged[0].Message, "Extensions API is gone")
}

// A collector that ends leaves its call for the next event to whoever keeps the session, because Lambda takes only one.
func TestShutdownLeavesTheSessionUsable(t *testing.T) {
	f := newFakeLambda(t)
	registered := session(t, f)
	e := newRunning(t, WithSession(registered))
	e.start(t)
	f.awaitNext(t)
	require.NoError(t, e.Shutdown(t.Context()))

	f.invoke("1")
	s, err := registered(t.Context())
	require.NoError(t, err)
	event, err := s.Next(t.Context())
	require.NoError(t, err)
	require.Equal(t, "1", event.RequestID)
	require.Equal(t, []string{"register", "subscribe", "next"}, f.log.all())
}

func TestShutdownWhileAnInvocationRuns(t *testing.T) {
	f := newFakeLambda(t)
	registered := session(t, f)
	e := newRunning(t, WithSession(registered))
	flushing := make(chan struct{}, 10)
	e.Join(&fakeHolder{left: true, fakeParticipant: fakeParticipant{flush: func(ctx context.Context) error {
		flushing <- struct{}{}
		return untilDone(ctx)
	}}})
	e.start(t)
	f.invoke("1")
	receive(t, flushing)
	require.NoError(t, e.Shutdown(t.Context()))
	require.Equal(t, []string{"register", "subscribe", "next"}, f.log.all(), "whoever comes next asks for the next event")
}

func TestShutdownWhileSubscribing(t *testing.T) {
	f := newFakeLambda(t)
	f.telemetry = func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	e := newRunning(t, WithSession(session(t, f)))
	e.start(t)
	receive(t, f.subscriptions)
	require.NoError(t, e.Shutdown(t.Context()))
	require.Equal(t, []string{"register", "subscribe"}, f.log.all())
	require.Empty(t, e.logs.FilterLevelExact(zapcore.ErrorLevel).All(), "it is nobody's fault")
}

func TestRegistrationIsSlow(t *testing.T) {
	f := newFakeLambda(t)
	answer := make(chan struct{})
	f.register = func(w http.ResponseWriter, _ *http.Request) {
		<-answer
		w.Header().Set("Lambda-Extension-Identifier", fakeID)
		_, _ = io.WriteString(w, `{"functionName":"checkout"}`)
	}
	e := newRunning(t, WithSession(session(t, f)))
	impatient, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, e.Start(impatient, componenttest.NewNopHost()))
	require.NoError(t, e.Ready())
	require.Empty(t, e.Registration().FunctionName)
	require.Equal(t, ScheduleFlush, e.Schedule())
	require.Empty(t, f.subscriptions)

	close(answer)
	f.awaitNext(t)
	require.Equal(t, "checkout", e.Registration().FunctionName)
	require.Equal(t, []string{"register", "subscribe", "next"}, f.log.all())
}

func TestRegistrationIsRefused(t *testing.T) {
	f := newFakeLambda(t)
	f.register = func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `{"errorType":"Extension.RegistrationClosed","errorMessage":"closed already"}`)
	}
	e := newRunning(t, WithSession(session(t, f)))
	flushed := make(chan struct{}, 1)
	e.Join(&fakeParticipant{flush: func(context.Context) error {
		flushed <- struct{}{}
		return nil
	}})
	e.start(t)
	receive(t, flushed)
	require.Equal(t, ScheduleContinuous, e.Schedule())
	require.Equal(t, []string{"register"}, f.log.all())
	logged := e.logs.FilterLevelExact(zapcore.ErrorLevel).All()
	require.Len(t, logged, 1)
	require.Contains(t, logged[0].ContextMap()["error"], "closed already")
}

// In somebody else's collector there are no options: the extension registers, and stops its process by a signal.
func TestWithoutOptions(t *testing.T) {
	f := newFakeLambda(t)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	t.Cleanup(func() { signal.Stop(signals) })

	e := create(t).(*lambdaExtension)
	require.NoError(t, e.Start(t.Context(), componenttest.NewNopHost()))
	require.Equal(t, "checkout", e.Registration().FunctionName)
	require.Equal(t, filepath.Base(os.Args[0]), receive(t, f.registrations).Header.Get("Lambda-Extension-Name"))
	require.NoError(t, e.Ready())
	f.shutdown()
	require.Equal(t, syscall.SIGTERM, receive(t, signals))
	require.NoError(t, e.Shutdown(t.Context()))
}

// The session of its own ends with the extension; goleak would find what is left of it.
func TestWithoutOptionsShutdownWhileWaiting(t *testing.T) {
	f := newFakeLambda(t)
	e := create(t).(*lambdaExtension)
	require.NoError(t, e.Start(t.Context(), componenttest.NewNopHost()))
	require.NoError(t, e.Ready())
	f.awaitNext(t)
	require.NoError(t, e.Shutdown(t.Context()))
	require.NoError(t, e.Shutdown(t.Context()))
	require.Eventually(t, func() bool { return f.pending.Load() == 0 }, patience, time.Millisecond)
}

func TestWithoutOptionsShutdownWhileRegistering(t *testing.T) {
	f := newFakeLambda(t)
	f.register = func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}
	e := create(t).(*lambdaExtension)
	impatient, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, e.Start(impatient, componenttest.NewNopHost()))
	require.NoError(t, e.Ready())
	receive(t, f.registrations)
	require.NoError(t, e.Shutdown(t.Context()))
}
