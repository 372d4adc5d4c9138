// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package invocationspans

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
)

const (
	initRecord    = `{"initializationType":"on-demand","phase":"init"}`
	initReported  = `{"initializationType":"on-demand","phase":"init","status":"success","metrics":{"durationMs":100}}`
	invokeRecord  = `{"initializationType":"on-demand","phase":"invoke"}`
	invokeReport  = `{"initializationType":"on-demand","phase":"invoke","status":"success","metrics":{"durationMs":100}}`
	restoreReport = `{"status":"success","metrics":{"durationMs":100}}`
)

// TestPhases shows which init and restore are a child of the first invocation's span, and from when to when.
func TestPhases(t *testing.T) {
	t.Parallel()
	type span struct {
		name       string
		start, end int
		coldStart  bool
	}
	initStart := event(0, telemetryapi.EventInitStart, initRecord)
	initDone := event(99, telemetryapi.EventInitRuntimeDone, initRecord)
	initReport := event(100, telemetryapi.EventInitReport, initReported)
	begin, end := start(200, "1"), runtimeDone(210, "1", "success")
	last := report(212, "1", "success")
	for name, test := range map[string]struct {
		events []telemetryapi.Event
		want   []span
		cold   bool
	}{
		"nothing is told":          {[]telemetryapi.Event{begin, end}, nil, false},
		"all is told":              {[]telemetryapi.Event{initStart, initDone, initReport, begin, end}, []span{{"init", 0, 100, true}}, true},
		"no report":                {[]telemetryapi.Event{initStart, initDone, begin, end}, []span{{"init", 0, 99, true}}, true},
		"the report alone":         {[]telemetryapi.Event{initReport, begin, end}, []span{{"init", 0, 100, true}}, true},
		"the runtime's end alone":  {[]telemetryapi.Event{initDone, begin, end, last}, nil, true},
		"no end":                   {[]telemetryapi.Event{initStart, begin, end, last}, []span{{"init", 0, 210, true}}, true},
		"the end comes last":       {[]telemetryapi.Event{initStart, begin, end, initReport}, []span{{"init", 0, 100, true}}, true},
		"the invocation is faster": {[]telemetryapi.Event{begin, initStart, initReport, end}, []span{{"init", 0, 100, true}}, true},
		"the invocation is over":   {[]telemetryapi.Event{begin, end, initStart, initReport}, []span{{"init", 0, 100, true}}, false},
		"twice": {
			[]telemetryapi.Event{initStart, initStart, initReport, initDone, initReport, begin, initStart, initReport, end, initReport},
			[]span{{"init", 0, 100, true}}, true,
		},
		"a failed init and a second one": {
			[]telemetryapi.Event{
				initStart, initReport,
				event(110, telemetryapi.EventInitStart, invokeRecord), event(190, telemetryapi.EventInitReport, invokeReport),
				initReport, initStart, begin, end,
			},
			[]span{{"init", 0, 100, true}, {"init", 110, 210, false}}, true,
		},
		"the end of a second one alone": {
			[]telemetryapi.Event{initStart, initReport, event(190, telemetryapi.EventInitReport, invokeReport), begin, end},
			[]span{{"init", 0, 100, true}, {"init", 90, 190, false}}, true,
		},
		"restore": {
			[]telemetryapi.Event{
				initStart, initReport, event(150, telemetryapi.EventRestoreStart, ""),
				event(190, telemetryapi.EventRestoreRuntimeDone, `{"status":"success"}`), begin, end,
			},
			[]span{{"restore", 150, 190, false}}, true,
		},
		"the restore's report alone": {
			[]telemetryapi.Event{event(190, telemetryapi.EventRestoreReport, restoreReport), begin, end},
			[]span{{"restore", 90, 190, false}}, true,
		},
		"restore, twice": {
			[]telemetryapi.Event{
				event(150, telemetryapi.EventRestoreStart, `{}`), event(150, telemetryapi.EventRestoreStart, `{}`),
				event(190, telemetryapi.EventRestoreReport, `{}`), event(190, telemetryapi.EventRestoreReport, `{}`), begin, end,
			},
			[]span{{"restore", 150, 190, false}}, true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEnvironment(t, Settings{})
			e.observe(test.events...)
			var got []span
			var parent SpanRef
			millis := func(at pcommon.Timestamp) int { return int(at.AsTime().UnixMilli() - initStart.Time.UnixMilli()) }
			for _, s := range e.spans() {
				cold, _ := s.Attributes().Get(attrColdStart)
				if s.Name() == "checkout" {
					parent = refOf(s)
					require.Equal(t, test.cold, cold.Bool())
					continue
				}
				got = append(got, span{s.Name(), millis(s.StartTimestamp()), millis(s.EndTimestamp()), cold.Bool()})
				require.Equal(t, parent.TraceID, s.TraceID())
				require.Equal(t, parent.SpanID, s.ParentSpanID())
			}
			require.Equal(t, test.want, got)
			e.Flush()
			require.Empty(t, e.spans())
		})
	}
}

// TestInitWithoutEnd is about an environment that is ended while it starts.
func TestInitWithoutEnd(t *testing.T) {
	t.Parallel()
	for invocation, want := range map[Invocation]int{InvocationAuto: 1, InvocationAlways: 1, InvocationNever: 0} {
		e := newEnvironment(t, Settings{Invocation: invocation})
		e.observe(event(0, telemetryapi.EventInitStart, initRecord))
		e.Flush()
		spans := e.spans()
		require.Len(t, spans, want)
		for _, span := range spans {
			require.True(t, span.ParentSpanID().IsEmpty())
			require.Equal(t, pcommon.NewTimestampFromTime(e.clock), span.EndTimestamp())
		}
	}
}

// TestProvisionedInitThatLasts has the first invocation come while the init is not reported yet.
func TestProvisionedInitThatLasts(t *testing.T) {
	t.Parallel()
	const record = `{"initializationType":"provisioned-concurrency","phase":"init"}`
	e := newEnvironment(t, Settings{})
	e.observe(event(0, telemetryapi.EventInitStart, record), start(200, "1"), runtimeDone(210, "1", "success"))
	spans := e.spans()
	require.Len(t, spans, 1)
	e.observe(event(100, telemetryapi.EventInitReport, record), start(300, "2"), runtimeDone(310, "2", "success"))
	spans = e.spans()
	require.Len(t, spans, 2)
	require.Equal(t, "init", spans[0].Name())
	require.NotEqual(t, spans[0].TraceID(), spans[1].TraceID())
}

// TestMemoryOfOneDecidedLate makes sure that an invocation that has to go is not gone without a span.
func TestMemoryOfOneDecidedLate(t *testing.T) {
	t.Parallel()
	e := newEnvironment(t, Settings{Concurrent: true})
	e.observe(report(1, "first", "success"))
	require.Empty(t, e.spans(), "its beginning may come yet")
	for i := range maxConcurrentInvocations {
		e.observe(start(i, strconv.Itoa(i)))
	}
	require.Len(t, e.spans(), 1)
	require.Zero(t, e.Stats())
}

// TestInitOfAnInvocationWithoutStart has the first invocation's start get lost.
func TestInitOfAnInvocationWithoutStart(t *testing.T) {
	t.Parallel()
	e := newEnvironment(t, Settings{})
	e.observe(event(0, telemetryapi.EventInitStart, initRecord), event(100, telemetryapi.EventInitReport, initReported),
		runtimeDone(210, "1", "success"))
	require.Empty(t, e.spans())
	e.Flush()
	spans := e.spans()
	require.Len(t, spans, 2)
	require.Equal(t, spans[0].SpanID(), spans[1].ParentSpanID())
	require.Equal(t, pcommon.NewTimestampFromTime(at(200)), spans[0].StartTimestamp())
}

// TestSnapshotInit knows the init that a snapshot is made of by either of its fields.
func TestSnapshotInit(t *testing.T) {
	t.Parallel()
	for _, record := range []string{
		`{"initializationType":"snap-start","phase":"init"}`, `{"initializationType":"on-demand","phase":"snap-start"}`,
	} {
		e := newEnvironment(t, Settings{})
		e.observe(event(0, telemetryapi.EventInitStart, record), event(9, telemetryapi.EventInitReport, record),
			start(100, "1"), runtimeDone(110, "1", "success"))
		spans := e.spans()
		require.Len(t, spans, 1, record)
		cold, _ := spans[0].Attributes().Get(attrColdStart)
		require.False(t, cold.Bool())
	}
}

// TestSuppressedInitOfTheInvocationItself tells the init that an invocation waits for from one that comes after it was
// killed.
func TestSuppressedInitOfTheInvocationItself(t *testing.T) {
	t.Parallel()
	e := newEnvironment(t, Settings{})
	e.observe(start(0, "1"), runtimeDone(10, "1", "success"), report(12, "1", "success"), start(100, "2"),
		event(1000, telemetryapi.EventInitStart, invokeRecord)) // 2 was killed
	spans := e.spans()
	require.Len(t, spans, 2)
	require.Equal(t, pcommon.NewTimestampFromTime(at(1000)), spans[1].EndTimestamp())
	e.observe(start(1001, "3"), event(2000, telemetryapi.EventInitStart, invokeRecord),
		event(2100, telemetryapi.EventInitReport, invokeReport), runtimeDone(2200, "3", "success"))
	spans = e.spans()
	require.Len(t, spans, 2)
	require.Equal(t, spans[0].SpanID(), spans[1].ParentSpanID())
	e.observe(report(2212, "3", "success"))
	require.Len(t, e.spans(), 1, "the init that was tried before, of which there is no end")
}
