// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package decoupleprocessor

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// shaped makes traces of a text: resources are divided by a slash, scopes by a bar, and spans by a space.
func shaped(text string) ptrace.Traces {
	td := ptrace.NewTraces()
	for resource := range strings.SplitSeq(text, "/") {
		rs := td.ResourceSpans().AppendEmpty()
		for scope := range strings.SplitSeq(resource, "|") {
			ss := rs.ScopeSpans().AppendEmpty()
			for name := range strings.FieldsSeq(scope) {
				ss.Spans().AppendEmpty().SetName(name)
			}
		}
	}
	return td
}

// shape is the text of traces.
func shape(td ptrace.Traces) string {
	var resources []string
	for _, rs := range td.ResourceSpans().All() {
		var scopes []string
		for _, ss := range rs.ScopeSpans().All() {
			var names []string
			for _, span := range ss.Spans().All() {
				names = append(names, span.Name())
			}
			scopes = append(scopes, strings.Join(names, " "))
		}
		resources = append(resources, strings.Join(scopes, "|"))
	}
	return strings.Join(resources, "/")
}

func TestSplitTraces(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("l", 200)
	for _, test := range []struct {
		name, in string
		// max is as many bytes as these traces have, and some more or less.
		max  string
		more int
		want []string
	}{
		{name: "all fits", in: "a b|c/d", max: "a b|c/d", want: []string{"a b|c/d"}},
		{name: "all fits, though some is empty", in: "a||b//c", max: "a||b//c", want: []string{"a||b//c"}},
		{name: "as many as fit", in: "a b c d e", max: "a b", want: []string{"a b", "c d", "e"}},
		{name: "one byte is missing", in: "a b c d e", max: "a b c", more: -1, want: []string{"a b", "c d", "e"}},
		{name: "one byte is left", in: "a b c d e", max: "a b", more: 1, want: []string{"a b", "c d", "e"}},
		{name: "between scopes", in: "a b|c d|e", max: "a b", want: []string{"a b", "c d", "e"}},
		{name: "within a scope", in: "a b|c d|e", max: "a b|c", want: []string{"a b|c", "d|e"}},
		{name: "a scope too many", in: "a b|c d|e", max: "a b c", want: []string{"a b", "c d", "e"}},
		{name: "between resources", in: "a/b/c/d", max: "a/b", want: []string{"a/b", "c/d"}},
		{name: "within a resource", in: "a b/c|d/e", max: "a b/c", want: []string{"a b/c", "d/e"}},
		{name: "a large span is alone", in: "a b " + large + " c d", max: "a b", want: []string{"a b", large, "c d"}},
		{name: "a large span comes first", in: large + " a", max: "a", want: []string{large, "a"}},
		{name: "all are too large", in: "a b|c/d", max: "a", more: -1, want: []string{"a", "b", "c", "d"}},
		{name: "what holds no span is dropped", in: "|a||b//|/c", max: "a", want: []string{"a", "b", "c"}},
		{name: "nothing but what holds no span", in: "|/", max: "", want: nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var sizer ptrace.ProtoMarshaler
			var got []string
			for _, part := range splitTraces(shaped(test.in), sizer.TracesSize(shaped(test.max))+test.more) {
				got = append(got, shape(part))
			}
			require.Equal(t, test.want, got)
		})
	}
}

func TestSplitMetricRepeatsWhatDescribesIt(t *testing.T) {
	t.Parallel()
	md := pmetric.NewMetrics()
	metric := md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	metric.SetName("requests")
	metric.SetDescription("Requests.")
	metric.SetUnit("{request}")
	metric.Metadata().PutStr("prometheus.type", "counter")
	sum := metric.SetEmptySum()
	sum.SetIsMonotonic(true)
	sum.SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
	for i := range int64(3) {
		sum.DataPoints().AppendEmpty().SetIntValue(i)
	}

	parts := splitMetrics(md, 1)
	require.Len(t, parts, 3)
	for i, part := range parts {
		got := part.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0)
		require.Equal(t, "requests", got.Name())
		require.Equal(t, "Requests.", got.Description())
		require.Equal(t, "{request}", got.Unit())
		require.Equal(t, map[string]any{"prometheus.type": "counter"}, got.Metadata().AsRaw())
		require.True(t, got.Sum().IsMonotonic())
		require.Equal(t, pmetric.AggregationTemporalityDelta, got.Sum().AggregationTemporality())
		require.Equal(t, 1, got.Sum().DataPoints().Len())
		require.Equal(t, int64(i), got.Sum().DataPoints().At(0).IntValue())
	}
}

// Every size at which the length of a message may take another byte is met here, down to points of no bytes at all.
func TestSplitMetricsToAnySize(t *testing.T) {
	t.Parallel()
	metrics := func() pmetric.Metrics {
		md := pmetric.NewMetrics()
		metric := md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
		sum := metric.SetEmptySum()
		sum.SetIsMonotonic(true)
		sum.SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
		for range 70 {
			sum.DataPoints().AppendEmpty()
		}
		return md
	}
	s := splittingMetrics()
	for maxBytes := range s.size(metrics()) {
		s.check(t, metrics(), maxBytes)
	}
}

// splitting is what the properties of a split are checked with.
type splitting[T comparable] struct {
	split  func(T, int) []T
	empty  func() T
	random func(generator) T
	size   func(T) int
	// items are digests of the items of data, each with its resource and all else around it.
	items func(T) []string
	// prefix cuts data down to its first items.
	prefix func(T, int)
	// slack is by how much a part of this content may be too small.
	slack func(T) int
	parse func([]byte) (T, error)
	bytes func(T) ([]byte, error)
}

func splittingTraces() splitting[ptrace.Traces] {
	var marshaler ptrace.ProtoMarshaler
	var unmarshaler ptrace.ProtoUnmarshaler
	return splitting[ptrace.Traces]{
		split:  splitTraces,
		empty:  ptrace.NewTraces,
		random: generator.traces,
		size:   marshaler.TracesSize,
		items:  spanItems,
		prefix: func(td ptrace.Traces, n int) {
			keep(td.ResourceSpans(), func(rs ptrace.ResourceSpans) bool {
				return keep(rs.ScopeSpans(), func(ss ptrace.ScopeSpans) bool { return keep(ss.Spans(), first[ptrace.Span](&n)) })
			})
		},
		slack: func(ptrace.Traces) int { return 0 },
		parse: unmarshaler.UnmarshalTraces,
		bytes: marshaler.MarshalTraces,
	}
}

func splittingLogs() splitting[plog.Logs] {
	var marshaler plog.ProtoMarshaler
	var unmarshaler plog.ProtoUnmarshaler
	return splitting[plog.Logs]{
		split:  splitLogs,
		empty:  plog.NewLogs,
		random: generator.logs,
		size:   marshaler.LogsSize,
		items:  recordItems,
		prefix: func(ld plog.Logs, n int) {
			keep(ld.ResourceLogs(), func(rl plog.ResourceLogs) bool {
				return keep(rl.ScopeLogs(), func(sl plog.ScopeLogs) bool {
					return keep(sl.LogRecords(), first[plog.LogRecord](&n))
				})
			})
		},
		slack: func(plog.Logs) int { return 0 },
		parse: unmarshaler.UnmarshalLogs,
		bytes: marshaler.MarshalLogs,
	}
}

func splittingMetrics() splitting[pmetric.Metrics] {
	var marshaler pmetric.ProtoMarshaler
	var unmarshaler pmetric.ProtoUnmarshaler
	return splitting[pmetric.Metrics]{
		split:  splitMetrics,
		empty:  pmetric.NewMetrics,
		random: generator.metrics,
		size:   marshaler.MetricsSize,
		items:  pointItems,
		prefix: func(md pmetric.Metrics, n int) {
			keep(md.ResourceMetrics(), func(rm pmetric.ResourceMetrics) bool {
				return keep(rm.ScopeMetrics(), func(sm pmetric.ScopeMetrics) bool {
					return keep(sm.Metrics(), func(m pmetric.Metric) bool {
						return keepPoints(m, func() bool { n--; return n >= 0 })
					})
				})
			})
		},
		// Two bytes for each metric, and up to three that those may add to the lengths of what they are in.
		slack: func(md pmetric.Metrics) int { return 5 * md.MetricCount() },
		parse: unmarshaler.UnmarshalMetrics,
		bytes: marshaler.MarshalMetrics,
	}
}

// keep removes elements from a slice and reports whether there are others.
func keep[S interface {
	RemoveIf(func(E) bool)
	Len() int
}, E any](slice S, wanted func(E) bool) bool {
	slice.RemoveIf(func(e E) bool { return !wanted(e) })
	return slice.Len() > 0
}

// first is true for the first n of the elements that it is asked about.
func first[E any](n *int) func(E) bool {
	return func(E) bool {
		*n--
		return *n >= 0
	}
}

func keepPoints(m pmetric.Metric, wanted func() bool) bool {
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		return keep(m.Gauge().DataPoints(), func(pmetric.NumberDataPoint) bool { return wanted() })
	case pmetric.MetricTypeSum:
		return keep(m.Sum().DataPoints(), func(pmetric.NumberDataPoint) bool { return wanted() })
	case pmetric.MetricTypeHistogram:
		return keep(m.Histogram().DataPoints(), func(pmetric.HistogramDataPoint) bool { return wanted() })
	case pmetric.MetricTypeExponentialHistogram:
		return keep(m.ExponentialHistogram().DataPoints(),
			func(pmetric.ExponentialHistogramDataPoint) bool { return wanted() })
	case pmetric.MetricTypeSummary:
		return keep(m.Summary().DataPoints(), func(pmetric.SummaryDataPoint) bool { return wanted() })
	}
	return false
}

func spanItems(td ptrace.Traces) []string {
	var items []string
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				one := ptrace.NewTraces()
				resource := one.ResourceSpans().AppendEmpty()
				rs.Resource().CopyTo(resource.Resource())
				resource.SetSchemaUrl(rs.SchemaUrl())
				scope := resource.ScopeSpans().AppendEmpty()
				ss.Scope().CopyTo(scope.Scope())
				scope.SetSchemaUrl(ss.SchemaUrl())
				span.CopyTo(scope.Spans().AppendEmpty())
				items = append(items, digest(new(ptrace.ProtoMarshaler).MarshalTraces(one)))
			}
		}
	}
	return items
}

func recordItems(ld plog.Logs) []string {
	var items []string
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, record := range sl.LogRecords().All() {
				one := plog.NewLogs()
				resource := one.ResourceLogs().AppendEmpty()
				rl.Resource().CopyTo(resource.Resource())
				resource.SetSchemaUrl(rl.SchemaUrl())
				scope := resource.ScopeLogs().AppendEmpty()
				sl.Scope().CopyTo(scope.Scope())
				scope.SetSchemaUrl(sl.SchemaUrl())
				record.CopyTo(scope.LogRecords().AppendEmpty())
				items = append(items, digest(new(plog.ProtoMarshaler).MarshalLogs(one)))
			}
		}
	}
	return items
}

func pointItems(md pmetric.Metrics) []string {
	var items []string
	for _, rm := range md.ResourceMetrics().All() {
		for _, sm := range rm.ScopeMetrics().All() {
			for _, m := range sm.Metrics().All() {
				for i := 0; ; i++ {
					one := pmetric.NewMetrics()
					resource := one.ResourceMetrics().AppendEmpty()
					rm.Resource().CopyTo(resource.Resource())
					resource.SetSchemaUrl(rm.SchemaUrl())
					scope := resource.ScopeMetrics().AppendEmpty()
					sm.Scope().CopyTo(scope.Scope())
					scope.SetSchemaUrl(sm.SchemaUrl())
					metric := scope.Metrics().AppendEmpty()
					m.CopyTo(metric)
					n := -1
					if !keepPoints(metric, func() bool { n++; return n == i }) {
						break
					}
					items = append(items, digest(new(pmetric.ProtoMarshaler).MarshalMetrics(one)))
				}
			}
		}
	}
	return items
}

// digest tells messages apart in fewer words. To marshal them never fails.
func digest(message []byte, _ error) string { return fmt.Sprintf("%x", sha256.Sum256(message)) }

// generator makes data of all shapes, on both sides of the sizes at which the length of a message takes another byte.
type generator struct{ *rand.Rand }

func (g generator) chance(percent int) bool { return g.IntN(100) < percent }

// text is different each time, but for the empty one.
func (g generator) text() string {
	switch n := g.IntN(100); {
	case n < 20:
		return ""
	case n < 99:
		return strconv.FormatUint(g.Uint64(), 16) + strings.Repeat("t", g.IntN(150))
	default:
		return strconv.FormatUint(g.Uint64(), 16) + strings.Repeat("t", 16200+g.IntN(200))
	}
}

func (g generator) fill(attributes pcommon.Map) {
	for range g.IntN(3) {
		attributes.PutStr(g.text(), g.text())
	}
}

func (g generator) resource(resource pcommon.Resource) {
	g.fill(resource.Attributes())
	resource.SetDroppedAttributesCount(g.Uint32N(2))
}

func (g generator) scope(scope pcommon.InstrumentationScope) {
	scope.SetName(g.text())
	scope.SetVersion(g.text())
	g.fill(scope.Attributes())
}

func (g generator) traces() ptrace.Traces {
	td := ptrace.NewTraces()
	for range g.IntN(4) {
		rs := td.ResourceSpans().AppendEmpty()
		g.resource(rs.Resource())
		rs.SetSchemaUrl(g.text())
		for range g.IntN(4) {
			ss := rs.ScopeSpans().AppendEmpty()
			g.scope(ss.Scope())
			ss.SetSchemaUrl(g.text())
			for range g.IntN(8) {
				span := ss.Spans().AppendEmpty()
				span.SetName(g.text())
				g.fill(span.Attributes())
				g.fill(span.Events().AppendEmpty().Attributes())
			}
		}
	}
	return td
}

func (g generator) logs() plog.Logs {
	ld := plog.NewLogs()
	for range g.IntN(4) {
		rl := ld.ResourceLogs().AppendEmpty()
		g.resource(rl.Resource())
		rl.SetSchemaUrl(g.text())
		for range g.IntN(4) {
			sl := rl.ScopeLogs().AppendEmpty()
			g.scope(sl.Scope())
			sl.SetSchemaUrl(g.text())
			for range g.IntN(8) {
				record := sl.LogRecords().AppendEmpty()
				record.Body().SetStr(g.text())
				g.fill(record.Attributes())
			}
		}
	}
	return ld
}

func (g generator) metrics() pmetric.Metrics {
	md := pmetric.NewMetrics()
	for range g.IntN(4) {
		rm := md.ResourceMetrics().AppendEmpty()
		g.resource(rm.Resource())
		rm.SetSchemaUrl(g.text())
		for range g.IntN(4) {
			sm := rm.ScopeMetrics().AppendEmpty()
			g.scope(sm.Scope())
			sm.SetSchemaUrl(g.text())
			for range g.IntN(4) {
				m := sm.Metrics().AppendEmpty()
				m.SetName(g.text())
				m.SetDescription(g.text())
				m.SetUnit(g.text())
				g.fill(m.Metadata())
				g.points(m)
			}
		}
	}
	return md
}

// points gives a metric its type and its data points. One type is none at all.
func (g generator) points(m pmetric.Metric) {
	temporality := pmetric.AggregationTemporality(g.Int32N(3))
	points := g.IntN(6)
	switch pmetric.MetricType(g.Int32N(6)) {
	case pmetric.MetricTypeGauge:
		gauge := m.SetEmptyGauge()
		for range points {
			g.fill(gauge.DataPoints().AppendEmpty().Attributes())
		}
	case pmetric.MetricTypeSum:
		sum := m.SetEmptySum()
		sum.SetAggregationTemporality(temporality)
		sum.SetIsMonotonic(g.chance(50))
		for range points {
			point := sum.DataPoints().AppendEmpty()
			point.SetIntValue(g.Int64())
			g.fill(point.Attributes())
		}
	case pmetric.MetricTypeHistogram:
		histogram := m.SetEmptyHistogram()
		histogram.SetAggregationTemporality(temporality)
		for range points {
			point := histogram.DataPoints().AppendEmpty()
			point.BucketCounts().FromRaw(make([]uint64, g.IntN(40)))
			g.fill(point.Attributes())
		}
	case pmetric.MetricTypeExponentialHistogram:
		histogram := m.SetEmptyExponentialHistogram()
		histogram.SetAggregationTemporality(temporality)
		for range points {
			point := histogram.DataPoints().AppendEmpty()
			point.Positive().BucketCounts().FromRaw(make([]uint64, g.IntN(40)))
			g.fill(point.Attributes())
		}
	case pmetric.MetricTypeSummary:
		summary := m.SetEmptySummary()
		for range points {
			point := summary.DataPoints().AppendEmpty()
			point.QuantileValues().AppendEmpty().SetValue(g.Float64())
			g.fill(point.Attributes())
		}
	}
}

// check splits data and looks whether the parts are what they should be.
func (s splitting[T]) check(t *testing.T, data T, maxBytes int) {
	t.Helper()
	want, size := s.items(data), s.size(data)
	parts := s.split(data, maxBytes)
	if size <= maxBytes {
		require.Len(t, parts, 1)
		same := parts[0] == data // not only equal
		require.True(t, same)
		require.Equal(t, size, s.size(parts[0]))
		return
	}
	var got []string
	for _, part := range parts {
		items := s.items(part)
		require.NotEmpty(t, items)
		if s.size(part) > maxBytes {
			require.Len(t, items, 1, "a part of %d bytes for %d", s.size(part), maxBytes)
		}
		got = append(got, items...)
	}
	require.Equal(t, want, got)
}

// checkFullness splits data where its first items just fit into a part, and where they do not.
func (s splitting[T]) checkFullness(t *testing.T, data func() T) {
	t.Helper()
	all := s.items(data())
	for n := 1; n < len(all); n++ {
		start := data()
		s.prefix(start, n)
		require.Equal(t, all[:n], s.items(start))
		size := s.size(start)

		just, less := s.split(data(), size+s.slack(start)), s.split(data(), size-1)
		require.GreaterOrEqual(t, len(s.items(just[0])), n)
		require.LessOrEqual(t, len(s.items(less[0])), max(n-1, 1))
	}
}

func (s splitting[T]) run(t *testing.T) {
	t.Helper()
	s.check(t, s.empty(), 0)
	for seed := range uint64(25) {
		data := func() T { return s.random(generator{rand.New(rand.NewPCG(seed, 0))}) }
		size := s.size(data())
		for _, maxBytes := range []int{-1, 0, 1, 100, 1000, size / 10, size / 3, size / 2, size - 1, size, size + 1} {
			s.check(t, data(), maxBytes)
		}
		s.checkFullness(t, data)
	}
}

func TestSplitLosesNothing(t *testing.T) {
	t.Parallel()
	t.Run("traces", func(t *testing.T) { t.Parallel(); splittingTraces().run(t) })
	t.Run("logs", func(t *testing.T) { t.Parallel(); splittingLogs().run(t) })
	t.Run("metrics", func(t *testing.T) { t.Parallel(); splittingMetrics().run(t) })
}

func FuzzSplitTraces(f *testing.F)  { splittingTraces().fuzz(f) }
func FuzzSplitLogs(f *testing.F)    { splittingLogs().fuzz(f) }
func FuzzSplitMetrics(f *testing.F) { splittingMetrics().fuzz(f) }

// fuzz splits what any bytes mean as protobuf.
func (s splitting[T]) fuzz(f *testing.F) {
	f.Helper()
	for seed := range uint64(100) {
		message, err := s.bytes(s.random(generator{rand.New(rand.NewPCG(seed, 0))}))
		require.NoError(f, err)
		if len(message) < 1000 { // the fuzzer gets nowhere with large ones
			f.Add(message, len(message)/2)
		}
	}
	f.Fuzz(func(t *testing.T, message []byte, maxBytes int) {
		data, err := s.parse(message)
		if err != nil {
			return
		}
		s.check(t, data, maxBytes)
	})
}

// BenchmarkSplitTraces does not measure the making of the traces, which a split leaves empty.
func BenchmarkSplitTraces(b *testing.B) {
	var sizer ptrace.ProtoMarshaler
	for _, spans := range []int{1_000, 10_000} {
		td := ptrace.NewTraces()
		rs := td.ResourceSpans().AppendEmpty()
		rs.Resource().Attributes().PutStr("service.name", "checkout")
		ss := rs.ScopeSpans().AppendEmpty()
		for i := range spans {
			span := ss.Spans().AppendEmpty()
			span.SetName("GET /orders/{id}")
			span.Attributes().PutStr("url.full", "https://shop.example/orders/1234567890")
			span.Attributes().PutInt("order", int64(i))
		}
		for _, maxBytes := range []int{1 << 10, 1 << 16} {
			b.Run(fmt.Sprintf("%d spans to %d bytes", spans, maxBytes), func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(sizer.TracesSize(td)))
				for b.Loop() {
					b.StopTimer()
					input := ptrace.NewTraces()
					td.CopyTo(input)
					b.StartTimer()
					require.Greater(b, len(splitTraces(input, maxBytes)), 1)
				}
			})
		}
	}
}
