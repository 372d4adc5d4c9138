// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package otlpsink

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

func logID(change func(pcommon.Resource, pcommon.InstrumentationScope, plog.LogRecord)) string {
	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	rl.Resource().Attributes().PutStr("service.name", "shop")
	rl.Resource().Attributes().PutStr("service.instance.id", "one")
	sl := rl.ScopeLogs().AppendEmpty()
	sl.Scope().SetName("scope")
	lr := sl.LogRecords().AppendEmpty()
	lr.Body().SetStr("body")
	lr.SetTimestamp(1)
	lr.SetObservedTimestamp(2)
	lr.Attributes().PutStr("a", "1")
	lr.Attributes().PutStr("b", "2")
	if change != nil {
		change(rl.Resource(), sl.Scope(), lr)
	}
	return flattenLogs(ld, Item{})[0].ID
}

func TestLogIdentity(t *testing.T) {
	type (
		res   = pcommon.Resource
		scope = pcommon.InstrumentationScope
		rec   = plog.LogRecord
	)
	base := logID(nil)
	require.Regexp(t, "^logs/[0-9a-f]{32}$", base)

	for name, same := range map[string]func(res, scope, rec){
		"again":                      nil,
		"another resource attribute": func(r res, _ scope, _ rec) { r.Attributes().PutStr("cloud.region", "x") },
		"order of attributes": func(_ res, _ scope, l rec) {
			l.Attributes().Remove("a")
			l.Attributes().PutStr("a", "1")
		},
	} {
		require.Equal(t, base, logID(same), name)
	}
	seen := map[string]string{base: "base"}
	for name, other := range map[string]func(res, scope, rec){
		"service":      func(r res, _ scope, _ rec) { r.Attributes().PutStr("service.name", "bank") },
		"no service":   func(r res, _ scope, _ rec) { r.Attributes().Remove("service.name") },
		"instance":     func(r res, _ scope, _ rec) { r.Attributes().PutStr("service.instance.id", "two") },
		"scope":        func(_ res, s scope, _ rec) { s.SetName("other") },
		"version":      func(_ res, s scope, _ rec) { s.SetVersion("1") },
		"time":         func(_ res, _ scope, l rec) { l.SetTimestamp(3) },
		"observed":     func(_ res, _ scope, l rec) { l.SetObservedTimestamp(3) },
		"body":         func(_ res, _ scope, l rec) { l.Body().SetStr("other") },
		"body type":    func(_ res, _ scope, l rec) { l.Body().SetEmptyBytes().FromRaw([]byte("body")) },
		"body map":     func(_ res, _ scope, l rec) { l.Body().SetEmptyMap().PutBool("x", true) },
		"body false":   func(_ res, _ scope, l rec) { l.Body().SetEmptyMap().PutBool("x", false) },
		"body list":    func(_ res, _ scope, l rec) { l.Body().SetEmptySlice().AppendEmpty().SetDouble(1) },
		"body int":     func(_ res, _ scope, l rec) { l.Body().SetEmptySlice().AppendEmpty().SetInt(1) },
		"empty body":   func(_ res, _ scope, l rec) { pcommon.NewValueEmpty().CopyTo(l.Body()) },
		"value":        func(_ res, _ scope, l rec) { l.Attributes().PutStr("a", "2") },
		"value type":   func(_ res, _ scope, l rec) { l.Attributes().PutInt("a", 1) },
		"key":          func(_ res, _ scope, l rec) { l.Attributes().Remove("a"); l.Attributes().PutStr("c", "1") },
		"fewer":        func(_ res, _ scope, l rec) { l.Attributes().Remove("a") },
		"shifted text": func(_ res, _ scope, l rec) { l.Attributes().Remove("a"); l.Attributes().PutStr("a1", "") },
		"trace":        func(_ res, _ scope, l rec) { l.SetTraceID(traceID(1)) },
		"span":         func(_ res, _ scope, l rec) { l.SetSpanID(spanID(1)) },
	} {
		id := logID(other)
		require.NotContains(t, seen, id, "%s is the same as %s", name, seen[id])
		seen[id] = name
	}
}

func TestPointIdentity(t *testing.T) {
	id := func(change func(pmetric.Metric)) string {
		md := pmetric.NewMetrics()
		m := md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
		m.SetName("m")
		change(m)
		points := flattenMetrics(md, Item{})
		require.Len(t, points, 1)
		require.Regexp(t, "^metrics/[0-9a-f]{32}$", points[0].ID)
		return points[0].ID
	}
	number := func(change func(pmetric.NumberDataPoint)) func(pmetric.Metric) {
		return func(m pmetric.Metric) {
			p := m.SetEmptyGauge().DataPoints().AppendEmpty()
			p.SetIntValue(1)
			change(p)
		}
	}
	histogram := func(change func(pmetric.HistogramDataPoint)) func(pmetric.Metric) {
		return func(m pmetric.Metric) {
			p := m.SetEmptyHistogram().DataPoints().AppendEmpty()
			p.BucketCounts().FromRaw([]uint64{1, 2})
			p.ExplicitBounds().FromRaw([]float64{1})
			change(p)
		}
	}
	exponential := func(change func(pmetric.ExponentialHistogramDataPoint)) func(pmetric.Metric) {
		return func(m pmetric.Metric) { change(m.SetEmptyExponentialHistogram().DataPoints().AppendEmpty()) }
	}
	summary := func(change func(pmetric.SummaryDataPoint)) func(pmetric.Metric) {
		return func(m pmetric.Metric) { change(m.SetEmptySummary().DataPoints().AppendEmpty()) }
	}
	type (
		num = pmetric.NumberDataPoint
		his = pmetric.HistogramDataPoint
		exp = pmetric.ExponentialHistogramDataPoint
		sum = pmetric.SummaryDataPoint
	)
	first, second := id(number(func(num) {})), id(number(func(num) {}))
	require.Equal(t, first, second)

	seen := map[string]string{}
	for name, change := range map[string]func(pmetric.Metric){
		"gauge":         number(func(num) {}),
		"value":         number(func(p num) { p.SetIntValue(2) }),
		"double":        number(func(p num) { p.SetDoubleValue(1) }),
		"attributes":    number(func(p num) { p.Attributes().PutInt("a", 1) }),
		"time":          number(func(p num) { p.SetTimestamp(1) }),
		"start":         number(func(p num) { p.SetStartTimestamp(1) }),
		"name":          func(m pmetric.Metric) { number(func(num) {})(m); m.SetName("n") },
		"sum":           func(m pmetric.Metric) { m.SetEmptySum().DataPoints().AppendEmpty().SetIntValue(1) },
		"histogram":     histogram(func(his) {}),
		"buckets":       histogram(func(p his) { p.BucketCounts().FromRaw([]uint64{2, 1}) }),
		"bounds":        histogram(func(p his) { p.ExplicitBounds().FromRaw([]float64{2}) }),
		"h. count":      histogram(func(p his) { p.SetCount(1) }),
		"h. sum":        histogram(func(p his) { p.SetSum(1) }),
		"h. min":        histogram(func(p his) { p.SetMin(1) }),
		"h. max":        histogram(func(p his) { p.SetMax(1) }),
		"exponential":   exponential(func(exp) {}),
		"e. scale":      exponential(func(p exp) { p.SetScale(1) }),
		"e. zeros":      exponential(func(p exp) { p.SetZeroCount(1) }),
		"e. threshold":  exponential(func(p exp) { p.SetZeroThreshold(1) }),
		"e. positive":   exponential(func(p exp) { p.Positive().BucketCounts().Append(1) }),
		"e. negative":   exponential(func(p exp) { p.Negative().BucketCounts().Append(1) }),
		"e. offset":     exponential(func(p exp) { p.Positive().SetOffset(1) }),
		"e. count, sum": exponential(func(p exp) { p.SetCount(1); p.SetSum(2); p.SetMin(3); p.SetMax(4) }),
		"summary":       summary(func(sum) {}),
		"quantile":      summary(func(p sum) { p.QuantileValues().AppendEmpty().SetValue(1) }),
		"other value":   summary(func(p sum) { p.QuantileValues().AppendEmpty().SetQuantile(1) }),
		"s. count, sum": summary(func(p sum) { p.SetCount(1); p.SetSum(1) }),
	} {
		got := id(change)
		require.NotContains(t, seen, got, "%s is the same as %s", name, seen[got])
		seen[got] = name
	}
}
