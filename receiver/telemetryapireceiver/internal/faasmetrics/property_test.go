// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package faasmetrics

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
)

// total is what all points of one stream come to.
type total struct {
	count   uint64
	sum     float64
	buckets []uint64
}

// addTotals adds the points of sums and histograms to what there is of them, by name and attributes. Gauges replace it.
func addTotals(tb testing.TB, totals map[string]total, metrics pmetric.Metrics) {
	tb.Helper()
	slice := metrics.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics()
	for i := range slice.Len() {
		m := slice.At(i)
		key := func(attributes pcommon.Map) string { return m.Name() + fmt.Sprint(attributes.AsRaw()) }
		switch m.Type() {
		case pmetric.MetricTypeSum:
			for j := range m.Sum().DataPoints().Len() {
				point := m.Sum().DataPoints().At(j)
				t := totals[key(point.Attributes())]
				t.sum += float64(point.IntValue())
				totals[key(point.Attributes())] = t
			}
		case pmetric.MetricTypeGauge:
			totals[m.Name()] = total{sum: float64(m.Gauge().DataPoints().At(0).IntValue())}
		case pmetric.MetricTypeHistogram:
			point := m.Histogram().DataPoints().At(0)
			t := totals[key(point.Attributes())]
			t.count += point.Count()
			t.sum += point.Sum()
			for b, n := range point.BucketCounts().AsRaw() {
				if b == len(t.buckets) {
					t.buckets = append(t.buckets, 0)
				}
				t.buckets[b] += n
			}
			totals[key(point.Attributes())] = t
		default:
			require.Fail(tb, "unexpected type", m.Type().String())
		}
	}
}

// requireTotals compares, and leaves room for the order in which floating point numbers were added.
func requireTotals(tb testing.TB, want, got map[string]total) {
	tb.Helper()
	for key, w := range want {
		g, ok := got[key]
		require.True(tb, ok, key)
		require.InDelta(tb, w.sum, g.sum, 1e-9*(1+w.sum), key)
		require.Equal(tb, w.count, g.count, key)
		require.Equal(tb, w.buckets, g.buckets, key)
	}
	require.Len(tb, got, len(want))
}

func totalsOf(tb testing.TB, events []telemetryapi.Event) map[string]total {
	tb.Helper()
	a := New(Settings{Start: testStart})
	for _, event := range events {
		require.True(tb, a.Observe(event), "%s %s", event.Type, event.Record)
	}
	totals := map[string]total{}
	addTotals(tb, totals, collect(tb, a, testNow))
	return totals
}

// generator makes up what an environment has to say.
type generator struct {
	*rand.Rand
	now    time.Time
	events []telemetryapi.Event
}

type fields = map[string]any

func (g *generator) emit(event telemetryapi.EventType, record fields) {
	g.now = g.now.Add(time.Duration(1+g.IntN(1000)) * time.Millisecond)
	raw, err := json.Marshal(record)
	if err != nil {
		raw = []byte(err.Error())
	}
	g.events = append(g.events, telemetryapi.Event{Time: g.now, Type: event, Record: raw})
}

// end makes up a status, often with an error type.
func (g *generator) end(record fields) fields {
	record["status"] = []string{"success", "success", "error", "failure", "timeout"}[g.IntN(5)]
	if record["status"] == "error" {
		record["errorType"] = []string{"Runtime.OutOfMemory", "Runtime.ExitError", "ValueError"}[g.IntN(3)]
	}
	return record
}

func (g *generator) ms() float64 { return float64(1+g.IntN(10_000_000)) / 1000 }

func (g *generator) spans(names ...string) []fields {
	spans := []fields{}
	for _, name := range names {
		if g.IntN(3) > 0 {
			spans = append(spans, fields{"name": name, "durationMs": g.ms()})
		}
	}
	return spans
}

func (g *generator) initialize(initializationType, phase string) {
	about := func() fields { return fields{"initializationType": initializationType, "phase": phase} }
	g.emit(telemetryapi.EventInitStart, about())
	end := g.end(about())
	g.emit(telemetryapi.EventInitRuntimeDone, end)
	end["metrics"] = fields{"durationMs": g.ms()}
	g.emit(telemetryapi.EventInitReport, end)
}

func (g *generator) invoke(id string, suppressed, managed bool) {
	g.emit(telemetryapi.EventStart, fields{"requestId": id})
	if suppressed {
		g.initialize("on-demand", "invoke")
	}
	end := g.end(fields{"requestId": id})
	if managed {
		end["metrics"] = fields{"durationMs": g.ms()}
		end["spans"] = g.spans("responseLatency", "responseDuration")
		g.emit(telemetryapi.EventReport, end)
		return
	}
	end["metrics"] = fields{"durationMs": g.ms(), "producedBytes": g.IntN(1 << 22)}
	end["spans"] = g.spans("responseLatency", "responseDuration", "runtimeOverhead")
	g.emit(telemetryapi.EventRuntimeDone, end)
	end["spans"] = g.spans("extensionOverhead")
	end["metrics"] = fields{
		"durationMs": g.ms(), "billedDurationMs": g.ms(), "memorySizeMB": 256, "maxMemoryUsedMB": 246 + g.IntN(12),
	}
	g.emit(telemetryapi.EventReport, end)
	if g.IntN(4) == 0 {
		g.emit(telemetryapi.EventLogsDropped, fields{"droppedRecords": g.IntN(100), "droppedBytes": g.IntN(10_000)})
	}
}

// environment makes up the life of one, in the order in which it happens.
func environment(seed uint64) []telemetryapi.Event {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 0)), now: testStart}
	managed := false
	switch g.IntN(5) {
	case 0:
		g.initialize("on-demand", "init")
	case 1:
		g.initialize("provisioned-concurrency", "init")
	case 2:
		g.initialize("lambda-managed-instances", "init")
		managed = true
	case 3:
		g.initialize([]string{"on-demand", "snap-start"}[g.IntN(2)], "init")
		g.emit(telemetryapi.EventRestoreStart, fields{})
		end := g.end(fields{})
		g.emit(telemetryapi.EventRestoreRuntimeDone, end)
		end["metrics"] = fields{"durationMs": g.ms()}
		g.emit(telemetryapi.EventRestoreReport, end)
	default:
	}
	suppressed := g.IntN(3) == 0 && !managed
	for i := range 1 + g.IntN(20) {
		g.invoke(strconv.Itoa(i), suppressed && i == 0, managed)
	}
	return g.events
}

// TestOrderAndDuplicatesDoNotMatter is about what Lambda may do: deliver again what it has delivered, and events of
// several invocations in any order.
func TestOrderAndDuplicatesDoNotMatter(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		events := environment(seed)
		want := totalsOf(t, events)
		random := rand.New(rand.NewPCG(seed, 1))
		shuffled := slices.Clone(events)
		for _, event := range events {
			if random.IntN(3) == 0 {
				shuffled = append(shuffled, event)
			}
		}
		random.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		requireTotals(t, want, totalsOf(t, shuffled))
	}
}

// TestDeltasAddUp collects after each event, with a duplicate of an earlier one now and then.
func TestDeltasAddUp(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		events := environment(seed)
		a := New(Settings{Delta: true, Start: testStart})
		random := rand.New(rand.NewPCG(seed, 2))
		got := map[string]total{}
		start := testStart
		for i, event := range events {
			a.Observe(event)
			if random.IntN(2) == 0 {
				a.Observe(events[random.IntN(i+1)])
			}
			if event.Type == telemetryapi.EventRestoreStart {
				start = event.Time
			}
			metrics := collect(t, a, event.Time)
			addTotals(t, got, metrics)
			requireInterval(t, metrics, start, event.Time)
			start = event.Time
		}
		requireTotals(t, totalsOf(t, events), got)
	}
}

// requireInterval checks the times of all points.
func requireInterval(tb testing.TB, metrics pmetric.Metrics, start, end time.Time) {
	tb.Helper()
	check := func(from, to pcommon.Timestamp) {
		require.Equal(tb, start, from.AsTime())
		require.Equal(tb, end, to.AsTime())
	}
	slice := metrics.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics()
	for i := range slice.Len() {
		switch m := slice.At(i); m.Type() {
		case pmetric.MetricTypeSum:
			for j := range m.Sum().DataPoints().Len() {
				check(m.Sum().DataPoints().At(j).StartTimestamp(), m.Sum().DataPoints().At(j).Timestamp())
			}
		case pmetric.MetricTypeHistogram:
			check(m.Histogram().DataPoints().At(0).StartTimestamp(), m.Histogram().DataPoints().At(0).Timestamp())
		default:
			require.Equal(tb, end, m.Gauge().DataPoints().At(0).Timestamp().AsTime())
		}
	}
}

// FuzzObserve is about records of any form: they must not do more harm than not to count.
func FuzzObserve(f *testing.F) {
	for _, name := range []string{"malformed", "unknown_types", "every_record_type", "timeout"} {
		for _, event := range readEvents(f, filepath.Join("testdata", name, "events.json")) {
			f.Add(string(event.Type), []byte(event.Record))
		}
	}
	f.Fuzz(func(t *testing.T, eventType string, record []byte) {
		for _, exponential := range []bool{false, true} {
			a := New(Settings{Start: testStart, Exponential: exponential})
			for range 2 {
				a.Observe(telemetryapi.Event{Time: testNow, Type: telemetryapi.EventType(eventType), Record: record})
			}
			a.Finish()
			metrics := collect(t, a, testNow)
			slice := metrics.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics()
			for i := range slice.Len() {
				if slice.At(i).Type() == pmetric.MetricTypeHistogram {
					point := slice.At(i).Histogram().DataPoints().At(0)
					require.EqualValues(t, 1, point.Count(), "once")
					require.GreaterOrEqual(t, point.Sum(), 0.0)
				}
			}
		}
	})
}
