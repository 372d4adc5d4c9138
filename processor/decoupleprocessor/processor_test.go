// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package decoupleprocessor

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processortest"
	"go.uber.org/multierr"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/otelcol-lambda/otelcol-lambda/extension/lambdaextension"
	"github.com/otelcol-lambda/otelcol-lambda/internal/extensionsapi"
	"github.com/otelcol-lambda/otelcol-lambda/internal/health"
	"github.com/otelcol-lambda/otelcol-lambda/internal/spool"
)

var errUnavailable = errors.New("503")

var _ lambdaextension.Lifecycle = (*fakeLifecycle)(nil)

// fakeLifecycle is the lambda extension as the processor sees it.
type fakeLifecycle struct {
	component.Component
	mu       sync.Mutex
	schedule lambdaextension.Schedule
	deadline time.Time
	joined   []lambdaextension.Participant
	health   *health.Registry
	spool    *spool.Spool
	lasting  bool
	observed int
}

func (f *fakeLifecycle) Join(p lambdaextension.Participant) func() {
	f.joined = append(f.joined, p)
	return func() { f.joined = nil }
}

func (*fakeLifecycle) SubscribeTelemetry(lambdaextension.TelemetrySubscriber) (func(), error) {
	return func() {}, nil
}
func (*fakeLifecycle) Registration() extensionsapi.Registration { return extensionsapi.Registration{} }

func (f *fakeLifecycle) Health() *health.Registry {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.health == nil {
		f.health = health.NewRegistry(time.Now())
	}
	return f.health
}

func (f *fakeLifecycle) ObserveTraces(td ptrace.Traces) func() {
	spans := td.SpanCount()
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.observed += spans
	}
}

func (*fakeLifecycle) OnInvoke(func()) func() { return func() {} }

func (*fakeLifecycle) LastCall() bool { return false }

func (*fakeLifecycle) FunctionSpans() *lambdaextension.FunctionSpans { return nil }

func (*fakeLifecycle) ReserveSpool(string) func() { return func() {} }

func (f *fakeLifecycle) Spool(string) (*spool.Spool, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.spool, f.lasting
}

func (f *fakeLifecycle) Schedule() lambdaextension.Schedule {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.schedule
}

func (f *fakeLifecycle) ShutdownDeadline() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.deadline
}

func (f *fakeLifecycle) end(in time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.deadline = time.Now().Add(in)
}

func (f *fakeLifecycle) GetExtensions() map[component.ID]component.Component {
	return map[component.ID]component.Component{component.MustNewID("lambda"): f}
}

// backend is the exporter behind the processor.
type backend struct {
	mu       sync.Mutex
	requests int
	names    []string
	// answer decides on the n-th request, counted from 1. The data counts as arrived when it returns nil.
	answer func(ctx context.Context, n int, td ptrace.Traces) error
}

func (*backend) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

func (b *backend) ConsumeTraces(ctx context.Context, td ptrace.Traces) error {
	b.mu.Lock()
	b.requests++
	n := b.requests
	b.mu.Unlock()
	if b.answer != nil {
		if err := b.answer(ctx, n, td); err != nil {
			return err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.names = append(b.names, spanNames(td)...)
	return nil
}

func (b *backend) arrived() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.names...)
}

func (b *backend) asked() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.requests
}

func span(name string) ptrace.Traces {
	td := ptrace.NewTraces()
	td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty().SetName(name)
	return td
}

func spanNames(td ptrace.Traces) []string {
	var names []string
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, s := range ss.Spans().All() {
				names = append(names, s.Name())
			}
		}
	}
	return names
}

// subject is a started processor on a lifecycle that decides when data leaves.
type subject struct {
	processor.Traces
	lifecycle *fakeLifecycle
	backend   *backend
	logs      *observer.ObservedLogs
}

func start(t *testing.T, answer func(context.Context, int, ptrace.Traces) error, change ...func(*Config)) *subject {
	t.Helper()
	core, logs := observer.New(zap.InfoLevel)
	set := processortest.NewNopSettings(componentType)
	set.Logger = zap.New(core)
	cfg := NewFactory().CreateDefaultConfig().(*Config)
	for _, c := range change {
		c(cfg)
	}
	s := &subject{
		lifecycle: &fakeLifecycle{schedule: lambdaextension.ScheduleFlush},
		backend:   &backend{answer: answer},
		logs:      logs,
	}
	var err error
	s.Traces, err = NewFactory().CreateTraces(t.Context(), set, cfg, s.backend)
	require.NoError(t, err)
	require.NoError(t, s.Start(t.Context(), s.lifecycle))
	return s
}

func (s *subject) send(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		require.NoError(t, s.ConsumeTraces(t.Context(), span(name)))
	}
}

// flush flushes for at most d and returns how long it took.
func (s *subject) flush(t *testing.T, d time.Duration) (time.Duration, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	before := time.Now()
	done := make(chan error, 1)
	s.lifecycle.joined[0].(lambdaextension.Holder).FlushThen(ctx, func(err error) { done <- err })
	err := <-done
	return time.Since(before), err
}

func (s *subject) stop(t *testing.T) {
	t.Helper()
	require.NoError(t, s.Shutdown(t.Context()))
}

func TestDataWaitsForTheFlushAndTravelsTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, nil)
		s.send(t, "a", "b", "c")
		time.Sleep(time.Hour)
		require.Zero(t, s.backend.asked(), "nothing leaves before the flush")

		_, err := s.flush(t, time.Second)
		require.NoError(t, err)
		require.Equal(t, []string{"a", "b", "c"}, s.backend.arrived())
		require.Equal(t, 1, s.backend.asked(), "one request for all")

		held, err := s.flush(t, time.Second)
		require.NoError(t, err)
		require.Zero(t, held)
		s.stop(t)
	})
}

// While a handler runs, the data that waits leaves in one request, and what the handler makes meanwhile not in others.
func TestFlushThatNobodyWaitsForLeavesNewDataToTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, func(context.Context, int, ptrace.Traces) error {
			time.Sleep(100 * time.Millisecond)
			return nil
		})
		s.send(t, "a", "b")
		flushed := make(chan error, 1)
		go func() { flushed <- s.lifecycle.joined[0].Flush(t.Context()) }()
		synctest.Wait()
		s.send(t, "c")
		time.Sleep(50 * time.Millisecond)
		s.send(t, "d")
		require.Equal(t, 1, s.backend.asked())
		require.NoError(t, <-flushed)
		time.Sleep(time.Hour)
		require.Equal(t, []string{"a", "b"}, s.backend.arrived())

		_, err := s.flush(t, time.Second)
		require.NoError(t, err)
		require.Equal(t, []string{"a", "b", "c", "d"}, s.backend.arrived())
		require.Equal(t, 2, s.backend.asked())
		s.stop(t)
	})
}

// A failure is tried again in the same flush, also by one that nobody waits for.
func TestFlushThatNobodyWaitsForTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, func(_ context.Context, n int, _ ptrace.Traces) error {
			if n == 1 {
				return errors.New("not now")
			}
			return nil
		})
		s.send(t, "a")
		require.NoError(t, s.lifecycle.joined[0].Flush(t.Context()))
		require.Equal(t, []string{"a"}, s.backend.arrived())
		require.Equal(t, 2, s.backend.asked())
		s.stop(t)
	})
}

// What waited behind other deliveries may leave together with what came meanwhile, and is waited for all the same.
func TestFlushThatNobodyWaitsForWaitsForWhatItsDataIsMergedWith(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sizer ptrace.ProtoMarshaler
		large := func(name string) ptrace.Traces { return span(name + strings.Repeat("-", 1000)) }
		s := start(t, func(_ context.Context, n int, _ ptrace.Traces) error {
			time.Sleep(100 * time.Millisecond)
			if n == maxInFlight+1 {
				return errors.New("not now")
			}
			return nil
		}, func(c *Config) { c.MaxRequestBytes = sizer.TracesSize(large("0")) + 1 })
		for n := range maxInFlight {
			require.NoError(t, s.ConsumeTraces(t.Context(), large(strconv.Itoa(n))))
		}
		s.send(t, "old")
		flushed := make(chan error, 1)
		go func() { flushed <- s.lifecycle.joined[0].Flush(t.Context()) }()
		synctest.Wait()
		s.send(t, "new")
		require.NoError(t, <-flushed)
		require.Subset(t, s.backend.arrived(), []string{"old", "new"})
		s.stop(t)
	})
}

// A delivery that fails and another that succeeds right after it leave the flush as it was.
func TestFlushThatNobodyWaitsForAfterAFailureMadeGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ends := make(chan struct{})
		var sizer ptrace.ProtoMarshaler
		s := start(t, func(_ context.Context, _ int, td ptrace.Traces) error {
			switch spanNames(td)[0] {
			case "ends":
				<-ends
			case "slow":
				time.Sleep(time.Minute)
			}
			return nil
		}, func(c *Config) { c.MaxRequestBytes = sizer.TracesSize(span("slow")) })
		s.send(t, "ends")
		for range maxInFlight - 1 {
			s.send(t, "slow")
		}
		s.send(t, "new") // it does not fill a request
		d := s.lifecycle.joined[0].(*decouple[ptrace.Traces])
		flushed := make(chan error, 1)
		go func() { flushed <- d.Flush(t.Context()) }()
		synctest.Wait()
		d.mu.Lock()
		d.setBack(0, errors.New("not now"))
		d.backoff.succeed()
		d.mu.Unlock()
		close(ends)
		time.Sleep(time.Second)
		require.ElementsMatch(t, []string{"ends", "new"}, s.backend.arrived(), "one slot is free, and the others take their time")
		require.NoError(t, <-flushed)
		s.stop(t)
	})
}

func TestRequestsAreMergedUpToTheirBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sizer ptrace.ProtoMarshaler
		s := start(t, nil, func(c *Config) { c.MaxRequestBytes = 2 * sizer.TracesSize(span("a")) })
		s.send(t, "a", "b", "c", "d", "e")
		_, err := s.flush(t, time.Second)
		require.NoError(t, err)
		require.ElementsMatch(t, []string{"a", "b", "c", "d", "e"}, s.backend.arrived())
		require.Equal(t, 3, s.backend.asked())
		s.stop(t)
	})
}

func TestRetryableFailureIsTriedAgainWithinTheFlush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, func(_ context.Context, n int, _ ptrace.Traces) error {
			if n <= 3 {
				return errUnavailable
			}
			return nil
		})
		s.send(t, "a", "b")
		held, err := s.flush(t, 3*time.Second)
		require.NoError(t, err)
		require.Equal(t, 7*initialBackoff, held, "three tries failed, 1+2+4 backoffs apart")
		require.Equal(t, []string{"a", "b"}, s.backend.arrived())
		require.Len(t, s.logs.FilterMessageSnippet("does not take data").All(), 1, "once per run of failures")
		require.Len(t, s.logs.FilterMessageSnippet("takes data again").All(), 1)
		s.stop(t)
	})
}

func TestDeadBackendHoldsOneFlushOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, func(context.Context, int, ptrace.Traces) error { return errUnavailable })
		s.send(t, "a")
		held, err := s.flush(t, 3*time.Second)
		require.ErrorIs(t, err, errKept)
		require.Equal(t, 7*initialBackoff, held, "the wait for a fifth try would be longer than heldRetry")

		var total time.Duration
		for range 100 {
			time.Sleep(10 * time.Millisecond)
			s.send(t, "more")
			held, err = s.flush(t, 3*time.Second)
			require.ErrorIs(t, err, errKept)
			total += held
		}
		require.Zero(t, total, "later flushes do not wait for a backend that is down")
		s.lifecycle.end(0)
		s.stop(t)
	})
}

func TestFlushIsNotHeldForAsLongAsTheBackendAsksFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, func(_ context.Context, n int, _ ptrace.Traces) error {
			if n == 1 {
				return errors.New("Throttle (1s), error: too many requests")
			}
			return nil
		})
		s.send(t, "a")
		held, err := s.flush(t, 3*time.Second)
		require.ErrorIs(t, err, errKept)
		require.Zero(t, held)

		// Beside a handler nobody waits, so there is time to be patient.
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		time.Sleep(time.Second)
		require.NoError(t, s.lifecycle.joined[0].Flush(ctx))
		require.Equal(t, []string{"a"}, s.backend.arrived())
		s.stop(t)
	})
}

func TestLeftBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, func(_ context.Context, n int, _ ptrace.Traces) error {
			if n == 1 {
				return errors.New("Throttle (1s), error: too many requests")
			}
			return nil
		})
		d := s.lifecycle.joined[0].(lambdaextension.Holder)
		s.send(t, "a")
		require.False(t, d.LeftBehind(), "nobody has tried to deliver it yet")
		_, err := s.flush(t, 3*time.Second)
		require.ErrorIs(t, err, errKept)
		require.True(t, d.LeftBehind())
		time.Sleep(time.Second)
		require.NoError(t, d.Flush(t.Context()))
		require.Equal(t, []string{"a"}, s.backend.arrived())
		require.False(t, d.LeftBehind())
		s.stop(t)
	})
}

func TestBackendThatIsBackIsFoundWhileTheHandlerRuns(t *testing.T) {
	const roundTrip = 20 * time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		var up atomic.Bool
		s := start(t, func(context.Context, int, ptrace.Traces) error {
			time.Sleep(roundTrip)
			if !up.Load() {
				return errUnavailable
			}
			return nil
		})
		s.send(t, "a")
		_, err := s.flush(t, 3*time.Second)
		require.ErrorIs(t, err, errKept)
		time.Sleep(maxBackoff)
		s.send(t, "b")
		held, err := s.flush(t, 3*time.Second)
		require.ErrorIs(t, err, errKept)
		require.Equal(t, heldProbe, held, "nobody is held for the answer")

		up.Store(true)
		time.Sleep(maxBackoff)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		require.NoError(t, s.lifecycle.joined[0].Flush(ctx), "beside the handler there is time for it, and for the rest")
		require.ElementsMatch(t, []string{"a", "b"}, s.backend.arrived())
		s.stop(t)
	})
}

func TestHangingRequestIsNeitherWaitedForNorSentTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		released := make(chan struct{})
		s := start(t, func(ctx context.Context, n int, _ ptrace.Traces) error {
			if n > 1 {
				return nil
			}
			select {
			case <-released:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}, func(c *Config) { c.Timeout = time.Hour })
		s.send(t, "slow")
		held, err := s.flush(t, 3*time.Second)
		require.ErrorIs(t, err, errKept)
		require.Equal(t, 3*time.Second, held)

		s.send(t, "next")
		held, err = s.flush(t, 3*time.Second)
		require.ErrorIs(t, err, errKept)
		require.Zero(t, held, "the backend hangs: the next invocation is not held")

		time.Sleep(stallBackoff)
		_, err = s.flush(t, 3*time.Second)
		require.ErrorIs(t, err, errKept, "the slow request is still under way")
		require.Equal(t, []string{"next"}, s.backend.arrived(), "it does not hold up what came after it")

		close(released)
		synctest.Wait()
		require.Equal(t, []string{"next", "slow"}, s.backend.arrived())
		_, err = s.flush(t, time.Second)
		require.NoError(t, err)
		require.Equal(t, 2, s.backend.asked(), "nothing was sent twice")
		s.stop(t)
	})
}

func TestRequestThatHangsToTheEndIsSentAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, func(ctx context.Context, n int, _ ptrace.Traces) error {
			if n > 1 {
				return nil
			}
			<-ctx.Done()
			return ctx.Err()
		}, func(c *Config) { c.Timeout = time.Hour })
		s.send(t, "a")
		_, err := s.flush(t, 3*time.Second)
		require.ErrorIs(t, err, errKept)
		s.lifecycle.end(2 * time.Second)
		held, err := s.flush(t, time.Second)
		require.NoError(t, err)
		require.GreaterOrEqual(t, held, 500*time.Millisecond, "the backend has time to answer after all")
		require.Equal(t, []string{"a"}, s.backend.arrived())
		s.stop(t)
		require.Empty(t, s.logs.FilterMessage("Data was dropped").All())
	})
}

func TestFlushThatLosesInterestDoesNotBlameTheBackend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, func(context.Context, int, ptrace.Traces) error {
			time.Sleep(time.Second)
			return nil
		})
		s.send(t, "a")
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			time.Sleep(100 * time.Millisecond)
			cancel()
		}()
		require.ErrorIs(t, s.lifecycle.joined[0].Flush(ctx), errKept)
		held, err := s.flush(t, 3*time.Second)
		require.NoError(t, err, "the next flush waits for the delivery under way")
		require.Equal(t, 900*time.Millisecond, held)
		s.stop(t)
	})
}

func TestPermanentFailureIsDroppedAndCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, func(_ context.Context, n int, _ ptrace.Traces) error {
			if n == 1 {
				return consumererror.NewPermanent(errors.New("400"))
			}
			return nil
		})
		s.send(t, "bad", "bad too")
		_, err := s.flush(t, time.Second)
		require.NoError(t, err)
		s.send(t, "good")
		_, err = s.flush(t, time.Second)
		require.NoError(t, err)
		require.Equal(t, []string{"good"}, s.backend.arrived())
		s.stop(t)
		dropped := s.logs.FilterMessage("Data was dropped").All()
		require.Len(t, dropped, 1)
		require.Equal(t, map[string]any{"items": "spans", "count": int64(2), "reason": "refused by the backend"},
			dropped[0].ContextMap())
	})
}

func TestOnlyThePartThatFailedIsSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var second []string
		s := start(t, func(_ context.Context, n int, td ptrace.Traces) error {
			if n == 1 {
				return fmt.Errorf("partly: %w", consumererror.NewTraces(errUnavailable, span("failed")))
			}
			second = spanNames(td)
			return nil
		})
		s.send(t, "fine", "failed")
		_, err := s.flush(t, time.Second)
		require.NoError(t, err)
		require.Equal(t, []string{"failed"}, second)
		s.stop(t)
	})
}

func TestJoinedErrorsOfSeveralExporters(t *testing.T) {
	perm := consumererror.NewPermanent(errors.New("400"))
	for name, tt := range map[string]struct {
		err  error
		want []string // what the second request holds
	}{
		"one permanent, one retryable": {err: multierr.Combine(perm, errUnavailable), want: []string{"a", "b"}},
		"all permanent":                {err: multierr.Combine(perm, perm)},
		"both retryable, one partly": {
			err:  multierr.Combine(consumererror.NewTraces(errUnavailable, span("a")), errUnavailable),
			want: []string{"a", "b"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := start(t, func(_ context.Context, n int, _ ptrace.Traces) error {
					if n == 1 {
						return tt.err
					}
					return nil
				})
				s.send(t, "a", "b")
				_, err := s.flush(t, time.Second)
				require.NoError(t, err)
				require.Equal(t, tt.want, s.backend.arrived())
				s.stop(t)
			})
		})
	}
}

func TestFullQueueRefusesWithARetryableError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sizer ptrace.ProtoMarshaler
		one := sizer.TracesSize(span("a"))
		s := start(t, func(context.Context, int, ptrace.Traces) error {
			time.Sleep(time.Second)
			return nil
		}, func(c *Config) { c.MaxQueueBytes = 2 * one })
		s.send(t, "a", "b")
		err := s.ConsumeTraces(t.Context(), span("c"))
		require.ErrorIs(t, err, errQueueFull)
		require.False(t, consumererror.IsPermanent(err))

		_, err = s.flush(t, time.Minute)
		require.NoError(t, err)
		s.send(t, "c")
		_, err = s.flush(t, time.Minute)
		require.NoError(t, err)

		const large = "a name that is longer than the whole queue is allowed to be"
		s.send(t, large)
		require.ErrorIs(t, s.ConsumeTraces(t.Context(), span("d")), errQueueFull)
		_, err = s.flush(t, time.Minute)
		require.NoError(t, err)
		require.Equal(t, []string{"a", "b", "c", large}, s.backend.arrived(), "an empty queue takes everything")
		s.stop(t)
		require.Empty(t, s.logs.FilterMessage("Data was dropped").All())
	})
}

func TestFullQueueDropsTheOldestWhileTheBackendIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		var sizer ptrace.ProtoMarshaler
		one := sizer.TracesSize(span("a"))
		var up atomic.Bool
		s := start(t, func(context.Context, int, ptrace.Traces) error {
			if up.Load() {
				return nil
			}
			return errUnavailable
		}, func(c *Config) { c.MaxQueueBytes, c.MaxRequestBytes = 3*one, one })
		s.send(t, "a")
		_, err := s.flush(t, time.Millisecond)
		require.ErrorIs(t, err, errKept)
		s.send(t, "b", "c", "d", "e")
		up.Store(true)
		time.Sleep(maxBackoff)
		_, err = s.flush(t, time.Minute)
		require.NoError(t, err)
		require.ElementsMatch(t, []string{"c", "d", "e"}, s.backend.arrived())
		s.stop(t)
		dropped := s.logs.FilterMessage("Data was dropped").All()
		require.Len(t, dropped, 1)
		require.Equal(t, map[string]any{"items": "spans", "count": int64(2), "reason": queueFull}, dropped[0].ContextMap())
		require.Len(t, s.logs.FilterMessageSnippet("the oldest data is dropped").All(), 1)
		require.Equal(t, map[string]int64{queueFull: 2}, s.dropped())
		queue := []health.Attribute{{Key: "otelcol.signal", Value: "traces"}, {Key: "otelcol.component.id", Value: "decouple"}}
		require.Contains(t, s.lifecycle.Health().Counts(),
			health.Count{Metric: health.SentItems, Attributes: queue, Total: 3, Since: begun})
		require.Contains(t, s.lifecycle.Health().Counts(),
			health.Count{Metric: health.FailedRequests, Attributes: queue, Total: 1, Since: begun})
	})
}

func TestFullRequestLeavesDuringTheInvocation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sizer ptrace.ProtoMarshaler
		s := start(t, nil, func(c *Config) { c.MaxRequestBytes = 2 * sizer.TracesSize(span("a")) })
		s.send(t, "a")
		synctest.Wait()
		require.Zero(t, s.backend.asked())
		s.send(t, "b", "c")
		synctest.Wait()
		require.Equal(t, []string{"a", "b"}, s.backend.arrived(), "nothing is gained by waiting; the rest may get company")
		s.send(t, "d")
		synctest.Wait()
		require.Equal(t, []string{"a", "b", "c", "d"}, s.backend.arrived())
		require.Equal(t, 2, s.backend.asked())
		s.stop(t)
	})
}

func TestSenderThatIsTooFastIsSlowedDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sizer ptrace.ProtoMarshaler
		slow := make(chan struct{})
		s := start(t, func(context.Context, int, ptrace.Traces) error {
			<-slow
			return nil
		}, func(c *Config) { c.MaxRequestBytes = sizer.TracesSize(span("a")) })
		took := func(names ...string) time.Duration {
			began := time.Now()
			s.send(t, names...)
			return time.Since(began)
		}
		require.Zero(t, took("1", "2", "3", "4"), "on their way")
		require.Zero(t, took("a", "b", "c", "d"), "waiting")
		require.Equal(t, crowdWait, took("e"))

		go func() {
			time.Sleep(crowdWait / 2)
			close(slow)
		}()
		require.Equal(t, crowdWait/2, took("f"), "the crowd is gone")
		_, err := s.flush(t, time.Second)
		require.NoError(t, err)
		require.Len(t, s.backend.arrived(), 10)
		s.stop(t)
	})
}

func TestNobodyWaitsForABackendThatIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sizer ptrace.ProtoMarshaler
		s := start(t, func(context.Context, int, ptrace.Traces) error { return errUnavailable },
			func(c *Config) { c.MaxRequestBytes = sizer.TracesSize(span("a")) })
		began := time.Now()
		for i := range 100 {
			s.send(t, strconv.Itoa(i))
		}
		require.Zero(t, time.Since(began))
		s.lifecycle.end(0)
		s.stop(t)
	})
}

func TestQueueThatFillsUpIsDeliveredDuringTheInvocation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sizer ptrace.ProtoMarshaler
		s := start(t, nil, func(c *Config) { c.MaxQueueBytes = 4 * sizer.TracesSize(span("a")) })
		s.send(t, "a", "b")
		synctest.Wait()
		require.Empty(t, s.backend.arrived())
		s.send(t, "c")
		synctest.Wait()
		require.Equal(t, []string{"a", "b", "c"}, s.backend.arrived())
		s.stop(t)
	})
}

func TestWithoutTheLambdaExtensionDataLeavesAsItComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{}
		p, err := NewFactory().CreateTraces(t.Context(), processortest.NewNopSettings(componentType),
			NewFactory().CreateDefaultConfig(), b)
		require.NoError(t, err)
		require.NoError(t, p.Start(t.Context(), componenttest.NewNopHost()))
		require.NoError(t, p.ConsumeTraces(t.Context(), span("a")))
		synctest.Wait()
		require.Equal(t, []string{"a"}, b.arrived())
		require.NoError(t, p.Shutdown(t.Context()))
	})
}

func TestContinuousScheduleOfTheLifecycle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, func(_ context.Context, n int, _ ptrace.Traces) error {
			if n == 1 {
				return errUnavailable
			}
			return nil
		})
		s.lifecycle.schedule = lambdaextension.ScheduleContinuous
		s.send(t, "a")
		time.Sleep(initialBackoff)
		synctest.Wait()
		require.Equal(t, []string{"a"}, s.backend.arrived(), "tried again without anybody asking")
		s.stop(t)
	})
}

func TestShutdownTriesAgainDespiteTheBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Bool
		down.Store(true)
		s := start(t, func(context.Context, int, ptrace.Traces) error {
			if down.Load() {
				return errUnavailable
			}
			return nil
		})
		s.send(t, "a")
		for range 10 {
			_, err := s.flush(t, time.Minute)
			require.ErrorIs(t, err, errKept)
		}
		down.Store(false)
		s.lifecycle.end(2 * time.Second)
		before := time.Now()
		_, err := s.flush(t, time.Second)
		require.NoError(t, err)
		require.LessOrEqual(t, time.Since(before), lastBackoff)
		require.Equal(t, []string{"a"}, s.backend.arrived())
		s.stop(t)
		require.Empty(t, s.logs.FilterMessage("Data was dropped").All())
	})
}

func TestShutdownCountsWhatItCannotDeliver(t *testing.T) {
	for name, answer := range map[string]func(context.Context, int, ptrace.Traces) error{
		"refusing backend": func(context.Context, int, ptrace.Traces) error { return errUnavailable },
		"hanging backend": func(ctx context.Context, _ int, _ ptrace.Traces) error {
			<-ctx.Done()
			return ctx.Err()
		},
		"exporter that ignores its context": func(context.Context, int, ptrace.Traces) error {
			time.Sleep(time.Minute)
			return errUnavailable
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := start(t, answer)
				s.send(t, "a", "b")
				_, err := s.flush(t, 10*time.Millisecond)
				require.ErrorIs(t, err, errKept)
				s.send(t, "c")
				s.lifecycle.end(time.Second)
				before := time.Now()
				s.stop(t)
				require.LessOrEqual(t, time.Since(before), time.Second+cancelTimeout)
				dropped := s.logs.FilterMessage("Data was dropped").All()
				require.Len(t, dropped, 1)
				require.EqualValues(t, 3, dropped[0].ContextMap()["count"])
				require.Equal(t, notDelivered, dropped[0].ContextMap()["reason"])
				require.ErrorIs(t, s.ConsumeTraces(t.Context(), span("late")), errStopped)
				time.Sleep(2 * time.Minute) // lets the exporter that ignores its context return
			})
		})
	}
}

func TestDiscard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, nil, func(c *Config) { c.Discard = "exporter `otlp_http` has no endpoint" })
		s.send(t, "a", "b")
		_, err := s.flush(t, time.Second)
		require.NoError(t, err)
		s.stop(t)
		require.Zero(t, s.backend.asked())
		dropped := s.logs.FilterMessage("Data was dropped").All()
		require.Len(t, dropped, 1)
		require.Equal(t, map[string]any{
			"items": "spans", "count": int64(2), "reason": "exporter `otlp_http` has no endpoint",
		}, dropped[0].ContextMap())
	})
}

func TestIncumbentsQueueSizeIsWarnedAbout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, nil, func(c *Config) { c.MaxQueueSize = 200 })
		require.Len(t, s.logs.FilterMessageSnippet("`max_queue_size`").All(), 1)
		s.stop(t)
	})
}

// TestEverythingArrivesOnce has producers, flushes and a backend that fails at random work against each other.
func TestEverythingArrivesOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		random := rand.New(rand.NewPCG(1, 2))
		var mu sync.Mutex
		s := start(t, func(ctx context.Context, _ int, _ ptrace.Traces) error {
			mu.Lock()
			delay, fail := time.Duration(random.IntN(4000))*time.Millisecond, random.IntN(3) == 0
			mu.Unlock()
			select {
			case <-time.After(delay):
			case <-ctx.Done():
				return ctx.Err()
			}
			if fail {
				return errUnavailable
			}
			return nil
		}, func(c *Config) { c.MaxRequestBytes = 300 })
		var want []string
		var wg sync.WaitGroup
		for producer := range 5 {
			for i := range 100 {
				want = append(want, fmt.Sprintf("%d/%d", producer, i))
			}
			wg.Go(func() {
				for i := range 100 {
					require.NoError(t, s.ConsumeTraces(context.Background(), span(fmt.Sprintf("%d/%d", producer, i))))
					time.Sleep(37 * time.Millisecond)
				}
			})
		}
		for range 50 {
			_, _ = s.flush(t, 100*time.Millisecond)
			time.Sleep(50 * time.Millisecond)
		}
		wg.Wait()
		for done := false; !done; {
			_, err := s.flush(t, time.Minute)
			done = err == nil
			time.Sleep(time.Second)
		}
		require.ElementsMatch(t, want, s.backend.arrived())
		s.stop(t)
	})
}

func TestLifecycleOfEverySignal(t *testing.T) {
	f := NewFactory()
	set := processortest.NewNopSettings(componentType)
	cfg := f.CreateDefaultConfig()

	traces := new(consumertest.TracesSink)
	tp, err := f.CreateTraces(t.Context(), set, cfg, traces)
	require.NoError(t, err)
	metrics := new(consumertest.MetricsSink)
	mp, err := f.CreateMetrics(t.Context(), set, cfg, metrics)
	require.NoError(t, err)
	logs := new(consumertest.LogsSink)
	lp, err := f.CreateLogs(t.Context(), set, cfg, logs)
	require.NoError(t, err)

	for _, c := range []component.Component{tp, mp, lp} {
		require.NoError(t, c.Start(t.Context(), componenttest.NewNopHost()))
	}
	require.True(t, tp.Capabilities().MutatesData)
	require.NoError(t, tp.ConsumeTraces(t.Context(), span("a")))
	md := pmetric.NewMetrics()
	md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty().SetEmptyGauge().DataPoints().AppendEmpty()
	require.NoError(t, mp.ConsumeMetrics(t.Context(), md))
	ld := plog.NewLogs()
	ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	require.NoError(t, lp.ConsumeLogs(t.Context(), ld))
	for _, c := range []component.Component{tp, mp, lp} {
		require.NoError(t, c.Shutdown(t.Context()))
		require.NoError(t, c.Shutdown(t.Context()), "shutting down twice does no harm")
	}
	require.Equal(t, 1, traces.SpanCount())
	require.Equal(t, 1, metrics.DataPointCount())
	require.Equal(t, 1, logs.LogRecordCount())

	unstarted, err := f.CreateTraces(t.Context(), set, cfg, traces)
	require.NoError(t, err)
	require.NoError(t, unstarted.Shutdown(t.Context()))
}

// Whatever the backend does, `reject` leaves it to the sender and `drop_oldest` never refuses.
func TestOverflowPolicies(t *testing.T) {
	var sizer ptrace.ProtoMarshaler
	one := sizer.TracesSize(span("a"))
	run := func(t *testing.T, overflow string, answer error) *subject {
		t.Helper()
		s := start(t, func(context.Context, int, ptrace.Traces) error { return answer }, func(c *Config) {
			c.MaxQueueBytes, c.MaxRequestBytes, c.Overflow = 2*one, one, overflow
		})
		s.send(t, "a", "b")
		if answer != nil {
			_, err := s.flush(t, time.Millisecond)
			require.ErrorIs(t, err, errKept)
		}
		return s
	}
	t.Run("reject", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := run(t, overflowReject, errUnavailable)
			require.ErrorIs(t, s.ConsumeTraces(t.Context(), span("c")), errQueueFull)
			require.Empty(t, s.dropped())
			s.stop(t)
		})
	})
	t.Run("drop_oldest", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := run(t, overflowDropOldest, nil)
			synctest.Wait() // a queue that is half full is on its way
			s.send(t, "c", "d", "e")
			synctest.Wait()
			s.send(t, "f")
			_, err := s.flush(t, time.Second)
			require.NoError(t, err)
			s.stop(t)
			arrived, dropped := len(s.backend.arrived()), int(s.dropped()[queueFull])
			require.Equal(t, 6, arrived+dropped, "every item has one fate")
			require.Contains(t, s.backend.arrived(), "f")
		})
	})
	// What is on its way cannot be dropped, so it is the new data that goes.
	t.Run("drop_oldest when all is on its way", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var answered atomic.Bool
			s := start(t, func(ctx context.Context, _ int, _ ptrace.Traces) error {
				for !answered.Load() && ctx.Err() == nil {
					time.Sleep(time.Second)
				}
				return nil
			}, func(c *Config) { c.MaxQueueBytes, c.MaxRequestBytes, c.Overflow = 2*one, one, overflowDropOldest })
			s.send(t, "a", "b")
			_, err := s.flush(t, time.Millisecond)
			require.ErrorIs(t, err, errKept)
			require.NoError(t, s.ConsumeTraces(t.Context(), span("c")))
			answered.Store(true)
			time.Sleep(time.Minute)
			s.stop(t)
			require.ElementsMatch(t, []string{"a", "b"}, s.backend.arrived())
			require.Equal(t, map[string]int64{queueFull: 1}, s.dropped())
		})
	})
}

// Receivers are shut down first. When one of them takes all the time there is, what is lost is still said.
func TestDataIsCountedEvenIfShutdownNeverComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, func(context.Context, int, ptrace.Traces) error { return errUnavailable })
		s.send(t, "a", "b")
		s.lifecycle.end(2 * time.Second)
		_, err := s.flush(t, time.Second)
		require.ErrorIs(t, err, errKept)
		require.Empty(t, s.logs.FilterMessage("Data was dropped").All())
		time.Sleep(2 * time.Second)
		synctest.Wait()
		dropped := s.logs.FilterMessage("Data was dropped").All()
		require.Len(t, dropped, 1)
		require.EqualValues(t, 2, dropped[0].ContextMap()["count"])
		s.stop(t)
		require.Len(t, s.logs.FilterMessage("Data was dropped").All(), 1, "once")
	})
}

// The levels of the queue, at a moment when data waits for a backend that is down, and when all is well again.
func TestLevels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var up atomic.Bool
		s := start(t, func(context.Context, int, ptrace.Traces) error {
			if up.Load() {
				return nil
			}
			return errUnavailable
		})
		later := time.Now()
		levels := func() map[health.Metric]int64 {
			found := map[health.Metric]int64{}
			later = later.Add(time.Hour)
			s.lifecycle.Health().Add(health.HoldDuration, 1)
			require.True(t, s.lifecycle.Health().Report(later, false, func(counts []health.Count) error {
				for _, c := range counts {
					if c.Metric.Gauge() {
						found[c.Metric] = c.Total
					}
				}
				return nil
			}))
			return found
		}
		s.send(t, "a")
		_, err := s.flush(t, time.Millisecond)
		require.ErrorIs(t, err, errKept)
		time.Sleep(2 * time.Second)
		var sizer ptrace.ProtoMarshaler
		require.Equal(t, map[health.Metric]int64{
			health.QueueSize: int64(sizer.TracesSize(span("a"))), health.QueueAge: 2000, health.BackendDown: 1,
		}, levels())
		up.Store(true)
		_, err = s.flush(t, time.Minute)
		require.NoError(t, err)
		require.Equal(t, map[health.Metric]int64{health.QueueSize: 0, health.QueueAge: 0, health.BackendDown: 0}, levels())
		s.stop(t)
		s.lifecycle.Health().Add(health.HoldDuration, 1)
		require.Empty(t, levels(), "a queue that is gone has none")
	})
}

// A piece of data that is larger than a request travels in several.
func TestLargeDataIsSplit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sizer ptrace.ProtoMarshaler
		s := start(t, nil, func(c *Config) { c.MaxRequestBytes = 2 * sizer.TracesSize(span("a")) })
		td := span("a")
		for _, name := range []string{"b", "c", "d", "e", "f", "g"} {
			span(name).ResourceSpans().MoveAndAppendTo(td.ResourceSpans())
		}
		require.NoError(t, s.ConsumeTraces(t.Context(), td))
		_, err := s.flush(t, time.Second)
		require.NoError(t, err)
		require.ElementsMatch(t, []string{"a", "b", "c", "d", "e", "f", "g"}, s.backend.arrived())
		require.Equal(t, 4, s.backend.asked())
		s.stop(t)
	})
}

// Exporters that share data get it read-only. What comes back from them is merged with newer data like any other.
func TestSharedDataThatFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, func(_ context.Context, n int, td ptrace.Traces) error {
			td.MarkReadOnly()
			if n == 1 {
				return errUnavailable
			}
			return nil
		})
		s.send(t, "a")
		_, err := s.flush(t, time.Millisecond)
		require.ErrorIs(t, err, errKept)
		s.send(t, "b")
		time.Sleep(maxBackoff)
		_, err = s.flush(t, time.Minute)
		require.NoError(t, err)
		require.ElementsMatch(t, []string{"a", "b"}, s.backend.arrived())
		s.stop(t)
	})
}
