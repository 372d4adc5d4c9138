// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package invocationspans

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
)

// world is a random life of an environment.
type world struct {
	*environment
	random *rand.Rand
	// traces are the trace ids that were seen for each invocation, and servers the spans of kind SERVER that were made.
	traces  map[string]map[pcommon.TraceID]bool
	servers map[string]int
	// parents are all spans, ours and the SDK's; wanted are those that others are children of.
	parents map[SpanRef]bool
	wanted  map[SpanRef]bool
	ids     []string
}

func (w *world) note(id string, trace pcommon.TraceID) {
	if w.traces[id] == nil {
		w.traces[id] = make(map[pcommon.TraceID]bool)
	}
	w.traces[id][trace] = true
}

// look checks what is complete and asks for all contexts.
func (w *world) look(t *testing.T) {
	t.Helper()
	for _, span := range w.spans() {
		require.GreaterOrEqual(t, span.EndTimestamp(), span.StartTimestamp())
		ref := refOf(span)
		require.False(t, ref.TraceID.IsEmpty() || ref.SpanID.IsEmpty())
		require.False(t, w.parents[ref] && span.Kind() != ptrace.SpanKindServer, "an id twice")
		w.parents[ref] = true
		if !span.ParentSpanID().IsEmpty() && span.Flags()&flagRemoteParent == 0 {
			w.wanted[SpanRef{TraceID: ref.TraceID, SpanID: span.ParentSpanID()}] = true
		}
		if span.Kind() == ptrace.SpanKindServer {
			id, _ := span.Attributes().Get(attrInvocationID)
			w.note(id.Str(), ref.TraceID)
			w.servers[id.Str()]++
		}
	}
	for _, id := range w.ids {
		if ref, state := w.Context(id); state == Known {
			if sdk, _ := w.set.Function.Invocation(id); sdk == ref && w.servers[id] == 0 {
				delete(w.traces, id) // what was told before nobody knew of the SDK
			}
			w.note(id, ref.TraceID)
		}
	}
}

// sends returns the requests of the function's SDK for the n-th invocation.
func (w *world) sends(n int) (requests [][]sent) {
	id, trace, first := w.ids[n], byte(n+1), byte(10*n+10)
	root := server(trace, first, id)
	children := []sent{child(trace, first+1, first), child(trace, first+2, first+1)}
	switch w.random.IntN(4) {
	case 0: // is killed
		return [][]sent{children[:1]}
	case 1:
		return [][]sent{children, {root}}
	case 2:
		return [][]sent{{children[1], children[0], root}}
	}
	return nil // does not sample
}

// happenings returns the events and requests in a random order, which is one of life or any one.
func (w *world) happenings(t *testing.T, concurrent bool) (all []func()) {
	t.Helper()
	shuffled := w.random.IntN(2) == 0
	instrumented := w.random.IntN(3) > 0
	observe := func(e telemetryapi.Event) {
		times := 1
		if w.random.IntN(5) == 0 {
			times = 2
		}
		for range times {
			all = append(all, func() { w.Observe(e) })
		}
	}
	observe(event(0, telemetryapi.EventInitStart, `{"initializationType":"on-demand","phase":"init"}`))
	observe(event(100, telemetryapi.EventInitReport, `{"phase":"init","status":"success","metrics":{"durationMs":100}}`))
	for n, id := range w.ids {
		begin := 1000 * (n + 1)
		x := fmt.Sprintf("Root=1-00000000-%024x;Parent=%016x;Sampled=%d", n+1, n+1, w.random.IntN(2))
		observe(event(begin, telemetryapi.EventStart, `{"requestId":"`+id+`","tracing":{"value":"`+x+`"}}`))
		if instrumented {
			for _, request := range w.sends(n) {
				all = append(all, func() {
					w.send(t, request...)
					for _, s := range request {
						var ref SpanRef
						ref.TraceID[15], _ = parseByte(s.TraceID)
						ref.SpanID[7], _ = parseByte(s.SpanID)
						w.parents[ref] = true
					}
				})
			}
		}
		status := []string{"success", "success", "error", "timeout", "failure"}[w.random.IntN(5)]
		if !concurrent && w.random.IntN(8) > 0 {
			observe(event(begin+50, telemetryapi.EventRuntimeDone, `{"requestId":"`+id+`","status":"`+status+
				`","metrics":{"durationMs":50},"spans":[{"name":"responseLatency","durationMs":40}]}`))
		}
		if w.random.IntN(8) > 0 {
			observe(event(begin+60, telemetryapi.EventReport, `{"requestId":"`+id+`","status":"`+status+
				`","metrics":{"durationMs":60},"spans":[{"name":"extensionOverhead","durationMs":10}]}`))
		}
	}
	if shuffled {
		w.random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	}
	return all
}

func parseByte(hexID string) (byte, error) {
	n, err := strconv.ParseUint(hexID[len(hexID)-2:], 16, 8)
	return byte(n), err
}

// TestOneTraceForEachInvocation is what all of this is for: whatever comes in whatever order, what belongs to an
// invocation is in one trace.
func TestOneTraceForEachInvocation(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3000) {
		random := rand.New(rand.NewPCG(seed, 0))
		set := Settings{
			XRayContext: []XRayContext{XRayLink, XRayParent, XRayNone}[random.IntN(3)],
			Invocation:  []Invocation{InvocationAuto, InvocationAuto, InvocationAlways, InvocationNever}[random.IntN(4)],
			Concurrent:  random.IntN(3) == 0,
		}
		w := &world{
			environment: newEnvironment(t, set), random: random, traces: make(map[string]map[pcommon.TraceID]bool),
			servers: make(map[string]int), parents: make(map[SpanRef]bool), wanted: make(map[SpanRef]bool),
		}
		for n := range 1 + random.IntN(8) {
			w.ids = append(w.ids, strconv.Itoa(n))
		}
		for _, happen := range w.happenings(t, set.Concurrent) {
			happen()
			requireCounted(t, w.Builder)
			if random.IntN(2) == 0 {
				w.look(t)
			}
		}
		w.Flush()
		w.look(t)
		w.check(t, fmt.Sprintf("seed %d, %+v", seed, set))
	}
}

func (w *world) check(t *testing.T, seed string) {
	t.Helper()
	for _, id := range w.ids {
		require.LessOrEqual(t, len(w.traces[id]), 1, "%s: traces of %s", seed, id)
		require.LessOrEqual(t, w.servers[id], 1, "%s: spans of %s", seed, id)
		inv := w.invocations[id]
		require.NotNil(t, inv)
		require.NotEqual(t, undecided, inv.owner, "%s: %s", seed, id)
		switch w.set.Invocation {
		case InvocationNever:
			require.Zero(t, w.servers[id], "%s: spans of %s", seed, id)
		default:
			require.Equal(t, inv.owner == ours, w.servers[id] == 1, "%s: spans of %s", seed, id)
		}
		require.Empty(t, inv.spans)
		require.Empty(t, inv.phases)
		require.Nil(t, inv.reported)
	}
	for parent := range w.wanted {
		require.True(t, w.parents[parent], "%s: %v is not there", seed, parent)
	}
	require.Empty(t, w.pending)
	require.Zero(t, w.Builder.spans.Len())
}

// requireCounted makes sure that the invocations without an owner are as many as the Builder thinks.
func requireCounted(tb testing.TB, b *Builder) {
	tb.Helper()
	n := 0
	for _, inv := range b.order {
		if inv.owner == undecided {
			n++
		}
	}
	require.Equal(tb, n, b.undecided)
}

func FuzzObserve(f *testing.F) {
	for _, c := range readCases(f) {
		body, err := os.ReadFile(c.dir + "/events.json")
		require.NoError(f, err)
		f.Add(body, false)
		f.Add(body, true)
	}
	f.Fuzz(func(t *testing.T, body []byte, concurrent bool) {
		b := New(Settings{Concurrent: concurrent, Random: &counter{}, Now: time.Now, XRayContext: XRayParent})
		batch, _ := telemetryapi.Decode(body) // what comes before a break
		// The listener never passes on what is no JSON, but nothing here may depend on it.
		batch.Events = append(batch.Events, telemetryapi.Event{Type: telemetryapi.EventReport, Record: json.RawMessage(body)})
		for _, e := range slices.Concat(batch.Events, batch.Events) {
			b.Observe(e)
			b.Context(e.RequestID())
			requireCounted(t, b)
		}
		b.Flush()
		spans := ptrace.NewSpanSlice()
		b.Take(spans)
		require.LessOrEqual(t, len(b.order), b.limit)
		for _, span := range spans.All() {
			require.GreaterOrEqual(t, span.EndTimestamp(), span.StartTimestamp())
			require.NotEmpty(t, span.Name())
			require.False(t, span.TraceID().IsEmpty() || span.SpanID().IsEmpty())
		}
	})
}

// BenchmarkObserve measures an invocation of a function with an SDK and of one without: three events, the spans, and
// what two lines of its log are told.
func BenchmarkObserve(b *testing.B) {
	const id = "79b5e81f-9cdd-4145-b1f6-7c50ef8a2a36"
	const x = "Root=1-6352a70e-1e2c502e358361800241fd45;Parent=35465b3a9e2f7c6a;Sampled=0"
	events := []telemetryapi.Event{
		event(0, telemetryapi.EventStart, `{"requestId":"`+id+`","functionArn":"arn:aws:lambda:eu-central-1:123456789012:`+
			`function:checkout","version":"$LATEST","tracing":{"type":"X-Amzn-Trace-Id","value":"`+x+`"}}`),
		event(11, telemetryapi.EventRuntimeDone, `{"requestId":"`+id+`","status":"success","spans":[`+
			`{"name":"responseLatency","start":"2026-10-08T07:30:00.008Z","durationMs":2.215},`+
			`{"name":"responseDuration","start":"2026-10-08T07:30:00.010Z","durationMs":0.056},`+
			`{"name":"runtimeOverhead","start":"2026-10-08T07:30:00.010Z","durationMs":8.686}],`+
			`"metrics":{"durationMs":11.185,"producedBytes":40}}`),
		event(12, telemetryapi.EventReport, `{"requestId":"`+id+`","status":"success","metrics":{"durationMs":12.1,`+
			`"billedDurationMs":13,"memorySizeMB":256,"maxMemoryUsedMB":123},"spans":[`+
			`{"name":"extensionOverhead","start":"2026-10-08T07:30:00.011Z","durationMs":1.0}]}`),
	}
	line := event(5, telemetryapi.EventFunction, `"2026-10-08T07:30:00.005Z\tINFO\tline\n"`)
	for name, instrumented := range map[string]bool{"uninstrumented": false, "instrumented": true} {
		b.Run(name, func(b *testing.B) {
			e := newEnvironment(b, Settings{})
			spans := ptrace.NewSpanSlice()
			made, n := 0, 0
			b.ReportAllocs()
			for b.Loop() {
				shift := time.Duration(n) * time.Second
				n++
				for i, ev := range events {
					ev.Time = ev.Time.Add(shift)
					if i == 1 {
						e.Observe(line)
						e.Context(id)
						if instrumented {
							b.StopTimer()
							e.send(b, server(1, byte(n%200+1), id))
							b.StartTimer()
						}
						e.Observe(line)
						e.Context(id)
					}
					e.Observe(ev)
				}
				e.Take(spans)
				made += spans.Len()
				spans = ptrace.NewSpanSlice()
			}
			require.GreaterOrEqual(b, made, 4*b.N)
		})
	}
}

// TestLinesCostNothing is about the events that there are most of.
func TestLinesCostNothing(t *testing.T) {
	e := newEnvironment(t, Settings{})
	line := event(5, telemetryapi.EventFunction, `{"message":"line","requestId":"1"}`)
	require.Zero(t, testing.AllocsPerRun(100, func() { e.Observe(line) }))
}
