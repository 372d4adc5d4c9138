// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package invocationspans

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
)

// at is a time in the life of the environment.
func at(ms int) time.Time {
	return time.Date(2026, time.October, 8, 7, 30, 0, 0, time.UTC).Add(time.Duration(ms) * time.Millisecond)
}

func event(ms int, kind telemetryapi.EventType, record string) telemetryapi.Event {
	return telemetryapi.Event{Time: at(ms), Type: kind, Record: json.RawMessage(record)}
}

func start(ms int, id string) telemetryapi.Event {
	return event(ms, telemetryapi.EventStart, `{"requestId":"`+id+`"}`)
}

func runtimeDone(ms int, id, status string) telemetryapi.Event {
	return event(ms, telemetryapi.EventRuntimeDone,
		`{"requestId":"`+id+`","status":"`+status+`","metrics":{"durationMs":10}}`)
}

func report(ms int, id, status string) telemetryapi.Event {
	return event(ms, telemetryapi.EventReport, `{"requestId":"`+id+`","status":"`+status+`","metrics":{"durationMs":12}}`)
}

func (e *environment) observe(events ...telemetryapi.Event) {
	for _, event := range events {
		e.Observe(event)
	}
}

// spans returns what is complete.
func (e *environment) spans() (all []ptrace.Span) {
	for _, span := range e.take().ResourceSpans().At(0).ScopeSpans().At(0).Spans().All() {
		all = append(all, span)
	}
	return all
}

func server(trace, span byte, requestID string) sent {
	return sent{TraceID: hexID(16, trace), SpanID: hexID(8, span), Kind: "SERVER", Invocation: requestID}
}

func child(trace, span, parent byte) sent {
	return sent{TraceID: hexID(16, trace), SpanID: hexID(8, span), ParentSpanID: hexID(8, parent), Kind: "CLIENT"}
}

func hexID(size int, n byte) string { return fmt.Sprintf("%0*x", 2*size, n) }

func sdkRef(trace, span byte) SpanRef {
	return SpanRef{TraceID: pcommon.TraceID{15: trace}, SpanID: pcommon.SpanID{7: span}}
}

func refOf(span ptrace.Span) SpanRef { return SpanRef{TraceID: span.TraceID(), SpanID: span.SpanID()} }

// requireKnown is about the invocation 1.
func (e *environment) requireKnown(tb testing.TB, want SpanRef) {
	tb.Helper()
	got, state := e.Context("1")
	require.Equal(tb, Known, state)
	require.Equal(tb, want, got)
}

func (e *environment) requireState(tb testing.TB, id string, want State) {
	tb.Helper()
	_, state := e.Context(id)
	require.Equal(tb, want, state)
}

func TestContextOfUnknownInvocation(t *testing.T) {
	t.Parallel()
	e := newEnvironment(t, Settings{})
	e.requireState(t, "1", None)
	require.True(t, e.Ended("1"))
	e.observe(start(0, "1"))
	require.False(t, e.Ended("1"))
	e.observe(runtimeDone(10, "1", "success"))
	require.True(t, e.Ended("1"))
}

func TestNobodyKnowsTheFunction(t *testing.T) {
	t.Parallel()
	random := &counter{}
	b := New(Settings{FunctionName: "checkout", Random: random, Now: time.Now})
	e := &environment{Builder: b}
	e.observe(start(0, "1"))
	ref, state := e.Context("1")
	require.Equal(t, Known, state, "there is nothing to wait for")
	e.observe(runtimeDone(10, "1", "success"), report(12, "1", "success"))
	spans := ptrace.NewSpanSlice()
	e.Take(spans)
	require.Equal(t, 1, spans.Len())
	require.Equal(t, ref, refOf(spans.At(0)))
}

// TestNoIDsBeforeTheFirstInvocation is about snapshots: what is random in them is the same in all their copies.
func TestNoIDsBeforeTheFirstInvocation(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"on-demand", "provisioned-concurrency", "snap-start", "lambda-managed-instances"} {
		e := newEnvironment(t, Settings{})
		e.observe(
			event(0, telemetryapi.EventInitStart, `{"initializationType":"`+kind+`","phase":"init"}`),
			event(5, telemetryapi.EventInitRuntimeDone, `{"initializationType":"`+kind+`","phase":"init","status":"success"}`),
			event(6, telemetryapi.EventInitReport, `{"initializationType":"`+kind+`","metrics":{"durationMs":6}}`),
			event(7, telemetryapi.EventRestoreStart, `{}`),
			event(8, telemetryapi.EventRestoreReport, `{"metrics":{"durationMs":1}}`),
		)
		require.Zero(t, e.random.n, kind)
		require.Empty(t, e.spans())
		e.observe(start(9, "1"), runtimeDone(19, "1", "success"))
		require.NotZero(t, e.random.n)
	}
}

// TestHint has the span of an invocation that is killed join the trace that its lines name.
func TestHint(t *testing.T) {
	t.Parallel()
	hint := sdkRef(7, 0).TraceID
	for status, joins := range map[string]bool{"timeout": true, "success": false} {
		e := newEnvironment(t, Settings{})
		e.Hint("1", hint)
		e.observe(start(0, "1"))
		e.Hint("1", hint)
		e.Hint("1", sdkRef(8, 0).TraceID)
		e.observe(runtimeDone(10, "1", status))
		spans := e.spans()
		require.Len(t, spans, 1)
		require.Equal(t, joins, spans[0].TraceID() == hint, status)
		require.False(t, spans[0].SpanID().IsEmpty())
	}
	// Spans tell more.
	e := newEnvironment(t, Settings{})
	e.observe(start(0, "1"))
	e.Hint("1", hint)
	e.send(t, child(1, 3, 2))
	e.observe(runtimeDone(10, "1", "timeout"))
	require.Equal(t, sdkRef(1, 2), refOf(e.spans()[0]))
}

// TestSDKAfterAll has the SDK's span be the only one, although lines were told of another.
func TestSDKAfterAll(t *testing.T) {
	t.Parallel()
	e := newEnvironment(t, Settings{})
	e.observe(start(0, "1"), runtimeDone(10, "1", "success"), report(12, "1", "success"))
	e.spans()
	e.observe(start(20, "2"))
	_, state := e.Context("2")
	require.Equal(t, Known, state, "there has been no SDK")
	e.send(t, server(1, 2, "2"))
	e.observe(runtimeDone(30, "2", "success"))
	require.Empty(t, e.spans())
	ref, _ := e.Context("2")
	require.Equal(t, sdkRef(1, 2), ref)
}

// TestUnsampled makes nothing of an invocation whose span the SDK does not send, unless it failed.
func TestUnsampled(t *testing.T) {
	t.Parallel()
	for status, want := range map[string]int{"success": 0, "error": 1, "timeout": 1} {
		e := newEnvironment(t, Settings{})
		e.observe(start(0, "1"))
		e.send(t, server(1, 2, "1"))
		e.observe(runtimeDone(10, "1", "success"), report(12, "1", "success"))
		e.observe(start(20, "2"), runtimeDone(30, "2", status))
		if status != "timeout" {
			e.requireState(t, "2", Wait)
		}
		e.observe(report(32, "2", status), start(40, "3"), runtimeDone(50, "3", "success"))
		e.Flush()
		servers := 0
		for _, span := range e.spans() {
			if id, ok := span.Attributes().Get("faas.invocation_id"); ok && id.Str() == "2" {
				servers++
			}
		}
		require.Equal(t, want, servers, status)
	}
}

// TestReportOfAnEarlierProcess makes no second span of an invocation of which only the end is seen.
func TestReportOfAnEarlierProcess(t *testing.T) {
	t.Parallel()
	for concurrent, want := range map[bool]int{false: 0, true: 1} {
		e := newEnvironment(t, Settings{Concurrent: concurrent})
		e.observe(report(12, "1", "success"))
		e.Flush()
		require.Len(t, e.spans(), want)
	}
}

func TestContextOnly(t *testing.T) {
	t.Parallel()
	e := newEnvironment(t, Settings{ContextOnly: true, Invocation: InvocationAlways})
	e.observe(event(0, telemetryapi.EventInitStart, `{}`), event(1, telemetryapi.EventInitReport, `{}`), start(2, "1"))
	e.requireState(t, "1", Wait)
	e.send(t, server(1, 2, "1"))
	e.requireKnown(t, sdkRef(1, 2))
	e.observe(event(10, telemetryapi.EventRuntimeDone, `{"requestId":"1","status":"success",
		"spans":[{"name":"responseLatency","start":"2026-10-08T07:30:00.002Z","durationMs":1}]}`))
	e.observe(report(12, "1", "success"), start(20, "2"), runtimeDone(30, "2", "timeout"))
	e.requireState(t, "2", None)
	e.Flush()
	require.Empty(t, e.spans())
}

// TestEndWithoutWord is about invocations that Lambda says nothing of after their start.
func TestEndWithoutWord(t *testing.T) {
	t.Parallel()
	e := newEnvironment(t, Settings{})
	e.observe(start(0, "1"), start(100, "2"))
	require.Empty(t, e.spans(), "the news may come late")
	e.observe(runtimeDone(110, "2", "success"))
	spans := e.spans()
	require.Len(t, spans, 2)
	lost := spans[1]
	if id, _ := spans[0].Attributes().Get("faas.invocation_id"); id.Str() == "1" {
		lost = spans[0]
	}
	require.Equal(t, ptrace.StatusCodeUnset, lost.Status().Code(), "the environment lives, so it did not end badly")
	require.Equal(t, pcommon.NewTimestampFromTime(at(110)), lost.EndTimestamp())

	e.observe(runtimeDone(50, "1", "success"), report(120, "2", "success"), start(200, "3"))
	e.Flush()
	spans = e.spans()
	require.Len(t, spans, 1)
	require.Equal(t, ptrace.StatusCodeError, spans[0].Status().Code())
	require.Equal(t, pcommon.NewTimestampFromTime(e.clock), spans[0].EndTimestamp())
}

// TestKilled makes sure that nobody waits for the spans of a process that is gone, and that a process that is not keeps
// the span id that it is going to send.
func TestKilled(t *testing.T) {
	t.Parallel()
	for record, killed := range map[string]bool{
		`"status":"timeout"`: true,
		`"status":"failure"`: true,
		`"status":"failure","errorType":"Sandbox.Failure"`:       true,
		`"status":"error","errorType":"Sandbox.Timeout"`:         true,
		`"status":"error","errorType":"Runtime.ExitError"`:       true,
		`"status":"error","errorType":"Runtime.OutOfMemory"`:     true,
		`"status":"error","errorType":"Extension.Crash"`:         true,
		`"status":"error","errorType":"Function.Unknown"`:        false,
		`"status":"error","errorType":"Runtime.TruncatedResult"`: false,
		`"status":"error"`:   false,
		`"status":"success"`: false,
		`"status":"novel"`:   false,
	} {
		e := newEnvironment(t, Settings{})
		e.observe(start(0, "1"))
		e.send(t, child(1, 3, 2))
		e.observe(event(10, telemetryapi.EventRuntimeDone, `{"requestId":"1",`+record+`}`))
		spans := e.spans()
		if killed {
			require.Len(t, spans, 1, record)
			require.Equal(t, sdkRef(1, 2), refOf(spans[0]), record)
			continue
		}
		require.Empty(t, spans, record)
		e.observe(report(12, "1", ""))
		spans = e.spans()
		require.Len(t, spans, 1, record)
		require.Equal(t, sdkRef(1, 2).TraceID, spans[0].TraceID(), record)
		require.NotEqual(t, sdkRef(1, 2).SpanID, spans[0].SpanID(), record)
	}
}

// TestOrphansOfTheInvocationBefore makes sure that what an invocation leaves behind is not taken for the next one's.
func TestOrphansOfTheInvocationBefore(t *testing.T) {
	t.Parallel()
	e := newEnvironment(t, Settings{})
	e.observe(start(0, "1"))
	e.send(t, child(1, 3, 2))
	e.observe(runtimeDone(10, "1", "success"), start(20, "2"), runtimeDone(30, "2", "timeout"))
	spans := e.spans()
	require.Len(t, spans, 2)
	for _, span := range spans {
		id, _ := span.Attributes().Get("faas.invocation_id")
		require.Equal(t, id.Str() == "1", span.TraceID() == sdkRef(1, 0).TraceID)
	}
}

// TestRetryIsNotTakenForTheAttemptBefore has a batch bring the earlier attempt's span once more.
func TestRetryIsNotTakenForTheAttemptBefore(t *testing.T) {
	t.Parallel()
	e := newEnvironment(t, Settings{})
	e.observe(start(0, "1"))
	e.send(t, server(1, 2, "1"))
	e.observe(runtimeDone(10, "1", "error"), report(12, "1", "error"))
	e.send(t, server(1, 2, "1"))
	e.observe(start(60_000, "1"))
	e.requireState(t, "1", Wait)
	e.observe(runtimeDone(10, "1", "error"), report(12, "1", "error"))
	require.Equal(t, 2, e.Stats().Duplicates)
	e.requireState(t, "1", Wait)
	e.send(t, server(3, 4, "1"))
	e.requireKnown(t, sdkRef(3, 4))
}

// TestRetryWithoutReport has the news of the second attempt come before the first is decided on.
func TestRetryWithoutReport(t *testing.T) {
	t.Parallel()
	e := newEnvironment(t, Settings{})
	e.send(t, child(1, 2, 0))
	e.observe(start(0, "1"), runtimeDone(10, "1", "success"))
	require.Empty(t, e.spans())
	e.observe(runtimeDone(60_010, "1", "success"), start(60_000, "1"), report(60_012, "1", "success"))
	require.Len(t, e.spans(), 2)
	require.Zero(t, e.Stats())
}

// TestRetryAndNewsOfTheAttemptBefore has the end of the second attempt come first, and then that of the first once more.
func TestRetryAndNewsOfTheAttemptBefore(t *testing.T) {
	t.Parallel()
	e := newEnvironment(t, Settings{})
	e.observe(start(0, "1"), runtimeDone(10, "1", "error"), report(12, "1", "error"), runtimeDone(60_010, "1", "success"),
		report(12, "1", "error"), start(60_000, "1"))
	require.Equal(t, Stats{Duplicates: 1}, e.Stats())
	spans := e.spans()
	require.Len(t, spans, 2)
	require.Equal(t, ptrace.StatusCodeUnset, spans[1].Status().Code())
}

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	for name, concurrent := range map[string]bool{"one at a time": false, "Managed Instance": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEnvironment(t, Settings{Concurrent: concurrent})
			limit := map[bool]int{false: 64, true: 1024}[concurrent]
			// One that does not end keeps its place as long as others have ended.
			e.observe(start(0, "long"))
			for i := range 3 * limit {
				id := strconv.Itoa(i)
				e.observe(start(10*i+1, id), report(10*i+2, id, "success"))
				require.LessOrEqual(t, len(e.order), limit)
				require.Len(t, e.invocations, len(e.order))
			}
			if concurrent {
				require.Len(t, e.spans(), 3*limit)
				require.Contains(t, e.invocations, "long")
			} else {
				require.Len(t, e.spans(), 3*limit+1)
			}
			require.Zero(t, e.Stats())
			for i := range limit {
				e.observe(start(1, "running"+strconv.Itoa(i)))
			}
			require.Len(t, e.order, limit)
			for range 100 {
				e.observe(event(0, telemetryapi.EventInitStart, `{}`), event(1, telemetryapi.EventRestoreStart, `{}`))
			}
			require.LessOrEqual(t, len(e.pending), maxPending)
		})
	}
}

func TestForgottenWhileRunning(t *testing.T) {
	t.Parallel()
	e := newEnvironment(t, Settings{Concurrent: true})
	for i := range maxConcurrentInvocations + 3 {
		e.observe(start(i, strconv.Itoa(i)))
	}
	require.Equal(t, Stats{Forgotten: 3}, e.Stats())
	require.Empty(t, e.spans())
}

func TestNameFromEvents(t *testing.T) {
	t.Parallel()
	for record, want := range map[string]string{`{"functionName":"orders"}`: "orders", `{}`: "invocation"} {
		b := New(Settings{Random: &counter{}, Now: time.Now})
		e := &environment{Builder: b}
		e.observe(event(0, telemetryapi.EventInitStart, record), start(1, "1"), runtimeDone(10, "1", "success"))
		spans := ptrace.NewSpanSlice()
		b.Take(spans)
		require.Equal(t, want, spans.At(0).Name())
	}
}

func TestResolvedARN(t *testing.T) {
	t.Parallel()
	const arn = "arn:aws:lambda:eu-central-1:123456789012:function:checkout"
	require.Equal(t, arn, resolvedARN(arn, "7"))
	require.Equal(t, arn+":7", resolvedARN(arn+":prod", "7"))
	require.Equal(t, arn+":prod", resolvedARN(arn+":prod", ""))
	require.Equal(t, "nonsense", resolvedARN("nonsense", "7"))
	require.Empty(t, resolvedARN("", "7"))
}

type brokenRandom struct{}

func (brokenRandom) Read([]byte) (int, error) { return 0, errors.New("no entropy") }

func TestIDsAreNeverZero(t *testing.T) {
	t.Parallel()
	b := New(Settings{Random: brokenRandom{}, Now: time.Now})
	(&environment{Builder: b}).observe(start(0, "1"), runtimeDone(10, "1", "success"))
	spans := ptrace.NewSpanSlice()
	b.Take(spans)
	require.False(t, spans.At(0).TraceID().IsEmpty())
	require.False(t, spans.At(0).SpanID().IsEmpty())
}

func TestTextIsBounded(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("é", maxTextBytes)
	require.LessOrEqual(t, len(text(long)), maxTextBytes)
	require.True(t, utf8.ValidString(text("x"+long)))
	var r record
	r.take(&telemetryapi.RuntimeDoneRecord{
		RequestID: long, Spans: slices.Repeat([]telemetryapi.Span{{Name: long}, {}}, 5*maxPlatformSpans),
	})
	require.Equal(t, text(long), r.requestID)
	require.Len(t, r.spans, maxPlatformSpans)
	require.Equal(t, text(long), r.spans[maxPlatformSpans-1].name)
}

func TestTimestamp(t *testing.T) {
	t.Parallel()
	require.Zero(t, timestamp(time.Time{}))
	require.Zero(t, timestamp(time.Date(1492, 10, 12, 0, 0, 0, 0, time.UTC)))
	require.Zero(t, timestamp(time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)))
	require.Equal(t, pcommon.Timestamp(1_000_000_001), timestamp(time.Unix(1, 1)))
}

// TestKilledAtFirst is about a function that is killed before it could show whether it has an SDK.
func TestKilledAtFirst(t *testing.T) {
	t.Parallel()
	e := newEnvironment(t, Settings{})
	e.observe(start(0, "1"), runtimeDone(10, "1", "timeout"), report(12, "1", "timeout"), start(100, "2"))
	e.requireState(t, "2", Wait)
	e.observe(runtimeDone(110, "2", "success"), start(200, "3"))
	e.requireState(t, "3", Known)
}

// TestOrphansOfTheInvocationAfter has the report of an invocation come when the next one's spans do.
func TestOrphansOfTheInvocationAfter(t *testing.T) {
	t.Parallel()
	e := newEnvironment(t, Settings{})
	e.send(t, child(9, 9, 0))
	e.observe(start(0, "1"), runtimeDone(10, "1", "success"), start(20, "2"))
	e.send(t, child(1, 3, 2))
	e.observe(report(12, "1", "success"))
	spans := e.spans()
	require.Len(t, spans, 1)
	require.NotEqual(t, sdkRef(1, 0).TraceID, spans[0].TraceID())
	e.observe(runtimeDone(30, "2", "timeout"))
	require.Equal(t, sdkRef(1, 2), refOf(e.spans()[0]))
}

// TestOrphansOfOverlappingInvocations makes sure that nobody guesses whose they are.
func TestOrphansOfOverlappingInvocations(t *testing.T) {
	t.Parallel()
	e := newEnvironment(t, Settings{Concurrent: true})
	e.observe(start(0, "1"))
	e.send(t, child(1, 3, 2))
	e.observe(report(12, "1", "timeout"))
	require.NotEqual(t, sdkRef(1, 2).TraceID, e.spans()[0].TraceID())
}

// TestReportOfTheAttemptBefore has it come when the next attempt runs.
func TestReportOfTheAttemptBefore(t *testing.T) {
	t.Parallel()
	e := newEnvironment(t, Settings{})
	e.observe(start(0, "1"), runtimeDone(10, "1", "error"), start(60_000, "1"))
	require.Len(t, e.spans(), 1)
	e.observe(report(12, "1", "error"))
	require.Empty(t, e.spans())
	e.observe(runtimeDone(60_010, "1", "success"))
	spans := e.spans()
	require.Len(t, spans, 1)
	require.Equal(t, ptrace.StatusCodeUnset, spans[0].Status().Code())
}

// TestPlatformSpansWithoutStart puts them where they can have been.
func TestPlatformSpansWithoutStart(t *testing.T) {
	t.Parallel()
	e := newEnvironment(t, Settings{})
	e.observe(start(0, "1"), event(10, telemetryapi.EventRuntimeDone, `{"requestId":"1","metrics":{"durationMs":10},
		"spans":[{"name":"responseLatency","durationMs":7},{"name":"responseDuration","start":"?","durationMs":2}]}`))
	e.observe(event(13, telemetryapi.EventReport, `{"requestId":"1","spans":[{"name":"extensionOverhead","durationMs":3}]}`))
	spans := e.spans()
	require.Len(t, spans, 4)
	for i, want := range [][2]int{{0, 10}, {0, 7}, {7, 9}, {10, 13}} {
		require.Equal(t, pcommon.NewTimestampFromTime(at(want[0])), spans[i].StartTimestamp(), spans[i].Name())
		require.Equal(t, pcommon.NewTimestampFromTime(at(want[1])), spans[i].EndTimestamp(), spans[i].Name())
	}
}
