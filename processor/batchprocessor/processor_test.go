// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package batchprocessor

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"
	stock "go.opentelemetry.io/collector/processor/batchprocessor"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/otelcol-lambda/otelcol-lambda/extension/lambdaextension"
	"github.com/otelcol-lambda/otelcol-lambda/internal/health"
)

// never is a timeout that no test lives to see.
const never = time.Hour

// lifecycleHost is a host that carries the lifecycle, and remembers who joined. Of the lifecycle it has what this
// processor may use.
type lifecycleHost struct {
	component.Host
	lambdaextension.Lifecycle
	health *health.Registry
	joined []lambdaextension.Participant
	left   int
}

func (h *lifecycleHost) Health() *health.Registry { return h.health }

func (*lifecycleHost) ObserveTraces(ptrace.Traces) func() { return func() {} }

var (
	_ component.Host            = (*lifecycleHost)(nil)
	_ lambdaextension.Lifecycle = (*lifecycleHost)(nil)
)

func (h *lifecycleHost) GetExtensions() map[component.ID]component.Component {
	return map[component.ID]component.Component{component.MustNewID("lambda"): h}
}

func (h *lifecycleHost) Start(context.Context, component.Host) error { return nil }

func (h *lifecycleHost) Shutdown(context.Context) error { return nil }

func (h *lifecycleHost) Join(p lambdaextension.Participant) func() {
	h.joined = append(h.joined, p)
	return func() { h.left++ }
}

// start returns a running logs processor and what it joined the lifecycle with.
func start(t *testing.T, factory processor.Factory, change func(*stock.Config), next consumer.Logs) (processor.Logs, lambdaextension.Participant) {
	t.Helper()
	cfg := factory.CreateDefaultConfig().(*stock.Config)
	if change != nil {
		change(cfg)
	}
	p, err := factory.CreateLogs(t.Context(), processortest.NewNopSettings(factory.Type()), cfg, next)
	require.NoError(t, err)
	host := &lifecycleHost{Host: componenttest.NewNopHost()}
	require.NoError(t, p.Start(t.Context(), host))
	require.Len(t, host.joined, 1)
	return p, host.joined[0]
}

func holdForEver(cfg *stock.Config) {
	cfg.Timeout, cfg.SendBatchSize = never, 1_000_000
}

func newLog(body string) plog.Logs {
	ld := plog.NewLogs()
	ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty().Body().SetStr(body)
	return ld
}

// logSink keeps the bodies it is given, in order.
type logSink struct {
	mu     sync.Mutex
	bodies []string
	sizes  []int
}

func (s *logSink) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

func (s *logSink) ConsumeLogs(_ context.Context, ld plog.Logs) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sizes = append(s.sizes, ld.LogRecordCount())
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, record := range sl.LogRecords().All() {
				s.bodies = append(s.bodies, record.Body().Str())
			}
		}
	}
	return nil
}

func (s *logSink) seen() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.bodies...)
}

func TestDrainSendsWhatIsHeld(t *testing.T) {
	t.Run("logs", func(t *testing.T) {
		sink := &logSink{}
		p, participant := start(t, NewFactory(), holdForEver, sink)
		require.False(t, participant.Drain(t.Context()), "nothing was held")
		require.NoError(t, p.ConsumeLogs(t.Context(), newLog("a")))
		require.NoError(t, p.ConsumeLogs(t.Context(), newLog("b")))
		require.Empty(t, sink.seen())
		require.True(t, participant.Drain(t.Context()))
		require.Equal(t, []string{"a", "b"}, sink.seen())
		require.Equal(t, []int{2}, sink.sizes, "merged into one batch")
		require.False(t, participant.Drain(t.Context()), "nothing came since")
		require.NoError(t, participant.Flush(t.Context()))
		require.NoError(t, p.ConsumeLogs(t.Context(), newLog("c")))
		require.NoError(t, p.Shutdown(t.Context()))
		require.Equal(t, []string{"a", "b", "c"}, sink.seen())
	})
	host := &lifecycleHost{Host: componenttest.NewNopHost()}
	factory := NewFactory()
	cfg := factory.CreateDefaultConfig().(*stock.Config)
	holdForEver(cfg)
	set := processortest.NewNopSettings(factory.Type())
	t.Run("traces", func(t *testing.T) {
		sink := &consumertest.TracesSink{}
		p, err := factory.CreateTraces(t.Context(), set, cfg, sink)
		require.NoError(t, err)
		require.NoError(t, p.Start(t.Context(), host))
		td := ptrace.NewTraces()
		td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty().SetName("s")
		require.NoError(t, p.ConsumeTraces(t.Context(), td))
		require.Zero(t, sink.SpanCount())
		require.True(t, host.joined[0].Drain(t.Context()))
		require.Equal(t, 1, sink.SpanCount())
		require.NoError(t, p.Shutdown(t.Context()))
		require.ErrorIs(t, p.ConsumeTraces(t.Context(), td), errShutdown)
	})
	t.Run("metrics", func(t *testing.T) {
		sink := &consumertest.MetricsSink{}
		p, err := factory.CreateMetrics(t.Context(), set, cfg, sink)
		require.NoError(t, err)
		require.NoError(t, p.Start(t.Context(), host))
		md := pmetric.NewMetrics()
		md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty().
			SetEmptyGauge().DataPoints().AppendEmpty().SetIntValue(1)
		require.NoError(t, p.ConsumeMetrics(t.Context(), md))
		require.Zero(t, sink.DataPointCount())
		require.True(t, host.joined[1].Drain(t.Context()))
		require.Equal(t, 1, sink.DataPointCount())
		require.NoError(t, p.Shutdown(t.Context()))
		require.ErrorIs(t, p.ConsumeMetrics(t.Context(), md), errShutdown)
	})
	require.Equal(t, 2, host.left)
}

// TestConcurrentDrains is the promise: whatever was accepted before a drain has been passed on when it returns, and
// nothing is lost or sent twice, however many producers there are.
func TestConcurrentDrains(t *testing.T) {
	const producers, perProducer, drains = 4, 2000, 50
	sink := &logSink{}
	p, participant := start(t, NewFactory(), func(cfg *stock.Config) {
		// Small sizes make size and time triggers race with the drains.
		cfg.SendBatchSize, cfg.SendBatchMaxSize, cfg.Timeout = 7, 11, time.Millisecond
	}, sink)

	var accepted [producers]atomic.Int64
	var producing sync.WaitGroup
	for producer := range producers {
		producing.Go(func() {
			for i := range perProducer {
				if err := p.ConsumeLogs(t.Context(), newLog(strconv.Itoa(producer)+":"+strconv.Itoa(i))); err != nil {
					t.Errorf("refused: %v", err)
					return
				}
				accepted[producer].Store(int64(i + 1))
			}
		})
	}
	var draining sync.WaitGroup
	for range 2 {
		draining.Go(func() {
			for range drains {
				var before [producers]int64
				for i := range accepted {
					before[i] = accepted[i].Load()
				}
				participant.Drain(t.Context())
				seen := map[string]bool{}
				for _, body := range sink.seen() {
					seen[body] = true
				}
				for producer, n := range before {
					for i := range n {
						if !seen[strconv.Itoa(producer)+":"+strconv.Itoa(int(i))] {
							t.Errorf("item %d of producer %d was accepted before a drain and not sent by it", i, producer)
							return
						}
					}
				}
			}
		})
	}
	producing.Wait()
	draining.Wait()
	require.NoError(t, p.Shutdown(t.Context()))

	count := map[string]int{}
	for _, body := range sink.seen() {
		count[body]++
	}
	require.Len(t, count, producers*perProducer)
	for body, n := range count {
		require.Equal(t, 1, n, body)
	}
}

func TestOrderIsKeptAcrossDrains(t *testing.T) {
	sink := &logSink{}
	p, participant := start(t, NewFactory(), func(cfg *stock.Config) { cfg.SendBatchSize = 3 }, sink)
	var want []string
	for i := range 100 {
		want = append(want, strconv.Itoa(i))
		require.NoError(t, p.ConsumeLogs(t.Context(), newLog(want[i])))
		if i%7 == 0 {
			require.True(t, participant.Drain(t.Context()))
			require.Equal(t, want, sink.seen())
		}
	}
	require.NoError(t, p.Shutdown(t.Context()))
	require.Equal(t, want, sink.seen())
}

// TestTriggersAreTheStockOnes runs the same minutes through the stock processor and ours, with and without a lifecycle,
// and compares when batches of what size came out.
func TestTriggersAreTheStockOnes(t *testing.T) {
	type sent struct {
		after time.Duration
		size  int
	}
	run := func(t *testing.T, factory processor.Factory, host component.Host, change func(*stock.Config)) []sent {
		var out []sent
		synctest.Test(t, func(t *testing.T) {
			cfg := factory.CreateDefaultConfig().(*stock.Config)
			change(cfg)
			began := time.Now()
			next, err := consumer.NewLogs(func(_ context.Context, ld plog.Logs) error {
				out = append(out, sent{time.Since(began), ld.LogRecordCount()})
				return nil
			})
			require.NoError(t, err)
			p, err := factory.CreateLogs(t.Context(), processortest.NewNopSettings(factory.Type()), cfg, next)
			require.NoError(t, err)
			require.NoError(t, p.Start(t.Context(), host))
			for i := range 60 {
				for range i % 5 {
					require.NoError(t, p.ConsumeLogs(t.Context(), newLog("x")))
					synctest.Wait()
				}
				time.Sleep(time.Duration(i*10) * time.Millisecond)
			}
			require.NoError(t, p.Shutdown(t.Context()))
		})
		return out
	}
	for name, change := range map[string]func(*stock.Config){
		"default":         func(*stock.Config) {},
		"size":            func(cfg *stock.Config) { cfg.SendBatchSize, cfg.Timeout = 4, time.Minute },
		"maximum size":    func(cfg *stock.Config) { cfg.SendBatchSize, cfg.SendBatchMaxSize, cfg.Timeout = 4, 4, time.Minute },
		"size or timeout": func(cfg *stock.Config) { cfg.SendBatchSize, cfg.Timeout = 4, time.Second },
		"at once":         func(cfg *stock.Config) { cfg.Timeout = 0 },
		"no size":         func(cfg *stock.Config) { cfg.SendBatchSize = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			want := run(t, stock.NewFactory(), componenttest.NewNopHost(), change)
			require.NotEmpty(t, want)
			require.Equal(t, want, run(t, NewFactory(), componenttest.NewNopHost(), change))
			require.Equal(t, want, run(t, NewFactory(), &lifecycleHost{Host: componenttest.NewNopHost()}, change))
		})
	}
}

func TestMetadataKeysSurviveDrains(t *testing.T) {
	var mu sync.Mutex
	got := map[string][]string{}
	next, err := consumer.NewLogs(func(ctx context.Context, ld plog.Logs) error {
		mu.Lock()
		defer mu.Unlock()
		tenant := client.FromContext(ctx).Metadata.Get("tenant")[0]
		for i := range ld.ResourceLogs().Len() {
			body := ld.ResourceLogs().At(i).ScopeLogs().At(0).LogRecords().At(0).Body().Str()
			got[tenant] = append(got[tenant], body)
		}
		return nil
	})
	require.NoError(t, err)
	p, participant := start(t, NewFactory(), func(cfg *stock.Config) {
		holdForEver(cfg)
		cfg.MetadataKeys = []string{"tenant"}
	}, next)
	as := func(tenant string) context.Context {
		return client.NewContext(t.Context(), client.Info{Metadata: client.NewMetadata(map[string][]string{"tenant": {tenant}})})
	}
	for i := range 3 {
		require.NoError(t, p.ConsumeLogs(as("a"), newLog("a"+strconv.Itoa(i))))
		require.NoError(t, p.ConsumeLogs(as("b"), newLog("b"+strconv.Itoa(i))))
		require.True(t, participant.Drain(t.Context()))
	}
	require.NoError(t, p.Shutdown(t.Context()))
	require.Equal(t, map[string][]string{"a": {"a0", "a1", "a2"}, "b": {"b0", "b1", "b2"}}, got)
}

// gate is a next consumer that lets nothing through until it is opened.
type gate struct {
	logSink
	first   sync.Once
	waiting chan struct{}
	open    chan struct{}
}

func newGate() *gate {
	return &gate{waiting: make(chan struct{}), open: make(chan struct{})}
}

func (g *gate) ConsumeLogs(ctx context.Context, ld plog.Logs) error {
	g.first.Do(func() { close(g.waiting) })
	<-g.open
	return g.logSink.ConsumeLogs(ctx, ld)
}

func TestDrainEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		next := newGate()
		p, participant := start(t, NewFactory(), holdForEver, next)
		require.NoError(t, p.ConsumeLogs(t.Context(), newLog("a")))

		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		began := time.Now()
		require.True(t, participant.Drain(ctx), "a was on its way")
		require.Equal(t, 2*time.Second, time.Since(began))
		require.Empty(t, next.seen())

		// The function is invoked again before the next consumer has recovered.
		require.NoError(t, p.ConsumeLogs(t.Context(), newLog("b")), "a hanging drain does not stand in the way of new data")
		again, cancelAgain := context.WithTimeout(t.Context(), time.Second)
		defer cancelAgain()
		require.False(t, participant.Drain(again), "the first drain has the turn")
		require.Equal(t, 3*time.Second, time.Since(began))

		close(next.open)
		require.True(t, participant.Drain(t.Context()))
		require.Equal(t, []string{"a", "b"}, next.seen())
		require.NoError(t, p.Shutdown(t.Context()))
	})
}

func TestDrainSendsEvenIfItsContextHasEnded(t *testing.T) {
	sink := &logSink{}
	p, participant := start(t, NewFactory(), holdForEver, sink)
	require.NoError(t, p.ConsumeLogs(t.Context(), newLog("a")))
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.True(t, participant.Drain(ended))
	participant.Drain(t.Context()) // waits for the one before
	require.Equal(t, []string{"a"}, sink.seen())
	require.NoError(t, p.Shutdown(t.Context()))
}

// TestDrainWhileProducersHang covers the tightest spot: the next consumer hangs, the stock processor's channel is full,
// and a producer is stuck in it with the lock held. Drain has to come back all the same.
func TestDrainWhileProducersHang(t *testing.T) {
	next := newGate()
	p, participant := start(t, NewFactory(), func(cfg *stock.Config) { cfg.Timeout = 0 }, next)
	var accepted atomic.Int64
	var producing sync.WaitGroup
	const producers = 200 // more than the channel of the stock processor has room for on any test machine
	for i := range producers {
		producing.Go(func() {
			if err := p.ConsumeLogs(context.WithoutCancel(t.Context()), newLog(strconv.Itoa(i))); err != nil {
				t.Errorf("refused: %v", err)
			}
			accepted.Add(1)
		})
	}
	<-next.waiting
	ctx, cancel := context.WithCancel(t.Context())
	drained := make(chan bool)
	go func() { drained <- participant.Drain(ctx) }()
	require.Less(t, accepted.Load(), int64(producers))
	cancel()
	<-drained

	close(next.open)
	producing.Wait()
	require.NoError(t, p.Shutdown(t.Context()))
	require.Len(t, next.seen(), producers)
}

func TestShutdown(t *testing.T) {
	t.Run("ends with its context and sends all the same", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			next := newGate()
			p, _ := start(t, NewFactory(), holdForEver, next)
			require.NoError(t, p.ConsumeLogs(t.Context(), newLog("a")))
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			require.ErrorIs(t, p.Shutdown(ctx), context.DeadlineExceeded)
			close(next.open)
			require.NoError(t, p.Shutdown(t.Context()))
			require.Equal(t, []string{"a"}, next.seen())
		})
	})
	t.Run("leaves the lifecycle once and refuses what comes later", func(t *testing.T) {
		factory := NewFactory()
		p, err := factory.CreateLogs(t.Context(), processortest.NewNopSettings(factory.Type()),
			factory.CreateDefaultConfig(), consumertest.NewNop())
		require.NoError(t, err)
		host := &lifecycleHost{Host: componenttest.NewNopHost()}
		require.NoError(t, p.Start(t.Context(), host))
		require.NoError(t, p.Shutdown(t.Context()))
		require.NoError(t, p.Shutdown(t.Context()))
		require.Equal(t, 1, host.left)
		for range 1000 { // the stock processor blocks once its channel is full
			require.ErrorIs(t, p.ConsumeLogs(t.Context(), newLog("late")), errShutdown)
		}
		require.False(t, host.joined[0].Drain(t.Context()))
	})
}

// faulty counts what the wrapper creates, and fails from the second one on.
type faulty struct {
	processor.Logs
	failStart error
}

func (f *faulty) Start(ctx context.Context, host component.Host) error {
	if f.failStart != nil {
		return f.failStart
	}
	return f.Logs.Start(ctx, host)
}

func TestDrainKeepsTheOldProcessorWhenThereIsNoNewOne(t *testing.T) {
	refuse := errors.New("no")
	for name, fail := range map[string]func(processor.Logs) (processor.Logs, error){
		"create": func(processor.Logs) (processor.Logs, error) { return nil, refuse },
		"start":  func(p processor.Logs) (processor.Logs, error) { return &faulty{Logs: p, failStart: refuse}, nil },
	} {
		t.Run(name, func(t *testing.T) {
			inner, created := stock.NewFactory(), 0
			factory := wrap(processor.NewFactory(inner.Type(), inner.CreateDefaultConfig, processor.WithLogs(
				func(ctx context.Context, set processor.Settings, cfg component.Config, next consumer.Logs) (processor.Logs, error) {
					p, err := inner.CreateLogs(ctx, set, cfg, next)
					if created++; created == 1 || err != nil {
						return p, err
					}
					return fail(p)
				}, component.StabilityLevelBeta)))
			sink := &logSink{}
			p, participant := start(t, factory, holdForEver, sink)
			require.NoError(t, p.ConsumeLogs(t.Context(), newLog("a")))
			require.False(t, participant.Drain(t.Context()))
			require.NoError(t, p.ConsumeLogs(t.Context(), newLog("b")))
			require.NoError(t, p.Shutdown(t.Context()))
			require.Equal(t, []string{"a", "b"}, sink.seen())
		})
	}
}

func TestStartFails(t *testing.T) {
	refuse := errors.New("no")
	inner := stock.NewFactory()
	factory := wrap(processor.NewFactory(inner.Type(), inner.CreateDefaultConfig, processor.WithLogs(
		func(ctx context.Context, set processor.Settings, cfg component.Config, next consumer.Logs) (processor.Logs, error) {
			p, err := inner.CreateLogs(ctx, set, cfg, next)
			return &faulty{Logs: p, failStart: refuse}, err
		}, component.StabilityLevelBeta)))
	p, err := factory.CreateLogs(t.Context(), processortest.NewNopSettings(factory.Type()), factory.CreateDefaultConfig(),
		consumertest.NewNop())
	require.NoError(t, err)
	host := &lifecycleHost{Host: componenttest.NewNopHost()}
	require.ErrorIs(t, p.Start(t.Context(), host), refuse)
	require.Empty(t, host.joined)
	require.NoError(t, p.Shutdown(t.Context()))
}

func BenchmarkConsume(b *testing.B) {
	for name, factory := range map[string]processor.Factory{"stock": stock.NewFactory(), "wrapped": NewFactory()} {
		b.Run(name, func(b *testing.B) {
			p, err := factory.CreateLogs(b.Context(), processortest.NewNopSettings(factory.Type()),
				factory.CreateDefaultConfig(), consumertest.NewNop())
			require.NoError(b, err)
			require.NoError(b, p.Start(b.Context(), componenttest.NewNopHost()))
			b.ReportAllocs()
			for b.Loop() {
				require.NoError(b, p.ConsumeLogs(b.Context(), newLog("x")))
			}
			require.NoError(b, p.Shutdown(b.Context()))
		})
	}
}

func BenchmarkDrain(b *testing.B) {
	factory := NewFactory()
	p, err := factory.CreateLogs(b.Context(), processortest.NewNopSettings(factory.Type()), factory.CreateDefaultConfig(),
		consumertest.NewNop())
	require.NoError(b, err)
	host := &lifecycleHost{Host: componenttest.NewNopHost()}
	require.NoError(b, p.Start(b.Context(), host))
	b.ReportAllocs()
	for b.Loop() {
		require.NoError(b, p.ConsumeLogs(b.Context(), newLog("x")))
		require.True(b, host.joined[0].Drain(b.Context()))
	}
	require.NoError(b, p.Shutdown(b.Context()))
}
