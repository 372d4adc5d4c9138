// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapireceiver

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
)

const (
	benchDeliveries = 10
	benchLines      = 1000
	benchRecords    = benchDeliveries * benchLines
)

// benchBodies are deliveries of a function that logs a lot, as Lambda posts them.
func benchBodies(tb testing.TB, record func(i int) any) [][]byte {
	tb.Helper()
	start := time.Date(2026, time.October, 8, 7, 30, 28, 0, time.UTC)
	bodies := make([][]byte, 0, benchDeliveries)
	for d := range benchDeliveries {
		events := make([]any, 0, benchLines)
		for i := range benchLines {
			at := start.Add(time.Duration(d*benchLines+i) * time.Millisecond)
			events = append(events, map[string]any{
				"time": at.Format("2006-01-02T15:04:05.000Z"), "type": "function", "record": record(i),
			})
		}
		body, err := json.Marshal(events)
		require.NoError(tb, err)
		bodies = append(bodies, body)
	}
	return bodies
}

const benchRequestID = "79b5e81f-9cdd-4145-b1f6-7c50ef8a2a36"

func benchCases(tb testing.TB) map[string][][]byte {
	tb.Helper()
	const message = "order %d accepted for customer 4711, 3 items in the basket, total 99.90 EUR"
	return map[string][][]byte{
		"plain": benchBodies(tb, func(i int) any { return fmt.Sprintf(message+"\n", i) }),
		"node": benchBodies(tb, func(i int) any {
			return fmt.Sprintf("2026-10-08T07:30:29.%03dZ\t%s\tINFO\t"+message+"\n", i, benchRequestID, i)
		}),
		"json": benchBodies(tb, func(i int) any {
			return map[string]any{
				"timestamp": fmt.Sprintf("2026-10-08T07:30:29.%03dZ", i), "level": "INFO", "requestId": benchRequestID,
				"message": fmt.Sprintf(message, i), "orderId": i, "customer": map[string]any{"id": 4711, "tier": "gold"},
			}
		}),
	}
}

// BenchmarkMap is what a line of the function costs from the delivery to the record: CPU time that the function pays
// for.
func BenchmarkMap(b *testing.B) {
	for name, bodies := range benchCases(b) {
		b.Run(name, func(b *testing.B) {
			mapper := newTestMapper(b, createDefaultConfig().(*Config))
			var state streamState
			perRecord(b, func() (records int) {
				for _, body := range bodies {
					batch, err := telemetryapi.Decode(body)
					require.NoError(b, err)
					records += mapper.logs(batch.Events, &state).LogRecordCount()
				}
				return records
			})
		})
	}
}

// BenchmarkMapFromMap is the same by way of encoding/json and maps, and without looking into lines of text.
func BenchmarkMapFromMap(b *testing.B) {
	for name, bodies := range benchCases(b) {
		b.Run(name, func(b *testing.B) {
			mapper := newTestMapper(b, createDefaultConfig().(*Config))
			perRecord(b, func() (records int) {
				for _, body := range bodies {
					logs, err := logsFromMaps(mapper, body)
					require.NoError(b, err)
					records += logs.LogRecordCount()
				}
				return records
			})
		})
	}
}

func perRecord(b *testing.B, run func() (records int)) {
	b.Helper()
	b.ReportAllocs()
	for b.Loop() {
		require.Equal(b, benchRecords, run())
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchRecords, "ns/record")
	b.ReportMetric(testing.AllocsPerRun(1, func() { run() })/benchRecords, "allocs/record")
}

func logsFromMaps(mapper *logMapper, body []byte) (plog.Logs, error) {
	var events []struct {
		Time   string `json:"time"`
		Type   string `json:"type"`
		Record any    `json:"record"`
	}
	if err := json.Unmarshal(body, &events); err != nil {
		return plog.Logs{}, err
	}
	logs := plog.NewLogs()
	resourceLogs := logs.ResourceLogs().AppendEmpty()
	mapper.resource.CopyTo(resourceLogs.Resource().Attributes())
	scopeLogs := resourceLogs.ScopeLogs().AppendEmpty()
	for _, event := range events {
		at, err := time.Parse(time.RFC3339, event.Time)
		if err != nil {
			return plog.Logs{}, err
		}
		record := scopeLogs.LogRecords().AppendEmpty()
		record.SetObservedTimestamp(pcommon.NewTimestampFromTime(mapper.now()))
		record.SetTimestamp(pcommon.NewTimestampFromTime(at))
		record.Attributes().PutStr("type", event.Type)
		switch fields := event.Record.(type) {
		case string:
			record.Body().SetStr(fields)
		case map[string]any:
			if err := fillFromMap(record, fields); err != nil {
				return plog.Logs{}, err
			}
		}
	}
	return logs, nil
}

func fillFromMap(record plog.LogRecord, fields map[string]any) error {
	for name, value := range fields {
		text, _ := value.(string)
		switch name {
		case "timestamp":
			at, err := time.Parse(time.RFC3339, text)
			if err != nil {
				return err
			}
			record.SetTimestamp(pcommon.NewTimestampFromTime(at))
		case "level":
			record.SetSeverityText(text)
			record.SetSeverityNumber(textSeverity(strings.ToUpper(text)))
		case "requestId":
			record.Attributes().PutStr("faas.invocation_id", text)
		case "message":
			record.Body().SetStr(strings.Trim(text, " \n"))
		default:
			if err := record.Attributes().PutEmpty(name).FromRaw(value); err != nil {
				return err
			}
		}
	}
	return nil
}

// BenchmarkMapInvocation is what the events of a warm invocation with one line cost, after they are decoded.
func BenchmarkMapInvocation(b *testing.B) {
	events := readEvents(b, "testdata/provisioned_concurrency/events.json").Events[3:]
	mapper := newTestMapper(b, createDefaultConfig().(*Config))
	b.ReportAllocs()
	for b.Loop() {
		var state streamState
		require.Equal(b, len(events)-1, mapper.logs(events, &state).LogRecordCount())
	}
}
