// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapireceiver

import (
	"context"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/otelcol-lambda/otelcol-lambda/internal/health"
)

// drainHealth passes on what has happened to the layer since the last time, and reports whether there was anything.
func (r *telemetryReceiver) drainHealth(ctx context.Context) (moved bool) {
	return r.health.Report(r.now(), !r.shutdownDeadline().IsZero(), func(counts []health.Count) error {
		select {
		case r.turn <- struct{}{}:
			defer func() { <-r.turn }()
		case <-r.stopping:
			return context.Canceled
		case <-ctx.Done():
			return ctx.Err()
		}
		r.prepare()
		return r.nextMetrics.ConsumeMetrics(ctx, r.mapper.health(counts, &r.state))
	})
}

// health makes cumulative sums and gauges of counts, which come sorted by metric.
func (m *logMapper) health(counts []health.Count, state *streamState) pmetric.Metrics {
	metrics := pmetric.NewMetrics()
	rm := metrics.ResourceMetrics().AppendEmpty()
	m.putResource(rm.Resource(), state)
	sm := rm.ScopeMetrics().AppendEmpty()
	m.putScope(sm.Scope())
	now := pcommon.NewTimestampFromTime(m.now())
	for i, c := range counts {
		if i == 0 || c.Metric != counts[i-1].Metric {
			metric := sm.Metrics().AppendEmpty()
			metric.SetName(string(c.Metric))
			metric.SetUnit(c.Metric.Unit())
			metric.SetDescription(c.Metric.Description())
			if c.Metric.Gauge() {
				metric.SetEmptyGauge()
			} else {
				sum := metric.SetEmptySum()
				sum.SetIsMonotonic(true)
				sum.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
			}
		}
		point := points(sm.Metrics().At(sm.Metrics().Len() - 1)).AppendEmpty()
		point.SetStartTimestamp(pcommon.NewTimestampFromTime(c.Since.Round(time.Millisecond)))
		point.SetTimestamp(now)
		point.SetIntValue(c.Total)
		for _, a := range c.Attributes {
			point.Attributes().PutStr(a.Key, a.Value)
		}
	}
	return metrics
}

func points(metric pmetric.Metric) pmetric.NumberDataPointSlice {
	if metric.Type() == pmetric.MetricTypeGauge {
		return metric.Gauge().DataPoints()
	}
	return metric.Sum().DataPoints()
}
