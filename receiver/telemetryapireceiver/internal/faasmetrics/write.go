// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package faasmetrics

import (
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// write appends all streams that have something, and returns how many points that makes.
func (a *Aggregator) write(now time.Time, dst pmetric.MetricSlice) (points int) {
	w := writer{
		start: pcommon.NewTimestampFromTime(a.start), now: pcommon.NewTimestampFromTime(now),
		temporality: pmetric.AggregationTemporalityCumulative, exponential: a.settings.Exponential,
	}
	if a.settings.Delta {
		w.temporality = pmetric.AggregationTemporalityDelta
	}
	dst.EnsureCapacity(dst.Len() + metricCount)
	for i := range a.streams {
		s := &a.streams[i]
		if !s.live {
			continue
		}
		m := &metrics[i]
		metric := dst.AppendEmpty()
		metric.SetName(m.Name)
		metric.SetUnit(m.Unit)
		metric.SetDescription(m.Description)
		switch {
		case m.Kind == KindGauge:
			point := metric.SetEmptyGauge().DataPoints().AppendEmpty()
			point.SetTimestamp(w.now)
			point.SetIntValue(s.value)
		case i == failures:
			points += w.errors(metric, a.errorTypes)
			continue
		case m.Kind == KindCounter:
			w.number(w.sum(metric), s.value)
		default:
			attributes := w.histogram(metric, &s.histogram, m)
			if i == initDuration && a.init.initializationType != "" {
				attributes.PutStr(attrInitializationType, a.init.initializationType)
			}
		}
		points++
	}
	return points
}

// writer has what all points have in common.
type writer struct {
	start, now  pcommon.Timestamp
	temporality pmetric.AggregationTemporality
	exponential bool
}

func (w *writer) errors(metric pmetric.Metric, counts []errorCount) (points int) {
	sum := w.sum(metric)
	for _, c := range counts {
		if c.n > 0 {
			w.number(sum, c.n).PutStr(attrErrorType, c.errorType)
			points++
		}
	}
	return points
}

func (w *writer) sum(metric pmetric.Metric) pmetric.NumberDataPointSlice {
	sum := metric.SetEmptySum()
	sum.SetIsMonotonic(true)
	sum.SetAggregationTemporality(w.temporality)
	return sum.DataPoints()
}

func (w *writer) number(points pmetric.NumberDataPointSlice, n int64) pcommon.Map {
	point := points.AppendEmpty()
	point.SetStartTimestamp(w.start)
	point.SetTimestamp(w.now)
	point.SetIntValue(n)
	return point.Attributes()
}

func (w *writer) histogram(metric pmetric.Metric, h *histogram, m *Metric) pcommon.Map {
	if w.exponential {
		return w.exponentialHistogram(metric, h)
	}
	dst := metric.SetEmptyHistogram()
	dst.SetAggregationTemporality(w.temporality)
	point := dst.DataPoints().AppendEmpty()
	point.SetStartTimestamp(w.start)
	point.SetTimestamp(w.now)
	point.SetCount(h.count)
	point.SetSum(h.sum)
	point.SetMin(h.min)
	point.SetMax(h.max)
	point.ExplicitBounds().FromRaw(m.Bounds())
	point.BucketCounts().FromRaw(h.buckets)
	return point.Attributes()
}

func (w *writer) exponentialHistogram(metric pmetric.Metric, h *histogram) pcommon.Map {
	dst := metric.SetEmptyExponentialHistogram()
	dst.SetAggregationTemporality(w.temporality)
	point := dst.DataPoints().AppendEmpty()
	point.SetStartTimestamp(w.start)
	point.SetTimestamp(w.now)
	point.SetCount(h.count)
	point.SetSum(h.sum)
	point.SetMin(h.min)
	point.SetMax(h.max)
	point.SetZeroCount(h.zeros)
	point.SetScale(int32(h.scale))
	point.Positive().SetOffset(int32(h.offset))
	point.Positive().BucketCounts().FromRaw(h.buckets)
	return point.Attributes()
}
