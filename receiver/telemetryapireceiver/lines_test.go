// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapireceiver

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
)

func TestFillObjectKeys(t *testing.T) {
	const id = "79b5e81f-9cdd-4145-b1f6-7c50ef8a2a36"
	tests := []struct {
		name, object, body, level string
		nested                    int
		attributes                map[string]any
	}{
		{name: "escaped", object: `{"m\u0065ssage":"m","a\"b":1}`, body: "m", attributes: map[string]any{`a"b`: int64(1)}},
		{name: "not UTF-8", object: "{\"message\":\"m\xff\",\"a\xff\":\"b\"}", body: "m\uFFFD", attributes: map[string]any{
			"a\uFFFD": "b",
		}},
		{name: "level first", object: `{"severity":"ERROR","msg":"m","level":"info"}`, body: "m", level: "info",
			attributes: map[string]any{"severity": "ERROR"}},
		{name: "other level", object: `{"severity":"ERROR","msg":"m"}`, body: "m", level: "ERROR"},
		{name: "no level", object: `{"severity":"minor","level":{"a":1},"msg":"m"}`, body: "m", attributes: map[string]any{
			"severity": "minor", "level": map[string]any{"a": int64(1)},
		}},
		{name: "type of an error only", object: `{"errorType":"E"}`, body: `{"errorType":"E"}`},
		{name: "no request", object: `{"msg":"m","requestId":""}`, body: "m"},
		{name: "another's request", nested: 1, object: `{"msg":"m","requestId":"x","AWSRequestId":"` + id + `"}`, body: "m",
			attributes: map[string]any{"requestId": "x", "faas.invocation_id": id}},
		{name: "nearly a request", nested: 1, object: `{"msg":"m","requestId":"79b5e81f-9cdd-4145-b1f6+7c50ef8a2a36"}`,
			body: "m", attributes: map[string]any{"requestId": "79b5e81f-9cdd-4145-b1f6+7c50ef8a2a36"}},
		{name: "no hex", nested: 1, object: `{"msg":"m","requestId":"79b5e81x-9cdd-4145-b1f6-7c50ef8a2a36"}`, body: "m",
			attributes: map[string]any{"requestId": "79b5e81x-9cdd-4145-b1f6-7c50ef8a2a36"}},
		{name: "tenant of another form", object: `{"msg":"m","tenantId":7}`, body: "m", attributes: map[string]any{
			"tenantId": int64(7),
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			record := plog.NewLogRecord()
			fillObject(record, []byte(tt.object), tt.nested)
			require.Equal(t, tt.body, record.Body().AsString())
			require.Equal(t, tt.level, record.SeverityText())
			if tt.attributes == nil {
				tt.attributes = map[string]any{}
			}
			require.Equal(t, tt.attributes, record.Attributes().AsRaw())
		})
	}
}

func TestSetTime(t *testing.T) {
	event := time.Date(2026, time.October, 8, 7, 30, 29, 447_000_000, time.UTC)
	second := event.Truncate(time.Second)
	tests := map[string]struct{ line, want time.Time }{
		"finer than seconds":   {line: second.Add(time.Millisecond), want: second.Add(time.Millisecond)},
		"the same second":      {line: second, want: event},
		"a second before":      {line: second.Add(-time.Second), want: second.Add(-time.Second)},
		"a second later":       {line: second.Add(time.Second), want: second.Add(time.Second)},
		"hours ago, by a zone": {line: second.Add(-2 * time.Hour), want: second.Add(-2 * time.Hour)},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			record := plog.NewLogRecord()
			record.SetTimestamp(pcommon.NewTimestampFromTime(event))
			setTime(record, tt.line)
			require.Equal(t, tt.want, record.Timestamp().AsTime())
		})
	}
	record := plog.NewLogRecord()
	setTime(record, second)
	require.Equal(t, second, record.Timestamp().AsTime(), "the event has no time")
}
