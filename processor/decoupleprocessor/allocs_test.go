// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package decoupleprocessor

import (
	"context"
	"fmt"
	"math/bits"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/otelcol-lambda/otelcol-lambda/extension/lambdaextension"
)

// invocation is what one invocation of a function brings through the processor: as many requests with as many spans
// each, of which a flush makes one.
type invocation struct{ requests, spans int }

func (i invocation) String() string { return fmt.Sprintf("%dx%d", i.requests, i.spans) }

// body is one of the requests, as the function's SDK sends it: each span with three attributes, as of an HTTP server.
func (i invocation) body(tb testing.TB) []byte {
	tb.Helper()
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "checkout")
	ss := rs.ScopeSpans().AppendEmpty()
	ss.Scope().SetName("net/http")
	for n := range i.spans {
		s := ss.Spans().AppendEmpty()
		s.SetName("GET /orders/" + strconv.Itoa(n))
		s.Attributes().PutStr("http.request.method", "GET")
		s.Attributes().PutStr("url.path", "/orders/"+strconv.Itoa(n))
		s.Attributes().PutInt("http.response.status_code", 200)
	}
	body, err := ptraceotlp.NewExportRequestFromTraces(td).MarshalProto()
	require.NoError(tb, err)
	return body
}

// encoder is an OTLP exporter without the network.
type encoder struct{ bytes int }

func (*encoder) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

func (e *encoder) ConsumeTraces(_ context.Context, td ptrace.Traces) error {
	body, err := ptraceotlp.NewExportRequestFromTraces(td).MarshalProto()
	e.bytes += len(body)
	return err
}

// unobserved is a lifecycle that allocates nothing itself.
type unobserved struct{ fakeLifecycle }

func (*unobserved) ObserveTraces(ptrace.Traces) func() { return func() {} }

func (u *unobserved) GetExtensions() map[component.ID]component.Component {
	return map[component.ID]component.Component{component.MustNewID("lambda"): u}
}

// path returns a function that takes an invocation from the bytes of its requests through the processor to next.
func (i invocation) path(tb testing.TB, next consumer.Traces) func() {
	tb.Helper()
	set, cfg := processortest.NewNopSettings(componentType), NewFactory().CreateDefaultConfig()
	made, err := NewFactory().CreateTraces(tb.Context(), set, cfg, next)
	require.NoError(tb, err)
	p := made.(tracesProcessor)
	require.NoError(tb, p.Start(tb.Context(), &unobserved{fakeLifecycle{schedule: lambdaextension.ScheduleFlush}}))
	tb.Cleanup(func() { require.NoError(tb, p.Shutdown(context.WithoutCancel(tb.Context()))) })

	ctx, decode := tb.Context(), i.decoder(tb)
	return func() {
		for range i.requests {
			require.NoError(tb, p.ConsumeTraces(ctx, decode()))
		}
		require.NoError(tb, p.Flush(ctx))
	}
}

// decoder returns a function that reads one of the requests.
func (i invocation) decoder(tb testing.TB) func() ptrace.Traces {
	tb.Helper()
	body := i.body(tb)
	return func() ptrace.Traces {
		request := ptraceotlp.NewExportRequest()
		require.NoError(tb, request.UnmarshalProto(body))
		return request.Traces()
	}
}

// deliveryAllocs is what the processor may allocate for a delivery, however much is in it: the context that bounds it, and
// what wakes up the flush.
const deliveryAllocs = 5

// leastAllocs is what f allocates when nobody else does: a garbage collection empties pools, and the runtime allocates for
// itself.
func leastAllocs(f func()) float64 {
	const rounds, runs = 5, 50
	least := testing.AllocsPerRun(runs, f)
	for range rounds - 1 {
		least = min(least, testing.AllocsPerRun(runs, f))
	}
	return least
}

// TestAllocations holds the processor to allocations per delivery, and none per request or span, but for the list of
// resources that grows by doubling while requests are merged. The allocations a span, from the bytes that come in to the
// bytes that go out, are mostly those of decoding.
func TestAllocations(t *testing.T) {
	for _, tc := range []struct {
		invocation
		perSpan float64
	}{
		{invocation: invocation{requests: 1, spans: 1}, perSpan: 33},
		{invocation: invocation{requests: 1, spans: 10}, perSpan: 16},
		{invocation: invocation{requests: 1, spans: 100}, perSpan: 14},
		{invocation: invocation{requests: 2, spans: 1}, perSpan: 30},
		{invocation: invocation{requests: 10, spans: 1}, perSpan: 27},
		{invocation: invocation{requests: 10, spans: 10}, perSpan: 15},
		{invocation: invocation{requests: 100, spans: 1}, perSpan: 26},
	} {
		t.Run(tc.String(), func(t *testing.T) {
			decode := tc.decoder(t)
			decoding := leastAllocs(func() {
				for range tc.requests {
					decode()
				}
			})
			own := leastAllocs(tc.path(t, consumertest.NewNop())) - decoding
			perSpan := leastAllocs(tc.path(t, &encoder{})) / float64(tc.requests*tc.spans)
			t.Logf("%v for the delivery, %v for decoding, %.1f a span in all", own, decoding, perSpan)
			doublings := bits.Len(uint(tc.requests - 1))
			require.LessOrEqual(t, own, float64(deliveryAllocs+doublings), "allocations of the processor")
			require.LessOrEqual(t, perSpan, tc.perSpan, "allocations a span")
		})
	}
}

// BenchmarkInvocation is what an invocation's spans cost from the bytes that come in to the bytes that go out.
func BenchmarkInvocation(b *testing.B) {
	for _, i := range []invocation{{1, 10}, {10, 1}, {10, 10}} {
		b.Run(i.String(), func(b *testing.B) {
			run := i.path(b, &encoder{})
			b.ReportAllocs()
			for b.Loop() {
				run()
			}
		})
	}
}

// BenchmarkDelivery is what the processor itself costs for a delivery at the end of an invocation.
func BenchmarkDelivery(b *testing.B) {
	made, err := NewFactory().CreateTraces(b.Context(), processortest.NewNopSettings(componentType),
		NewFactory().CreateDefaultConfig(), consumertest.NewNop())
	require.NoError(b, err)
	p := made.(tracesProcessor)
	require.NoError(b, p.Start(b.Context(), &unobserved{fakeLifecycle{schedule: lambdaextension.ScheduleFlush}}))
	defer func() { require.NoError(b, p.Shutdown(context.WithoutCancel(b.Context()))) }()
	ctx, cancel := context.WithTimeout(b.Context(), time.Hour)
	defer cancel()
	td := invocation{requests: 1, spans: 10}.decoder(b)()
	b.ReportAllocs()
	done := make(chan error, 1)
	for b.Loop() {
		require.NoError(b, p.ConsumeTraces(ctx, td))
		p.FlushThen(ctx, func(err error) { done <- err })
		require.NoError(b, <-done)
	}
}
