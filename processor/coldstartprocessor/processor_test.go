// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package coldstartprocessor

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/otelcol-lambda/otelcol-lambda/extension/lambdaextension"
	"github.com/otelcol-lambda/otelcol-lambda/internal/health"
)

var errFull = errors.New("the queue is full")

// lifecycleHost is a host that carries the lifecycle. Of the lifecycle it has what this processor may use.
type lifecycleHost struct {
	component.Host
	lambdaextension.Lifecycle
	health *health.Registry
	joined []lambdaextension.Participant
	left   int

	mu       sync.Mutex
	deadline time.Time
}

func (h *lifecycleHost) GetExtensions() map[component.ID]component.Component {
	return map[component.ID]component.Component{component.MustNewID("lambda"): h}
}

func (*lifecycleHost) Start(context.Context, component.Host) error { return nil }

func (*lifecycleHost) Shutdown(context.Context) error { return nil }

func (h *lifecycleHost) Join(p lambdaextension.Participant) func() {
	h.joined = append(h.joined, p)
	return func() { h.left++ }
}

func (h *lifecycleHost) Health() *health.Registry { return h.health }

func (h *lifecycleHost) ShutdownDeadline() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.deadline
}

func (h *lifecycleHost) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.deadline = time.Now().Add(time.Second)
}

// seen is a span as the next component gets it.
type seen struct {
	name          string
	trace, parent byte
	resource      string
}

// backend is the next component. It takes data apart, as one may that says that it mutates data.
type backend struct {
	mu     sync.Mutex
	spans  []seen
	calls  int
	answer func(call int) error
}

func (*backend) Capabilities() consumer.Capabilities { return consumer.Capabilities{MutatesData: true} }

func (b *backend) ConsumeTraces(_ context.Context, td ptrace.Traces) error {
	spans := spansOf(td)
	td.ResourceSpans().RemoveIf(func(ptrace.ResourceSpans) bool { return true })
	b.mu.Lock()
	b.calls++
	call, answer := b.calls, b.answer
	b.mu.Unlock()
	if answer != nil {
		if err := answer(call); err != nil {
			return err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.spans = append(b.spans, spans...)
	return nil
}

func (b *backend) arrived() []seen {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.spans)
}

// refuse has the calls that come answered with errors, nil for a call that is taken.
func (b *backend) refuse(errs ...error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	from := b.calls
	b.answer = func(call int) error {
		if n := call - from - 1; n < len(errs) {
			return errs[n]
		}
		return nil
	}
}

func spansOf(td ptrace.Traces) (spans []seen) {
	for _, rs := range td.ResourceSpans().All() {
		resource, _ := rs.Resource().Attributes().Get("resource.of")
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				spans = append(spans, seen{span.Name(), span.TraceID()[0], span.ParentSpanID()[0], resource.AsString()})
			}
		}
	}
	return spans
}

// subject is a started processor.
type subject struct {
	processor.Traces
	host    *lifecycleHost
	backend *backend
}

func start(t *testing.T) *subject {
	t.Helper()
	s := &subject{
		host:    &lifecycleHost{Host: componenttest.NewNopHost(), health: health.NewRegistry(time.Now())},
		backend: &backend{},
	}
	factory := NewFactory()
	set, cfg := processortest.NewNopSettings(factory.Type()), factory.CreateDefaultConfig()
	var err error
	s.Traces, err = factory.CreateTraces(t.Context(), set, cfg, s.backend)
	require.NoError(t, err)
	require.NoError(t, s.Start(t.Context(), s.host))
	require.Len(t, s.host.joined, 1)
	return s
}

func (s *subject) send(t *testing.T, specs ...spanSpec) {
	t.Helper()
	require.NoError(t, s.ConsumeTraces(t.Context(), batch(t, specs...)))
}

func (s *subject) drain(t *testing.T) bool {
	t.Helper()
	require.NoError(t, s.host.joined[0].Flush(t.Context()))
	return s.host.joined[0].Drain(t.Context())
}

func (s *subject) dropped() int64 { return s.host.health.Dropped("traces", refusedToTheEnd) }

// as is how a span arrives that nobody has changed.
func (s spanSpec) as() seen { return seen{s.name, s.trace, s.parent, s.name} }

// tied is how the init span arrives under the invocation's span.
func (s spanSpec) tied(root spanSpec) seen { return seen{s.name, root.trace, root.id, s.name} }

func TestTies(t *testing.T) {
	t.Parallel()
	init, root := layerInit(), nodeRoot()
	child := spanSpec{name: "s3", kind: ptrace.SpanKindClient, trace: 2, id: 8, parent: 2, start: 420 * time.Millisecond}
	second := root.with(func(s *spanSpec) {
		s.name, s.trace, s.id, s.start, s.end = "shop again", 4, 4, time.Second, 2*time.Second
		s.attributes[attrColdstart] = false
	})
	traced := root.with(func(s *spanSpec) { s.parent = 7 })
	ours := init.with(func(s *spanSpec) { s.trace, s.parent = root.trace, root.id })
	again := init.with(func(s *spanSpec) {
		s.name, s.trace, s.id, s.start, s.end = "init again", 9, 9, 3*time.Second, 4*time.Second
	})
	early := init.with(func(s *spanSpec) { s.start, s.end = -time.Hour, -time.Hour+time.Second })
	for name, tc := range map[string]struct {
		batches [][]spanSpec
		want    []seen
	}{
		"init, then the invocation":   {[][]spanSpec{{init}, {root}}, []seen{init.tied(root), root.as()}},
		"the invocation, then init":   {[][]spanSpec{{root}, {init}}, []seen{root.as(), init.tied(root)}},
		"both at once":                {[][]spanSpec{{init, root}}, []seen{init.tied(root), root.as()}},
		"both at once, the other way": {[][]spanSpec{{root, init}}, []seen{root.as(), init.tied(root)}},
		"init waits for an invocation": {
			[][]spanSpec{{init}, {child}, {root}},
			[]seen{child.as(), init.tied(root), root.as()},
		},
		"what comes with init does not wait": {
			[][]spanSpec{{child, init}, {root}},
			[]seen{child.as(), init.tied(root), root.as()},
		},
		"the invocation has a parent": {[][]spanSpec{{init}, {traced}}, []seen{init.tied(traced), traced.as()}},
		"the first invocation of several": {
			[][]spanSpec{{root}, {second}, {init}},
			[]seen{root.as(), second.as(), init.tied(root)},
		},
		"several invocations at once": {
			[][]spanSpec{{init}, {second, root}},
			[]seen{init.tied(root), second.as(), root.as()},
		},
		"the first invocation is not sampled": {[][]spanSpec{{init}, {second}}, []seen{init.as(), second.as()}},
		"an invocation's own faas.coldstart":  {[][]spanSpec{{root}, {second}}, []seen{root.as(), second.as()}},
		"already tied":                        {[][]spanSpec{{ours}, {root}}, []seen{ours.as(), root.as()}},
		"a second init before the invocation": {
			[][]spanSpec{{init}, {again}, {root}},
			[]seen{again.as(), init.tied(root), root.as()},
		},
		"a second init after it": {[][]spanSpec{{init}, {root}, {again}}, []seen{init.tied(root), root.as(), again.as()}},
		"a second init alone":    {[][]spanSpec{{root}, {again}}, []seen{root.as(), again.as()}},
		"a second init with it": {
			[][]spanSpec{{root}, {init, again}},
			[]seen{root.as(), init.tied(root), again.as()},
		},
		"ready long before": {[][]spanSpec{{early}, {root}}, []seen{early.as(), root.as()}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			for _, b := range tc.batches {
				s.send(t, b...)
			}
			require.Equal(t, tc.want, s.backend.arrived())
			require.NoError(t, s.Shutdown(t.Context()))
			require.Equal(t, tc.want, s.backend.arrived())
			require.Equal(t, 1, s.host.left)
			require.Zero(t, s.dropped())
		})
	}
}

func TestHeldUntilTheEnd(t *testing.T) {
	t.Parallel()
	init, root := layerInit(), nodeRoot()
	t.Run("of the environment", func(t *testing.T) {
		t.Parallel()
		s := start(t)
		s.send(t, init)
		require.False(t, s.drain(t), "the end of an invocation is not the end of waiting")
		require.Empty(t, s.backend.arrived())
		s.host.end()
		require.True(t, s.drain(t))
		require.Equal(t, []seen{init.as()}, s.backend.arrived())
		require.False(t, s.drain(t))
		s.send(t, root)
		require.NoError(t, s.Shutdown(t.Context()))
		require.Equal(t, []seen{init.as(), root.as()}, s.backend.arrived())
	})
	t.Run("which has begun", func(t *testing.T) {
		t.Parallel()
		s := start(t)
		s.host.end()
		s.send(t, init)
		require.Equal(t, []seen{init.as()}, s.backend.arrived())
		require.NoError(t, s.Shutdown(t.Context()))
	})
	t.Run("of the collector", func(t *testing.T) {
		t.Parallel()
		s := start(t)
		s.send(t, init)
		require.NoError(t, s.Shutdown(t.Context()))
		require.Equal(t, []seen{init.as()}, s.backend.arrived())
		s.send(t, root)
		require.Equal(t, []seen{init.as(), root.as()}, s.backend.arrived(), "after shutdown everything passes")
	})
	t.Run("of the collector, which has ended", func(t *testing.T) {
		t.Parallel()
		s := start(t)
		require.NoError(t, s.Shutdown(t.Context()))
		s.send(t, init)
		require.Equal(t, []seen{init.as()}, s.backend.arrived())
	})
}

// TestHeldNoLongerThanAnInvocation takes a function without instrumentation.
func TestHeldNoLongerThanAnInvocation(t *testing.T) {
	t.Parallel()
	init, child := layerInit(), spanSpec{name: "s3", kind: ptrace.SpanKindClient, id: 8, parent: 2}
	for name, look := range map[string]func(*testing.T, *subject){
		"at the end of an invocation":  func(t *testing.T, s *subject) { t.Helper(); s.drain(t) },
		"when something else comes by": func(t *testing.T, s *subject) { t.Helper(); s.send(t, child) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := start(t)
				s.send(t, init)
				time.Sleep(maxHold)
				look(t, s)
				require.NotContains(t, s.backend.arrived(), init.as())
				time.Sleep(time.Nanosecond)
				look(t, s)
				require.Contains(t, s.backend.arrived(), init.as())
				s.send(t, nodeRoot())
				require.Contains(t, s.backend.arrived(), nodeRoot().as())
				require.NoError(t, s.Shutdown(t.Context()))
			})
		})
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	init, root := layerInit(), nodeRoot()
	child := spanSpec{name: "s3", kind: ptrace.SpanKindClient, trace: 2, id: 8, parent: 2}
	never := consumererror.NewPermanent(errors.New("no"))

	t.Run("of the init span alone", func(t *testing.T) {
		t.Parallel()
		s := start(t)
		s.send(t, init)
		s.backend.refuse(errFull)
		s.send(t, root)
		require.Equal(t, []seen{root.as()}, s.backend.arrived())
		s.send(t, child)
		require.Equal(t, []seen{root.as(), init.tied(root), child.as()}, s.backend.arrived())
		require.NoError(t, s.Shutdown(t.Context()))
		require.Len(t, s.backend.arrived(), 3)
	})
	t.Run("until a flush", func(t *testing.T) {
		t.Parallel()
		s := start(t)
		s.send(t, init)
		s.backend.refuse(errFull, nil, errFull)
		s.send(t, root)
		require.False(t, s.drain(t))
		require.True(t, s.drain(t), "the invocation is known")
		require.Equal(t, []seen{root.as(), init.tied(root)}, s.backend.arrived())
		require.NoError(t, s.Shutdown(t.Context()))
	})
	t.Run("until shutdown", func(t *testing.T) {
		t.Parallel()
		s := start(t)
		s.send(t, init)
		s.backend.refuse(errFull, nil)
		s.send(t, root)
		require.NoError(t, s.Shutdown(t.Context()))
		require.Equal(t, []seen{root.as(), init.tied(root)}, s.backend.arrived())
		require.Zero(t, s.dropped())
	})
	t.Run("to the end", func(t *testing.T) {
		t.Parallel()
		s := start(t)
		s.send(t, init)
		s.backend.refuse(errFull)
		require.NoError(t, s.Shutdown(t.Context()))
		require.NoError(t, s.Shutdown(t.Context()))
		require.Empty(t, s.backend.arrived())
		require.EqualValues(t, 1, s.dropped())
	})
	t.Run("for good", func(t *testing.T) {
		t.Parallel()
		s := start(t)
		s.send(t, init)
		s.backend.refuse(never)
		s.send(t, root)
		s.send(t, child)
		require.NoError(t, s.Shutdown(t.Context()))
		require.Equal(t, []seen{root.as(), child.as()}, s.backend.arrived(), "it does not stand in the way of others")
		require.Zero(t, s.dropped(), "who decided it counts it")
	})
	t.Run("of the invocation", func(t *testing.T) {
		t.Parallel()
		s := start(t)
		s.send(t, init)
		s.backend.refuse(nil, errFull)
		require.ErrorIs(t, s.ConsumeTraces(t.Context(), batch(t, root)), errFull)
		s.send(t, root)
		require.Equal(t, []seen{init.tied(root), root.as()}, s.backend.arrived())
		require.NoError(t, s.Shutdown(t.Context()))
	})
	t.Run("of what comes with the init span", func(t *testing.T) {
		t.Parallel()
		s := start(t)
		td := batch(t, init, child)
		s.backend.refuse(errFull)
		require.ErrorIs(t, s.ConsumeTraces(t.Context(), td), errFull)
		require.Equal(t, batch(t, init, child), td, "the sender has all of it for the next try")
		require.NoError(t, s.ConsumeTraces(t.Context(), td))
		s.send(t, root)
		require.Equal(t, []seen{child.as(), init.tied(root), root.as()}, s.backend.arrived())
		require.NoError(t, s.Shutdown(t.Context()))
	})
	t.Run("for good of what comes with the init span", func(t *testing.T) {
		t.Parallel()
		s := start(t)
		s.backend.refuse(never)
		require.ErrorIs(t, s.ConsumeTraces(t.Context(), batch(t, init, child)), never)
		s.send(t, root)
		require.Equal(t, []seen{init.tied(root), root.as()}, s.backend.arrived())
		require.NoError(t, s.Shutdown(t.Context()))
	})
	t.Run("after shutdown", func(t *testing.T) {
		t.Parallel()
		s := start(t)
		s.send(t, root)
		require.NoError(t, s.Shutdown(t.Context()))
		s.backend.refuse(errFull)
		require.ErrorIs(t, s.ConsumeTraces(t.Context(), batch(t, init)), errFull)
		require.Zero(t, s.dropped(), "the sender has it still")
		s.send(t, init)
		require.Equal(t, []seen{root.as(), init.tied(root)}, s.backend.arrived())
	})
	t.Run("of an init span that came late", func(t *testing.T) {
		t.Parallel()
		s := start(t)
		s.send(t, root)
		s.backend.refuse(errFull)
		require.ErrorIs(t, s.ConsumeTraces(t.Context(), batch(t, init)), errFull)
		s.send(t, init)
		require.Equal(t, []seen{root.as(), init.tied(root)}, s.backend.arrived())
		require.NoError(t, s.Shutdown(t.Context()))
	})
}

// TestMeanwhile has things happen while the next component is busy with an earlier call.
func TestMeanwhile(t *testing.T) {
	t.Parallel()
	init, root := layerInit(), nodeRoot()
	again := init.with(func(s *spanSpec) { s.name, s.trace, s.id = "init again", 9, 9 })
	child := spanSpec{name: "s3", kind: ptrace.SpanKindClient, trace: 2, id: 8, parent: 2}
	during := func(s *subject, call int, do func()) {
		s.backend.answer = func(n int) error {
			if n == call {
				do()
			}
			return nil
		}
	}
	t.Run("a flush, while the init span is passed on", func(t *testing.T) {
		t.Parallel()
		s := start(t)
		s.send(t, init)
		during(s, 1, func() { require.False(t, s.drain(t)) })
		s.send(t, root)
		require.NoError(t, s.Shutdown(t.Context()))
		require.Equal(t, []seen{init.tied(root), root.as()}, s.backend.arrived())
	})
	t.Run("the invocation, while what came with the init span is passed on", func(t *testing.T) {
		t.Parallel()
		s := start(t)
		during(s, 1, func() { s.send(t, root) })
		s.send(t, init, child)
		require.Equal(t, []seen{root.as(), child.as(), init.tied(root)}, s.backend.arrived())
		require.NoError(t, s.Shutdown(t.Context()))
	})
	t.Run("another init span, while what came with the first is passed on", func(t *testing.T) {
		t.Parallel()
		s := start(t)
		during(s, 1, func() { s.send(t, again) })
		s.send(t, init, child)
		s.send(t, root)
		require.Equal(t, []seen{again.as(), child.as(), init.tied(root), root.as()}, s.backend.arrived())
		require.NoError(t, s.Shutdown(t.Context()))
	})
	t.Run("another init span, while the first is tied", func(t *testing.T) {
		t.Parallel()
		s := start(t)
		s.send(t, root)
		during(s, 2, func() { s.send(t, again) })
		s.send(t, init)
		require.Equal(t, []seen{root.as(), again.as(), init.tied(root)}, s.backend.arrived())
		require.NoError(t, s.Shutdown(t.Context()))
	})
	t.Run("shutdown, while the init span is refused", func(t *testing.T) {
		t.Parallel()
		s := start(t)
		s.send(t, init)
		s.backend.answer = func(n int) error {
			if n == 1 {
				require.NoError(t, s.Shutdown(t.Context()))
				return errFull
			}
			return nil
		}
		s.send(t, root)
		require.Equal(t, []seen{root.as()}, s.backend.arrived())
		require.EqualValues(t, 1, s.dropped(), "there is no later opportunity")
	})
}

// TestConcurrency is the promise under everything at once: many senders who try again what is refused, flushes, and a
// backend that refuses every third time. Each span arrives once, and the init span in the invocation's trace.
func TestConcurrency(t *testing.T) {
	t.Parallel()
	const rounds, senders, perSender, drains = 20, 4, 25, 50
	for range rounds {
		s := start(t)
		s.backend.answer = func(int) error {
			if rand.IntN(3) == 0 {
				return errFull
			}
			return nil
		}
		deliver := func(specs ...spanSpec) {
			for s.ConsumeTraces(t.Context(), batch(t, specs...)) != nil {
				continue
			}
		}
		var all sync.WaitGroup
		want := []seen{nodeRoot().as(), layerInit().tied(nodeRoot())}
		for sender := range senders {
			for i := range perSender {
				want = append(want, spanSpec{name: strconv.Itoa(sender) + ":" + strconv.Itoa(i)}.as())
			}
			all.Go(func() {
				for i := range perSender {
					deliver(spanSpec{name: strconv.Itoa(sender) + ":" + strconv.Itoa(i)})
				}
			})
		}
		all.Go(func() { deliver(layerInit()) })
		all.Go(func() { deliver(nodeRoot()) })
		all.Go(func() {
			for range drains {
				s.host.joined[0].Drain(t.Context())
			}
		})
		all.Wait()
		s.backend.refuse() // nothing any more
		require.NoError(t, s.Shutdown(t.Context()))
		require.ElementsMatch(t, want, s.backend.arrived())
	}
}

// TestWithoutLifecycle is somebody else's collector.
func TestWithoutLifecycle(t *testing.T) {
	t.Parallel()
	init := layerInit()
	next := &backend{}
	factory := NewFactory()
	set, cfg := processortest.NewNopSettings(factory.Type()), factory.CreateDefaultConfig()
	p, err := factory.CreateTraces(t.Context(), set, cfg, next)
	require.NoError(t, err)
	require.NoError(t, p.Start(t.Context(), componenttest.NewNopHost()))
	require.NoError(t, p.ConsumeTraces(t.Context(), batch(t, init)))
	require.Empty(t, next.arrived())
	next.refuse(errFull)
	require.NoError(t, p.Shutdown(t.Context()))
	require.Empty(t, next.arrived(), "what is refused at the end is in the log only")
}
