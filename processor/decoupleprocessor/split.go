// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package decoupleprocessor

import (
	"iter"
	"math/bits"
	"slices"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// The messages around an item, from the outside in.
const (
	requestLevel = iota
	resourceLevel
	scopeLevel
	metricLevel
	dataLevel // the gauge, sum, histogram or summary of a metric
)

// splitTraces splits td into parts of at most maxBytes of OTLP protobuf each, in the same order. A span that is larger
// than that with its resource and scope has a part of its own. Data that fits is returned as it is. Other data is
// emptied, so it must not be read-only, and those of its resources and scopes that hold no span are dropped: where none
// holds any, there are no parts.
func splitTraces(td ptrace.Traces, maxBytes int) []ptrace.Traces {
	var sizer ptrace.ProtoMarshaler
	if sizer.TracesSize(td) <= maxBytes {
		return []ptrace.Traces{td}
	}
	var parts []ptrace.Traces
	var toResource ptrace.ResourceSpans
	var toScope ptrace.ScopeSpans
	pack := newPacker(maxBytes)
	for _, resource := range td.ResourceSpans().All() {
		scopes := emptied(resource.ScopeSpans(), ptrace.NewScopeSpansSlice())
		pack.enter(resourceLevel, sizer.ResourceSpansSize(resource))
		for _, scope := range scopes.All() {
			spans := emptied(scope.Spans(), ptrace.NewSpanSlice())
			pack.enter(scopeLevel, sizer.ScopeSpansSize(scope))
			for _, span := range spans.All() {
				switch pack.add(sizer.SpanSize(span)) {
				case requestLevel:
					parts = append(parts, ptrace.NewTraces())
					fallthrough
				case resourceLevel:
					toResource = parts[len(parts)-1].ResourceSpans().AppendEmpty()
					resource.CopyTo(toResource)
					fallthrough
				case scopeLevel:
					toScope = toResource.ScopeSpans().AppendEmpty()
					scope.CopyTo(toScope)
				}
				span.MoveTo(toScope.Spans().AppendEmpty())
			}
		}
	}
	return parts
}

// splitLogs is splitTraces for logs.
func splitLogs(ld plog.Logs, maxBytes int) []plog.Logs {
	var sizer plog.ProtoMarshaler
	if sizer.LogsSize(ld) <= maxBytes {
		return []plog.Logs{ld}
	}
	var parts []plog.Logs
	var toResource plog.ResourceLogs
	var toScope plog.ScopeLogs
	pack := newPacker(maxBytes)
	for _, resource := range ld.ResourceLogs().All() {
		scopes := emptied(resource.ScopeLogs(), plog.NewScopeLogsSlice())
		pack.enter(resourceLevel, sizer.ResourceLogsSize(resource))
		for _, scope := range scopes.All() {
			records := emptied(scope.LogRecords(), plog.NewLogRecordSlice())
			pack.enter(scopeLevel, sizer.ScopeLogsSize(scope))
			for _, record := range records.All() {
				switch pack.add(sizer.LogRecordSize(record)) {
				case requestLevel:
					parts = append(parts, plog.NewLogs())
					fallthrough
				case resourceLevel:
					toResource = parts[len(parts)-1].ResourceLogs().AppendEmpty()
					resource.CopyTo(toResource)
					fallthrough
				case scopeLevel:
					toScope = toResource.ScopeLogs().AppendEmpty()
					scope.CopyTo(toScope)
				}
				record.MoveTo(toScope.LogRecords().AppendEmpty())
			}
		}
	}
	return parts
}

// splitMetrics is splitTraces for metrics, whose items are the data points: a metric is repeated, without its points,
// where they go into several parts, and dropped if it has none.
func splitMetrics(md pmetric.Metrics, maxBytes int) []pmetric.Metrics {
	var sizer pmetric.ProtoMarshaler
	if sizer.MetricsSize(md) <= maxBytes {
		return []pmetric.Metrics{md}
	}
	var parts []pmetric.Metrics
	var toResource pmetric.ResourceMetrics
	var toScope pmetric.ScopeMetrics
	var toMetric pmetric.Metric
	pack := newPacker(maxBytes)
	for _, resource := range md.ResourceMetrics().All() {
		scopes := emptied(resource.ScopeMetrics(), pmetric.NewScopeMetricsSlice())
		pack.enter(resourceLevel, sizer.ResourceMetricsSize(resource))
		for _, scope := range scopes.All() {
			metrics := emptied(scope.Metrics(), pmetric.NewMetricSlice())
			pack.enter(scopeLevel, sizer.ScopeMetricsSize(scope))
			for _, metric := range metrics.All() {
				splitMetric(metric, pack, func(pointBytes int) pmetric.Metric {
					switch pack.add(pointBytes) {
					case requestLevel:
						parts = append(parts, pmetric.NewMetrics())
						fallthrough
					case resourceLevel:
						toResource = parts[len(parts)-1].ResourceMetrics().AppendEmpty()
						resource.CopyTo(toResource)
						fallthrough
					case scopeLevel:
						toScope = toResource.ScopeMetrics().AppendEmpty()
						scope.CopyTo(toScope)
						fallthrough
					case metricLevel:
						toMetric = toScope.Metrics().AppendEmpty()
						metric.CopyTo(toMetric)
					}
					return toMetric
				})
			}
		}
	}
	return parts
}

// splitMetric moves the data points of a metric to those that target returns for them, given their sizes.
func splitMetric(metric pmetric.Metric, pack *packer, target func(pointBytes int) pmetric.Metric) {
	var sizer pmetric.ProtoMarshaler
	switch metric.Type() {
	case pmetric.MetricTypeGauge:
		splitPoints(metric, pack, target, pmetric.NewNumberDataPointSlice(), sizer.NumberDataPointSize,
			func(m pmetric.Metric) pmetric.NumberDataPointSlice { return m.Gauge().DataPoints() })
	case pmetric.MetricTypeSum:
		splitPoints(metric, pack, target, pmetric.NewNumberDataPointSlice(), sizer.NumberDataPointSize,
			func(m pmetric.Metric) pmetric.NumberDataPointSlice { return m.Sum().DataPoints() })
	case pmetric.MetricTypeHistogram:
		splitPoints(metric, pack, target, pmetric.NewHistogramDataPointSlice(), sizer.HistogramDataPointSize,
			func(m pmetric.Metric) pmetric.HistogramDataPointSlice { return m.Histogram().DataPoints() })
	case pmetric.MetricTypeExponentialHistogram:
		splitPoints(metric, pack, target, pmetric.NewExponentialHistogramDataPointSlice(),
			sizer.ExponentialHistogramDataPointSize,
			func(m pmetric.Metric) pmetric.ExponentialHistogramDataPointSlice {
				return m.ExponentialHistogram().DataPoints()
			})
	case pmetric.MetricTypeSummary:
		splitPoints(metric, pack, target, pmetric.NewSummaryDataPointSlice(), sizer.SummaryDataPointSize,
			func(m pmetric.Metric) pmetric.SummaryDataPointSlice { return m.Summary().DataPoints() })
	}
}

// pointSlice is what the slices of the different kinds of data points have in common.
type pointSlice[S, P any] interface {
	All() iter.Seq2[int, P]
	AppendEmpty() P
	MoveAndAppendTo(S)
}

// splitPoints is splitMetric for one kind of data points, of which it is given an empty slice, the sizer, and where
// they are in a metric.
func splitPoints[S pointSlice[S, P], P interface{ MoveTo(P) }](metric pmetric.Metric, pack *packer,
	target func(int) pmetric.Metric, empty S, size func(P) int, of func(pmetric.Metric) S,
) {
	points := emptied(of(metric), empty)
	var sizer pmetric.ProtoMarshaler
	pack.enter(metricLevel, sizer.MetricSize(metric))
	// The metric's own size has the tag and the length of its data already. They count twice, which is up to two bytes
	// too many; the size of the data without points cannot be had.
	pack.enter(dataLevel, 0)
	for _, point := range points.All() {
		point.MoveTo(of(target(size(point))).AppendEmpty())
	}
}

// emptied moves the content of from to the empty slice into, which it returns. The message that from belongs to is left
// as what surrounds each part of the content: a copy of it is small, and its size is that of the envelope alone.
func emptied[S interface{ MoveAndAppendTo(S) }](from, into S) S {
	from.MoveAndAppendTo(into)
	return into
}

// packer decides where parts begin, by their exact sizes as protobuf.
type packer struct {
	max int
	// around are the sizes of the messages around the next item, without what they contain.
	around []int
	// open are the sizes of those of them that the current part has already, with what they contain except for the
	// next one of them, which is still growing.
	open []int
}

func newPacker(maxBytes int) *packer {
	// A request has nothing of its own.
	return &packer{max: maxBytes, around: []int{0}}
}

// enter tells what surrounds the items to come at a level, with its size; what was there and further inside ends.
func (p *packer) enter(level, bytes int) {
	for last := len(p.open) - 1; last >= level; last-- {
		p.open[last-1] += field(p.open[last])
		p.open = p.open[:last]
	}
	p.around = append(p.around[:level], bytes)
}

// add places an item. It returns the outermost level at which a new message begins with it: requestLevel if it does not
// fit into the current part, and the one after the innermost if it joins the item before it.
func (p *packer) add(bytes int) int {
	begin := len(p.open)
	p.open = append(p.open, p.around[begin:]...)
	if p.with(bytes) > p.max {
		begin = 0
		p.open = append(p.open[:0], p.around...)
	}
	p.open[len(p.open)-1] += field(bytes)
	return begin
}

// with is the size of the part with one more item.
func (p *packer) with(item int) int {
	size := item
	for _, outer := range slices.Backward(p.open) {
		size = outer + field(size)
	}
	return size
}

// field is the size of a protobuf message as a field of another one. All fields on the way to an item have a tag of one
// byte.
func field(size int) int {
	const tag, bitsPerByte = 1, 7
	length := (bits.Len(uint(size)|1) + bitsPerByte - 1) / bitsPerByte
	return tag + length + size
}
