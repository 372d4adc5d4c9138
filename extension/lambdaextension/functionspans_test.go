// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdaextension

import (
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/zap"
)

const ownScope = "example.com/own"

func (e *lambdaExtension) sees(spans ...sent) { e.ObserveTraces(traces("example.com/sdk", spans...))() }

// sent is a span that the function sends.
type sent struct {
	trace, id, parent byte
	kind              ptrace.SpanKind
	attribute         string
	requestID         string
	flags             uint32
}

func traceID(n byte) pcommon.TraceID { return pcommon.TraceID{15: n} }

func spanID(n byte) pcommon.SpanID { return pcommon.SpanID{7: n} }

func ref(trace, span byte) SpanRef { return SpanRef{traceID(trace), spanID(span)} }

func traces(scope string, spans ...sent) ptrace.Traces {
	td := ptrace.NewTraces()
	ss := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty()
	ss.Scope().SetName(scope)
	for _, s := range spans {
		span := ss.Spans().AppendEmpty()
		span.SetTraceID(traceID(s.trace))
		span.SetSpanID(spanID(s.id))
		span.SetParentSpanID(spanID(s.parent))
		span.SetKind(s.kind)
		span.SetFlags(s.flags)
		if s.requestID != "" {
			if s.attribute == "" {
				s.attribute = attrInvocationID
			}
			span.Attributes().PutStr(s.attribute, s.requestID)
		}
	}
	return td
}

func used(t *testing.T) (*lambdaExtension, *FunctionSpans) {
	t.Helper()
	e := scheduled(t)
	f := e.FunctionSpans()
	f.Use(ownScope)
	return e, f
}

func TestFunctionSpansUnused(t *testing.T) {
	e := scheduled(t)
	e.sees(sent{trace: 1, id: 2, parent: 3, kind: ptrace.SpanKindServer, requestID: "1"})
	f := e.FunctionSpans()
	require.False(t, f.Active())
	_, ok := f.Invocation("1")
	require.False(t, ok)
	_, ok = f.Orphan()
	require.False(t, ok)
	f.Begin("1")
	f.End("1")
}

func TestFunctionSpansInvocation(t *testing.T) {
	e, f := used(t)
	require.False(t, f.Active())
	e.ObserveTraces(traces(ownScope, sent{trace: 9, id: 9, kind: ptrace.SpanKindServer, requestID: "1"}))()
	require.False(t, f.Active(), "the collector's own spans are not the function's")

	e.sees()
	require.False(t, f.Active(), "a request without spans says nothing")
	e.sees(
		sent{trace: 1, id: 1, parent: 2, kind: ptrace.SpanKindInternal, requestID: "1"},
		sent{trace: 1, id: 3, parent: 2, kind: ptrace.SpanKindServer},
		sent{trace: 1, id: 4, kind: ptrace.SpanKindServer, requestID: strings.Repeat("x", 129)},
	)
	require.True(t, f.Active())
	_, ok := f.Invocation("1")
	require.False(t, ok)

	e.sees(
		sent{trace: 1, id: 2, kind: ptrace.SpanKindServer, requestID: "1"},
		sent{trace: 2, id: 3, kind: ptrace.SpanKindServer, requestID: "2", attribute: attrExecution},
	)
	got, ok := f.Invocation("1")
	require.True(t, ok)
	require.Equal(t, ref(1, 2), got)
	got, ok = f.Invocation("2")
	require.True(t, ok)
	require.Equal(t, ref(2, 3), got)

	f.End("1")
	_, ok = f.Invocation("1")
	require.True(t, ok, "another receiver may want to know")
	require.True(t, f.Rooted())

	// Lambda tries an invocation again under its id.
	e.sees(sent{trace: 5, id: 5, kind: ptrace.SpanKindServer, requestID: "2"})
	got, _ = f.Invocation("2")
	require.Equal(t, ref(5, 5), got)
}

func TestFunctionSpansAttributeOfAnotherType(t *testing.T) {
	e, f := used(t)
	td := traces("", sent{trace: 1, id: 1, kind: ptrace.SpanKindServer})
	td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Attributes().PutInt(attrInvocationID, 1)
	e.rootSpans.Store(true)
	e.ObserveTraces(td)()
	require.Empty(t, f.roots)
	require.Empty(t, e.invocations.rooted)
}

func TestFunctionSpansOrphan(t *testing.T) {
	t.Parallel()
	const remote, local = flagHasIsRemote | flagIsRemote, flagHasIsRemote
	for name, test := range map[string]struct {
		requests [][]sent
		want     SpanRef
		none     bool
	}{
		"nothing came":       {none: true},
		"roots":              {requests: [][]sent{{{trace: 1, id: 1}, {trace: 2, id: 2}}}, none: true},
		"children of one":    {requests: [][]sent{{{trace: 1, id: 2, parent: 1}}, {{trace: 1, id: 3, parent: 1}}}, want: ref(1, 1)},
		"grandchildren":      {requests: [][]sent{{{trace: 1, id: 3, parent: 2}, {trace: 1, id: 2, parent: 1}}}, want: ref(1, 1)},
		"children of two":    {requests: [][]sent{{{trace: 1, id: 3, parent: 1}, {trace: 1, id: 4, parent: 2}}}, want: ref(1, 0)},
		"two traces":         {requests: [][]sent{{{trace: 1, id: 3, parent: 1}, {trace: 2, id: 4, parent: 2}}}, none: true},
		"parent comes later": {requests: [][]sent{{{trace: 1, id: 2, parent: 1}}, {{trace: 1, id: 1}}}, none: true},
		"parent came before": {requests: [][]sent{{{trace: 1, id: 1}}, {{trace: 1, id: 2, parent: 1}}}, none: true},
		"the same again": {
			requests: [][]sent{{{trace: 1, id: 2, parent: 1}}, {{trace: 1, id: 1}}, {{trace: 1, id: 2, parent: 1}}}, none: true,
		},
		"answers to somebody else": {
			requests: [][]sent{{{trace: 1, id: 2, parent: 1, kind: ptrace.SpanKindServer}}, {{trace: 1, id: 4, parent: 3, flags: remote}}},
			none:     true,
		},
		"server span of a server span": {
			requests: [][]sent{{{trace: 1, id: 2, parent: 1, kind: ptrace.SpanKindServer, flags: local}}}, want: ref(1, 1),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, f := used(t)
			f.Begin("1")
			for _, spans := range test.requests {
				e.sees(spans...)
			}
			got, ok := f.Orphan()
			require.Equal(t, !test.none, ok)
			require.Equal(t, test.want, got)
		})
	}
}

func TestFunctionSpansOrphanBelongsToOneInvocation(t *testing.T) {
	orphaned := func(f *FunctionSpans) bool { _, ok := f.Orphan(); return ok }
	e, f := used(t)
	e.sees(sent{trace: 1, id: 2, parent: 1})
	f.Begin("1")
	require.True(t, orphaned(f), "spans may be faster than the news of the invocation")
	f.Begin("1")
	require.True(t, orphaned(f))
	f.End("another")
	require.True(t, orphaned(f))
	f.End("1")
	require.False(t, orphaned(f))
	e.sees(sent{trace: 1, id: 3, parent: 2})
	require.False(t, orphaned(f), "the parent has been seen")

	e.sees(sent{trace: 2, id: 5, parent: 4})
	f.Begin("2")
	require.True(t, orphaned(f))
	f.Begin("3")
	require.False(t, orphaned(f))
}

func TestFunctionSpansAreBounded(t *testing.T) {
	for name, managed := range map[string]bool{"one at a time": false, "Managed Instance": true} {
		t.Run(name, func(t *testing.T) {
			f := newFunctionSpans(managed)
			f.Use(ownScope)
			want := map[bool]int{false: 64, true: 1024}[managed]
			const sends = 5000
			for i := range sends {
				td := traces("", sent{trace: 1, kind: ptrace.SpanKindServer, requestID: strconv.Itoa(i)}, sent{trace: 1})
				spans := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans()
				spans.At(0).SetSpanID(pcommon.SpanID{0: 1, 6: byte(i >> 8), 7: byte(i)})
				spans.At(1).SetSpanID(pcommon.SpanID{0: 2, 6: byte(i >> 8), 7: byte(i)})
				spans.At(1).SetParentSpanID(pcommon.SpanID{0: 3, 6: byte(i >> 8), 7: byte(i)})
				f.observe(spans, nil)
			}
			require.Len(t, f.roots, want)
			require.Len(t, f.order, want)
			require.LessOrEqual(t, len(f.missing), maxMissingParents)
			_, ok := f.Invocation(strconv.Itoa(sends - 1))
			require.True(t, ok)
			_, ok = f.Invocation(strconv.Itoa(sends - want - 1))
			require.False(t, ok)
			_, ok = f.Orphan()
			require.False(t, ok, "there are too many to tell, or it is not for a Managed Instance to say")
		})
	}
}

func TestFunctionSpansOfManagedInstances(t *testing.T) {
	t.Setenv("AWS_LAMBDA_INITIALIZATION_TYPE", "lambda-managed-instances")
	_, f := used(t)
	require.True(t, f.overlapping)
	require.Equal(t, maxManagedInvocations, f.remember)
}

// TestOwnSpansEndNothing makes sure that what the collector makes of Lambda's events does not end the wait for them.
func TestOwnSpansEndNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, f := used(t)
		e.rootSpans.Store(true)
		e.ObserveTraces(traces(ownScope, sent{trace: 1, id: 1, kind: ptrace.SpanKindServer, requestID: "1"}))()
		require.Empty(t, e.invocations.rooted)

		returned := make(chan struct{})
		go func() {
			e.invoke(t.Context(), invokeEvent("1", time.Minute))
			close(returned)
		}()
		synctest.Wait()
		e.sees(sent{trace: 1, id: 1, kind: ptrace.SpanKindServer, requestID: "1", attribute: attrExecution})
		<-returned
		e.wg.Wait()
		_, ok := f.Invocation("1")
		require.True(t, ok)
	})
}

func TestFunctionSpansConcurrently(t *testing.T) {
	e, f := used(t)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			id := strconv.Itoa(i)
			for range 100 {
				f.Begin(id)
				e.sees(sent{trace: 1, id: byte(i + 1), parent: 9, kind: ptrace.SpanKindServer, requestID: id})
				f.Invocation(id)
				f.Orphan()
				f.Active()
				f.End(id)
			}
		})
	}
	wg.Wait()
	require.LessOrEqual(t, len(f.order), maxRemembered)
}

// request is what a function sends at the end of an invocation: children of the invocation's span, then that.
func request(spans int, root bool) ptrace.Traces {
	td := ptrace.NewTraces()
	slice := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
	for i := range spans {
		span := slice.AppendEmpty()
		span.SetTraceID(traceID(1))
		span.SetSpanID(spanID(byte(i + 2)))
		span.SetParentSpanID(spanID(1))
		span.SetKind(ptrace.SpanKindClient)
		span.Attributes().PutStr("http.request.method", "GET")
		span.Attributes().PutInt("http.response.status_code", 200)
	}
	if root {
		last := slice.At(spans - 1)
		last.SetSpanID(spanID(1))
		last.SetParentSpanID(pcommon.SpanID{})
		last.SetKind(ptrace.SpanKindServer)
		last.Attributes().PutStr(attrInvocationID, "79b5e81f-9cdd-4145-b1f6-7c50ef8a2a36")
	}
	return td
}

func TestObserveTracesAllocatesNothing(t *testing.T) {
	e, f := used(t)
	f.Begin("1")
	td := request(10, false)
	e.ObserveTraces(td) // makes room for the first missing parent
	require.Zero(t, testing.AllocsPerRun(100, func() { e.ObserveTraces(td)() }))
	f.used.Store(false)
	require.Zero(t, testing.AllocsPerRun(100, func() { e.ObserveTraces(td)() }))
}

// BenchmarkObserveTraces measures what 10 spans cost on their way to the exporter.
func BenchmarkObserveTraces(b *testing.B) {
	const spans, id = 10, "79b5e81f-9cdd-4145-b1f6-7c50ef8a2a36"
	for _, bench := range []struct {
		name    string
		use     bool
		await   bool
		root    bool
		chained bool
	}{
		{name: "off"},
		{name: "awaited", await: true, root: true},
		{name: "used/children", use: true},
		{name: "used/invocation", use: true, root: true},
		{name: "used/each_of_another_parent", use: true, chained: true},
	} {
		b.Run(bench.name, func(b *testing.B) {
			e := newExtension(zap.NewNop(), createDefaultConfig().(*Config), settings{})
			e.rootSpans.Store(bench.await)
			if bench.use {
				e.FunctionSpans().Use(ownScope)
			}
			td := request(spans, bench.root)
			if bench.chained {
				slice := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans()
				for i := range slice.Len() {
					slice.At(i).SetParentSpanID(spanID(byte(100 + i)))
				}
			}
			b.ReportAllocs()
			for b.Loop() {
				e.functionSpans.Begin(id)
				e.ObserveTraces(td)
				e.functionSpans.End(id)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/spans, "ns/span")
		})
	}
}
