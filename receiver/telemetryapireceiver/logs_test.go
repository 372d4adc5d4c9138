// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapireceiver

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/golden"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/pdatatest/plogtest"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap/confmaptest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-lambda/otelcol-lambda/internal/extensionsapi"
	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing with them")

func testEnvironment(key string) string {
	return map[string]string{
		"AWS_REGION":                      "eu-central-1",
		"AWS_LAMBDA_FUNCTION_NAME":        "checkout",
		"AWS_LAMBDA_FUNCTION_VERSION":     "$LATEST",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
	}[key]
}

func newTestMapper(tb testing.TB, cfg *Config) *logMapper {
	tb.Helper()
	require.NoError(tb, cfg.Validate())
	resource, malformed := newResource(testEnvironment, extensionsapi.Registration{AccountID: "123456789012"})
	require.Empty(tb, malformed)
	return &logMapper{
		streams:   cfg.streams(),
		logReport: cfg.reports(),
		filter:    cfg.logFilter(),
		resource:  resource,
		version:   "1.2.3",
		now:       func() time.Time { return time.Date(2026, time.October, 8, 7, 31, 0, 0, time.UTC) },
	}
}

func readEvents(tb testing.TB, path string) telemetryapi.Batch {
	tb.Helper()
	body, err := os.ReadFile(path)
	require.NoError(tb, err)
	batch, err := telemetryapi.Decode(body)
	require.NoError(tb, err)
	return batch
}

func recordsOf(logs plog.Logs) plog.LogRecordSlice {
	return logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords()
}

func TestLogsGolden(t *testing.T) {
	cases, err := filepath.Glob(filepath.Join("testdata", "*", "events.json"))
	require.NoError(t, err)
	require.NotEmpty(t, cases)
	for _, path := range cases {
		dir := filepath.Dir(path)
		name := filepath.Base(dir)
		t.Run(name, func(t *testing.T) {
			cfg := createDefaultConfig().(*Config)
			if _, err := os.Stat(filepath.Join(dir, "config.yaml")); err == nil {
				conf, err := confmaptest.LoadConf(filepath.Join(dir, "config.yaml"))
				require.NoError(t, err)
				require.NoError(t, conf.Unmarshal(cfg))
			}
			batch := readEvents(t, path)
			require.Equal(t, name == "malformed", batch.Malformed > 0)
			mapper := newTestMapper(t, cfg)
			mapper.concurrent = name == "managed_instances"
			var state streamState
			logs := mapper.logs(batch.Events, &state)

			expected := filepath.Join(dir, "logs.yaml")
			if *update {
				require.NoError(t, golden.WriteLogsToFile(expected, logs))
				return
			}
			want, err := golden.ReadLogs(expected)
			require.NoError(t, err)
			require.NoError(t, plogtest.CompareLogs(want, logs))

			// Deliveries may be cut anywhere: one event at a time makes the same records.
			var single streamState
			records := plog.NewLogRecordSlice()
			for i := range batch.Events {
				part := mapper.logs(batch.Events[i:i+1], &single)
				recordsOf(part).MoveAndAppendTo(records)
			}
			require.Equal(t, state, single)
			require.Equal(t, recordsOf(want).Len(), records.Len())
			for i := range records.Len() {
				require.NoError(t, plogtest.CompareLogRecord(recordsOf(want).At(i), records.At(i)))
			}
		})
	}
}

func TestLogsCountsOwnLines(t *testing.T) {
	var state streamState
	logs := newTestMapper(t, createDefaultConfig().(*Config)).logs(
		readEvents(t, "testdata/own_lines/events.json").Events, &state)
	require.Equal(t, 2, logs.LogRecordCount())
	require.EqualValues(t, 5, state.ownLines)
}

func TestLogsOfConcurrentInvocations(t *testing.T) {
	mapper := newTestMapper(t, createDefaultConfig().(*Config))
	mapper.concurrent = true
	var state streamState
	logs := mapper.logs([]telemetryapi.Event{
		{Type: telemetryapi.EventStart, Record: json.RawMessage(`{"requestId":"a"}`)},
		{Type: telemetryapi.EventStart, Record: json.RawMessage(`{"requestId":"b"}`)},
		{Type: telemetryapi.EventFunction, Record: json.RawMessage(`"whose?"`)},
		{Type: telemetryapi.EventFunction, Record: json.RawMessage(`{"message":"mine","requestId":"a"}`)},
	}, &state)
	records := recordsOf(logs)
	require.Equal(t, 4, records.Len())
	_, ok := records.At(2).Attributes().Get(attrFaasInvocation)
	require.False(t, ok)
	id, ok := records.At(3).Attributes().Get(attrFaasInvocation)
	require.True(t, ok)
	require.Equal(t, "a", id.Str())
}

func TestLogsUserSetsInstance(t *testing.T) {
	mapper := newTestMapper(t, createDefaultConfig().(*Config))
	mapper.resource.PutStr(attrFaasInstance, "mine")
	logs := mapper.logs(nil, &streamState{instance: "lambda's"})
	instance, _ := logs.ResourceLogs().At(0).Resource().Attributes().Get(attrFaasInstance)
	require.Equal(t, "mine", instance.Str())
}

// TestLogsBoundsValues makes sure that what a function can log neither breaks a backend's decoder nor takes long.
func TestLogsBoundsValues(t *testing.T) {
	wide := func(n int) string {
		var fields []string
		for i := range n {
			fields = append(fields, fmt.Sprintf(`"k%d":%d`, i, i))
		}
		return strings.Join(fields, ",")
	}
	deep := strings.Repeat(`{"a":[`, 200) + strings.Repeat(`]}`, 200)
	tests := []struct {
		name     string
		platform bool
		record   string
		check    func(t *testing.T, record plog.LogRecord)
	}{
		{
			name: "wide from the platform", platform: true, record: `{"requestId":"a",` + wide(maxFields) + `}`,
			check: func(t *testing.T, record plog.LogRecord) {
				require.Contains(t, record.Body().Str(), `"k999":999`)
				require.Equal(t, map[string]any{"type": "platform.start", "faas.invocation_id": "a"}, record.Attributes().AsRaw())
			},
		},
		{
			name: "wide metrics from the platform", platform: true, record: `{"metrics":{` + wide(maxFields+1) + `}}`,
			check: func(t *testing.T, record plog.LogRecord) {
				metrics, _ := record.Attributes().Get("aws.lambda.metrics")
				require.Contains(t, metrics.Str(), `"k1000":1000`)
			},
		},
		{
			name: "wide is kept as text", record: `{"message":"m",` + wide(20_000) + `}`,
			check: func(t *testing.T, record plog.LogRecord) {
				require.Equal(t, pcommon.ValueTypeStr, record.Body().Type())
				require.Contains(t, record.Body().Str(), `"k19999":19999`)
				require.Equal(t, 1, record.Attributes().Len())
			},
		},
		{
			name: "just not too wide", record: `{"message":"m",` + wide(maxFields-1) + `}`,
			check: func(t *testing.T, record plog.LogRecord) {
				require.Equal(t, "m", record.Body().Str())
				require.Equal(t, maxFields, record.Attributes().Len())
			},
		},
		{
			name: "wide inside", record: `{"message":"m","a":{` + wide(maxFields+1) + `}}`,
			check: func(t *testing.T, record plog.LogRecord) {
				a, _ := record.Attributes().Get("a")
				require.Equal(t, pcommon.ValueTypeStr, a.Type())
			},
		},
		{
			name: "deep is text from some depth on", record: `{"message":` + deep + `}`,
			check: func(t *testing.T, record plog.LogRecord) {
				value, depth := record.Body(), 0
				for ; value.Type() == pcommon.ValueTypeMap; depth += 2 {
					list, ok := value.Map().Get("a")
					require.True(t, ok)
					value = list.Slice().At(0)
				}
				require.Equal(t, maxDepth, depth)
				require.True(t, json.Valid([]byte(value.Str())))
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			event := telemetryapi.Event{Type: telemetryapi.EventFunction, Record: json.RawMessage(tt.record)}
			if tt.platform {
				event.Type = telemetryapi.EventStart
			}
			logs := newTestMapper(t, createDefaultConfig().(*Config)).logs([]telemetryapi.Event{event}, &streamState{})
			tt.check(t, recordsOf(logs).At(0))
		})
	}
}

func TestLogsCountsWhatIsLeftOut(t *testing.T) {
	tests := map[string]streamState{
		"filter_types":    {excluded: 5},
		"filter_severity": {lesser: 5},
	}
	for name, want := range tests {
		t.Run(name, func(t *testing.T) {
			cfg := createDefaultConfig().(*Config)
			conf, err := confmaptest.LoadConf(filepath.Join("testdata", name, "config.yaml"))
			require.NoError(t, err)
			require.NoError(t, conf.Unmarshal(cfg))
			batch := readEvents(t, filepath.Join("testdata", name, "events.json"))
			var state streamState
			logs := newTestMapper(t, cfg).logs(batch.Events, &state)
			require.Equal(t, want.excluded, state.excluded)
			require.Equal(t, want.lesser, state.lesser)
			require.Equal(t, len(batch.Events), logs.LogRecordCount()+int(want.excluded+want.lesser))
		})
	}
}

func TestLogsTraceOfInvocation(t *testing.T) {
	own, ours := pcommon.TraceID{1}, pcommon.TraceID{2}
	ownSpan, ourSpan := pcommon.SpanID{1}, pcommon.SpanID{2}
	mapper := newTestMapper(t, createDefaultConfig().(*Config))
	mapper.trace = func(requestID string) (pcommon.TraceID, pcommon.SpanID, bool) {
		return ours, ourSpan, requestID == "a"
	}
	ids := fmt.Sprintf(`"trace_id":"%s","span_id":"%s"`, own, ownSpan)
	tests := []struct {
		name   string
		record string
		trace  pcommon.TraceID
		span   pcommon.SpanID
	}{
		{name: "of the current invocation", record: `"text"`, trace: ours, span: ourSpan},
		{name: "named by the line", record: `{"message":"m","requestId":"a"}`, trace: ours, span: ourSpan},
		{name: "of an unknown invocation", record: `{"message":"m","requestId":"b"}`},
		{name: "has its own", record: `{"message":"m",` + ids + `}`, trace: own, span: ownSpan},
		{name: "has a span only", record: fmt.Sprintf(`{"message":"m","span_id":"%s"}`, ownSpan), trace: ours, span: ownSpan},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			event := telemetryapi.Event{Type: telemetryapi.EventFunction, Record: json.RawMessage(tt.record)}
			record := recordsOf(mapper.logs([]telemetryapi.Event{event}, &streamState{requestID: "a"})).At(0)
			require.Equal(t, tt.trace, record.TraceID())
			require.Equal(t, tt.span, record.SpanID())
		})
	}
}

func TestStateOfEnvironment(t *testing.T) {
	initStart := telemetryapi.Event{
		Type: telemetryapi.EventInitStart, Time: time.Unix(1, 0),
		Record: json.RawMessage(`{"instanceId":"publish","functionVersion":"7"}`),
	}
	restore := func(at time.Time, record string) telemetryapi.Event {
		return telemetryapi.Event{Type: telemetryapi.EventRestoreStart, Time: at, Record: json.RawMessage(record)}
	}
	clone := restore(time.Unix(2, 0), `{"instanceId":"clone"}`)
	tests := []struct {
		name     string
		events   []telemetryapi.Event
		instance string
	}{
		{name: "init", events: []telemetryapi.Event{initStart}, instance: "publish"},
		{name: "restored", events: []telemetryapi.Event{initStart, clone}, instance: "clone"},
		{name: "init again", events: []telemetryapi.Event{initStart, clone, initStart}, instance: "clone"},
		{name: "restored without a name", events: []telemetryapi.Event{initStart, restore(time.Unix(2, 0), `{}`)}},
		{
			name: "restored twice", instance: "second",
			events: []telemetryapi.Event{initStart, clone, restore(time.Unix(3, 0), `{"instanceId":"second"}`)},
		},
		{
			name: "restored at no time", instance: "clone",
			events: []telemetryapi.Event{initStart, restore(time.Time{}, `{"instanceId":"clone"}`)},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var state streamState
			newTestMapper(t, createDefaultConfig().(*Config)).logs(tt.events, &state)
			require.Equal(t, tt.instance, state.instance)
			require.Equal(t, "7", state.version)
		})
	}
}

// FuzzLogs makes sure that whatever Lambda could deliver becomes one valid record for each event.
func FuzzLogs(f *testing.F) {
	cases, err := filepath.Glob(filepath.Join("testdata", "*", "events.json"))
	require.NoError(f, err)
	for _, path := range cases {
		body, err := os.ReadFile(path)
		require.NoError(f, err)
		f.Add(body)
		for _, event := range readEvents(f, path).Events {
			f.Add([]byte(`[{"type":"` + string(event.Type) + `","record":` + string(event.Record) + `}]`))
		}
	}
	cfg := createDefaultConfig().(*Config)
	cfg.LogReport = true
	mapper := newTestMapper(f, cfg)
	f.Fuzz(func(t *testing.T, body []byte) {
		batch, _ := telemetryapi.Decode(body) // What comes before a break in the body is good.
		var state streamState
		logs := mapper.logs(batch.Events, &state)
		require.Equal(t, len(batch.Events)-int(state.ownLines), logs.LogRecordCount(), "one event, one record")
		encoded, err := (&plog.ProtoMarshaler{}).MarshalLogs(logs)
		require.NoError(t, err)
		_, err = (&plog.ProtoUnmarshaler{}).UnmarshalLogs(encoded)
		require.NoError(t, err)
		for _, r := range recordsOf(logs).All() {
			require.True(t, utf8.ValidString(r.SeverityText()))
			requireBounded(t, r.Body(), maxDepth)
			requireBoundedMap(t, r.Attributes(), maxDepth)
		}
	})
}

func requireBounded(t *testing.T, value pcommon.Value, depth int) {
	t.Helper()
	switch value.Type() {
	case pcommon.ValueTypeStr:
		require.True(t, utf8.ValidString(value.Str()))
	case pcommon.ValueTypeMap:
		require.Positive(t, depth)
		requireBoundedMap(t, value.Map(), depth-1)
	case pcommon.ValueTypeSlice:
		require.Positive(t, depth)
		for _, element := range value.Slice().All() {
			requireBounded(t, element, depth-1)
		}
	default:
	}
}

func requireBoundedMap(t *testing.T, m pcommon.Map, depth int) {
	t.Helper()
	seen := make(map[string]bool, m.Len())
	for key, value := range m.All() {
		require.True(t, utf8.ValidString(key))
		require.False(t, seen[key], "keys are unique")
		seen[key] = true
		requireBounded(t, value, depth)
	}
}
