// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package decoupleprocessor

import (
	"bytes"
	"context"
	"errors"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor/processortest"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/otelcol-lambda/otelcol-lambda/extension/lambdaextension"
	"github.com/otelcol-lambda/otelcol-lambda/internal/health"
	"github.com/otelcol-lambda/otelcol-lambda/internal/spool"
)

// LastResort implements lambdaextension.Lifecycle.
func (*fakeLifecycle) LastResort() func([]byte) error { return nil }

// logging is a lifecycle with a last resort.
type logging struct {
	*fakeLifecycle
	lines [][]byte
	// takes is how many lines the log takes; others come too late.
	takes, late int
}

var errLate = errors.New("too late")

func (l *logging) LastResort() func([]byte) error {
	return func(line []byte) error {
		if len(l.lines) == l.takes {
			l.late++
			return errLate
		}
		l.lines = append(l.lines, line)
		return nil
	}
}

func (l *logging) GetExtensions() map[component.ID]component.Component {
	return map[component.ID]component.Component{component.MustNewID("lambda"): l}
}

// doomed is a processor whose backend never takes data.
type doomed[T any] struct {
	*decouple[T]
	lifecycle *logging
	logs      *observer.ObservedLogs
}

func newDoomed[T any](t *testing.T, sig signal[T]) *doomed[T] {
	t.Helper()
	core, logs := observer.New(zap.InfoLevel)
	set := processortest.NewNopSettings(componentType)
	set.Logger = zap.New(core)
	d := &doomed[T]{
		decouple:  newDecouple(set, NewFactory().CreateDefaultConfig().(*Config), sig),
		lifecycle: &logging{fakeLifecycle: &fakeLifecycle{schedule: lambdaextension.ScheduleFlush}, takes: math.MaxInt},
		logs:      logs,
	}
	require.NoError(t, d.Start(t.Context(), d.lifecycle))
	return d
}

// end has the processor end with the environment, and returns what it wrote to the log and what it dropped.
func (d *doomed[T]) end(t *testing.T) (lines [][]byte, dropped map[string]int64) {
	t.Helper()
	d.lifecycle.end(time.Second)
	require.NoError(t, d.Shutdown(t.Context()))
	return d.lifecycle.lines, (&subject{lifecycle: d.lifecycle.fakeLifecycle}).dropped()
}

func openSpool(t *testing.T, maxBytes int64) *spool.Spool {
	t.Helper()
	disk, skipped, err := spool.Open(spool.Options{Dir: filepath.Join(t.TempDir(), "spool"), MaxBytes: maxBytes})
	require.NoError(t, err)
	require.Empty(t, skipped)
	t.Cleanup(func() { require.NoError(t, disk.Close()) })
	return disk
}

// leave has a processor end with data that it could not deliver.
func leave(t *testing.T, disk *spool.Spool, names ...string) *subject {
	t.Helper()
	s := start(t, func(context.Context, int, ptrace.Traces) error { return errUnavailable })
	s.lifecycle.spool, s.lifecycle.lasting = disk, true
	s.send(t, names...)
	s.lifecycle.end(time.Second)
	s.stop(t)
	return s
}

func (s *subject) dropped() map[string]int64 {
	dropped := map[string]int64{}
	for _, c := range s.lifecycle.Health().Counts() {
		if c.Metric == health.DroppedItems {
			dropped[c.Attributes[1].Value] += c.Total
		}
	}
	return dropped
}

func TestSpoolBridgesAReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := openSpool(t, mib)
		before := leave(t, disk, "a", "b")
		require.Empty(t, before.dropped())
		require.NotEmpty(t, before.logs.FilterMessageSnippet("kept on disk").All())
		require.Positive(t, disk.Bytes())

		after := start(t, nil)
		after.lifecycle.spool = disk
		after.send(t, "c")
		_, err := after.flush(t, time.Second)
		require.NoError(t, err)
		require.ElementsMatch(t, []string{"a", "b", "c"}, after.backend.arrived())
		require.Zero(t, disk.Bytes(), "what is acknowledged is deleted")
		after.stop(t)
	})
}

// As long as the backend is down, data stays on disk, once, over any number of resets.
func TestSpoolKeepsWhatFailsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := openSpool(t, mib)
		leave(t, disk, "a")
		size := disk.Bytes()
		for range 3 {
			again := leave(t, disk)
			require.Empty(t, again.dropped())
			require.Equal(t, size, disk.Bytes())
		}
		after := start(t, nil)
		after.lifecycle.spool = disk
		_, err := after.flush(t, time.Second)
		require.NoError(t, err)
		require.Equal(t, []string{"a"}, after.backend.arrived())
		after.stop(t)
	})
}

func TestSpooledDataThatIsRefusedForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := openSpool(t, mib)
		leave(t, disk, "a")
		after := start(t, func(context.Context, int, ptrace.Traces) error {
			return consumererror.NewPermanent(errUnavailable)
		})
		after.lifecycle.spool = disk
		_, err := after.flush(t, time.Second)
		require.NoError(t, err)
		require.Zero(t, disk.Bytes())
		require.Equal(t, map[string]int64{refused: 1}, after.dropped())
		after.stop(t)
	})
}

// The disk ends with the environment: what is on it and in memory is lost, and counted.
func TestSpoolOfAnEnvironmentThatEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := openSpool(t, mib)
		leave(t, disk, "a", "b")
		last := start(t, func(context.Context, int, ptrace.Traces) error { return errUnavailable })
		last.lifecycle.spool = disk
		last.send(t, "c")
		last.lifecycle.end(time.Second)
		last.stop(t)
		require.Equal(t, map[string]int64{notDelivered: 3}, last.dropped())
	})
}

func TestSpoolThatIsTooSmall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := openSpool(t, 20)
		s := leave(t, disk, "a")
		require.Equal(t, map[string]int64{notDelivered: 1}, s.dropped())
		require.NotEmpty(t, s.logs.FilterMessageSnippet("cannot be kept").All())
	})
}

func TestSpoolDropsTheOldest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		probe := openSpool(t, mib)
		leave(t, probe, "a")
		disk := openSpool(t, probe.Bytes()*3/2)
		leave(t, disk, "a")
		s := leave(t, disk, "b") // "a" is taken, fails, and goes back; there is no room for both
		require.Equal(t, int64(1), s.dropped()[noRoom]+s.dropped()[notDelivered])
	})
}

// alone is each item with all that surrounds it, as text and sorted.
func alone[T any](t *testing.T, sig signal[T], data ...T) []string {
	t.Helper()
	var items []string
	for _, d := range data {
		for _, item := range sig.split(sig.copy(d), 1) {
			text, err := sig.json(item)
			require.NoError(t, err)
			items = append(items, string(text))
		}
	}
	slices.Sort(items)
	return items
}

// readBack parses lines as whoever finds them in the log does.
func readBack[T any](t *testing.T, lines [][]byte, prefix string, unmarshal func([]byte) (T, error)) []T {
	t.Helper()
	var data []T
	for _, line := range lines {
		require.LessOrEqual(t, len(line), maxLine)
		require.True(t, bytes.HasPrefix(line, []byte(prefix)), "%.80s", line)
		require.Equal(t, len(line)-1, bytes.IndexByte(line, '\n'), "one line in one call")
		d, err := unmarshal(line[:len(line)-1])
		require.NoError(t, err)
		data = append(data, d)
	}
	return data
}

const manyItems = 3000

func describe(m pcommon.Map, i int) {
	m.PutStr("text", "a\nb\"c\u2028 \x01"+strconv.Itoa(i))
	m.PutInt("int", math.MinInt64+int64(i))
	m.PutDouble("double", 1/float64(i+3))
	m.PutBool("bool", i%2 == 0)
	m.PutEmptyBytes("bytes").FromRaw([]byte{0, 1, byte(i)})
	m.PutEmptySlice("list").AppendEmpty().SetStr("in a list")
}

func manySpans() ptrace.Traces {
	td := ptrace.NewTraces()
	for r := range 3 {
		rs := td.ResourceSpans().AppendEmpty()
		describe(rs.Resource().Attributes(), r)
		rs.SetSchemaUrl("https://example.com/schema")
		ss := rs.ScopeSpans().AppendEmpty()
		ss.Scope().SetName("scope")
		for i := range manyItems / 3 {
			span := ss.Spans().AppendEmpty()
			span.SetName("span " + strconv.Itoa(i))
			span.SetTraceID(pcommon.TraceID{1, byte(r)})
			span.SetSpanID(pcommon.SpanID{1, byte(i >> 8), byte(i)})
			span.SetStartTimestamp(pcommon.Timestamp(math.MaxInt64 - i))
			span.Events().AppendEmpty().SetName("event")
			describe(span.Attributes(), i)
		}
	}
	return td
}

func manyPoints() pmetric.Metrics {
	md := pmetric.NewMetrics()
	sm := md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty()
	sum := sm.Metrics().AppendEmpty()
	sum.SetName("sum")
	sum.SetEmptySum().SetIsMonotonic(true)
	histogram := sm.Metrics().AppendEmpty()
	histogram.SetName("histogram")
	histogram.SetEmptyHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
	for i := range manyItems / 2 {
		describe(sum.Sum().DataPoints().AppendEmpty().Attributes(), i)
		point := histogram.Histogram().DataPoints().AppendEmpty()
		point.SetSum(math.Inf(1))
		point.ExplicitBounds().FromRaw([]float64{0.1, 1e-300, math.MaxFloat64})
		point.BucketCounts().FromRaw([]uint64{math.MaxUint64, 0, uint64(i), 1})
	}
	return md
}

func manyRecords() plog.Logs {
	ld := plog.NewLogs()
	sl := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty()
	for i := range manyItems {
		record := sl.LogRecords().AppendEmpty()
		record.SetSeverityNumber(plog.SeverityNumberError)
		describe(record.Body().SetEmptyMap(), i)
	}
	return ld
}

// What the log has got is the data, all of it and nothing twice, in lines that CloudWatch Logs takes.
func testLastResort[T any](t *testing.T, sig signal[T], data T, prefix string, unmarshal func([]byte) (T, error)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		want := alone(t, sig, data)
		require.Len(t, want, manyItems)
		d := newDoomed(t, sig)
		require.NoError(t, d.accept(data))
		lines, dropped := d.end(t)
		require.Greater(t, len(lines), 3)
		require.Less(t, len(lines), 50, "lines are not tiny")
		require.Equal(t, want, alone(t, sig, readBack(t, lines, prefix, unmarshal)...))
		require.Equal(t, map[string]int64{writtenToLog: manyItems}, dropped)
		said := d.logs.FilterMessageSnippet("written to the log").All()
		require.Len(t, said, 1)
		require.EqualValues(t, manyItems, said[0].ContextMap()["count"])
		require.Empty(t, d.logs.FilterMessageSnippet("Data was dropped").All())
	})
}

func TestLastResort(t *testing.T) {
	refuse := consumertest.NewErr(errUnavailable)
	t.Run("traces", func(t *testing.T) {
		var decoder ptrace.JSONUnmarshaler
		testLastResort(t, traces(refuse), manySpans(), `{"resourceSpans":[{`, decoder.UnmarshalTraces)
	})
	t.Run("metrics", func(t *testing.T) {
		var decoder pmetric.JSONUnmarshaler
		testLastResort(t, metrics(refuse), manyPoints(), `{"resourceMetrics":[{`, decoder.UnmarshalMetrics)
	})
	t.Run("logs", func(t *testing.T) {
		var decoder plog.JSONUnmarshaler
		testLastResort(t, logs(refuse), manyRecords(), `{"resourceLogs":[{`, decoder.UnmarshalLogs)
	})
}

func readSpans(t *testing.T, lines [][]byte) []string {
	t.Helper()
	var decoder ptrace.JSONUnmarshaler
	var names []string
	for _, td := range readBack(t, lines, `{"resourceSpans":[{`, decoder.UnmarshalTraces) {
		names = append(names, spanNames(td)...)
	}
	return names
}

// Control characters take six times the space in JSON, so that a piece of the usual size has to be divided again.
func TestLastResortDividesWhatGrows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoomed(t, traces(consumertest.NewErr(errUnavailable)))
		td := span("0")
		for i := range 9 {
			s := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().AppendEmpty()
			s.SetName(strconv.Itoa(i + 1))
			s.Attributes().PutStr("bell", strings.Repeat("\a", maxPiece/10))
		}
		require.NoError(t, d.accept(td))
		lines, dropped := d.end(t)
		require.Equal(t, []string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"}, readSpans(t, lines))
		require.Equal(t, map[string]int64{writtenToLog: 10}, dropped)
	})
}

func TestLastResortOfAnItemThatNoLineTakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoomed(t, traces(consumertest.NewErr(errUnavailable)))
		require.NoError(t, d.accept(span("a "+strings.Repeat("l", maxLine)))) // alone
		td := span("b")
		spans := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans()
		spans.AppendEmpty().SetName("c " + strings.Repeat("l", maxLine))
		spans.AppendEmpty().SetName("d")
		require.NoError(t, d.accept(td))
		lines, dropped := d.end(t)
		require.Equal(t, []string{"b", "d"}, readSpans(t, lines))
		require.Equal(t, map[string]int64{writtenToLog: 2, tooLong: 2}, dropped)
	})
}

// The longest line is as long as it may be.
func TestLastResortLineLimit(t *testing.T) {
	var encoder ptrace.JSONMarshaler
	line, err := encoder.MarshalTraces(span(""))
	require.NoError(t, err)
	around := len(line) + len(`"name":"",`) + len("\n")
	for more, want := range []map[string]int64{{writtenToLog: 1}, {tooLong: 1}} {
		synctest.Test(t, func(t *testing.T) {
			d := newDoomed(t, traces(consumertest.NewErr(errUnavailable)))
			require.NoError(t, d.accept(span(strings.Repeat("l", maxLine-around+more))))
			lines, dropped := d.end(t)
			require.Equal(t, want, dropped)
			if more == 0 {
				require.Len(t, lines[0], maxLine)
			}
		})
	}
}

func TestLastResortWithoutTime(t *testing.T) {
	for name, test := range map[string]struct {
		takes   int
		dropped map[string]int64
	}{
		"for anything":   {0, map[string]int64{notDelivered: 7}},
		"for everything": {3, map[string]int64{writtenToLog: 3, notDelivered: 4}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				disk := openSpool(t, mib)
				leave(t, disk, "a", "b")
				onDisk := disk.Bytes()
				d := newDoomed(t, traces(consumertest.NewErr(errUnavailable)))
				for i := range 5 {
					td := span(strconv.Itoa(i))
					// Each is too large to travel with others.
					td.ResourceSpans().At(0).Resource().Attributes().PutStr("ballast", strings.Repeat("b", maxPiece))
					require.NoError(t, d.accept(td))
				}
				d.cfg.MaxRequestBytes = 1
				d.cfg.MaxQueueBytes = 1 // what is on disk stays there
				d.lifecycle.spool, d.lifecycle.takes = disk, test.takes
				lines, dropped := d.end(t)
				require.Len(t, lines, test.takes)
				require.Equal(t, 1, d.lifecycle.late, "nothing is tried after that")
				require.Equal(t, test.dropped, dropped)
				require.Equal(t, onDisk, disk.Bytes(), "what is not in the log stays")
				require.Len(t, d.logs.FilterMessageSnippet("Not everything that is left").All(), 1)
				said := d.logs.FilterMessageSnippet("Data was dropped").All()
				require.Len(t, said, 1)
				require.EqualValues(t, test.dropped[notDelivered], said[0].ContextMap()["count"])
			})
		})
	}
}

func TestLastResortOfADiskThatIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoomed(t, traces(consumertest.NewErr(errUnavailable)))
		d.lifecycle.spool, d.lifecycle.lasting = openSpool(t, 20), true
		require.NoError(t, d.accept(span("a")))
		lines, dropped := d.end(t)
		require.Equal(t, []string{"a"}, readSpans(t, lines))
		require.Equal(t, map[string]int64{writtenToLog: 1}, dropped)
	})
}

func TestLastResortIsNotNeededWhereTheDiskIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoomed(t, traces(consumertest.NewErr(errUnavailable)))
		d.lifecycle.spool, d.lifecycle.lasting = openSpool(t, mib), true
		require.NoError(t, d.accept(span("a")))
		lines, dropped := d.end(t)
		require.Empty(t, lines)
		require.Empty(t, dropped)
		require.Empty(t, d.logs.FilterMessageSnippet("written to the log").All())
	})
}

// The disk ends with the environment: what is on it goes into the log, and nobody finds it a second time.
func TestLastResortOfADiskThatEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := openSpool(t, mib)
		leave(t, disk, "a", "b")
		leave(t, disk, "c")
		d := newDoomed(t, traces(consumertest.NewErr(errUnavailable)))
		d.cfg.MaxQueueBytes = 2 // takes one file into memory; the other is written from disk
		d.lifecycle.spool = disk
		lines, dropped := d.end(t)
		require.ElementsMatch(t, []string{"a", "b", "c"}, readSpans(t, lines))
		require.Equal(t, map[string]int64{writtenToLog: 3}, dropped)
		require.Zero(t, disk.Bytes())
	})
}

// deaf is an exporter that goes on reading what it was given, whatever happens.
type deaf struct {
	consumertest.Consumer
	stop chan struct{}
}

func (e deaf) ConsumeTraces(_ context.Context, td ptrace.Traces) error {
	for {
		for _, s := range td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().All() {
			_ = s.Name()
		}
		select {
		case <-e.stop:
			return errUnavailable
		case <-time.After(time.Millisecond):
		}
	}
}

func TestLastResortOfADeliveryThatGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		exporter := deaf{Consumer: consumertest.NewNop(), stop: make(chan struct{})}
		d := newDoomed(t, traces(exporter))
		td := span("0")
		want := []string{"0"}
		for i := range 4 {
			want = append(want, strings.Repeat(strconv.Itoa(i), maxPiece/2))
			td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().AppendEmpty().SetName(want[i+1])
		}
		require.NoError(t, d.accept(td))
		lines, dropped := d.end(t)
		require.Equal(t, want, readSpans(t, lines))
		require.Equal(t, map[string]int64{writtenToLog: 5}, dropped)
		close(exporter.stop)
		synctest.Wait()
	})
}
