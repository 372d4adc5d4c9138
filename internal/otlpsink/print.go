// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package otlpsink

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// maxValueRunes is where a value is cut in print: enough for an ARN or an error, too little for a stack trace.
const maxValueRunes = 100

// PrintTraces writes every trace that arrived as a tree. The order depends on the spans only, not on their arrival.
func (r *record) PrintTraces(w io.Writer) error { return PrintSpans(w, r.Spans()) }

// PrintMetrics writes every metric point that arrived, by service, scope and metric.
func (r *record) PrintMetrics(w io.Writer) error { return PrintPoints(w, r.Points()) }

// PrintLogs writes every log record that arrived, by service and time.
func (r *record) PrintLogs(w io.Writer) error { return PrintLogRecords(w, r.LogRecords()) }

// spanNode is a span in the tree of its trace; the same span arriving again only counts.
type spanNode struct {
	Span
	times    int
	children []*spanNode
	printed  bool
}

// PrintSpans writes spans as the trees of their traces, earliest trace first. A span whose parent is not among them
// stands at the root and names the parent.
func PrintSpans(w io.Writer, spans []Span) error {
	out := bufio.NewWriter(w)
	nodes := map[string]*spanNode{}
	var order []*spanNode
	for _, s := range spans {
		if n := nodes[s.ID]; n != nil {
			n.times++
			continue
		}
		n := &spanNode{Span: s, times: 1}
		nodes[s.ID] = n
		order = append(order, n)
	}
	slices.SortFunc(order, compareNodes)

	traces := map[pcommon.TraceID][]*spanNode{}
	var ids []pcommon.TraceID
	for _, n := range order {
		id := n.TraceID()
		if traces[id] == nil {
			ids = append(ids, id)
		}
		traces[id] = append(traces[id], n)
	}
	for _, id := range ids {
		printTrace(out, id, traces[id], nodes)
	}
	return out.Flush()
}

func compareNodes(a, b *spanNode) int {
	return cmp.Or(
		cmp.Compare(a.StartTimestamp(), b.StartTimestamp()),
		// Of two that start together the longer one is more likely the parent.
		cmp.Compare(b.EndTimestamp(), a.EndTimestamp()),
		cmp.Compare(a.ID, b.ID),
	)
}

func printTrace(out *bufio.Writer, id pcommon.TraceID, nodes []*spanNode, all map[string]*spanNode) {
	var roots []*spanNode
	for _, n := range nodes {
		parent := all[string(SignalTraces)+"/"+id.String()+"/"+n.ParentSpanID().String()]
		if n.ParentSpanID().IsEmpty() || parent == nil {
			roots = append(roots, n)
			continue
		}
		parent.children = append(parent.children, n)
	}
	var start, end pcommon.Timestamp
	for i, n := range nodes {
		if i == 0 || n.StartTimestamp() < start {
			start = n.StartTimestamp()
		}
		end = max(end, n.EndTimestamp())
	}
	fmt.Fprintf(out, "trace %s  %s  %s\n", id, plural(len(nodes), "span"), between(start, end))
	for _, n := range roots {
		note := ""
		if !n.ParentSpanID().IsEmpty() {
			note = fmt.Sprintf("  (parent %s is not here)", n.ParentSpanID())
		}
		printSpan(out, n, "  ", note)
	}
	// What is left is in a circle, or is its own parent: wrong, but it arrived.
	for _, n := range nodes {
		if !n.printed {
			printSpan(out, n, "  ", "  (its parents go round in a circle)")
		}
	}
}

func printSpan(out *bufio.Writer, n *spanNode, indent, note string) {
	n.printed = true
	fmt.Fprintf(out, "%s%s  %s  %s", indent, clean(n.Name()), n.Kind(), between(n.StartTimestamp(), n.EndTimestamp()))
	if service := n.Service(); service != "" && indent == "  " {
		fmt.Fprintf(out, "  service.name=%s", clean(service))
	}
	if n.times > 1 {
		fmt.Fprintf(out, "  (arrived %d times)", n.times)
	}
	fmt.Fprint(out, note)
	if n.Status().Code() == ptrace.StatusCodeError {
		fmt.Fprintf(out, "  ERROR %s", clean(n.Status().Message()))
	}
	fmt.Fprintf(out, "%s\n", attributes(n.Attributes()))
	for _, e := range n.Events().All() {
		fmt.Fprintf(out, "%s  . %s  +%s%s\n", indent, clean(e.Name()), between(n.StartTimestamp(), e.Timestamp()),
			attributes(e.Attributes()))
	}
	for _, child := range n.children {
		if !child.printed {
			printSpan(out, child, indent+"  ", "")
		}
	}
}

// PrintPoints writes metric points under their service and scope, ordered by metric, attributes and time.
func PrintPoints(w io.Writer, points []Point) error {
	out := bufio.NewWriter(w)
	points = slices.Clone(points)
	slices.SortStableFunc(points, func(a, b Point) int {
		return cmp.Or(
			cmp.Compare(a.Service(), b.Service()),
			cmp.Compare(a.Scope.Name(), b.Scope.Name()),
			cmp.Compare(a.Metric.Name(), b.Metric.Name()),
			cmp.Compare(attributes(a.Attributes), attributes(b.Attributes)),
			cmp.Compare(a.Timestamp, b.Timestamp),
			cmp.Compare(a.ID, b.ID),
		)
	})
	heading := ""
	for _, p := range points {
		heading = printHeading(out, heading, p.Item)
		fmt.Fprintf(out, "  %s  %s  %s  %s", clock(p.Timestamp), clean(p.Metric.Name()), describeType(p.Metric), p.Value)
		if unit := p.Metric.Unit(); unit != "" && unit != "1" {
			fmt.Fprintf(out, " %s", clean(unit))
		}
		fmt.Fprintf(out, "%s\n", attributes(p.Attributes))
	}
	return out.Flush()
}

func describeType(m pmetric.Metric) string {
	temporality := pmetric.AggregationTemporalityUnspecified
	name := m.Type().String()
	switch m.Type() {
	case pmetric.MetricTypeSum:
		temporality = m.Sum().AggregationTemporality()
		if !m.Sum().IsMonotonic() {
			name = "UpDownSum"
		}
	case pmetric.MetricTypeHistogram:
		temporality = m.Histogram().AggregationTemporality()
	case pmetric.MetricTypeExponentialHistogram:
		temporality = m.ExponentialHistogram().AggregationTemporality()
	case pmetric.MetricTypeGauge, pmetric.MetricTypeSummary, pmetric.MetricTypeEmpty:
	}
	if temporality == pmetric.AggregationTemporalityUnspecified {
		return name
	}
	return name + "/" + temporality.String()
}

// PrintLogRecords writes log records under their service and scope, ordered by time.
func PrintLogRecords(w io.Writer, records []LogRecord) error {
	out := bufio.NewWriter(w)
	records = slices.Clone(records)
	slices.SortStableFunc(records, func(a, b LogRecord) int {
		return cmp.Or(
			cmp.Compare(a.Service(), b.Service()),
			cmp.Compare(a.Scope.Name(), b.Scope.Name()),
			cmp.Compare(a.time(), b.time()),
			cmp.Compare(a.ID, b.ID),
		)
	})
	heading := ""
	for _, lr := range records {
		heading = printHeading(out, heading, lr.Item)
		fmt.Fprintf(out, "  %s  %-5s %s%s", clock(lr.time()), lr.severity(), clean(lr.Body().AsString()),
			attributes(lr.Attributes()))
		if !lr.TraceID().IsEmpty() {
			fmt.Fprintf(out, "  trace=%s span=%s", lr.TraceID(), lr.SpanID())
		}
		fmt.Fprintln(out)
	}
	return out.Flush()
}

// time is the record's own, or when it was first seen if it has none.
func (l LogRecord) time() pcommon.Timestamp {
	if t := l.Timestamp(); t != 0 {
		return t
	}
	return l.ObservedTimestamp()
}

func (l LogRecord) severity() string {
	if text := l.SeverityText(); text != "" {
		return clean(text)
	}
	return l.SeverityNumber().String()
}

// printHeading writes where the following lines come from, when that is not what was written last.
func printHeading(out *bufio.Writer, last string, it Item) string {
	heading := cmp.Or(clean(it.Service()), "(no service.name)")
	if scope := it.Scope.Name(); scope != "" {
		heading += "  " + clean(scope)
	}
	if heading != last {
		fmt.Fprintln(out, heading)
	}
	return heading
}

// attributes returns the attributes in the order of their keys, each with two spaces before it.
func attributes(m pcommon.Map) string {
	var words []string
	for k, v := range m.All() {
		words = append(words, "  "+clean(k)+"="+clean(v.AsString()))
	}
	slices.Sort(words)
	return strings.Join(words, "")
}

// clean makes text from anywhere fit on a line: no control characters, bounded length.
func clean(text string) string {
	if utf8.RuneCountInString(text) > maxValueRunes {
		text = string([]rune(text)[:maxValueRunes-1]) + "…"
	}
	for _, r := range text {
		if !unicode.IsPrint(r) {
			return strconv.Quote(text)
		}
	}
	return text
}

func clock(t pcommon.Timestamp) string { return t.AsTime().UTC().Format("15:04:05.000") }

func between(start, end pcommon.Timestamp) string {
	if end < start {
		return "-" + between(end, start)
	}
	return (time.Duration(end - start)).Round(time.Microsecond).String()
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
