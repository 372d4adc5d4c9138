// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package layer

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelcol-lambda/otelcol-lambda/internal/lambdasim"
	"github.com/otelcol-lambda/otelcol-lambda/internal/otlpsink"
)

// receiverScope is the scope of all that is made of what Lambda tells.
const receiverScope = "github.com/otelcol-lambda/otelcol-lambda/receiver/telemetryapireceiver"

// exampleFunction is a function of examples/functions that its setup.sh makes, once and only if a test wants it.
type exampleFunction struct {
	name string
	// needs are commands without which it cannot be made.
	needs [][]string
	made  func() (program string, err error)
}

func newExampleFunction(name string, needs ...[]string) *exampleFunction {
	return &exampleFunction{name: name, needs: needs, made: sync.OnceValues(func() (string, error) {
		dir := filepath.Join(filepath.Dir(built.layer), "functions", name)
		setup := filepath.Join(examples(), name, "setup.sh")
		if out, err := exec.Command("sh", setup, dir).CombinedOutput(); err != nil { //nolint:gosec // our own program
			return "", fmt.Errorf("%s: %w\n%s", setup, err, out)
		}
		return filepath.Join(dir, "bootstrap"), nil
	})}
}

// examples is the folder of the example functions.
func examples() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..", "examples", "functions")
}

// The functions without a span of their own, and with those of OpenTelemetry's SDKs.
var (
	uninstrumented = newExampleFunction("uninstrumented")
	nodeFunction   = newExampleFunction("node", []string{"node", "--version"}, []string{"npm", "--version"})
	pythonFunction = newExampleFunction("python",
		[]string{"python3", "--version"}, []string{"python3", "-m", "pip", "--version"})
)

// noRegistry is what npm and pip say when they cannot reach where packages come from.
var noRegistry = regexp.MustCompile(
	`ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|E40[0-9]|` +
		`NewConnectionError|ConnectTimeout|ReadTimeout|ProxyError|SSLError|No matching distribution`)

// program returns the path of the function's program. It skips the test where that cannot be made.
func (f *exampleFunction) program(t *testing.T) string {
	t.Helper()
	for _, command := range f.needs {
		if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil { //nolint:gosec // see needs
			t.Skipf("%s cannot be made here: %s: %s\n%s", f.name, strings.Join(command, " "), err, out)
		}
	}
	program, err := f.made()
	if err != nil && len(f.needs) > 0 && noRegistry.MatchString(err.Error()) {
		t.Skipf("%s cannot be made here, as there is no registry: %s", f.name, err)
	}
	require.NoError(t, err)
	return program
}

// defaultConfig is the configuration that the layer is shipped with, on ports of the test's own.
func defaultConfig(t *testing.T) string {
	t.Helper()
	config, err := os.ReadFile(filepath.Join(built.layer, "collector-config", "config.yaml"))
	require.NoError(t, err)
	for from, to := range map[string]string{"127.0.0.1:4317": "127.0.0.1:@GRPC@", "127.0.0.1:4318": "127.0.0.1:@HTTP@"} {
		require.Contains(t, string(config), from)
		config = []byte(strings.ReplaceAll(string(config), from, to))
	}
	return string(config)
}

// newTelemetryRig runs a function with the layer's default configuration.
func newTelemetryRig(t *testing.T, program string, options func(*lambdasim.Options)) *rig {
	t.Helper()
	return newRig(t, setup{config: defaultConfig(t), options: func(o *lambdasim.Options) {
		o.Function = []string{program}
		// A busy machine may take its time for all but the functions that are to be too late.
		o.Timeout = 30 * time.Second
		if options != nil {
			options(o)
		}
	}})
}

// traced is an invocation as its trace tells of it.
type traced struct {
	id string
	// server is the span that stands for the invocation, others are those below it.
	server otlpsink.Span
	others []otlpsink.Span
}

// ours reports whether the span of the invocation was made by the layer, and not by the function's SDK.
func (i traced) ours() bool { return i.server.Scope.Name() == receiverScope }

// child returns the one span below the invocation's that has a name.
func (i traced) child(t *testing.T, name string) otlpsink.Span {
	t.Helper()
	var found []otlpsink.Span
	for _, s := range i.others {
		if s.Name() == name {
			found = append(found, s)
		}
	}
	require.Len(t, found, 1, "spans %q of invocation %s", name, i.id)
	require.Equal(t, i.server.SpanID(), found[0].ParentSpanID())
	return found[0]
}

// names are those of the spans that the layer put below the invocation's.
func (i traced) names() []string {
	var names []string
	for _, s := range i.others {
		if s.Scope.Name() == receiverScope {
			names = append(names, s.Name())
		}
	}
	slices.Sort(names)
	return names
}

// invocations checks that each invocation has one trace, with one span of kind SERVER at its root, and everything else
// below that. It returns them in their order, and the spans that belong to no invocation.
func (r *rig) invocations(t *testing.T) (invocations []traced, rest []otlpsink.Span) {
	t.Helper()
	seen := map[pcommon.SpanID]bool{}
	for _, s := range r.sink.Spans() {
		require.False(t, seen[s.SpanID()], "span %q arrived twice", s.Name())
		seen[s.SpanID()] = true
	}
	known := map[pcommon.TraceID]bool{}
	for _, report := range r.Report().Invocations {
		i := traced{id: report.RequestID}
		i.server = r.serverSpan(t, i.id)
		require.False(t, known[i.server.TraceID()], "two invocations in one trace")
		known[i.server.TraceID()] = true
		for _, s := range r.sink.Spans() {
			if s.TraceID() == i.server.TraceID() && s.SpanID() != i.server.SpanID() {
				i.others = append(i.others, s)
			}
		}
		requireTree(t, i)
		invocations = append(invocations, i)
	}
	for _, s := range r.sink.Spans() {
		if !known[s.TraceID()] {
			rest = append(rest, s)
		}
	}
	return invocations, rest
}

// serverSpan returns the one span of kind SERVER that an invocation has.
func (r *rig) serverSpan(t *testing.T, requestID string) otlpsink.Span {
	t.Helper()
	var servers []otlpsink.Span
	for _, s := range r.sink.Spans() {
		if s.Kind() == ptrace.SpanKindServer && attribute(s.Attributes(), "faas.invocation_id") == requestID {
			servers = append(servers, s)
		}
	}
	require.Len(t, servers, 1, "spans of kind SERVER for invocation %s", requestID)
	return servers[0]
}

func requireTree(t *testing.T, i traced) {
	t.Helper()
	require.True(t, i.server.ParentSpanID().IsEmpty())
	parents := map[pcommon.SpanID]bool{i.server.SpanID(): true}
	for _, s := range i.others {
		parents[s.SpanID()] = true
	}
	for _, s := range i.others {
		require.NotEqual(t, ptrace.SpanKindServer, s.Kind(), "a second invocation in the trace")
		require.True(t, parents[s.ParentSpanID()], "span %q hangs on nothing", s.Name())
		if s.Scope.Name() == receiverScope {
			require.Equal(t, i.server.SpanID(), s.ParentSpanID(), "span %q of the platform", s.Name())
		}
	}
}

// recordsInTraces checks that the log records that were made of the function's lines, and of the beginning and the end
// of invocations, all belong to an invocation and are in its trace.
func (r *rig) recordsInTraces(t *testing.T, invocations []traced) {
	t.Helper()
	for _, eventType := range []string{"function", "platform.start", "platform.runtimeDone"} {
		records := 0
		for _, i := range invocations {
			records += i.has(t, r.recordsOf(i.id, eventType))
		}
		require.Positive(t, records, eventType)
		require.Len(t, r.records(eventType), records, "records of no invocation")
	}
}

// recordsOf are the log records that were made of an invocation's events of a type.
func (r *rig) recordsOf(requestID, eventType string) []otlpsink.LogRecord {
	return slices.DeleteFunc(r.sink.LogRecords(), func(rec otlpsink.LogRecord) bool {
		return attribute(rec.Attributes(), "type") != eventType ||
			attribute(rec.Attributes(), "faas.invocation_id") != requestID
	})
}

// has checks that log records are in the invocation's trace, at the span that stands for it or at another of the SDK's.
// It returns how many there are.
func (i traced) has(t *testing.T, records []otlpsink.LogRecord) int {
	t.Helper()
	for _, rec := range records {
		require.Equal(t, i.server.TraceID(), rec.TraceID(), rec.Body().AsString())
		require.True(t, rec.SpanID() == i.server.SpanID() || !i.ours() && slices.ContainsFunc(i.others,
			func(s otlpsink.Span) bool { return s.SpanID() == rec.SpanID() }), rec.Body().AsString())
	}
	return len(records)
}

// platformRecordsArrived checks that there is one record for each beginning and each end of an invocation.
func (r *rig) platformRecordsArrived(t *testing.T) {
	t.Helper()
	for _, eventType := range []string{"platform.start", "platform.runtimeDone"} {
		require.Len(t, r.records(eventType), len(r.Report().Invocations), eventType)
	}
}

// instance checks that everything the layer made itself has one resource, and returns the environment's name in it.
func (r *rig) instance(t *testing.T) string {
	t.Helper()
	return r.instanceSince(t, time.Time{})
}

// instanceSince is instance, but for log records of what happened before: a snapshot goes on under another name, and what
// happened before it was taken may have been delivered by then.
func (r *rig) instanceSince(t *testing.T, since time.Time) string {
	t.Helper()
	var resources []map[string]any
	note := func(i otlpsink.Item) {
		if i.Scope.Name() == receiverScope {
			resources = append(resources, i.Resource.AsRaw())
		}
	}
	for _, s := range r.sink.Spans() {
		note(s.Item)
	}
	for _, p := range r.sink.Points() {
		note(p.Item)
	}
	for _, rec := range r.sink.LogRecords() {
		if !rec.Timestamp().AsTime().Before(since) {
			note(rec.Item)
		}
	}
	require.NotEmpty(t, resources)
	for _, resource := range resources {
		require.Equal(t, resources[0], resource)
	}
	require.NotEmpty(t, resources[0]["faas.instance"])
	return fmt.Sprint(resources[0]["faas.instance"])
}

// announcedInstance is the environment's name as Lambda tells it when it begins.
func (r *rig) announcedInstance(t *testing.T) string {
	t.Helper()
	for _, rec := range r.sink.LogRecords() {
		if attribute(rec.Attributes(), "type") == "platform.initStart" {
			return attribute(rec.Attributes(), "faas.instance")
		}
	}
	require.Fail(t, "no platform.initStart")
	return ""
}

// attribute returns a value as text, empty if there is none.
func attribute(attributes pcommon.Map, key string) string {
	if v, ok := attributes.Get(key); ok {
		return v.AsString()
	}
	return ""
}

// stream tells the points of a cumulative metric apart.
type stream struct {
	instance, attributes string
	start                pcommon.Timestamp
}

// total is what all streams of a metric came to: the value of a sum, the measurements in a histogram. Of the points
// that have attributes, the ones count that have those given, each as a key with its value.
func (r *rig) total(t *testing.T, metric string, attributes ...string) int {
	t.Helper()
	total := 0
	last := map[stream]otlpsink.Point{}
	for _, p := range r.sink.Points() {
		if p.Metric.Name() != metric || !hasAttributes(p.Attributes, attributes) {
			continue
		}
		if temporality(p.Metric) == pmetric.AggregationTemporalityDelta {
			total += measured(p)
			continue
		}
		key := stream{attribute(p.Resource, "faas.instance"), fmt.Sprint(p.Attributes.AsRaw()), p.Start}
		if before, ok := last[key]; ok {
			require.Greater(t, p.Timestamp, before.Timestamp, metric)
			require.GreaterOrEqual(t, measured(p), measured(before), metric)
		}
		last[key] = p
	}
	for _, p := range last {
		total += measured(p)
	}
	return total
}

func hasAttributes(m pcommon.Map, wanted []string) bool {
	for pair := range slices.Chunk(wanted, 2) {
		if attribute(m, pair[0]) != pair[1] {
			return false
		}
	}
	return true
}

func measured(p otlpsink.Point) int {
	if p.Metric.Type() == pmetric.MetricTypeSum {
		return int(p.Number)
	}
	return int(p.Count) //nolint:gosec // small
}

func temporality(metric pmetric.Metric) pmetric.AggregationTemporality {
	switch metric.Type() {
	case pmetric.MetricTypeSum:
		return metric.Sum().AggregationTemporality()
	case pmetric.MetricTypeHistogram:
		return metric.Histogram().AggregationTemporality()
	default:
		return pmetric.AggregationTemporalityUnspecified
	}
}

// starts are the different times at which the streams of a metric begin, in order.
func (r *rig) starts(metric string) []time.Time {
	var starts []time.Time
	for _, p := range r.sink.Points() {
		if p.Metric.Name() == metric {
			starts = append(starts, p.Start.AsTime())
		}
	}
	slices.SortFunc(starts, time.Time.Compare)
	return slices.Compact(starts)
}

// platformSpans are those that the platform measures in each invocation that comes to an end.
func platformSpans(more ...string) []string {
	names := append([]string{"extensionOverhead", "responseDuration", "responseLatency", "runtimeOverhead"}, more...)
	slices.Sort(names)
	return names
}

// millisecond is how exactly Lambda tells when something happened.
const millisecond = time.Millisecond

// requireInside checks that a span lies inside another.
func requireInside(t *testing.T, inner, outer otlpsink.Span) {
	t.Helper()
	earliest := outer.StartTimestamp().AsTime().Add(-millisecond)
	latest := outer.EndTimestamp().AsTime().Add(millisecond)
	require.False(t, inner.StartTimestamp().AsTime().Before(earliest), inner.Name())
	require.False(t, inner.EndTimestamp().AsTime().After(latest), inner.Name())
}

func TestUninstrumentedFunction(t *testing.T) {
	t.Parallel()
	r := newTelemetryRig(t, uninstrumented.program(t), nil)
	r.init(t)
	const count = 4
	for range count {
		r.succeed(t)
	}
	r.end(t)

	invocations, rest := r.invocations(t)
	require.Empty(t, rest)
	for n, i := range invocations {
		require.True(t, i.ours())
		require.Equal(t, "function", i.server.Name())
		require.Equal(t, ptrace.StatusCodeUnset, i.server.Status().Code())
		require.Equal(t, strconv.FormatBool(n == 0), attribute(i.server.Attributes(), "faas.coldstart"))
		for _, name := range []string{"responseLatency", "responseDuration", "runtimeOverhead"} {
			requireInside(t, i.child(t, name), i.server)
		}
		require.Len(t, r.recordsOf(i.id, "function"), 2)
		if n > 0 {
			require.Equal(t, platformSpans(), i.names())
		}
	}
	first := invocations[0]
	require.Equal(t, platformSpans("init"), first.names())
	initSpan := first.child(t, "init")
	require.Equal(t, "true", attribute(initSpan.Attributes(), "faas.coldstart"))
	require.False(t, initSpan.EndTimestamp().AsTime().After(first.server.StartTimestamp().AsTime().Add(millisecond)))

	r.recordsInTraces(t, invocations)
	r.platformRecordsArrived(t)
	r.linesArrived(t)

	require.Equal(t, count, r.total(t, "faas.invocations"))
	require.Equal(t, count, r.total(t, "faas.invoke_duration"))
	require.Equal(t, 1, r.total(t, "faas.coldstarts"))
	require.Equal(t, 1, r.total(t, "faas.init_duration"))
	require.Zero(t, r.total(t, "faas.errors")+r.total(t, "faas.timeouts"))
	require.Len(t, r.starts("faas.invocations"), 1)
	require.Equal(t, r.announcedInstance(t), r.instance(t))
}

func TestInstrumentedFunctions(t *testing.T) {
	t.Parallel()
	const failed = 3
	for name, tt := range map[string]struct {
		program func(*testing.T) string
		failing string
		// lines is how many the function writes in an invocation that succeeds.
		lines int
	}{
		"go":     {program: goProgram, failing: `{"error":true}`, lines: 2},
		"node":   {program: nodeFunction.program, failing: `{"fail":true}`, lines: 2},
		"python": {program: pythonFunction.program, failing: `{"fail":true}`, lines: 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newTelemetryRig(t, tt.program(t), nil)
			r.init(t)
			for range failed {
				r.succeed(t)
			}
			require.Equal(t, lambdasim.StatusError, r.invoke(t, tt.failing).Status)
			r.succeed(t)
			r.end(t)

			invocations, rest := r.invocations(t)
			require.Empty(t, rest)
			for n, i := range invocations {
				require.False(t, i.ours(), "the SDK makes the span")
				names := platformSpans()
				if n == 0 {
					names = platformSpans("init")
				}
				require.Equal(t, names, i.names())
				if n != failed {
					require.Len(t, r.recordsOf(i.id, "function"), tt.lines)
				}
			}
			require.Equal(t, "true", attribute(invocations[0].child(t, "init").Attributes(), "faas.coldstart"))
			require.Equal(t, ptrace.StatusCodeError, invocations[failed].server.Status().Code())

			r.recordsInTraces(t, invocations)
			r.platformRecordsArrived(t)
			r.linesArrived(t)
			r.nothingLost(t)
			require.Equal(t, 4, r.total(t, "faas.invocations"))
			require.Equal(t, 1, r.total(t, "faas.errors"))
			require.Equal(t, 5, r.total(t, "faas.invoke_duration"))
			require.Equal(t, 1, r.total(t, "faas.coldstarts"))
			require.Equal(t, r.announcedInstance(t), r.instance(t))
		})
	}
}

func goProgram(*testing.T) string { return built.function }

// TestLinesOverMoreThanASecond has one span of kind SERVER, although there are lines of the invocation long before the
// SDK sends it.
func TestLinesOverMoreThanASecond(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "bootstrap")
	text := "#!/bin/sh\n(while :; do echo tick; sleep 0.3; done) &\nexec " + goProgram(t) + "\n"
	require.NoError(t, os.WriteFile(program, []byte(text), 0o700)) //nolint:gosec // a program
	r := newTelemetryRig(t, program, nil)
	r.init(t)
	r.succeedWith(t, `{"sleep_ms":2000}`)
	r.succeedWith(t, `{"sleep_ms":2000}`)
	r.end(t)
	invocations, rest := r.invocations(t)
	require.Empty(t, rest)
	for _, i := range invocations {
		require.False(t, i.ours())
		require.Greater(t, i.has(t, r.recordsOf(i.id, "function")), 2)
	}
	r.linesArrived(t)
}
