// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdaextension

import (
	"context"
	"io"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/otelcol-lambda/otelcol-lambda/internal/extensionsapi"
	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
)

// delivery is one flush that a participant was asked for.
type delivery struct {
	at    time.Duration
	waits bool // for answers
}

// deliveries collects them, and takes as long for each as test says.
type deliveries struct {
	began time.Time
	flush func(context.Context) error

	mu  sync.Mutex
	all []delivery
}

func (*deliveries) Drain(context.Context) bool { return false }

func (d *deliveries) Flush(ctx context.Context) error {
	d.mu.Lock()
	d.all = append(d.all, delivery{time.Since(d.began), ctx.Err() == nil})
	d.mu.Unlock()
	if d.flush == nil {
		return nil
	}
	return d.flush(ctx)
}

func (d *deliveries) list() []delivery {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]delivery(nil), d.all...)
}

// onInstance returns an extension that has just begun to deliver on a Managed Instance. It must be called in a bubble.
func onInstance(t *testing.T, strategy string, interval time.Duration) (*lambdaExtension, *deliveries) {
	t.Helper()
	e := scheduledAs(t, strategy)
	e.flush.Interval = interval
	e.manage()
	d := &deliveries{began: time.Now()}
	e.Join(d)
	ctx, stop := context.WithCancel(t.Context())
	e.stopTicking = stop
	e.wg.Go(func() { e.deliverAlongside(ctx) })
	return e, d
}

// tell has events come from Lambda.
func tell(e *lambdaExtension, events ...telemetryapi.Event) { e.handle(context.Background(), events) }

func started(id string) telemetryapi.Event  { return platformEvent(telemetryapi.EventStart, id) }
func reported(id string) telemetryapi.Event { return platformEvent(telemetryapi.EventReport, id) }

const ms = time.Millisecond

func TestManagedByTimeAlone(t *testing.T) {
	for name, test := range map[string]struct {
		strategy string
		interval time.Duration
		want     time.Duration
	}{
		"default":              {"adaptive", 0, time.Second},
		"end":                  {"end", 0, time.Second},
		"periodic":             {"periodic", 0, time.Second},
		"continuous":           {"continuous", 0, time.Second},
		"an interval":          {"end", 3 * time.Second, 3 * time.Second},
		"Datadog's notation":   {"periodically,5000", 0, 5 * time.Second},
		"both":                 {"periodically,5000", 2 * time.Second, 2 * time.Second},
		"shorter than default": {"adaptive", 100 * ms, 100 * ms},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e, d := onInstance(t, test.strategy, test.interval)
				time.Sleep(3*test.want + 1)
				synctest.Wait()
				// Whether anything runs is not known, so that nothing is waited for.
				require.Equal(t, []delivery{{test.want, false}, {2 * test.want, false}, {3 * test.want, false}}, d.list())
				e.stopTicking()
				e.wg.Wait()
			})
		})
	}
}

// What runs when the deliveries stop is left to whoever makes the last one.
func TestManagedStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, d := onInstance(t, "adaptive", 0)
		d.flush = untilDone
		time.Sleep(300 * ms)
		tell(e, started("1"), reported("1"))
		synctest.Wait()
		require.Len(t, d.list(), 1)
		e.stopTicking()
		e.wg.Wait()
		require.Equal(t, 300*ms, time.Since(d.began))
	})
}

func TestManagedDeliversWhenNothingRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, d := onInstance(t, "end", 0)
		time.Sleep(300 * ms)
		tell(e, started("1"), started("2"))
		time.Sleep(200 * ms)
		tell(e, reported("2"), started("3"))
		time.Sleep(100 * ms)
		tell(e, reported("3"))
		synctest.Wait()
		require.Empty(t, d.list())
		tell(e, reported("1"))
		synctest.Wait()
		require.Equal(t, []delivery{{600 * ms, true}}, d.list(), "at once")

		time.Sleep(100 * ms)
		tell(e, started("4"), reported("4"))
		synctest.Wait()
		require.Len(t, d.list(), 1, "that is too soon")
		time.Sleep(300 * ms)
		synctest.Wait()
		require.Equal(t, []delivery{{600 * ms, true}, {850 * ms, true}}, d.list())

		time.Sleep(time.Second)
		synctest.Wait()
		require.Equal(t, delivery{1850 * ms, true}, d.list()[2], "data comes outside of invocations too")
		e.stopTicking()
		e.wg.Wait()
	})
}

// An instance that turns idle a thousand times a second, as one with a single short invocation at a time does.
func TestManagedFlipping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, d := onInstance(t, "adaptive", 0)
		for range 10_000 {
			tell(e, started("1"))
			time.Sleep(ms / 2)
			tell(e, reported("1"))
			time.Sleep(ms / 2)
		}
		require.InDelta(t, 40, len(d.list()), 1)
		e.stopTicking()
		e.wg.Wait()
	})
}

// A backend that takes its time is waited for while nothing runs, but not while new data comes in, of which each piece
// would be sent on its own.
func TestManagedIsInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, d := onInstance(t, "adaptive", 0)
		returned := make(chan time.Duration, 10)
		d.flush = func(ctx context.Context) error {
			defer func() { returned <- time.Since(d.began) }()
			return untilDone(ctx)
		}
		tell(e, started("1"))
		time.Sleep(300 * ms)
		tell(e, reported("1"))
		time.Sleep(200 * ms)
		tell(e, started("2"))
		require.Equal(t, 500*ms, <-returned)
		require.Equal(t, 1300*ms, <-returned, "from here on, nothing is waited for")
		require.Equal(t, 2300*ms, <-returned)
		tell(e, reported("2"))
		require.Equal(t, 2550*ms+e.flush.Timeout, <-returned, "not for ever either")
		require.Equal(t, []delivery{{300 * ms, true}, {1300 * ms, false}, {2300 * ms, false}, {2550 * ms, true}}, d.list()[:4])
		e.stopTicking()
		e.wg.Wait()
	})
}

// What came with the news that nothing runs leaves with the delivery that it starts.
func TestManagedDeliversWhatCameWithTheNews(t *testing.T) {
	for name, panics := range map[string]bool{"consumed": false, "a component panics": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e, d := onInstance(t, "adaptive", 0)
				_, err := e.SubscribeTelemetry(TelemetrySubscriber{
					Streams: streams{platform},
					Consume: func(context.Context, []telemetryapi.Event) {
						time.Sleep(100 * ms)
						if panics {
							panic("a component")
						}
					},
				})
				require.NoError(t, err)
				time.Sleep(500 * ms)
				func() {
					defer func() { _ = recover() }()
					tell(e, started("1"), reported("1"))
				}()
				synctest.Wait()
				require.Equal(t, []delivery{{600 * ms, true}}, d.list())
				e.stopTicking()
				e.wg.Wait()
			})
		})
	}
}

func TestManagedSaysSoOnce(t *testing.T) {
	core, logs := observer.New(zapcore.DebugLevel)
	cfg := createDefaultConfig().(*Config)
	cfg.Flush.Strategy = "periodically,5000"
	e := newExtension(zap.New(core), cfg, settings{})
	e.heap = noHeap()
	e.manage()
	require.Len(t, logs.All(), 1)
	require.Equal(t, zapcore.InfoLevel, logs.All()[0].Level)
	require.Equal(t, map[string]any{"strategy": "periodic", "interval": 5 * time.Second}, logs.All()[0].ContextMap())
}

// The reports of what has just ended are worth a short wait, if anybody wants to see them.
func TestManagedShutdownWaitsForReports(t *testing.T) {
	for name, test := range map[string]struct {
		streams streams
		events  []telemetryapi.Event // before SHUTDOWN
		report  time.Duration        // when the report of 1 comes
		want    time.Duration
	}{
		"it comes":         {streams{platform}, []telemetryapi.Event{started("1")}, 40 * ms, 40 * ms},
		"it does not come": {streams{platform}, []telemetryapi.Event{started("1")}, time.Hour, reportWait},
		"nothing ran":      {streams{platform}, nil, time.Hour, 0},
		"all have come":    {streams{platform}, []telemetryapi.Event{started("1"), reported("1")}, time.Hour, 0},
		"nobody wants it":  {streams{function}, []telemetryapi.Event{started("1")}, time.Hour, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e, _ := onInstance(t, "adaptive", 0)
				e.settings.stop = func(time.Time) {}
				_, err := e.SubscribeTelemetry(TelemetrySubscriber{
					Streams: test.streams, Consume: func(context.Context, []telemetryapi.Event) {},
				})
				require.NoError(t, err)
				e.subscription.listener = telemetryapi.NewListener(telemetryapi.ListenerSettings{Handle: e.handle})
				tell(e, test.events...)
				timer := time.AfterFunc(test.report, func() { tell(e, started("2"), reported("2"), reported("1")) })
				defer timer.Stop()
				start := time.Now()
				e.shutdown(t.Context(), extensionsapi.Event{DeadlineMs: 2000}, "")
				require.Equal(t, test.want, time.Since(start))
				e.wg.Wait() // the deliveries alongside have ended
			})
		})
	}
}

// onManagedInstance starts an extension in a collector on a Managed Instance of its own. flushed gets a value for each
// flush.
func onManagedInstance(t *testing.T, f *fakeLambda, subscribers ...TelemetrySubscriber) (e *running, flushed chan struct{}) {
	t.Helper()
	t.Setenv(envInitializationType, extensionsapi.ManagedInstances)
	e = newRunning(t)
	e.flush.Interval = 20 * ms
	flushed = make(chan struct{})
	e.Join(&fakeParticipant{flush: func(context.Context) error {
		select {
		case flushed <- struct{}{}:
		case <-e.running.Done():
		}
		return nil
	}})
	for _, s := range subscribers {
		_, err := e.SubscribeTelemetry(s)
		require.NoError(t, err)
	}
	e.start(t)
	require.Equal(t, []string{"SHUTDOWN"}, receive(t, f.events))
	return e, flushed
}

// drainAll takes what c gets until the end of the test.
func drainAll(t *testing.T, c <-chan struct{}) {
	t.Helper()
	done := make(chan struct{})
	t.Cleanup(func() { close(done) })
	go func() {
		for {
			select {
			case <-c:
			case <-done:
				return
			}
		}
	}()
}

// Lambda Managed Instances refuse INVOKE, do not freeze, and send no runtimeDone.
func TestManagedLife(t *testing.T) {
	f := newFakeLambda(t)
	e, flushed := onManagedInstance(t, f, TelemetrySubscriber{
		Streams: streams{function}, Consume: func(context.Context, []telemetryapi.Event) {},
	})
	require.Equal(t, ScheduleFlush, e.Schedule(), "what comes in waits")
	s := receive(t, f.subscriptions)
	require.Equal(t, streams{platform, function}, s.Types)
	for range 3 {
		receive(t, flushed) // by time
	}
	f.awaitNext(t)
	f.answer(http.StatusOK, `{"eventType":"NEW"}`)
	f.awaitNext(t)
	receive(t, flushed) // nor does that stop it
	receive(t, flushed)
	drainAll(t, flushed)
	f.shutdown()
	receive(t, e.stopped)
	require.NoError(t, e.Shutdown(t.Context()))
	require.Equal(t, []string{"register", "subscribe", "next", "next"}, f.log.all())
	require.Empty(t, e.logs.Filter(func(entry observer.LoggedEntry) bool { return entry.Level >= zapcore.WarnLevel }).All())
}

func TestManagedHearsOfIdleness(t *testing.T) {
	f := newFakeLambda(t)
	consumed := make(chan struct{}, 10)
	t.Setenv("OTELCOL_LAMBDA_FLUSH_INTERVAL", "15m")
	t.Setenv(envInitializationType, extensionsapi.ManagedInstances)
	e := newRunning(t)
	flushed := make(chan struct{}, 10)
	e.Join(&fakeParticipant{flush: func(context.Context) error {
		flushed <- struct{}{}
		return nil
	}})
	_, err := e.SubscribeTelemetry(TelemetrySubscriber{
		Streams: streams{platform}, Consume: func(context.Context, []telemetryapi.Event) { consumed <- struct{}{} },
	})
	require.NoError(t, err)
	e.start(t)
	s := receive(t, f.subscriptions)
	f.awaitNext(t)
	f.deliver(t, s, `[{"type":"platform.start","record":{"requestId":"1"}}]`)
	receive(t, consumed)
	f.deliver(t, s, report("1"))
	receive(t, flushed)
}

// Without a component that wants events, the interval is enough: a delivery each second costs less than the events.
func TestManagedWithoutSubscribers(t *testing.T) {
	f := newFakeLambda(t)
	e, flushed := onManagedInstance(t, f)
	receive(t, flushed)
	f.awaitNext(t)
	require.Equal(t, []string{"register", "next"}, f.log.all())
	require.False(t, e.rootSpans.Load(), "nobody waits for the end of an invocation")
	drainAll(t, flushed)
}

func TestManagedWithoutTelemetry(t *testing.T) {
	for name, test := range map[string]struct {
		status  int
		body    string
		level   zapcore.Level
		message string
	}{
		"not supported": {
			http.StatusAccepted, `{"errorType":"Telemetry.NotSupported"}`, zapcore.WarnLevel, "There is no Telemetry API here",
		},
		"closed": {
			http.StatusForbidden, `{"errorType":"Telemetry.SubscriptionClosed"}`, zapcore.ErrorLevel, "Subscribing to the Telemetry",
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFakeLambda(t)
			f.telemetry = func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, test.body)
			}
			e, flushed := onManagedInstance(t, f, TelemetrySubscriber{Streams: streams{platform}})
			receive(t, flushed)
			receive(t, flushed)
			drainAll(t, flushed)
			require.Equal(t, ScheduleFlush, e.Schedule())
			logged := e.logs.Filter(func(entry observer.LoggedEntry) bool { return entry.Level >= zapcore.WarnLevel }).All()
			require.Len(t, logged, 1)
			require.Equal(t, test.level, logged[0].Level)
			require.Contains(t, logged[0].Message, test.message)
			require.Contains(t, logged[0].Message, "once in an interval")
		})
	}
}

func TestManagedWithoutRegistration(t *testing.T) {
	f := newFakeLambda(t)
	f.register = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }
	e, flushed := onManagedInstance(t, f)
	receive(t, flushed)
	drainAll(t, flushed)
	require.Equal(t, ScheduleContinuous, e.Schedule(), "data leaves as it comes")
}

func TestManagedWithoutAnAPI(t *testing.T) {
	f := newFakeLambda(t)
	f.answer(http.StatusInternalServerError, `{"errorType":"InternalServerError"}`)
	e, flushed := onManagedInstance(t, f)
	drainAll(t, flushed)
	require.InDelta(t, defaultShutdownTime, time.Until(receive(t, e.stopped)), float64(time.Second))
}
