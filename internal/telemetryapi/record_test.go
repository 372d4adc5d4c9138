// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapi

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestRecordsRoundTrip makes sure that the types know every field of the samples, by their exact names.
func TestRecordsRoundTrip(t *testing.T) {
	batch, err := Decode(readContract(t))
	require.NoError(t, err)
	seen := map[EventType]bool{}
	for _, event := range batch.Events {
		var record any
		switch event.Type {
		case EventInitStart:
			record, err = DecodeRecord[InitStartRecord](event)
		case EventInitRuntimeDone:
			record, err = DecodeRecord[InitRuntimeDoneRecord](event)
		case EventInitReport:
			record, err = DecodeRecord[InitReportRecord](event)
		case EventStart:
			record, err = DecodeRecord[StartRecord](event)
		case EventRuntimeDone:
			record, err = DecodeRecord[RuntimeDoneRecord](event)
		case EventReport:
			record, err = DecodeRecord[ReportRecord](event)
		case EventRestoreStart:
			record, err = DecodeRecord[RestoreStartRecord](event)
		case EventRestoreRuntimeDone:
			record, err = DecodeRecord[RestoreRuntimeDoneRecord](event)
		case EventRestoreReport:
			record, err = DecodeRecord[RestoreReportRecord](event)
		case EventExtension:
			record, err = DecodeRecord[ExtensionRecord](event)
		case EventTelemetrySubscription:
			record, err = DecodeRecord[TelemetrySubscriptionRecord](event)
		case EventLogsDropped:
			record, err = DecodeRecord[LogsDroppedRecord](event)
		case EventFunction, EventExtensionLog:
			continue
		}
		require.NoError(t, err, event.Type)
		text, err := json.Marshal(record)
		require.NoError(t, err, event.Type)
		require.JSONEq(t, string(event.Record), string(text), event.Type)
		seen[event.Type] = true
	}
	require.Len(t, seen, 12, "the samples cover every platform event")
}

func TestDecodeRecord(t *testing.T) {
	memory := 256.0
	tests := []struct {
		name    string
		record  string
		want    InitStartRecord
		errText string
	}{
		{name: "missing", record: ``},
		{name: "empty", record: `{}`},
		{name: "unknown fields", record: `{"phase":"init","new":{"a":[1]}}`, want: InitStartRecord{Phase: "init"}},
		{
			name:   "a field of another type costs that field",
			record: `{"phase":7,"functionName":"f","instanceMaxMemory":256,"tracing":"none"}`,
			want:   InitStartRecord{FunctionName: "f", InstanceMaxMemory: &memory, Tracing: &TraceContext{}},
		},
		{name: "a line", record: `"text"`, errText: "record of platform.initStart is not a JSON object"},
		{name: "broken", record: `{"phase":`, errText: "decode record of platform.initStart"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := DecodeRecord[InitStartRecord](Event{Type: EventInitStart, Record: json.RawMessage(tt.record)})
			if tt.errText != "" {
				require.ErrorContains(t, err, tt.errText)
				return
			}
			require.NoError(t, err)
			if got.Tracing != nil {
				require.Empty(t, *got.Tracing)
				tt.want.Tracing = got.Tracing
			}
			require.Equal(t, tt.want, got)
		})
	}
}

func TestSpanStartTime(t *testing.T) {
	start, ok := Span{Start: "2024-05-20T16:29:45.008Z"}.StartTime()
	require.True(t, ok)
	require.Equal(t, time.Date(2024, time.May, 20, 16, 29, 45, 8000000, time.UTC), start)
	_, ok = Span{Start: "2024-05-20T12:01:23:521Z"}.StartTime()
	require.False(t, ok)
}

func TestRequestID(t *testing.T) {
	for record, want := range map[string]string{
		``:                                      "",
		`"2026 requestId ERROR"`:                "",
		`{}`:                                    "",
		`{"a":{"requestId":"inner"}}`:           "",
		`{"requestId":7}`:                       "",
		`{"metrics":{"a":1},"requestId":"abc"}`: "abc",
		`{"AWSRequestId":"java"}`:               "java",
		`{"AWSRequestId":"java","requestId":"abc"}`: "abc",
		`{"requestId":"abc","AWSRequestId":"java"}`: "abc",
	} {
		require.Equal(t, want, Event{Record: json.RawMessage(record)}.RequestID(), record)
	}
}

func TestEventStream(t *testing.T) {
	require.Equal(t, StreamFunction, Event{Type: EventFunction}.Stream())
	require.Equal(t, StreamExtension, Event{Type: EventExtensionLog}.Stream())
	require.Equal(t, StreamPlatform, Event{Type: EventExtension}.Stream())
	require.Equal(t, StreamPlatform, Event{Type: "platform.new"}.Stream())
}

func BenchmarkRequestID(b *testing.B) {
	event := Event{Record: json.RawMessage(`{"requestId":"79b5e81f-9cdd-4145-b1f6-7c50ef8a2a36","status":"success",` +
		`"metrics":{"durationMs":1233.96,"billedDurationMs":1698,"memorySizeMB":256,"maxMemoryUsedMB":123}}`)}
	b.ReportAllocs()
	for b.Loop() {
		if event.RequestID() == "" {
			b.Fatal("no request id")
		}
	}
}
