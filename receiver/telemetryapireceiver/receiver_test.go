// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapireceiver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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
	"go.opentelemetry.io/collector/pipeline"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/receivertest"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/otelcol-lambda/otelcol-lambda/extension/lambdaextension"
	"github.com/otelcol-lambda/otelcol-lambda/internal/extensionsapi"
	"github.com/otelcol-lambda/otelcol-lambda/internal/health"
	"github.com/otelcol-lambda/otelcol-lambda/internal/selftelemetry"
	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
	"github.com/otelcol-lambda/otelcol-lambda/receiver/telemetryapireceiver/internal/metadata"
)

// fakeLifecycle stands for the lambda extension. The methods that a receiver has no business with are not there, and
// panic.
type fakeLifecycle struct {
	component.StartFunc
	component.ShutdownFunc
	lambdaextension.Lifecycle

	refuse     error
	health     *health.Registry
	joined     []lambdaextension.Participant
	subscriber *lambdaextension.TelemetrySubscriber
	hooks      []func()
	spans      lambdaextension.FunctionSpans
	// ends is when the environment ends, if it does.
	ends time.Time
}

func (f *fakeLifecycle) OnInvoke(begin func()) func() {
	f.hooks = append(f.hooks, begin)
	return func() { f.hooks = nil }
}

// invoke is Lambda's news that an invocation begins.
func (f *fakeLifecycle) invoke() {
	for _, hook := range f.hooks {
		hook()
	}
}

func (f *fakeLifecycle) FunctionSpans() *lambdaextension.FunctionSpans { return &f.spans }

func (f *fakeLifecycle) LastCall() bool { return !f.ends.IsZero() }

func (f *fakeLifecycle) SubscribeTelemetry(s lambdaextension.TelemetrySubscriber) (func(), error) {
	if f.refuse != nil {
		return nil, f.refuse
	}
	f.subscriber = &s
	return func() {}, nil
}

func (f *fakeLifecycle) Join(p lambdaextension.Participant) func() {
	f.joined = append(f.joined, p)
	return func() { f.joined = nil }
}

func (f *fakeLifecycle) ShutdownDeadline() time.Time { return f.ends }

func (f *fakeLifecycle) Health() *health.Registry {
	if f.health == nil {
		f.health = health.NewRegistry(time.Now())
	}
	return f.health
}

// dropped is what has been counted as dropped for a reason.
func (f *fakeLifecycle) dropped(reason string) int {
	return int(f.Health().Dropped(health.SignalLogs, reason))
}

func (f *fakeLifecycle) Registration() extensionsapi.Registration {
	return extensionsapi.Registration{FunctionName: "checkout", FunctionVersion: "7", AccountID: "123456789012"}
}

type fakeHost struct {
	component.Host
	extensions map[component.ID]component.Component
}

func (h fakeHost) GetExtensions() map[component.ID]component.Component { return h.extensions }

func hostWith(l *fakeLifecycle) component.Host {
	return fakeHost{
		Host: componenttest.NewNopHost(),
		extensions: map[component.ID]component.Component{
			component.MustNewID("lambda"): l,
			component.MustNewID("other"):  struct{ component.Component }{},
		},
	}
}

func observedSettings() (receiver.Settings, *observer.ObservedLogs) {
	core, observed := observer.New(zapcore.DebugLevel)
	set := receivertest.NewNopSettings(metadata.Type)
	set.Logger = zap.New(core)
	return set, observed
}

func line(text string) []telemetryapi.Event {
	record, _ := json.Marshal(text) //nolint:errchkjson // a string
	return []telemetryapi.Event{{Type: telemetryapi.EventFunction, Record: record}}
}

// startReceiver starts a receiver with the lambda extension and returns it with what it subscribed.
func startReceiver(t *testing.T, cfg *Config, next consumer.Logs) (receiver.Logs, *fakeLifecycle, *observer.ObservedLogs) {
	t.Helper()
	lifecycle := &fakeLifecycle{}
	set, observed := observedSettings()
	r, err := NewFactory().CreateLogs(t.Context(), set, cfg, next)
	require.NoError(t, err)
	require.NoError(t, r.Start(t.Context(), hostWith(lifecycle)))
	require.NotNil(t, lifecycle.subscriber)
	return r, lifecycle, observed
}

func defaultConfig() *Config { return createDefaultConfig().(*Config) }

func TestReceiver(t *testing.T) {
	t.Setenv("AWS_LAMBDA_FUNCTION_NAME", "from-env")
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "team=shop,broken")
	sink := &consumertest.LogsSink{}
	cfg := defaultConfig()
	cfg.Port = 4325
	r, lifecycle, observed := startReceiver(t, cfg, sink)
	require.Equal(t, 4325, lifecycle.subscriber.Port)
	require.Equal(t, []telemetryapi.Stream{"platform", "function", "extension"}, lifecycle.subscriber.Streams)

	consume := lifecycle.subscriber.Consume
	consume(t.Context(), line("first"))
	consume(t.Context(), []telemetryapi.Event{{Type: telemetryapi.EventReport, Record: json.RawMessage(`{"requestId":"a"}`)}})
	consume(t.Context(), line("second"))
	require.Len(t, sink.AllLogs(), 2, "a delivery without records is not passed on")
	require.Equal(t, map[string]any{
		"cloud.provider": "aws", "cloud.platform": "aws_lambda", "cloud.account.id": "123456789012",
		"faas.name": "from-env", "faas.version": "7", "service.name": "from-env", "team": "shop",
	}, withoutRegion(sink.AllLogs()[0]))
	require.Equal(t, 1, observed.FilterMessageSnippet("OTEL_RESOURCE_ATTRIBUTES").Len(), "said once")
	require.Equal(t, 1, observed.Len())

	require.NoError(t, r.Shutdown(t.Context()))
	require.NoError(t, r.Shutdown(t.Context()))
	require.Empty(t, lifecycle.health.Counts())
	consume(t.Context(), line("late"))
	require.Len(t, sink.AllLogs(), 2)
	require.Equal(t, 1, lifecycle.dropped(abandoned))
}

const abandoned = string(telemetryapi.LossAbandoned)

// What comes when the pipelines are gone is counted, as far as it would have become records.
func TestReceiverCountsWhatComesLate(t *testing.T) {
	own := json.RawMessage(`"{\"` + selftelemetry.MarkerKey + `\":1}"`)
	events := []telemetryapi.Event{
		line("a")[0], line("b")[0],
		{Type: telemetryapi.EventExtensionLog, Record: own},
		{Type: telemetryapi.EventExtensionLog, Record: json.RawMessage(`"somebody else's"`)},
		{Type: telemetryapi.EventStart, Record: json.RawMessage(`{"requestId":"a"}`)},
		{Type: telemetryapi.EventReport, Record: json.RawMessage(`{"requestId":"a"}`)},
	}
	for name, tt := range map[string]struct {
		change func(*Config)
		want   int
	}{
		"by default":    {change: func(*Config) {}, want: 4},
		"reports too":   {change: func(c *Config) { c.LogReport = true }, want: 5},
		"function only": {change: func(c *Config) { c.Types = []string{"function"} }, want: 2},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := defaultConfig()
			tt.change(cfg)
			sink := &consumertest.LogsSink{}
			r, lifecycle, observed := startReceiver(t, cfg, sink)
			lifecycle.subscriber.Consume(t.Context(), events)
			require.Equal(t, tt.want, sink.LogRecordCount(), "as many as there would be otherwise")
			require.NoError(t, r.Shutdown(t.Context()))
			before := observed.Len()
			lifecycle.subscriber.Consume(t.Context(), events)
			lifecycle.subscriber.Consume(t.Context(), events)
			require.Equal(t, tt.want, sink.LogRecordCount())
			require.Equal(t, 2*tt.want, lifecycle.dropped(abandoned))
			require.Equal(t, before, observed.Len(), "the lambda extension says it once for all")

			counts := lifecycle.health.Counts()
			lifecycle.subscriber.Consume(t.Context(), []telemetryapi.Event{{Type: telemetryapi.EventExtensionLog, Record: own}})
			require.Equal(t, counts, lifecycle.health.Counts())
		})
	}
}

// Events that wait for their turn when Shutdown comes get none.
func TestReceiverCountsWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		proceed := make(chan struct{})
		next := &flakyConsumer{answer: func(int, plog.Logs) error { <-proceed; return nil }}
		r, lifecycle, _ := startReceiver(t, defaultConfig(), next)
		for _, text := range []string{"first", "second"} {
			go lifecycle.subscriber.Consume(t.Context(), line(text))
			synctest.Wait()
		}
		stopped := make(chan error)
		go func() { stopped <- r.Shutdown(t.Context()) }()
		synctest.Wait()
		require.Equal(t, 1, lifecycle.dropped(abandoned))
		close(proceed)
		require.NoError(t, <-stopped)
		require.Equal(t, []string{"first"}, next.taken)
		require.Equal(t, 1, lifecycle.dropped(abandoned))
	})
}

func withoutRegion(logs plog.Logs) map[string]any {
	attributes := logs.ResourceLogs().At(0).Resource().Attributes().AsRaw()
	delete(attributes, attrCloudRegion) // the machine's, if it has one
	delete(attributes, attrFaasMaxMemory)
	return attributes
}

func TestReceiverKnowsManagedInstances(t *testing.T) {
	t.Setenv("AWS_LAMBDA_INITIALIZATION_TYPE", "lambda-managed-instances")
	sink := &consumertest.LogsSink{}
	r, lifecycle, _ := startReceiver(t, defaultConfig(), sink)
	lifecycle.subscriber.Consume(t.Context(), []telemetryapi.Event{
		{Type: telemetryapi.EventStart, Record: json.RawMessage(`{"requestId":"a"}`)},
		line("whose?")[0],
	})
	_, ok := sink.AllLogs()[0].ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(1).Attributes().Get(attrFaasInvocation)
	require.False(t, ok)
	require.NoError(t, r.Shutdown(t.Context()))
}

func TestReceiverShutdownWithoutStart(t *testing.T) {
	factory := NewFactory()
	r, err := factory.CreateLogs(t.Context(), receivertest.NewNopSettings(metadata.Type), factory.CreateDefaultConfig(),
		consumertest.NewNop())
	require.NoError(t, err)
	require.NoError(t, r.Shutdown(t.Context()))
	require.NoError(t, r.Shutdown(t.Context()))
}

func TestReceiverIdleWithoutLifecycle(t *testing.T) {
	set, observed := observedSettings()
	r, err := NewFactory().CreateLogs(t.Context(), set, defaultConfig(), consumertest.NewNop())
	require.NoError(t, err)
	require.NoError(t, r.Start(t.Context(), componenttest.NewNopHost()))
	require.Equal(t, 1, observed.Len())
	require.Equal(t, zapcore.WarnLevel, observed.All()[0].Level)
	require.Contains(t, observed.All()[0].Message, "`lambda` extension")
	require.Contains(t, observed.All()[0].Message, "`service::extensions`")
	require.NoError(t, r.Shutdown(t.Context()))
}

func TestReceiverIdleWhenRefused(t *testing.T) {
	set, observed := observedSettings()
	r, err := NewFactory().CreateLogs(t.Context(), set, defaultConfig(), consumertest.NewNop())
	require.NoError(t, err)
	require.NoError(t, r.Start(t.Context(), hostWith(&fakeLifecycle{refuse: errors.New("too late")})))
	require.Equal(t, 1, observed.FilterLevelExact(zapcore.ErrorLevel).Len())
	require.NoError(t, r.Shutdown(t.Context()))
}

func TestReceiverWithoutLogsPipeline(t *testing.T) {
	set, observed := observedSettings()
	lifecycle := &fakeLifecycle{}
	factory, cfg := NewFactory(), defaultConfig()
	traces, err := factory.CreateTraces(t.Context(), set, cfg, consumertest.NewNop())
	require.NoError(t, err)
	metrics, err := factory.CreateMetrics(t.Context(), set, cfg, consumertest.NewNop())
	require.NoError(t, err)
	for _, r := range []component.Component{traces, metrics} {
		require.NoError(t, r.Start(t.Context(), hostWith(lifecycle)))
	}
	require.Equal(t, []telemetryapi.Stream{"platform"}, lifecycle.subscriber.Streams, "nobody pays for lines that nobody uses")
	require.Zero(t, observed.Len())
	for _, r := range []component.Component{traces, metrics} {
		require.NoError(t, r.Shutdown(t.Context()))
	}
}

func TestReceiverStreams(t *testing.T) {
	for _, tt := range []struct {
		name     string
		types    []string
		want     []telemetryapi.Stream
		warnings int
	}{
		{name: "none", types: []string{}, want: []telemetryapi.Stream{"platform", "function", "extension"}, warnings: 1},
		{name: "function", types: []string{"function"}, want: []telemetryapi.Stream{"platform", "function"}},
		{name: "platform", types: []string{"platform"}, want: []telemetryapi.Stream{"platform"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := defaultConfig()
			cfg.Types = tt.types
			r, lifecycle, observed := startReceiver(t, cfg, consumertest.NewNop())
			require.Equal(t, tt.want, lifecycle.subscriber.Streams)
			require.Equal(t, tt.warnings, observed.FilterMessageSnippet("`types` is empty").Len())
			require.NoError(t, r.Shutdown(t.Context()))
		})
	}
}

// flakyConsumer answers as it is told and keeps what it took. It empties everything it is given, as a batching
// processor may.
type flakyConsumer struct {
	answer func(try int, logs plog.Logs) error
	tries  int
	given  []plog.Logs
	taken  []string
}

func (*flakyConsumer) Capabilities() consumer.Capabilities {
	return consumer.Capabilities{MutatesData: true}
}

func (c *flakyConsumer) ConsumeLogs(_ context.Context, logs plog.Logs) error {
	c.tries++
	given := plog.NewLogs()
	logs.CopyTo(given)
	c.given = append(c.given, given)
	err := c.answer(c.tries, given)
	logs.ResourceLogs().RemoveIf(func(plog.ResourceLogs) bool { return true })
	if err == nil {
		c.taken = append(c.taken, bodies(given)...)
	}
	return err
}

func bodies(logs plog.Logs) []string {
	var texts []string
	for _, resource := range logs.ResourceLogs().All() {
		for _, scope := range resource.ScopeLogs().All() {
			for _, record := range scope.LogRecords().All() {
				texts = append(texts, record.Body().AsString())
			}
		}
	}
	return texts
}

var errFull = errors.New("queue is full")

func TestReceiverTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		next := &flakyConsumer{answer: func(try int, _ plog.Logs) error {
			if try < 4 {
				return errFull
			}
			return nil
		}}
		r, lifecycle, observed := startReceiver(t, defaultConfig(), next)
		start := time.Now()
		lifecycle.subscriber.Consume(t.Context(), []telemetryapi.Event{
			{Type: telemetryapi.EventStart, Record: json.RawMessage(`{"requestId":"a"}`)},
			line("text")[0],
			{Type: telemetryapi.EventRuntimeDone, Record: json.RawMessage(`{"requestId":"a"}`)},
		})
		require.Equal(t, 35*time.Millisecond, time.Since(start), "5 + 10 + 20 ms")
		require.Len(t, next.taken, 3)
		id, _ := next.given[3].ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(1).Attributes().Get(attrFaasInvocation)
		require.Equal(t, "a", id.Str(), "mapped from the state of the first time")
		require.Zero(t, observed.Len())
		require.NoError(t, r.Shutdown(t.Context()))
	})
}

func TestReceiverTriesOnlyTheRestAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		next := &flakyConsumer{}
		next.answer = func(try int, logs plog.Logs) error {
			switch try {
			case 1:
				next.taken = append(next.taken, bodies(logs)[0])
				logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().RemoveIf(func(r plog.LogRecord) bool {
					return r.Body().Str() == next.taken[0]
				})
				return fmt.Errorf("some of it: %w", consumererror.NewLogs(errFull, logs))
			case 2:
				return errFull
			default:
				return nil
			}
		}
		r, lifecycle, _ := startReceiver(t, defaultConfig(), next)
		lifecycle.subscriber.Consume(t.Context(), append(line("a"), append(line("b"), line("c")...)...))
		require.Equal(t, []string{"a", "b", "c"}, next.taken)
		require.Equal(t, 3, next.tries)
		require.NoError(t, r.Shutdown(t.Context()))
	})
}

// TestReceiverDoesNotWaitTwiceForAFullPipeline keeps an invocation from waiting behind each of its deliveries.
func TestReceiverDoesNotWaitTwiceForAFullPipeline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var answer error
		next := &flakyConsumer{answer: func(int, plog.Logs) error { return answer }}
		r, lifecycle, _ := startReceiver(t, defaultConfig(), next)
		consume := func(err error) time.Duration {
			answer = err
			start := time.Now()
			lifecycle.subscriber.Consume(t.Context(), line("text"))
			return time.Since(start)
		}
		require.Equal(t, retryFor, consume(errFull))
		require.Zero(t, consume(errFull))
		require.Zero(t, consume(errFull))
		require.Zero(t, consume(nil))
		require.Equal(t, retryFor, consume(errFull), "the pipeline had room in between")
		require.NoError(t, r.Shutdown(t.Context()))
	})
}

func TestReceiverDropsAndSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		permanent := consumererror.NewPermanent(errors.New("no such tenant"))
		var answer error
		next := &flakyConsumer{answer: func(int, plog.Logs) error { return answer }}
		r, lifecycle, observed := startReceiver(t, defaultConfig(), next)
		consume := func(err error) time.Duration {
			answer = err
			start := time.Now()
			lifecycle.subscriber.Consume(t.Context(), line("text"))
			return time.Since(start)
		}
		lastDropped := func() any { return observed.All()[observed.Len()-1].ContextMap()["dropped_log_records"] }

		require.Equal(t, retryFor, consume(errFull))
		require.Equal(t, 1, observed.Len())
		require.EqualValues(t, 1, lastDropped())
		tries := next.tries
		require.Zero(t, consume(permanent), "no use in trying again")
		require.Equal(t, tries+1, next.tries)
		require.Equal(t, 1, observed.Len(), "still the same trouble")

		require.Zero(t, consume(nil))
		require.Zero(t, consume(permanent))
		require.Equal(t, 1, observed.Len(), "too soon for another line")

		require.Zero(t, consume(nil))
		time.Sleep(dropLogInterval)
		require.Zero(t, consume(permanent))
		require.Equal(t, 2, observed.Len())
		require.EqualValues(t, 3, lastDropped(), "with those that no line was about")

		require.Zero(t, consume(permanent))
		require.NoError(t, r.Shutdown(t.Context()))
		require.Equal(t, 3, observed.Len())
		require.EqualValues(t, 1, lastDropped())
		require.EqualValues(t, 5, observed.All()[2].ContextMap()["dropped_log_records_in_total"])
		require.Equal(t, 5, lifecycle.dropped(refused))
		require.Len(t, lifecycle.health.Counts(), 1, "one reason, whatever the error")
		require.Len(t, next.taken, 2)
	})
}

func TestReceiverCountsOnlyTheRestAsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		next := &flakyConsumer{answer: func(_ int, logs plog.Logs) error {
			rest := plog.NewLogs()
			record := rest.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
			record.Body().SetStr(bodies(logs)[0])
			return consumererror.NewLogs(errFull, rest)
		}}
		r, lifecycle, observed := startReceiver(t, defaultConfig(), next)
		lifecycle.subscriber.Consume(t.Context(), append(line("a"), line("b")...))
		require.EqualValues(t, 1, observed.All()[0].ContextMap()["dropped_log_records"])
		require.Equal(t, 1, lifecycle.dropped(refused))
		require.NoError(t, r.Shutdown(t.Context()))
	})
}

func TestReceiverGivesUpWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		next := &flakyConsumer{answer: func(int, plog.Logs) error { return errFull }}
		r, lifecycle, _ := startReceiver(t, defaultConfig(), next)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		start := time.Now()
		lifecycle.subscriber.Consume(ctx, line("text"))
		require.Equal(t, 100*time.Millisecond, time.Since(start))
		require.NoError(t, r.Shutdown(t.Context()))
	})
}

func TestReceiverShutdownWaitsForEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ready atomic.Bool
		next := &flakyConsumer{answer: func(int, plog.Logs) error {
			if !ready.Load() {
				return errFull
			}
			return nil
		}}
		r, lifecycle, _ := startReceiver(t, defaultConfig(), next)
		consumed := make(chan struct{})
		go func() {
			lifecycle.subscriber.Consume(t.Context(), line("text"))
			close(consumed)
		}()
		synctest.Wait()
		stopped := make(chan error)
		go func() { stopped <- r.Shutdown(t.Context()) }()
		synctest.Wait()
		ready.Store(true)
		require.NoError(t, <-stopped)
		<-consumed
		require.Equal(t, []string{"text"}, next.taken)
	})
}

func TestReceiverShutdownIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		next := &flakyConsumer{answer: func(int, plog.Logs) error { return errFull }}
		r, lifecycle, observed := startReceiver(t, defaultConfig(), next)
		consumed := make(chan struct{})
		go func() {
			lifecycle.subscriber.Consume(context.Background(), line("text"))
			close(consumed)
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		require.ErrorIs(t, r.Shutdown(ctx), context.DeadlineExceeded)
		<-consumed
		require.Equal(t, 1, observed.FilterMessageSnippet("Dropped log records").Len(), "lost, but not silently")
		require.Equal(t, 1, lifecycle.dropped(refused))
	})
}

// contractGenerator feeds a receiver by way of the lifecycle it subscribed to.
type contractGenerator struct {
	lifecycle *fakeLifecycle
	next      atomic.Int64
}

func (*contractGenerator) Start() {}
func (*contractGenerator) Stop()  {}

func (g *contractGenerator) Generate() []receivertest.UniqueIDAttrVal {
	id := fmt.Sprintf("id-%d", g.next.Add(1))
	g.lifecycle.subscriber.Consume(context.Background(), []telemetryapi.Event{{
		Type:   telemetryapi.EventFunction,
		Record: json.RawMessage(`{"message":"m","` + receivertest.UniqueIDAttrName + `":"` + id + `"}`),
	}})
	return []receivertest.UniqueIDAttrVal{receivertest.UniqueIDAttrVal(id)}
}

// inLambda starts its receiver with the lambda extension, whichever host it is given.
type inLambda struct {
	receiver.Logs
	lifecycle *fakeLifecycle
}

func (r inLambda) Start(ctx context.Context, _ component.Host) error {
	return r.Logs.Start(ctx, hostWith(r.lifecycle))
}

func TestConsumeContract(t *testing.T) {
	lifecycle := &fakeLifecycle{}
	inner := NewFactory()
	factory := receiver.NewFactory(metadata.Type, createDefaultConfig, receiver.WithLogs(
		func(ctx context.Context, set receiver.Settings, cfg component.Config, next consumer.Logs) (receiver.Logs, error) {
			r, err := inner.CreateLogs(ctx, set, cfg, next)
			if err != nil {
				return nil, err
			}
			// The errors are random: the bound must not be reached by bad luck.
			r.(*sharedComponent[*telemetryReceiver]).inner.retryFor = time.Hour
			return inLambda{Logs: r, lifecycle: lifecycle}, nil
		}, component.StabilityLevelAlpha))
	receivertest.CheckConsumeContract(receivertest.CheckConsumeContractParams{
		T:             t,
		Factory:       factory,
		Signal:        pipeline.SignalLogs,
		Config:        factory.CreateDefaultConfig(),
		Generator:     &contractGenerator{lifecycle: lifecycle},
		GenerateCount: 40,
	})
}
