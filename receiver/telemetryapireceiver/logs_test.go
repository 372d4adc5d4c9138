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
		logReport: cfg.LogReport,
		resource:  resource,
		version:   "1.2.3",
		now:       func() time.Time { return time.Date(2026, time.October, 8, 7, 31, 0, 0, time.UTC) },
	}
}

func readEvents(tb testing.TB, path string) []telemetryapi.Event {
	tb.Helper()
	body, err := os.ReadFile(path)
	require.NoError(tb, err)
	batch, err := telemetryapi.Decode(body)
	require.NoError(tb, err)
	require.Zero(tb, batch.Malformed)
	return batch.Events
}

func TestLogsGolden(t *testing.T) {
	cases, err := filepath.Glob(filepath.Join("testdata", "*", "events.json"))
	require.NoError(t, err)
	require.NotEmpty(t, cases)
	for _, path := range cases {
		dir := filepath.Dir(path)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			cfg := createDefaultConfig().(*Config)
			if _, err := os.Stat(filepath.Join(dir, "config.yaml")); err == nil {
				conf, err := confmaptest.LoadConf(filepath.Join(dir, "config.yaml"))
				require.NoError(t, err)
				require.NoError(t, conf.Unmarshal(cfg))
			}
			events := readEvents(t, path)
			mapper := newTestMapper(t, cfg)
			var state streamState
			logs := mapper.logs(events, &state)

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
			for i := range events {
				part := mapper.logs(events[i:i+1], &single)
				part.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().MoveAndAppendTo(records)
			}
			require.Equal(t, state, single)
			all := want.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords()
			require.Equal(t, all.Len(), records.Len())
			for i := range all.Len() {
				require.NoError(t, plogtest.CompareLogRecord(all.At(i), records.At(i)))
			}
		})
	}
}

func TestLogsCountsOwnLines(t *testing.T) {
	var state streamState
	logs := newTestMapper(t, createDefaultConfig().(*Config)).logs(readEvents(t, "testdata/own_lines/events.json"), &state)
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
	records := logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords()
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
		name   string
		record string
		check  func(t *testing.T, record plog.LogRecord)
	}{
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
			logs := newTestMapper(t, createDefaultConfig().(*Config)).logs([]telemetryapi.Event{event}, &streamState{})
			tt.check(t, logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0))
		})
	}
}

func FuzzLogs(f *testing.F) {
	cases, err := filepath.Glob(filepath.Join("testdata", "*", "events.json"))
	require.NoError(f, err)
	for _, path := range cases {
		for _, event := range readEvents(f, path) {
			f.Add(string(event.Type), []byte(event.Record))
			if text, err := strLiteral(event.Record); err == nil {
				f.Add(string(event.Type), []byte(text))
			}
		}
	}
	cfg := createDefaultConfig().(*Config)
	cfg.LogReport = true
	mapper := newTestMapper(f, cfg)
	f.Fuzz(func(t *testing.T, eventType string, record []byte) {
		// What is no JSON arrives as a line of text.
		if !json.Valid(record) {
			text, err := json.Marshal(string(record))
			require.NoError(t, err)
			record = text
		}
		typeText, err := json.Marshal(eventType)
		require.NoError(t, err)
		batch, err := telemetryapi.Decode([]byte(`[{"type":` + string(typeText) + `,"record":` + string(record) + `}]`))
		require.NoError(t, err)

		var state streamState
		logs := mapper.logs(batch.Events, &state)
		want := len(batch.Events) - int(state.ownLines)
		require.Equal(t, want, logs.LogRecordCount(), "one event, one record")
		encoded, err := (&plog.ProtoMarshaler{}).MarshalLogs(logs)
		require.NoError(t, err)
		_, err = (&plog.ProtoUnmarshaler{}).UnmarshalLogs(encoded)
		require.NoError(t, err)
		for _, scope := range logs.ResourceLogs().At(0).ScopeLogs().All() {
			for _, r := range scope.LogRecords().All() {
				require.True(t, utf8.ValidString(r.Body().AsString()))
				require.True(t, utf8.ValidString(r.SeverityText()))
				seen := map[string]bool{}
				for key, value := range r.Attributes().All() {
					require.True(t, utf8.ValidString(key))
					require.True(t, utf8.ValidString(value.AsString()))
					require.False(t, seen[key], "attributes are unique")
					seen[key] = true
				}
			}
		}
	})
}

func strLiteral(record json.RawMessage) (string, error) {
	var text string
	err := json.Unmarshal(record, &text)
	return text, err
}

func BenchmarkLogs(b *testing.B) {
	bench := func(name string, events []telemetryapi.Event) {
		b.Run(name, func(b *testing.B) {
			mapper := newTestMapper(b, createDefaultConfig().(*Config))
			var state streamState
			b.ReportAllocs()
			for b.Loop() {
				if mapper.logs(events, &state).LogRecordCount() == 0 {
					b.Fatal("no records")
				}
			}
		})
	}
	invocation := readEvents(b, "testdata/platform_invocation/events.json")
	lines := readEvents(b, "testdata/json_message/events.json")
	text := readEvents(b, "testdata/text_node/events.json")
	bench("text line", text[:1])
	bench("json line", lines[:1])
	bench("json line with nesting", lines[1:2])
	bench("start", invocation[3:4])
	bench("warm invocation", append([]telemetryapi.Event{invocation[3], lines[0], text[0]}, invocation[4]))
}
