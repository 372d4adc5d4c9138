// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package otlpsink

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// at returns a time so many milliseconds after the epoch of the tests.
func at(ms int) pcommon.Timestamp { return pcommon.Timestamp(epoch + ms*int(time.Millisecond)) }

func TestPrintTraces(t *testing.T) {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "shop")
	spans := rs.ScopeSpans().AppendEmpty().Spans()
	add := func(trace, id, parent int, name string, start, end int) ptrace.Span {
		s := spans.AppendEmpty()
		s.SetTraceID(traceID(trace))
		s.SetSpanID(spanID(id))
		if parent != 0 {
			s.SetParentSpanID(spanID(parent))
		}
		s.SetName(name)
		s.SetStartTimestamp(at(start))
		s.SetEndTimestamp(at(end))
		return s
	}
	store := add(1, 4, 1, "store", 60, 90)
	store.Status().SetCode(ptrace.StatusCodeError)
	store.Status().SetMessage("no\nspace")
	event := store.Events().AppendEmpty()
	event.SetName("exception")
	event.SetTimestamp(at(80))
	event.Attributes().PutStr("exception.type", "full")
	root := add(1, 1, 0, "checkout", 0, 100)
	root.SetKind(ptrace.SpanKindServer)
	root.Attributes().PutStr("faas.invocation_id", "abc")
	root.Attributes().PutBool("faas.coldstart", true)
	add(1, 3, 2, "bank", 20, 40)
	add(1, 2, 1, "charge", 10, 50)
	add(0, 9, 8, "orphan", 500, 501)
	add(2, 5, 6, "egg", 600, 601)
	add(2, 6, 5, "hen", 600, 602)
	add(2, 7, 7, "selfmade", 603, 603)
	add(1, 2, 1, "charge", 10, 50)

	want := `trace 00000000000000000000000000000002  4 spans  100ms
  checkout  Server  100ms  service.name=shop  faas.coldstart=true  faas.invocation_id=abc
    charge  Unspecified  40ms  (arrived 2 times)
      bank  Unspecified  20ms
    store  Unspecified  30ms  ERROR "no\nspace"
      . exception  +20ms  exception.type=full
trace 00000000000000000000000000000001  1 span  1ms
  orphan  Unspecified  1ms  service.name=shop  (parent 0000000000000008 is not here)
trace 00000000000000000000000000000003  3 spans  3ms
  hen  Unspecified  2ms  service.name=shop  (its parents go round in a circle)
    egg  Unspecified  1ms
  selfmade  Unspecified  0s  service.name=shop  (its parents go round in a circle)
`
	requireSamePrint(t, want, flattenTraces(td, Item{}), PrintSpans)
}

// requireSamePrint prints the items in several orders of arrival.
func requireSamePrint[T any](t *testing.T, want string, items []T, printItems func(w io.Writer, items []T) error) {
	t.Helper()
	for range len(items) {
		var out bytes.Buffer
		require.NoError(t, printItems(&out, items))
		require.Equal(t, want, out.String())
		items = append(items[1:], items[0])
	}
	slices.Reverse(items)
	var out bytes.Buffer
	require.NoError(t, printItems(&out, items))
	require.Equal(t, want, out.String())
}

func TestPrintMetrics(t *testing.T) {
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	rm.Resource().Attributes().PutStr("service.name", "shop")
	sm := rm.ScopeMetrics().AppendEmpty()
	sm.Scope().SetName("checkout")
	add := func(name, unit string) pmetric.Metric {
		m := sm.Metrics().AppendEmpty()
		m.SetName(name)
		m.SetUnit(unit)
		return m
	}
	sum := add("orders", "{order}").SetEmptySum()
	sum.SetIsMonotonic(true)
	sum.SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
	for i, currency := range []string{"USD", "EUR"} {
		p := sum.DataPoints().AppendEmpty()
		p.SetIntValue(int64(i + 1))
		p.Attributes().PutStr("currency", currency)
		p.SetTimestamp(at(0))
	}
	queue := add("queue", "1").SetEmptySum()
	queue.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	queue.DataPoints().AppendEmpty().SetTimestamp(at(1))
	add("load", "").SetEmptyGauge().DataPoints().AppendEmpty().SetDoubleValue(0.25)
	h := add("duration", "s").SetEmptyHistogram()
	h.SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
	p := h.DataPoints().AppendEmpty()
	p.SetCount(2)
	p.SetSum(0.5)
	p.SetMin(0.1)
	p.SetMax(0.4)
	e := add("size", "By").SetEmptyExponentialHistogram()
	e.SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
	e.DataPoints().AppendEmpty().SetCount(7)
	s := add("wait", "s").SetEmptySummary().DataPoints().AppendEmpty()
	s.SetCount(3)
	s.SetSum(6)
	q := s.QuantileValues().AppendEmpty()
	q.SetQuantile(0.99)
	q.SetValue(4)
	add("nothing", "")
	bare := md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	bare.SetName("bare")
	bare.SetEmptyGauge().DataPoints().AppendEmpty().SetIntValue(-1)

	want := `(no service.name)
  00:00:00.000  bare  Gauge  -1
shop  checkout
  00:00:00.000  duration  Histogram/Delta  count=2 sum=0.5 min=0.1 max=0.4 s
  00:00:00.000  load  Gauge  0.25
  14:13:20.000  orders  Sum/Delta  2 {order}  currency=EUR
  14:13:20.000  orders  Sum/Delta  1 {order}  currency=USD
  14:13:20.001  queue  UpDownSum/Cumulative  no value
  00:00:00.000  size  ExponentialHistogram/Delta  count=7 By
  00:00:00.000  wait  Summary  count=3 sum=6 p99=4 s
`
	points := flattenMetrics(md, Item{})
	requireSamePrint(t, want, points, PrintPoints)
	require.InDelta(t, 0.5, points[4].Number, 0)
	require.EqualValues(t, 2, points[4].Count)
}

func TestPrintLogs(t *testing.T) {
	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	rl.Resource().Attributes().PutStr("service.name", "shop")
	records := rl.ScopeLogs().AppendEmpty().LogRecords()
	late := records.AppendEmpty()
	late.SetObservedTimestamp(at(10))
	late.SetSeverityNumber(plog.SeverityNumberError)
	late.Body().SetEmptyMap().PutStr("error", "x\x1b[31m")
	early := records.AppendEmpty()
	early.SetTimestamp(at(5))
	early.SetSeverityText("INFO")
	early.Body().SetStr("order " + strings.Repeat("é", 200))
	early.Attributes().PutInt("n", 1)
	early.SetTraceID(traceID(0))
	early.SetSpanID(spanID(1))

	want := "shop\n" +
		"  14:13:20.005  INFO  order " + strings.Repeat("é", 93) + "…  n=1" +
		"  trace=00000000000000000000000000000001 span=0000000000000001\n" +
		"  14:13:20.010  Error {\"error\":\"x\\u001b[31m\"}\n"
	requireSamePrint(t, want, flattenLogs(ld, Item{}), PrintLogRecords)
}
