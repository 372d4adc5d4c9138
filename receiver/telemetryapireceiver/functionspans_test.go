// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapireceiver

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelcol-lambda/otelcol-lambda/extension/lambdaextension"
	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
)

// instrumented is a lifecycle in which a real extension knows about the function's spans.
type instrumented struct {
	*fakeLifecycle
	function lambdaextension.Lifecycle
}

func (i instrumented) FunctionSpans() *lambdaextension.FunctionSpans {
	return i.function.FunctionSpans()
}

// newFunction returns what the function's spans pass by.
func newFunction(t *testing.T) lambdaextension.Lifecycle {
	t.Helper()
	t.Setenv("AWS_LAMBDA_RUNTIME_API", "")
	factory := lambdaextension.NewFactory()
	e, err := factory.Create(t.Context(), extensiontest.NewNopSettings(component.MustNewType("lambda")),
		factory.CreateDefaultConfig())
	require.NoError(t, err)
	return e.(lambdaextension.Lifecycle)
}

// sdkTrace is the trace that the function's SDK has for an invocation with a number for its id.
func sdkTrace(t *testing.T, id string) pcommon.TraceID {
	t.Helper()
	n, err := strconv.ParseUint(id, 10, 8)
	require.NoError(t, err)
	return pcommon.TraceID{0xfc, byte(n)}
}

// sdkSpan is the span that the function's SDK makes of an invocation.
func sdkSpan(trace pcommon.TraceID, id string) ptrace.Traces {
	td := ptrace.NewTraces()
	ss := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty()
	ss.Scope().SetName("@opentelemetry/instrumentation-aws-lambda")
	span := ss.Spans().AppendEmpty()
	span.SetKind(ptrace.SpanKindServer)
	span.SetTraceID(trace)
	span.SetSpanID(pcommon.SpanID(trace[:8]))
	span.Attributes().PutStr("faas.invocation_id", id)
	return td
}

// showSDK has an invocation with the id 0 in which it turns out that the function has an SDK.
func (r *rig) showSDK(t *testing.T, function lambdaextension.Lifecycle) {
	t.Helper()
	r.consume(t, r.start("0"))
	function.ObserveTraces(sdkSpan(sdkTrace(t, "0"), "0"))
	r.consume(t, r.done("0"))
}

// servers are the ids of the invocations that have a span of our own.
func (r *rig) servers() []string {
	ids := []string{}
	for _, span := range r.spans() {
		if span.Kind() == ptrace.SpanKindServer {
			id, _ := span.Attributes().Get(attrFaasInvocation)
			ids = append(ids, id.Str())
		}
	}
	return ids
}

// invocationOf returns the request id that a record has, or nothing.
func invocationOf(record plog.LogRecord) string {
	id, ok := record.Attributes().Get(attrFaasInvocation)
	if !ok {
		return ""
	}
	return id.Str()
}

// requireSDKTraces has all records in the trace that the function's SDK has for their invocation.
func requireSDKTraces(t *testing.T, records []plog.LogRecord) {
	t.Helper()
	for _, record := range records {
		require.Equal(t, sdkTrace(t, invocationOf(record)), record.TraceID(), record.Body().AsString())
		require.False(t, record.SpanID().IsEmpty())
	}
}

// TestSlowInvocations has lines wait for the SDK's span for as long as the invocation takes, when no data leaves
// meanwhile.
func TestSlowInvocations(t *testing.T) {
	function := newFunction(t)
	synctest.Test(t, func(t *testing.T) {
		r := newRigWith(t, rigSettings{function: function})
		r.showSDK(t, function)
		const count = 5
		for i := 1; i <= count; i++ {
			id := strconv.Itoa(i)
			r.consume(t, r.start(id), r.line("begin"))
			time.Sleep(maxHeldFor + 100*time.Millisecond) // in the bubble
			r.consume(t, r.line("progress"))
			time.Sleep(maxHeldFor - 100*time.Millisecond)
			function.ObserveTraces(sdkSpan(sdkTrace(t, id), id))
			r.consume(t, r.line("end"), r.done(id))
			require.Len(t, r.records(), 2+5*i, "all of them go with the end of the invocation")
		}
		requireSDKTraces(t, r.records())
		require.NoError(t, r.receiver.Shutdown(t.Context()))
		require.Len(t, r.records(), 2+5*count)
		require.Empty(t, r.servers(), "the SDK has them")
		require.Empty(t, r.Health().Counts())
	})
}

// TestHeldLinesGrowOldOneByOne has the lines that are held at each moment in a busy environment, where each delivery
// has the end of an invocation and the beginning of the next one. None of them is held for long.
func TestHeldLinesGrowOldOneByOne(t *testing.T) {
	function := newFunction(t)
	synctest.Test(t, func(t *testing.T) {
		r := newRigWith(t, rigSettings{function: function})
		r.showSDK(t, function)
		const count = 40
		r.consume(t, r.start("1"), r.line("of 1"))
		for i := 1; i <= count; i++ {
			time.Sleep(50 * time.Millisecond) // in the bubble; more than maxHeldFor in total
			r.joined[0].Drain(t.Context())
			id, next := strconv.Itoa(i), strconv.Itoa(i+1)
			function.ObserveTraces(sdkSpan(sdkTrace(t, id), id))
			r.consume(t, r.done(id), r.start(next), r.line("of "+next))
			require.Len(t, r.records(), 2+3*i)
		}
		requireSDKTraces(t, r.records())
		require.NoError(t, r.receiver.Shutdown(t.Context()))
		require.Len(t, r.records(), 2+3*count+2)
		require.Equal(t, []string{strconv.Itoa(count + 1)}, r.servers(), "the last one has not come to its end")
	})
}

// TestUnsampledInvocations is about those that the SDK makes no span of, though it does so for others. Only a failure
// is worth a span of our own then.
func TestUnsampledInvocations(t *testing.T) {
	for name, tt := range map[string]struct {
		end  string
		want []string
	}{
		"success": {`{"requestId":"1","status":"success","metrics":{"durationMs":2.5}}`, []string{}},
		"error": {
			`{"requestId":"1","status":"error","errorType":"Function.Error","metrics":{"durationMs":2.5}}`, []string{"1"},
		},
		"timeout": {`{"requestId":"1","status":"timeout","metrics":{"durationMs":2.5}}`, []string{"1"}},
	} {
		t.Run(name, func(t *testing.T) {
			function := newFunction(t)
			synctest.Test(t, func(t *testing.T) {
				r := newRigWith(t, rigSettings{function: function})
				r.showSDK(t, function)
				drain := r.joined[0].Drain
				require.True(t, drain(t.Context()), "the metrics of the first invocation")
				before := len(r.records())
				r.consume(t, r.start("1"), r.line("text"), r.event(telemetryapi.EventRuntimeDone, "%s", tt.end))
				there := len(r.records()) - before
				require.Equal(t, there == 0, drain(t.Context()), "it moves something if there is something to move")
				require.Len(t, r.records(), before+3, "they leave with their invocation: the environment is frozen now")
				require.False(t, drain(t.Context()))

				r.consume(t, r.start("2"))
				function.ObserveTraces(sdkSpan(sdkTrace(t, "2"), "2"))
				r.consume(t, r.done("2"))
				require.Equal(t, tt.want, r.servers())
				own := pcommon.TraceID{}
				if len(tt.want) > 0 {
					own = r.spans()[0].TraceID()
				}
				for _, record := range r.records()[before:] {
					if invocationOf(record) == "2" {
						require.Equal(t, sdkTrace(t, "2"), record.TraceID())
					} else if !record.TraceID().IsEmpty() {
						require.Equal(t, own, record.TraceID())
					}
				}
				require.NoError(t, r.receiver.Shutdown(t.Context()))
				require.Equal(t, tt.want, r.servers())
			})
		})
	}
}

// TestTwoReceivers has both learn of the SDK's span, whichever of them is done with the invocation first.
func TestTwoReceivers(t *testing.T) {
	function := newFunction(t)
	synctest.Test(t, func(t *testing.T) {
		a, b := newRigWith(t, rigSettings{function: function}), newRigWith(t, rigSettings{function: function})
		both := func(events ...telemetryapi.Event) {
			a.consume(t, events...)
			b.consume(t, events...)
		}
		both(a.start("0"))
		function.ObserveTraces(sdkSpan(sdkTrace(t, "0"), "0"))
		both(a.done("0"))
		both(a.start("1"), a.line("text"))
		function.ObserveTraces(sdkSpan(sdkTrace(t, "1"), "1"))
		both(a.done("1"), a.event(telemetryapi.EventReport,
			`{"requestId":"1","status":"success","metrics":{"durationMs":3}}`))
		both(a.start("2"))
		function.ObserveTraces(sdkSpan(sdkTrace(t, "2"), "2"))
		both(a.done("2"))
		for _, r := range []*rig{a, b} {
			require.NoError(t, r.receiver.Shutdown(t.Context()))
			require.Empty(t, r.servers())
			require.Len(t, r.records(), 7)
			requireSDKTraces(t, r.records())
		}
	})
}

// TestRetry is about an invocation that Lambda tries again under its id. The SDK's span of the one try says nothing
// about the other.
func TestRetry(t *testing.T) {
	first, second := pcommon.TraceID{1}, pcommon.TraceID{2}
	const (
		beforeReport = iota // of the first try
		beforeEnd
		never
	)
	for name, tt := range map[string]struct {
		comes int
		want  pcommon.TraceID
	}{
		"its span is faster than the report of the first": {beforeReport, second},
		"its span comes with its end":                     {beforeEnd, second},
		"it is not sampled":                               {never, pcommon.TraceID{}},
	} {
		t.Run(name, func(t *testing.T) {
			function := newFunction(t)
			synctest.Test(t, func(t *testing.T) {
				r := newRigWith(t, rigSettings{function: function})
				observe := func(when int) {
					if when == tt.comes {
						function.ObserveTraces(sdkSpan(second, "1"))
					}
				}
				r.consume(t, r.start("1"), r.line("first"))
				function.ObserveTraces(sdkSpan(first, "1"))
				r.consume(t, r.event(telemetryapi.EventRuntimeDone,
					`{"requestId":"1","status":"error","errorType":"Function.Error","metrics":{"durationMs":2.5}}`))
				time.Sleep(time.Minute) // in the bubble
				report := r.event(telemetryapi.EventReport,
					`{"requestId":"1","status":"error","errorType":"Function.Error","metrics":{"durationMs":3}}`)
				observe(beforeReport)
				r.consume(t, report, r.start("1"), r.line("second"))
				observe(beforeEnd)
				r.consume(t, r.done("1"))
				require.NoError(t, r.receiver.Shutdown(t.Context()))
				require.Len(t, r.records(), 6)
				for i, record := range r.records() {
					want := first
					if i >= 3 {
						want = tt.want
					}
					require.Equal(t, want, record.TraceID(), record.Body().AsString())
				}
				require.Empty(t, r.servers())
			})
		})
	}
}

// TestManagedInstancesWithSDK has invocations overlap, so that a line goes without a trace rather than wait for it,
// and what the platform measured goes below the SDK's spans.
func TestManagedInstancesWithSDK(t *testing.T) {
	t.Setenv("AWS_LAMBDA_INITIALIZATION_TYPE", managedInstances)
	function := newFunction(t)
	r := newRigWith(t, rigSettings{function: function})
	require.Empty(t, r.hooks, "usage cannot be told apart")
	const count = 5
	ids := make([]string, count)
	for i := range ids {
		ids[i] = strconv.Itoa(i)
		r.consume(t, r.start(ids[i]), r.event(telemetryapi.EventFunction, `{"requestId":%q,"message":"text"}`, ids[i]))
	}
	require.Len(t, r.records(), 2*count, "nothing is held")
	for _, id := range ids {
		function.ObserveTraces(sdkSpan(sdkTrace(t, id), id))
		r.consume(t, r.event(telemetryapi.EventFunction, `{"requestId":%q,"message":"late"}`, id))
		r.consume(t, r.event(telemetryapi.EventReport,
			`{"requestId":%q,"status":"success","metrics":{"durationMs":3},`+
				`"spans":[{"name":"responseLatency","start":%q,"durationMs":2}]}`,
			id, r.at.UTC().Format(time.RFC3339Nano)))
	}
	r.joined[0].Drain(t.Context())
	require.NoError(t, r.receiver.Shutdown(t.Context()))
	require.Empty(t, r.servers())
	require.Len(t, r.spans(), count)
	for i, span := range r.spans() {
		require.Equal(t, "responseLatency", span.Name())
		require.Equal(t, sdkTrace(t, ids[i]), span.TraceID())
	}
	late := 0
	for _, record := range r.records() {
		if message := record.Body().AsString(); message == "late" {
			late++
			require.Equal(t, sdkTrace(t, invocationOf(record)), record.TraceID())
		}
	}
	require.Equal(t, count, late)
	require.EqualValues(t, count, r.sum("faas.invocations"))
}

// TestManagedInstancesWithoutSDK makes a span of each invocation of which there is a report.
func TestManagedInstancesWithoutSDK(t *testing.T) {
	t.Setenv("AWS_LAMBDA_INITIALIZATION_TYPE", managedInstances)
	r := newRigWith(t, rigSettings{function: newFunction(t)})
	r.consume(t, r.start("0"), r.start("1"), r.start("2"))
	for _, id := range []string{"2", "0", "1"} {
		r.consume(t, r.event(telemetryapi.EventReport, `{"requestId":%q,"status":"success","metrics":{"durationMs":3}}`, id))
	}
	r.joined[0].Drain(t.Context())
	require.NoError(t, r.receiver.Shutdown(t.Context()))
	require.Equal(t, []string{"2", "0", "1"}, r.servers())
	traces := map[pcommon.TraceID]bool{}
	for _, span := range r.spans() {
		traces[span.TraceID()] = true
		require.Equal(t, 3*time.Millisecond, span.EndTimestamp().AsTime().Sub(span.StartTimestamp().AsTime()))
	}
	require.Len(t, traces, 3)
	require.EqualValues(t, 3, r.sum("faas.invocations"))
}

// sum is what the latest point of a metric says.
func (r *rig) sum(name string) (value int64) {
	for _, md := range r.metrics.AllMetrics() {
		for _, m := range md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().All() {
			if m.Name() == name {
				value = m.Sum().DataPoints().At(0).IntValue()
			}
		}
	}
	return value
}
