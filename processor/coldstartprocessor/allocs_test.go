// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package coldstartprocessor

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processortest"
)

// nothingToDo are the times at which a batch is none of the processor's business, with what came before. The batch has
// ten spans with three attributes each.
var nothingToDo = map[string][][]spanSpec{
	"nothing yet":     nil,
	"init held":       {{layerInit()}},
	"no init so far":  {{nodeRoot()}},
	"all is done":     {{layerInit()}, {nodeRoot()}},
	"one's own trace": {{nodeRoot()}, {layerInit().with(func(s *spanSpec) { s.trace, s.parent = 2, 2 })}},
}

func prepared(tb testing.TB, before [][]spanSpec) (processor.Traces, ptrace.Traces) {
	tb.Helper()
	factory := NewFactory()
	set, cfg := processortest.NewNopSettings(factory.Type()), factory.CreateDefaultConfig()
	p, err := factory.CreateTraces(tb.Context(), set, cfg, consumertest.NewNop())
	require.NoError(tb, err)
	require.NoError(tb, p.Start(tb.Context(), componenttest.NewNopHost()))
	tb.Cleanup(func() { require.NoError(tb, p.Shutdown(tb.Context())) })
	for _, specs := range before {
		require.NoError(tb, p.ConsumeTraces(tb.Context(), batch(tb, specs...)))
	}
	td := ptrace.NewTraces()
	spans := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
	for n := range 10 {
		spanSpec{
			name: "GET " + strconv.Itoa(n), kind: ptrace.SpanKindClient, trace: 2, id: byte(10 + n), parent: 2,
			attributes: map[string]any{"http.request.method": "GET", "url.path": "/orders", "http.response.status_code": 200},
		}.put(tb, spans.AppendEmpty())
	}
	return p, td
}

func TestNoAllocations(t *testing.T) {
	for name, before := range nothingToDo {
		t.Run(name, func(t *testing.T) {
			p, td := prepared(t, before)
			ctx := t.Context()
			require.Zero(t, testing.AllocsPerRun(100, func() { _ = p.ConsumeTraces(ctx, td) }))
		})
	}
}

// BenchmarkNothingToDo is what a batch of ten spans costs that is none of the processor's business.
func BenchmarkNothingToDo(b *testing.B) {
	for name, before := range nothingToDo {
		b.Run(name, func(b *testing.B) {
			p, td := prepared(b, before)
			ctx := b.Context()
			b.ReportAllocs()
			for b.Loop() {
				if err := p.ConsumeTraces(ctx, td); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
