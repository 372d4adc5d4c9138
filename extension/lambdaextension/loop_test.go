// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdaextension

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.uber.org/zap"

	"github.com/otelcol-lambda/otelcol-lambda/internal/extensionsapi"
	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
)

// The bubbles of synctest live in the year 2000, which Lambda's deadlines take for a remaining time, so events here have
// deadlines of the relative kind.

// untilDone is a delivery that takes as long as it may.
func untilDone(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

// scheduled returns an extension that is told when invocations are over, as it is after Start on Lambda.
func scheduled(t *testing.T) *lambdaExtension {
	t.Helper()
	return scheduledAs(t, "end")
}

func scheduledAs(t *testing.T, strategy string) *lambdaExtension {
	t.Helper()
	cfg := createDefaultConfig().(*Config)
	cfg.Flush.Strategy = strategy
	e := newExtension(zap.NewNop(), cfg, settings{})
	e.heap = noHeap()
	e.running = t.Context()
	e.schedule = ScheduleFlush
	e.heard.Store(true)
	return e
}

func invokeEvent(requestID string, left time.Duration) extensionsapi.Event {
	return extensionsapi.Event{Type: extensionsapi.EventInvoke, RequestID: requestID, DeadlineMs: left.Milliseconds()}
}

func TestInvokeWaitsForTheFunction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := scheduled(t)
		var log recorder
		e.Join(&fakeHolder{left: true, fakeParticipant: fakeParticipant{name: "decouple", log: &log}})
		e.Join(&fakeHolder{fakeParticipant: fakeParticipant{name: "another", log: &recorder{}}})
		e.Join(&fakeParticipant{name: "batch", log: &recorder{}})
		returned := make(chan struct{})
		go func() {
			e.invoke(t.Context(), invokeEvent("1", time.Minute))
			close(returned)
		}()
		synctest.Wait()
		require.Equal(t, []string{"flush decouple"}, log.all(), "what was left behind travels while the handler runs")

		e.handle(t.Context(), []telemetryapi.Event{
			platformEvent(telemetryapi.EventStart, "1"),
			platformEvent(telemetryapi.EventRuntimeDone, "another"),
			platformEvent(telemetryapi.EventReport, "another"),
			{Type: telemetryapi.EventFunction, Record: []byte(`{"requestId":"1"}`)},
		})
		time.Sleep(30 * time.Second)
		synctest.Wait()
		require.Len(t, log.all(), 1, "nothing of that is the end of the invocation")

		e.handle(t.Context(), []telemetryapi.Event{platformEvent(telemetryapi.EventRuntimeDone, "1")})
		<-returned
		require.Equal(t, []string{"flush decouple", "drain decouple", "flush decouple"}, log.all())
		e.wg.Wait()
	})
}

// The Telemetry API and the Extensions API are independent, and a fast function is done before we know that it started.
func TestInvokeIsOverBeforeItBegins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := scheduled(t)
		var log recorder
		e.Join(&fakeParticipant{name: "decouple", log: &log})
		e.handle(t.Context(), []telemetryapi.Event{platformEvent(telemetryapi.EventRuntimeDone, "1")})
		start := time.Now()
		e.invoke(t.Context(), invokeEvent("1", time.Minute))
		require.Zero(t, time.Since(start))
		require.Contains(t, log.all(), "drain decouple")
		e.wg.Wait()
	})
}

// Lambda tries a failed asynchronous invocation again with the same request id. The news about the first attempt must
// not pass for the end of the second one.
func TestInvokeAgainWithTheSameID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := scheduled(t)
		e.handle(t.Context(), []telemetryapi.Event{platformEvent(telemetryapi.EventRuntimeDone, "1")})
		e.invoke(t.Context(), invokeEvent("1", time.Minute))
		e.handle(t.Context(), []telemetryapi.Event{platformEvent(telemetryapi.EventReport, "1")})

		time.AfterFunc(7*time.Second, func() {
			e.handle(t.Context(), []telemetryapi.Event{platformEvent(telemetryapi.EventRuntimeDone, "1")})
		})
		start := time.Now()
		e.invoke(t.Context(), invokeEvent("1", time.Minute))
		require.Equal(t, 7*time.Second, time.Since(start))
		e.wg.Wait()
	})
}

func TestInvokeContinuously(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := scheduled(t)
		e.schedule = ScheduleContinuous
		var log recorder
		e.Join(&fakeParticipant{name: "decouple", log: &log})
		start := time.Now()
		e.invoke(t.Context(), invokeEvent("1", time.Minute))
		require.Zero(t, time.Since(start), "nothing would end the wait")
		require.Empty(t, log.all())
	})
}

func TestInvokeIsBounded(t *testing.T) {
	const never = 0
	healthy := func(context.Context) error { return nil }
	for name, test := range map[string]struct {
		left  time.Duration // until the deadline; 0 for none
		runs  time.Duration // until the function is done; never for not at all
		flush func(context.Context) error
		want  time.Duration
	}{
		"nothing to deliver":             {time.Minute, time.Second, healthy, time.Second},
		"backend hangs":                  {time.Minute, time.Second, untilDone, 4 * time.Second},
		"backend hangs, no deadline":     {0, time.Second, untilDone, 4 * time.Second},
		"backend hangs, little time":     {3 * time.Second, time.Second, untilDone, 2800 * time.Millisecond},
		"backend hangs, short deadline":  {time.Second, 500 * time.Millisecond, untilDone, 900 * time.Millisecond},
		"done within the margin":         {3 * time.Second, 2900 * time.Millisecond, untilDone, 2800 * time.Millisecond},
		"never done":                     {10 * time.Second, never, untilDone, 9800 * time.Millisecond},
		"never done, short deadline":     {time.Second, never, untilDone, 900 * time.Millisecond},
		"never done, very short":         {10 * time.Millisecond, never, untilDone, 9 * time.Millisecond},
		"never done, the longest of all": {15 * time.Minute, never, untilDone, 15*time.Minute - deadlineMargin},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := scheduled(t)
				e.Join(&fakeParticipant{flush: test.flush})
				if test.runs != never {
					time.AfterFunc(test.runs, func() { e.invocations.finish("1") })
				}
				start := time.Now()
				e.invoke(t.Context(), invokeEvent("1", test.left))
				require.Equal(t, test.want, time.Since(start))
				e.wg.Wait() // nothing that was begun for the invocation goes on without an end
			})
		})
	}
}

// After a freeze that the deadline did not survive there is nothing to wait for.
func TestInvokeAfterItsDeadline(t *testing.T) {
	e := scheduled(t)
	var log recorder
	e.Join(&fakeParticipant{log: &log})
	event := invokeEvent("1", 0)
	event.DeadlineMs = time.Now().Add(-time.Hour).UnixMilli()
	e.invoke(t.Context(), event)
	e.wg.Wait()
	require.NotContains(t, log.all(), "drain ")
}

// Some emulators accept the subscription and leave it at that. They cost one wait, not one for each invocation.
func TestSilence(t *testing.T) {
	for name, test := range map[string]struct {
		left, want time.Duration
	}{
		"long function":  {15 * time.Minute, silenceLimit},
		"short function": {time.Second, 900 * time.Millisecond},
		"no deadline":    {0, silenceLimit},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := scheduled(t)
				e.heard.Store(false)
				var log recorder
				e.Join(&fakeParticipant{name: "decouple", log: &log, flush: untilDone})
				start := time.Now()
				e.invoke(t.Context(), invokeEvent("1", test.left))
				require.Equal(t, test.want, time.Since(start))
				require.Equal(t, ScheduleContinuous, e.Schedule())
				e.wg.Wait()
				require.Contains(t, log.all(), "drain decouple", "what has waited need not wait for more data")

				start = time.Now()
				e.invoke(t.Context(), invokeEvent("2", test.left))
				require.Zero(t, time.Since(start))

				e.handle(t.Context(), []telemetryapi.Event{{Type: telemetryapi.EventInitStart}})
				require.Equal(t, ScheduleFlush, e.Schedule(), "it was only late")
				time.AfterFunc(500*time.Millisecond, func() { e.invocations.finish("3") })
				start = time.Now()
				e.Join(&fakeParticipant{})
				e.invoke(t.Context(), invokeEvent("3", test.left))
				require.GreaterOrEqual(t, time.Since(start), 500*time.Millisecond)
				e.wg.Wait()
			})
		})
	}
}

// A long function is not silence, and neither is the end of an invocation of which nothing else was heard.
func TestNoSilence(t *testing.T) {
	for name, happen := range map[string]func(*lambdaExtension){
		"another event": func(e *lambdaExtension) {
			e.handle(context.Background(), []telemetryapi.Event{{Type: telemetryapi.EventInitStart}})
			time.AfterFunc(10*time.Second, func() { e.invocations.finish("1") })
		},
		"its end": func(e *lambdaExtension) { e.invocations.finish("1") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := scheduled(t)
				e.heard.Store(false)
				var log recorder
				e.Join(&fakeParticipant{name: "decouple", log: &log})
				time.AfterFunc(silenceLimit-time.Millisecond, func() { happen(e) })
				e.invoke(t.Context(), invokeEvent("1", time.Minute))
				e.wg.Wait()
				require.Equal(t, ScheduleFlush, e.Schedule())
				require.Contains(t, log.all(), "drain decouple", "the end was waited for")
			})
		})
	}
}

func TestSilenceDoesNotBeginAfterAnEvent(t *testing.T) {
	e := scheduled(t)
	e.heard.Store(true)
	e.beginSilence()
	require.Equal(t, ScheduleFlush, e.Schedule())
}

func TestInvokeEndsWithTheCollector(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, finished := range map[string]bool{"waiting": false, "waiting, with nothing heard": false, "delivering": true} {
			e := scheduled(t)
			e.heard.Store(name != "waiting, with nothing heard")
			e.Join(&fakeParticipant{flush: untilDone})
			if finished {
				e.invocations.finish("1")
			}
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			start := time.Now()
			e.invoke(ctx, invokeEvent("1", time.Minute))
			e.wg.Wait()
			require.Equal(t, time.Second, time.Since(start), name)
			require.Equal(t, ScheduleFlush, e.Schedule(), name)
		}
	})
}

func TestShutdownTimes(t *testing.T) {
	for name, test := range map[string]struct {
		event extensionsapi.Event
		flush func(context.Context) error
		want  time.Duration // until stop is called
		left  time.Duration // what Lambda gives
	}{
		"nothing to deliver": {
			extensionsapi.Event{DeadlineMs: 2000}, func(context.Context) error { return nil }, 0, 2 * time.Second,
		},
		"a slow backend": {
			extensionsapi.Event{DeadlineMs: 2000},
			func(context.Context) error { time.Sleep(time.Second); return nil }, time.Second, 2 * time.Second,
		},
		"a hanging backend": {extensionsapi.Event{DeadlineMs: 2000}, untilDone, 2 * time.Second * 2 / 3, 2 * time.Second},
		"less time":         {extensionsapi.Event{DeadlineMs: 1000}, untilDone, time.Second * 2 / 3, time.Second},
		"no deadline":       {extensionsapi.Event{}, untilDone, 2 * time.Second * 2 / 3, 2 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				stopped := make(chan time.Time, 1)
				e := scheduled(t)
				e.settings.stop = func(deadline time.Time) { stopped <- deadline }
				start := time.Now()
				var log recorder
				e.Join(&fakeParticipant{name: "decouple", log: &log, flush: func(ctx context.Context) error {
					require.Equal(t, test.left*4/5, e.ShutdownDeadline().Sub(start), "components know that it is the last time")
					return test.flush(ctx)
				}})
				require.True(t, e.ShutdownDeadline().IsZero())

				e.shutdown(t.Context(), test.event, "")
				require.Equal(t, test.want, time.Since(start))
				deadline := <-stopped
				require.Equal(t, test.left*9/10, deadline.Sub(start))
				require.True(t, deadline.After(e.ShutdownDeadline()), "first the components end, then the process")
				require.Equal(t, []string{"drain decouple", "flush decouple"}, log.all())
			})
		})
	}
}

func TestShutdownAfterItsDeadline(t *testing.T) {
	e := scheduled(t)
	stopped := make(chan time.Time, 1)
	e.settings.stop = func(deadline time.Time) { stopped <- deadline }
	e.Join(&fakeParticipant{flush: untilDone})
	e.shutdown(t.Context(), extensionsapi.Event{DeadlineMs: time.Now().Add(-time.Hour).UnixMilli()}, "1")
	require.True(t, (<-stopped).Before(time.Now()))
}

func TestShutdownWaitsForTheReport(t *testing.T) {
	const never = time.Hour
	for name, test := range map[string]struct {
		last      string // request id of the last invocation
		streams   streams
		subscribe bool
		report    time.Duration // when it comes
		want      time.Duration
	}{
		"it comes":               {"1", streams{platform}, true, 40 * time.Millisecond, 40 * time.Millisecond},
		"it was there before":    {"1", streams{platform}, true, 0, 0},
		"it does not come":       {"1", streams{function, platform}, true, never, reportWait},
		"nobody wants it":        {"1", streams{function}, true, never, 0},
		"Init fails":             {"", streams{platform}, true, 30 * time.Millisecond, 30 * time.Millisecond},
		"there was no invoke":    {"", streams{platform}, true, 0, 0},
		"there was not even one": {"", streams{platform}, true, never, reportWait},
		"there are no telemetry": {"1", streams{platform}, false, never, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := scheduled(t)
				e.settings.stop = func(time.Time) {}
				start := time.Now()
				var flushed time.Duration
				e.Join(&fakeParticipant{flush: func(context.Context) error {
					flushed = time.Since(start)
					return nil
				}})
				_, err := e.SubscribeTelemetry(TelemetrySubscriber{
					Streams: test.streams, Consume: func(context.Context, []telemetryapi.Event) {},
				})
				require.NoError(t, err)
				if test.subscribe {
					e.subscription.listener = telemetryapi.NewListener(telemetryapi.ListenerSettings{Handle: e.handle})
				}
				report := func() {
					if test.last == "" {
						e.handle(t.Context(), []telemetryapi.Event{platformEvent(telemetryapi.EventInitReport, "")})
						return
					}
					e.handle(t.Context(), []telemetryapi.Event{
						platformEvent(telemetryapi.EventReport, "0"), platformEvent(telemetryapi.EventReport, "1"),
					})
				}
				if test.report == 0 {
					report()
				}
				timer := time.AfterFunc(test.report, report)
				defer timer.Stop()
				e.shutdown(t.Context(), extensionsapi.Event{DeadlineMs: 2000}, test.last)
				require.Equal(t, test.want, flushed)
			})
		})
	}
}

// Of a very short shutdown the report gets no more than the delivery does.
func TestShutdownWaitsForTheReportWithinItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := scheduled(t)
		e.settings.stop = func(time.Time) {}
		_, err := e.SubscribeTelemetry(TelemetrySubscriber{Streams: streams{platform}})
		require.NoError(t, err)
		e.subscription.listener = telemetryapi.NewListener(telemetryapi.ListenerSettings{Handle: e.handle})
		start := time.Now()
		e.shutdown(t.Context(), extensionsapi.Event{DeadlineMs: 200}, "1")
		require.Equal(t, 200*time.Millisecond*2/3, time.Since(start))
	})
}

func TestContinuousDeliveryStartsWithWhatWaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := scheduled(t)
		var log recorder
		e.Join(&fakeParticipant{name: "decouple", log: &log, flush: func(ctx context.Context) error {
			require.Equal(t, ScheduleContinuous, e.Schedule(), "from here on, components do it by themselves")
			return untilDone(ctx)
		}})
		start := time.Now()
		e.deliverContinuously(t.Context())
		require.Zero(t, time.Since(start), "nobody waits for it")
		require.Equal(t, ScheduleContinuous, e.Schedule())
		e.wg.Wait()
		require.Equal(t, defaultFlushTimeout, time.Since(start))
		require.Equal(t, []string{"drain decouple", "flush decouple"}, log.all())
	})
}

func TestStartWaitsForTheRegistrationInBounds(t *testing.T) {
	t.Setenv(envInitializationType, "on-demand")
	synctest.Test(t, func(t *testing.T) {
		e := newExtension(zap.NewNop(), createDefaultConfig().(*Config), settings{
			session: func(ctx context.Context) (*extensionsapi.Session, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			},
		})
		start := time.Now()
		require.NoError(t, e.Start(t.Context(), componenttest.NewNopHost()))
		require.Equal(t, registrationWait, time.Since(start))
		require.Equal(t, ScheduleFlush, e.Schedule(), "what comes in meanwhile waits for the lifecycle")
		require.NoError(t, e.Ready())
		require.NoError(t, e.Shutdown(t.Context()), "nor does the wait that goes on hold the shutdown")
		require.Equal(t, registrationWait, time.Since(start))
	})
}

// Where invocations are frequent nobody waits for their end: what they left leaves with a later one, beside its handler.
func TestPeriodicHoldsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := scheduledAs(t, "periodic")
		ctx, cancel := context.WithCancel(t.Context())
		var log recorder
		e.Join(&fakeParticipant{name: "decouple", log: &log})
		for n := range 21 {
			start := time.Now()
			e.invoke(ctx, invokeEvent(strconv.Itoa(n), time.Minute))
			require.Zero(t, time.Since(start), "nothing is waited for")
			synctest.Wait()
			time.Sleep(time.Second)
			e.stopTicking()
		}
		// In the second invocation, and ten seconds later.
		require.Len(t, log.all(), len([]string{"drain", "flush"})*2)
		cancel()
		e.wg.Wait()
	})
}

// An invocation that takes long does not sit on its data, whatever the strategy is, except `end`.
func TestLongInvocationDeliversWhileItRuns(t *testing.T) {
	for strategy, want := range map[string]int{"periodic": 3, "continuous": 36, "adaptive": 3, "end": 0} {
		t.Run(strategy, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := scheduledAs(t, strategy)
				var log recorder
				e.Join(&fakeParticipant{name: "decouple", log: &log})
				ctx, cancel := context.WithCancel(t.Context())
				go e.invoke(ctx, invokeEvent("1", time.Hour))
				time.Sleep(35*time.Second + time.Millisecond)
				synctest.Wait()
				drains := 0
				for _, call := range log.all() {
					if strings.HasPrefix(call, "drain") {
						drains++
					}
				}
				require.Equal(t, want, drains)
				cancel()
				e.stopTicking()
				synctest.Wait()
				e.wg.Wait()
			})
		})
	}
}

// A component that does not notice the end of its flush must not hold the environment.
func TestDeafParticipant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p participants
		release := make(chan struct{})
		p.join(&fakeParticipant{flush: func(context.Context) error { <-release; return nil }})
		p.join(&fakeParticipant{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		require.ErrorIs(t, p.flush(ctx), errDeaf)
		require.Equal(t, time.Second+flushGrace, time.Since(start))
		close(release)
		synctest.Wait()
	})
}
