// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package faasmetrics

import (
	"encoding/json"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
	"github.com/otelcol-lambda/otelcol-lambda/receiver/telemetryapireceiver/internal/sandboxstat"
)

func eventAt(at time.Time, event telemetryapi.EventType, record string) telemetryapi.Event {
	return telemetryapi.Event{Time: at, Type: event, Record: json.RawMessage(record)}
}

func runtimeDone(id, status, errorType string) telemetryapi.Event {
	return eventAt(testNow, telemetryapi.EventRuntimeDone,
		`{"requestId":"`+id+`","status":"`+status+`","errorType":"`+errorType+`","metrics":{"durationMs":5}}`)
}

// named finds a metric by its name.
func named(tb testing.TB, metrics pmetric.Metrics, name string) pmetric.Metric {
	tb.Helper()
	slice := metrics.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics()
	for i := range slice.Len() {
		if slice.At(i).Name() == name {
			return slice.At(i)
		}
	}
	require.Fail(tb, "no metric "+name)
	return pmetric.NewMetric()
}

func TestNothing(t *testing.T) {
	t.Parallel()
	a := New(Settings{Start: testStart})
	require.True(t, a.Empty())
	require.Zero(t, collect(t, a, testNow).MetricCount())

	a.Observe(eventAt(testNow, telemetryapi.EventStart, `{"requestId":"1"}`))
	a.Observe(eventAt(testNow, telemetryapi.EventFunction, `"text"`))
	a.ObserveUsage(sandboxstat.Usage{})
	require.True(t, a.Empty(), "what is not known is not zero")
}

func TestTemporality(t *testing.T) {
	t.Parallel()
	later := testNow.Add(time.Hour)
	for _, delta := range []bool{false, true} {
		t.Run(strconv.FormatBool(delta), func(t *testing.T) {
			t.Parallel()
			a := New(Settings{Delta: delta, Start: testStart})
			a.Observe(runtimeDone("1", "success", ""))
			a.Observe(runtimeDone("2", "error", "ValueError"))
			require.False(t, a.Empty())
			metrics := collect(t, a, testNow)
			require.EqualValues(t, 1, named(t, metrics, "faas.invocations").Sum().DataPoints().At(0).IntValue())
			requireInterval(t, metrics, testStart, testNow)

			a.Observe(runtimeDone("1", "success", ""))
			require.True(t, a.Empty(), "it has been counted")

			a.Observe(runtimeDone("3", "success", ""))
			metrics = collect(t, a, later)
			sum := named(t, metrics, "faas.invocations").Sum()
			histogram := named(t, metrics, "faas.invoke_duration").Histogram()
			if delta {
				require.Equal(t, pmetric.AggregationTemporalityDelta, sum.AggregationTemporality())
				require.Equal(t, pmetric.AggregationTemporalityDelta, histogram.AggregationTemporality())
				require.EqualValues(t, 1, sum.DataPoints().At(0).IntValue())
				require.EqualValues(t, 1, histogram.DataPoints().At(0).Count())
				require.Equal(t, 2, metrics.MetricCount(), "of the errors there is nothing new")
				requireInterval(t, metrics, testNow, later)
				require.Zero(t, collect(t, a, later).MetricCount())
				return
			}
			require.Equal(t, pmetric.AggregationTemporalityCumulative, sum.AggregationTemporality())
			require.Equal(t, pmetric.AggregationTemporalityCumulative, histogram.AggregationTemporality())
			require.EqualValues(t, 2, sum.DataPoints().At(0).IntValue())
			require.EqualValues(t, 3, histogram.DataPoints().At(0).Count())
			require.Equal(t, 3, metrics.MetricCount(), "all streams")
			requireInterval(t, metrics, testStart, later)
			again := collect(t, a, later)
			require.Equal(t, metrics, again)
		})
	}
}

func TestClockSetBack(t *testing.T) {
	t.Parallel()
	a := New(Settings{Delta: true, Start: testNow})
	a.Observe(runtimeDone("1", "success", ""))
	requireInterval(t, collect(t, a, testStart), testStart, testStart)
}

func TestUsage(t *testing.T) {
	t.Parallel()
	known := func(n uint64) sandboxstat.Value { return sandboxstat.Value{N: n, Known: true} }
	a := New(Settings{Start: testStart})
	a.ObserveUsage(sandboxstat.Usage{CPU: known(30_000_000), Network: known(5000)})
	a.ObserveUsage(sandboxstat.Usage{Network: known(0)})
	a.ObserveInUse(sandboxstat.InUse{Tmp: known(4096), OpenFiles: known(40), Threads: known(12)})
	a.ObserveInUse(sandboxstat.InUse{Tmp: known(8192)})
	metrics := collect(t, a, testNow)
	cpu := named(t, metrics, "faas.cpu_usage").Histogram().DataPoints().At(0)
	require.EqualValues(t, 1, cpu.Count())
	require.InDelta(t, 0.03, cpu.Sum(), 1e-12)
	network := named(t, metrics, "faas.net_io").Histogram().DataPoints().At(0)
	require.Equal(t, []uint64{1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0}, network.BucketCounts().AsRaw())
	for name, want := range map[string]int64{
		"aws.lambda.tmp_usage": 8192, "aws.lambda.open_file_descriptors": 40, "aws.lambda.threads": 12,
	} {
		require.Equal(t, want, named(t, metrics, name).Gauge().DataPoints().At(0).IntValue(), name)
	}
}

func TestErrorTypesAreBounded(t *testing.T) {
	t.Parallel()
	a := New(Settings{Start: testStart})
	for i := range 2 * maxErrorTypes {
		a.Observe(runtimeDone(strconv.Itoa(i), "error", "Error"+strconv.Itoa(i)))
	}
	// One that was among the first keeps its name.
	a.Observe(runtimeDone("again", "error", "Error0"))
	points := named(t, collect(t, a, testNow), "faas.errors").Sum().DataPoints()
	require.Equal(t, maxErrorTypes+1, points.Len())
	counts := map[string]int64{}
	for i := range points.Len() {
		errorType, _ := points.At(i).Attributes().Get("error.type")
		counts[errorType.Str()] = points.At(i).IntValue()
	}
	require.EqualValues(t, 2, counts["Error0"])
	require.EqualValues(t, maxErrorTypes, counts["_OTHER"])
}

func TestInvocationsAreBounded(t *testing.T) {
	t.Parallel()
	a := New(Settings{Start: testStart})
	report := func(id string) telemetryapi.Event {
		return eventAt(testNow, telemetryapi.EventReport,
			`{"requestId":"`+id+`","status":"success","metrics":{"durationMs":6,"billedDurationMs":7}}`)
	}
	for i := range 3 * maxInvocations {
		a.Observe(runtimeDone(strconv.Itoa(i), "success", ""))
		if i >= maxInvocations {
			a.Observe(report(strconv.Itoa(i)))
		}
	}
	require.Len(t, a.invocations, maxInvocations)
	require.Equal(t, maxInvocations, a.Forgotten(), "those without a report")
	// The last ones are still known.
	a.Observe(runtimeDone(strconv.Itoa(2*maxInvocations), "success", ""))
	a.Observe(report(strconv.Itoa(3*maxInvocations - 1)))
	metrics := collect(t, a, testNow)
	require.EqualValues(t, 3*maxInvocations, named(t, metrics, "faas.invocations").Sum().DataPoints().At(0).IntValue())
	require.EqualValues(t, 2*maxInvocations,
		named(t, metrics, "aws.lambda.billed_duration").Histogram().DataPoints().At(0).Count())
}

func TestDropsAreBounded(t *testing.T) {
	t.Parallel()
	a := New(Settings{Start: testStart})
	for i := range 2 * maxDrops {
		dropped := eventAt(testStart.Add(time.Duration(i)), telemetryapi.EventLogsDropped, `{"droppedRecords":1}`)
		a.Observe(dropped)
		a.Observe(dropped)
	}
	require.Len(t, a.drops, maxDrops)
	sum := named(t, collect(t, a, testNow), "aws.lambda.dropped_log_records").Sum()
	require.EqualValues(t, 2*maxDrops, sum.DataPoints().At(0).IntValue())
}

// TestInitWaits is about an init of which it is not clear yet what it leads to: an invocation, or a snapshot.
func TestInitWaits(t *testing.T) {
	t.Parallel()
	failed := func(delta bool) *Aggregator {
		a := New(Settings{Delta: delta, Start: testStart})
		for _, event := range readEvents(t, filepath.Join("testdata", "init_failure", "events.json"))[:3] {
			a.Observe(event)
		}
		return a
	}
	a := failed(false)
	require.True(t, a.Empty())
	a.Observe(eventAt(testNow, telemetryapi.EventStart, `{"requestId":"1"}`))
	metrics := collect(t, a, testNow)
	require.Equal(t, 2, metrics.MetricCount(), "whether the invocation fails for the same reason is not known yet")
	named(t, metrics, "faas.coldstarts")
	named(t, metrics, "faas.init_duration")

	a = failed(false)
	require.Zero(t, collect(t, a, testNow).MetricCount())
	a.Finish()
	require.False(t, a.Empty())
	metrics = collect(t, a, testNow)
	require.Equal(t, 3, metrics.MetricCount(), "Lambda tries again with the invocation that waited for it")
	named(t, metrics, "faas.coldstarts")
	require.EqualValues(t, 1, named(t, metrics, "faas.errors").Sum().DataPoints().At(0).IntValue())
	named(t, metrics, "faas.init_duration")
}

// TestReportAlone is about invocations of which an earlier process of the environment has seen the rest.
func TestReportAlone(t *testing.T) {
	t.Parallel()
	const (
		success = `"status":"success"`
		killed  = `"status":"error","errorType":"Runtime.ExitError"`
		starved = `"status":"error","errorType":"Runtime.OutOfMemory"`
	)
	start := eventAt(testStart, telemetryapi.EventStart, `{"requestId":"1"}`)
	managed := eventAt(testStart, telemetryapi.EventInitStart,
		`{"initializationType":"lambda-managed-instances","phase":"init"}`)
	for name, tt := range map[string]struct {
		before, after []telemetryapi.Event // the report
		report        string
		want          map[string]int // how many there are of what is about the run
	}{
		"success":       {report: success},
		"error":         {report: killed, want: map[string]int{"aws.lambda.out_of_memory": 1}},
		"out of memory": {report: starved},
		"start": {
			before: []telemetryapi.Event{start}, report: success,
			want: map[string]int{"faas.invocations": 1, "faas.invoke_duration": 1},
		},
		"start, behind it": {
			after: []telemetryapi.Event{start}, report: success,
			want: map[string]int{"faas.invocations": 1, "faas.invoke_duration": 1},
		},
		"start, behind a death for want of memory": {
			after: []telemetryapi.Event{start, start}, report: killed,
			want: map[string]int{"faas.errors": 1, "faas.invoke_duration": 1, "aws.lambda.out_of_memory": 1},
		},
		"start, behind the end of memory": {
			after: []telemetryapi.Event{start}, report: starved,
			want: map[string]int{"faas.errors": 1, "faas.invoke_duration": 1, "aws.lambda.out_of_memory": 1},
		},
		"runtimeDone, behind it": {
			after: []telemetryapi.Event{runtimeDone("1", "success", ""), start}, report: killed,
			want: map[string]int{
				"faas.invocations": 1, "faas.errors": 1, "faas.invoke_duration": 1, "aws.lambda.out_of_memory": 1,
			},
		},
		"Managed Instances": {
			before: []telemetryapi.Event{managed, start}, report: success,
			want: map[string]int{"faas.invocations": 1, "faas.invoke_duration": 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := New(Settings{Delta: true, Start: testStart})
			got := map[string]total{}
			observe := func(event telemetryapi.Event) {
				a.Observe(event)
				addTotals(t, got, collect(t, a, testNow))
			}
			report := eventAt(testNow, telemetryapi.EventReport, `{"requestId":"1",`+tt.report+
				`,"metrics":{"durationMs":6,"billedDurationMs":7,"memorySizeMB":128,"maxMemoryUsedMB":128}}`)
			for _, event := range slices.Concat(tt.before, []telemetryapi.Event{report, report}, tt.after,
				[]telemetryapi.Event{report}) {
				observe(event)
			}
			seen := map[string]int{}
			for key, tl := range got {
				name, _, _ := strings.Cut(key, "map[")
				seen[name] += int(tl.count)
				if tl.buckets == nil {
					seen[name] += int(tl.sum)
				}
			}
			want := map[string]int{
				"aws.lambda.billed_duration": 1, "faas.mem_usage": 1, "aws.lambda.memory_size": 128 * bytesPerMB,
			}
			maps.Copy(want, tt.want)
			require.Equal(t, want, seen)
		})
	}
}

// TestManagedInstancesRunMany has more of them run at once than are remembered.
func TestManagedInstancesRunMany(t *testing.T) {
	t.Parallel()
	a := New(Settings{Start: testStart})
	a.Observe(eventAt(testStart, telemetryapi.EventInitStart,
		`{"initializationType":"lambda-managed-instances","phase":"init"}`))
	for _, event := range []telemetryapi.EventType{telemetryapi.EventStart, telemetryapi.EventReport} {
		for i := range 3 * maxInvocations {
			a.Observe(eventAt(testNow, event,
				`{"requestId":"`+strconv.Itoa(i)+`","status":"success","metrics":{"durationMs":6}}`))
		}
	}
	require.EqualValues(t, 3*maxInvocations,
		named(t, collect(t, a, testNow), "faas.invocations").Sum().DataPoints().At(0).IntValue())
	require.Zero(t, a.Forgotten())
}

// TestRestore is about what comes with a snapshot: it must not be reported by each environment that is made of it.
func TestRestore(t *testing.T) {
	t.Parallel()
	for _, delta := range []bool{false, true} {
		a := New(Settings{Delta: delta, Start: testStart.Add(-24 * time.Hour)})
		a.Observe(eventAt(testStart.Add(-time.Hour), telemetryapi.EventLogsDropped, `{"droppedRecords":5}`))
		collect(t, a, testStart.Add(-time.Hour))
		a.ObserveUsage(sandboxstat.Usage{CPU: sandboxstat.Value{N: 1, Known: true}})

		restored := eventAt(testStart, telemetryapi.EventRestoreStart, `{}`)
		a.Observe(restored)
		a.Observe(runtimeDone("1", "success", ""))
		a.Observe(restored)
		// Late news from the time of the snapshot.
		a.Observe(eventAt(testStart.Add(-time.Minute), telemetryapi.EventLogsDropped, `{"droppedRecords":7}`))
		metrics := collect(t, a, testNow)
		require.Equal(t, 3, metrics.MetricCount())
		require.EqualValues(t, 1, named(t, metrics, "aws.lambda.restores").Sum().DataPoints().At(0).IntValue())
		requireInterval(t, metrics, testStart, testNow)
	}
}

// TestRestoreIsLate is about an invocation that is reported before the restore that made it possible.
func TestRestoreIsLate(t *testing.T) {
	t.Parallel()
	restored := eventAt(testStart.Add(time.Second), telemetryapi.EventRestoreStart, `{}`)
	a := New(Settings{Start: testStart})
	a.Observe(runtimeDone("1", "success", ""))
	a.Observe(restored)
	requireInterval(t, collect(t, a, testNow), restored.Time, testNow)

	a = New(Settings{Start: testStart})
	a.Observe(runtimeDone("1", "success", ""))
	collect(t, a, testNow)
	a.Observe(restored)
	metrics := collect(t, a, testNow)
	requireInterval(t, metrics, testStart, testNow)
	require.Equal(t, 3, metrics.MetricCount())
}

// TestRestoreFails is a restore whose failure the invocation reports, and one after which it went well.
func TestRestoreFails(t *testing.T) {
	t.Parallel()
	for status, want := range map[string]int64{"success": 1, "timeout": 1} {
		a := New(Settings{Start: testStart})
		a.Observe(eventAt(testStart, telemetryapi.EventRestoreStart, `{}`))
		a.Observe(eventAt(testStart, telemetryapi.EventRestoreReport,
			`{"status":"timeout","metrics":{"durationMs":10000.1}}`))
		a.Observe(runtimeDone("1", status, ""))
		require.Equal(t, want,
			named(t, collect(t, a, testNow), "faas.timeouts").Sum().DataPoints().At(0).IntValue(), status)
	}
}

// TestInitDurationOfReport is for when the init's own report was missed.
func TestInitDurationOfReport(t *testing.T) {
	t.Parallel()
	a := New(Settings{Start: testStart})
	a.Observe(eventAt(testStart, telemetryapi.EventInitStart, `{"initializationType":"on-demand","phase":"init"}`))
	a.Observe(eventAt(testNow, telemetryapi.EventReport,
		`{"requestId":"1","status":"success","metrics":{"durationMs":6,"initDurationMs":500}}`))
	metrics := collect(t, a, testNow)
	point := named(t, metrics, "faas.init_duration").Histogram().DataPoints().At(0)
	require.InDelta(t, 0.5, point.Sum(), 1e-12)
	require.Equal(t, map[string]any{"aws.lambda.initialization_type": "on-demand"}, point.Attributes().AsRaw())

	a.Observe(eventAt(testStart, telemetryapi.EventInitReport,
		`{"initializationType":"on-demand","phase":"init","metrics":{"durationMs":501}}`))
	require.True(t, a.Empty(), "it has been counted")
}

func TestInitRuntimeDoneWithoutPhase(t *testing.T) {
	t.Parallel()
	const record = `{"initializationType":"on-demand","status":"error","errorType":"Runtime.ImportModuleError"}`
	a := New(Settings{Start: testStart})
	a.Observe(eventAt(testStart, telemetryapi.EventInitRuntimeDone, record))
	a.Observe(runtimeDone("1", "success", ""))
	require.Equal(t, 2, collect(t, a, testNow).MetricCount(), "it may be part of the invocation")

	a = New(Settings{Start: testStart})
	a.Observe(eventAt(testStart, telemetryapi.EventInitStart, `{"initializationType":"on-demand","phase":"init"}`))
	a.Observe(eventAt(testStart, telemetryapi.EventInitRuntimeDone, record))
	a.Observe(runtimeDone("1", "success", ""))
	named(t, collect(t, a, testNow), "faas.errors")
}

func BenchmarkObserve(b *testing.B) {
	events := readEvents(b, filepath.Join("testdata", "every_record_type", "events.json"))
	for _, event := range events {
		b.Run(string(event.Type), func(b *testing.B) {
			a := New(Settings{Start: testStart})
			b.ReportAllocs()
			for b.Loop() {
				a.Observe(event)
			}
		})
	}
}

// BenchmarkInvocation is one invocation from its start to the metrics.
func BenchmarkInvocation(b *testing.B) {
	for _, bm := range []struct {
		name     string
		settings Settings
	}{
		{"cumulative explicit", Settings{Start: testStart}},
		{"delta exponential", Settings{Start: testStart, Delta: true, Exponential: true}},
	} {
		b.Run(bm.name, func(b *testing.B) {
			a := New(bm.settings)
			events := readEvents(b, filepath.Join("testdata", "every_record_type", "events.json"))
			for _, event := range events[:5] {
				a.Observe(event)
			}
			start, done, report := events[5], events[8], events[9]
			id := []byte("79b5e81f-9cdd-4145-b1f6-000000000001")
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				for i, digit := len(id)-1, n; i > 27; i-- {
					id[i] = byte('0' + digit%10)
					digit /= 10
				}
				for _, event := range []telemetryapi.Event{start, done, report} {
					copy(event.Record[len(`{"requestId":"`):], id)
					a.Observe(event)
				}
				a.Collect(testNow, pmetric.NewMetricSlice())
			}
		})
	}
}

func BenchmarkCollect(b *testing.B) {
	a := New(Settings{Start: testStart})
	for _, event := range environment(3) {
		a.Observe(event)
	}
	b.ReportAllocs()
	for b.Loop() {
		a.Collect(testNow, pmetric.NewMetricSlice())
	}
}

// TestRetry counts each attempt of an invocation that Lambda tries again under its id, and each event once.
func TestRetry(t *testing.T) {
	t.Parallel()
	at := func(ms int) time.Time { return testNow.Add(time.Duration(ms) * time.Millisecond) }
	first := []telemetryapi.Event{
		eventAt(at(0), telemetryapi.EventStart, `{"requestId":"1"}`),
		eventAt(at(10), telemetryapi.EventRuntimeDone, `{"requestId":"1","status":"error","errorType":"Function.Unknown","metrics":{"durationMs":10}}`),
		eventAt(at(12), telemetryapi.EventReport, `{"requestId":"1","status":"error","metrics":{"durationMs":12,"billedDurationMs":12}}`),
	}
	second := []telemetryapi.Event{
		eventAt(at(100), telemetryapi.EventStart, `{"requestId":"1"}`),
		eventAt(at(110), telemetryapi.EventRuntimeDone, `{"requestId":"1","status":"success","metrics":{"durationMs":10}}`),
		eventAt(at(112), telemetryapi.EventReport, `{"requestId":"1","status":"success","metrics":{"durationMs":12,"billedDurationMs":12}}`),
	}
	for name, events := range map[string][]telemetryapi.Event{
		"in order":                 slices.Concat(first, second),
		"everything twice":         slices.Concat(first, first, second, second),
		"the first once more late": slices.Concat(first, second, first),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, collects := range []bool{false, true} {
				a := New(Settings{Start: testStart})
				for _, event := range events {
					require.True(t, a.Observe(event))
					if collects {
						a.Empty()
					}
				}
				metrics := collect(t, a, testNow)
				for _, metric := range []string{"faas.errors", "faas.invocations"} {
					require.EqualValues(t, 1, named(t, metrics, metric).Sum().DataPoints().At(0).IntValue(), metric)
				}
				require.EqualValues(t, 2, named(t, metrics, "aws.lambda.billed_duration").Histogram().DataPoints().At(0).Count())
			}
		})
	}
}

// TestUnknownFields counts what Lambda has added, and takes it for no harm.
func TestUnknownFields(t *testing.T) {
	t.Parallel()
	a := New(Settings{Start: testStart})
	require.True(t, a.Observe(eventAt(testNow, telemetryapi.EventStart, `{"requestId":"1","version":"7","shard":3}`)))
	require.True(t, a.Observe(eventAt(testNow, telemetryapi.EventRuntimeDone,
		`{"requestId":"1","status":"success","metrics":{"durationMs":1,"joules":2},"zone":"a"}`)))
	require.Equal(t, 3, a.UnknownFields())
	require.EqualValues(t, 1, named(t, collect(t, a, testNow), "faas.invocations").Sum().DataPoints().At(0).IntValue())
}
