// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapi

import (
	"encoding/json"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestContractRecords makes sure that the types know every field of the samples, by their exact names.
func TestContractRecords(t *testing.T) {
	batch, err := Decode(readContract(t))
	require.NoError(t, err)
	require.Zero(t, batch.Unknown)
	seen := map[EventType]bool{}
	for _, event := range batch.Events {
		record := newRecord(event.Type)
		if record == nil {
			continue
		}
		unknown, err := record.Decode(event)
		require.NoError(t, err, event.Type)
		require.Zero(t, unknown, event.Type)
		require.Equal(t, slowRecord(t, event), record)
		seen[event.Type] = true
	}
	require.Len(t, seen, 12, "the samples cover every platform event")
}

// memory is an InitStartRecord with nothing else.
func memory(bytes float64) InitStartRecord {
	return InitStartRecord{InstanceMaxMemory: Optional{Value: bytes, Set: true}}
}

func TestDecodeRecord(t *testing.T) {
	tests := []struct {
		name    string
		record  string
		want    InitStartRecord
		unknown int
		errText string
	}{
		{name: "missing", record: ``},
		{name: "empty", record: `{}`},
		{
			name:    "unknown fields",
			record:  `{"phase":"init","new":{"a":[1]},"tracing":{"x":1,"value":"Root=1"},"newer":null}`,
			want:    InitStartRecord{Phase: "init"},
			unknown: 3,
		},
		{
			name:    "names are exact",
			record:  `{"Phase":"init","ph\u0061se":"invoke"}`,
			want:    InitStartRecord{Phase: "invoke"},
			unknown: 1,
		},
		{
			name: "a field of another type costs that field",
			record: `{"phase":7,"functionName":"f","instanceMaxMemory":[256],"instanceId":{"a":1},"tracing":"none",` +
				`"functionArn":null}`,
			want: InitStartRecord{FunctionName: "f"},
		},
		{
			name:   "the last one counts",
			record: `{"phase":"init","functionName":"f","phase":"invoke","functionName":7}`,
			want:   InitStartRecord{Phase: "invoke"},
		},
		{name: "memory", record: `{"instanceMaxMemory":10737418240}`, want: memory(10 << 30)},
		{name: "memory of 64 bits", record: `{"instanceMaxMemory":18446744073709551615}`, want: memory(1 << 64)},
		{name: "memory that is no integer", record: `{"instanceMaxMemory":2.68435456e8}`, want: memory(256 << 20)},
		{name: "memory as text", record: `{"instanceMaxMemory":"268435456"}`, want: memory(256 << 20)},
		{name: "memory as other text", record: `{"instanceMaxMemory":"256 MB"}`},
		{name: "memory as text that Go takes for a number", record: `{"instanceMaxMemory":"0x10"}`},
		{name: "memory as no text", record: `{"instanceMaxMemory":""}`},
		{name: "memory beyond a float64", record: `{"instanceMaxMemory":1e999}`},
		{name: "no memory at all", record: `{"instanceMaxMemory":0}`, want: memory(0)},
		{name: "a line", record: `"text"`, errText: "the record of platform.initStart is not a JSON object"},
		{name: "broken", record: `{"phase":`, errText: "the record of platform.initStart is not a JSON object"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			event := Event{Type: EventInitStart, Record: json.RawMessage(tt.record)}
			got, err := DecodeRecord[InitStartRecord](event)
			if tt.errText != "" {
				require.EqualError(t, err, tt.errText)
			} else {
				require.NoError(t, err)
			}
			require.Equal(t, tt.want, got)

			got = InitStartRecord{FunctionName: "from before"}
			unknown, _ := got.Decode(event)
			require.Equal(t, tt.want, got)
			require.Equal(t, tt.unknown, unknown)
		})
	}
}

// TestDecodeShapes has what records look like in other environments than the samples', and in older schemas.
func TestDecodeShapes(t *testing.T) {
	set := func(value float64) Optional { return Optional{Value: value, Set: true} }
	tests := []struct {
		name string
		typ  EventType
		text string
		want Decoder
	}{
		{
			name: "a suppressed init", typ: EventInitStart,
			text: `{"initializationType":"snap-start","phase":"invoke","functionName":"f","functionVersion":"7"}`,
			want: &InitStartRecord{
				InitializationType: "snap-start", Phase: "invoke", FunctionName: "f", FunctionVersion: "7",
			},
		},
		{
			name: "no phase", typ: EventInitRuntimeDone,
			text: `{"initializationType":"provisioned-concurrency","status":"error","errorType":"Runtime.ExitError"}`,
			want: &InitRuntimeDoneRecord{
				InitializationType: "provisioned-concurrency", Status: "error", ErrorType: "Runtime.ExitError",
			},
		},
		{
			name: "no status, and a bill", typ: EventInitReport,
			text: `{"initializationType":"snap-start","phase":"snap-start",` +
				`"metrics":{"durationMs":463.512,"billedDurationMs":463.9}}`,
			want: &InitReportRecord{
				InitializationType: "snap-start", Phase: "snap-start",
				Metrics: InitReportMetrics{DurationMs: set(463.512), BilledDurationMs: set(463.9)},
			},
		},
		{
			name: "of a tenant", typ: EventStart,
			text: `{"requestId":"a","tenantId":"blue"}`,
			want: &StartRecord{RequestID: "a", TenantID: "blue"},
		},
		{
			name: "of a trace", typ: EventStart,
			text: `{"tracing":{"value":"a"},"tracing":{"spanId":"0","type":"X-Amzn-Trace-Id","value":"Root=1"}}`,
			want: &StartRecord{Tracing: TraceContext{Value: "Root=1"}},
		},
		{name: "of another trace", typ: EventStart, text: `{"tracing":{"value":"a"},"tracing":[]}`, want: &StartRecord{}},
		{
			name: "no metrics", typ: EventRuntimeDone,
			text: `{"requestId":"a","status":"failure","errorType":"Sandbox.Failure","metrics":null}`,
			want: &RuntimeDoneRecord{RequestID: "a", Status: "failure", ErrorType: "Sandbox.Failure"},
		},
		{
			name: "spans that do not fit", typ: EventRuntimeDone,
			text: `{"metrics":{},"spans":[7,{"name":"new","start":1,"durationMs":"2"},` +
				`{"name":"runtimeOverhead","start":"x:y"}]}`,
			want: &RuntimeDoneRecord{
				Spans: []Span{{Name: "new"}, {Name: "runtimeOverhead"}},
			},
		},
		{
			name: "Managed Instances", typ: EventReport,
			text: `{"requestId":"a","status":"success","metrics":{"durationMs":12.345},` +
				`"spans":[{"name":"responseLatency","start":"2026-07-01T09:00:06.001Z","durationMs":11}]}`,
			want: &ReportRecord{
				RequestID: "a", Status: "success", Metrics: ReportMetrics{DurationMs: set(12.345)},
				Spans: []Span{{
					Name: "responseLatency", Start: time.Date(2026, time.July, 1, 9, 0, 6, 1e6, time.UTC), DurationMs: 11,
				}},
			},
		},
		{
			name: "a bill with a fraction, and numbers beyond 2^53", typ: EventReport,
			text: `{"requestId":"a","metrics":{"durationMs":1e3,"billedDurationMs":1698.5,` +
				`"memorySizeMB":9007199254740993,"maxMemoryUsedMB":18446744073709551615}}`,
			want: &ReportRecord{RequestID: "a", Metrics: ReportMetrics{
				DurationMs: set(1000), BilledDurationMs: set(1698.5), MemorySizeMB: set(1 << 53), MaxMemoryUsedMB: set(1 << 64),
			}},
		},
		{name: "an empty restore", typ: EventRestoreStart, text: `{}`, want: &RestoreStartRecord{}},
		{name: "no restore", typ: EventRestoreStart, text: ``, want: &RestoreStartRecord{}},
		{
			name: "memory in the form of the documentation", typ: EventRestoreStart,
			text: `{"functionName":"f","instanceMaxMemory":"256"}`,
			want: &RestoreStartRecord{FunctionName: "f", InstanceMaxMemory: set(256)},
		},
		{
			name: "a restore that failed", typ: EventRestoreRuntimeDone,
			text: `{"status":"error","errorType":"Runtime.ExitError"}`,
			want: &RestoreRuntimeDoneRecord{Status: "error", ErrorType: "Runtime.ExitError"},
		},
		{
			name: "no metrics of a restore", typ: EventRestoreReport,
			text: `{"status":"success","spans":[],"metrics":[]}`,
			want: &RestoreReportRecord{Status: "success"},
		},
		{
			name: "events that are none", typ: EventExtension,
			text: `{"name":"e","state":"Registered","events":["SHUTDOWN",7,null,"INVOKE"]}`,
			want: &ExtensionRecord{Name: "e", State: "Registered", Events: []string{"SHUTDOWN", "INVOKE"}},
		},
		{
			name: "no types", typ: EventTelemetrySubscription,
			text: `{"name":"e","state":"Subscribed","types":"platform"}`,
			want: &TelemetrySubscriptionRecord{Name: "e", State: "Subscribed"},
		},
		{
			name: "numbers as text", typ: EventLogsDropped,
			text: `{"droppedBytes":"1","droppedRecords":2,"reason":{}}`,
			want: &LogsDroppedRecord{DroppedRecords: 2},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			event := Event{Type: tt.typ, Record: json.RawMessage(tt.text)}
			got := newRecord(tt.typ)
			unknown, err := got.Decode(event)
			require.NoError(t, err)
			require.Zero(t, unknown)
			require.Equal(t, tt.want, got)
			require.Equal(t, slowRecord(t, event), got)
		})
	}
}

// TestDecodeCopies makes sure that a record outlives the body that it came with.
func TestDecodeCopies(t *testing.T) {
	body := readContract(t)
	batch, err := Decode(body)
	require.NoError(t, err)
	var before, after []Decoder
	for _, event := range batch.Events {
		if record := newRecord(event.Type); record != nil {
			_, err := record.Decode(event)
			require.NoError(t, err)
			before, after = append(before, record), append(after, slowRecord(t, event))
		}
	}
	clear(body)
	require.Equal(t, after, before)
}

// TestSharedRecords makes sure that a shared event has its record decoded once, and others say the same.
func TestSharedRecords(t *testing.T) {
	batch, err := Decode(readContract(t))
	require.NoError(t, err)
	batch.Events = append(batch.Events,
		Event{Type: EventStart, Record: json.RawMessage(`{"requestId":"a","new":1}`)},
		Event{Type: EventStart, Record: json.RawMessage(`{"requestId":"a",`)},
		Event{Type: EventReport, Record: json.RawMessage(`{"AWSRequestId":"a"}`)},
		Event{Type: EventReport}, Event{Type: "platform.new", Record: json.RawMessage(`{"requestId":"a"}`)})
	var shared Event
	for _, event := range batch.Events {
		record, unknown, err := event.Decoded()
		again, _, _ := event.Decoded()
		require.Equal(t, record, again)
		if record != nil {
			require.NotSame(t, record, again)
		}

		shared = event
		shared.Share()
		copied := shared
		got, gotUnknown, gotErr := copied.Decoded()
		require.Equal(t, record, got, event.Type)
		require.Equal(t, unknown, gotUnknown)
		require.Equal(t, err, gotErr)
		require.Equal(t, event.RequestID(), copied.RequestID())
		shared.Share()
		if again, _, _ = shared.Decoded(); record != nil {
			require.Same(t, got, again)
		}
	}
	// Receivers that keep events look at them at any time.
	shared = Event{Type: "platform.new", Record: json.RawMessage(`{"requestId":"a"}`)}
	shared.Share()
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() { require.Equal(t, "a", shared.RequestID()) })
	}
	wg.Wait()
	line := Event{Type: EventFunction, Record: json.RawMessage(`"text"`)}
	shared = line
	shared.Share()
	require.Equal(t, line, shared, "a line has nothing to share")
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
