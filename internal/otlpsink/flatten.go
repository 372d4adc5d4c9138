// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package otlpsink

import (
	"fmt"
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// flattenTraces returns the spans in the order in which the request has them; seed is the Item to start from.
func flattenTraces(td ptrace.Traces, seed Item) []Span {
	spans := make([]Span, 0, td.SpanCount())
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, s := range ss.Spans().All() {
				it := seed
				it.Resource, it.Scope = rs.Resource().Attributes(), ss.Scope()
				it.ID = spanIdentity(s)
				spans = append(spans, Span{Item: it, Span: s})
			}
		}
	}
	return spans
}

func flattenLogs(ld plog.Logs, seed Item) []LogRecord {
	records := make([]LogRecord, 0, ld.LogRecordCount())
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, lr := range sl.LogRecords().All() {
				it := seed
				it.Resource, it.Scope = rl.Resource().Attributes(), sl.Scope()
				it.ID = logIdentity(it.Resource, it.Scope, lr)
				records = append(records, LogRecord{Item: it, LogRecord: lr})
			}
		}
	}
	return records
}

func flattenMetrics(md pmetric.Metrics, seed Item) []Point {
	points := make([]Point, 0, md.DataPointCount())
	for _, rm := range md.ResourceMetrics().All() {
		for _, sm := range rm.ScopeMetrics().All() {
			for _, m := range sm.Metrics().All() {
				it := seed
				it.Resource, it.Scope = rm.Resource().Attributes(), sm.Scope()
				points = appendPoints(points, it, m)
			}
		}
	}
	return points
}

func appendPoints(points []Point, it Item, m pmetric.Metric) []Point {
	add := func(p dataPoint, number float64, count uint64, value string, hash func(*digest)) {
		it.ID = pointIdentity(it.Resource, it.Scope, m, p, hash)
		points = append(points, Point{
			Item: it, Metric: m, Attributes: p.Attributes(), Start: p.StartTimestamp(), Timestamp: p.Timestamp(),
			Number: number, Count: count, Value: value,
		})
	}
	numbers := func(s pmetric.NumberDataPointSlice) {
		for _, p := range s.All() {
			number, value := numberOf(p)
			add(p, number, 1, value, func(d *digest) { d.numberPoint(p) })
		}
	}
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		numbers(m.Gauge().DataPoints())
	case pmetric.MetricTypeSum:
		numbers(m.Sum().DataPoints())
	case pmetric.MetricTypeHistogram:
		for _, p := range m.Histogram().DataPoints().All() {
			value := describeDistribution(p)
			add(p, p.Sum(), p.Count(), value, func(d *digest) { d.histogramPoint(p) })
		}
	case pmetric.MetricTypeExponentialHistogram:
		for _, p := range m.ExponentialHistogram().DataPoints().All() {
			value := describeDistribution(p)
			add(p, p.Sum(), p.Count(), value, func(d *digest) { d.exponentialPoint(p) })
		}
	case pmetric.MetricTypeSummary:
		for _, p := range m.Summary().DataPoints().All() {
			var value strings.Builder
			fmt.Fprintf(&value, "count=%d sum=%s", p.Count(), formatFloat(p.Sum()))
			for _, q := range p.QuantileValues().All() {
				fmt.Fprintf(&value, " p%s=%s", formatFloat(100*q.Quantile()), formatFloat(q.Value()))
			}
			add(p, p.Sum(), p.Count(), value.String(), func(d *digest) { d.summaryPoint(p) })
		}
	case pmetric.MetricTypeEmpty:
	}
	return points
}

func numberOf(p pmetric.NumberDataPoint) (float64, string) {
	switch p.ValueType() {
	case pmetric.NumberDataPointValueTypeInt:
		return float64(p.IntValue()), strconv.FormatInt(p.IntValue(), 10)
	case pmetric.NumberDataPointValueTypeDouble:
		return p.DoubleValue(), formatFloat(p.DoubleValue())
	default:
		return 0, "no value"
	}
}

// describeDistribution leaves out the buckets, which no line of text has room for.
func describeDistribution(p interface {
	Count() uint64
	HasSum() bool
	Sum() float64
	HasMin() bool
	Min() float64
	HasMax() bool
	Max() float64
},
) string {
	var b strings.Builder
	fmt.Fprintf(&b, "count=%d", p.Count())
	if p.HasSum() {
		b.WriteString(" sum=" + formatFloat(p.Sum()))
	}
	if p.HasMin() {
		b.WriteString(" min=" + formatFloat(p.Min()))
	}
	if p.HasMax() {
		b.WriteString(" max=" + formatFloat(p.Max()))
	}
	return b.String()
}

func formatFloat(f float64) string { return strconv.FormatFloat(f, 'g', 6, 64) }
