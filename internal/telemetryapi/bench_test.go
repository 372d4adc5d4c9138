// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapi

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// benchmarkedLines is how many lines there are in a body of about 1 MiB.
const benchmarkedLines = 10000

// benchmarkBodies are deliveries of what functions write, and of what the platform says about them.
func benchmarkBodies(tb testing.TB) map[string][]byte {
	tb.Helper()
	const id = "79b5e81f-9cdd-4145-b1f6-7c50ef8a2a36"
	event := func(at, typ, record string) string {
		return fmt.Sprintf(`{"time":%q,"type":%q,"record":%s}`, at, typ, record)
	}
	bodies := map[string]func(at string, i int) string{
		"text": func(at string, i int) string {
			return event(at, "function", fmt.Sprintf(`"%s order %d has been taken\n"`, id[:8], i))
		},
		"json": func(at string, i int) string {
			return event(at, "function", fmt.Sprintf(`{"level":"INFO","message":"order %d","items":3}`, i))
		},
		"platform": func(at string, i int) string {
			switch i % 3 {
			case 0:
				return event(at, "platform.start", `{"requestId":"`+id+`","functionArn":"arn:aws:lambda:eu-central-1:`+
					`123456789012:function:checkout","version":"$LATEST","tracing":{"spanId":"24cd7d670fa455f0",`+
					`"type":"X-Amzn-Trace-Id","value":"Root=1-6352a70e-1e2c502e358361800241fd45;Parent=35465b3a9e2f7c6a;`+
					`Sampled=1"}}`)
			case 1:
				return event(at, "platform.runtimeDone", `{"requestId":"`+id+`","status":"success","spans":[`+
					`{"name":"responseLatency","start":"`+at+`","durationMs":2.215},`+
					`{"name":"responseDuration","start":"`+at+`","durationMs":0.056},`+
					`{"name":"runtimeOverhead","start":"`+at+`","durationMs":8.686}],`+
					`"metrics":{"durationMs":11.185,"producedBytes":40}}`)
			default:
				return event(at, "platform.report", `{"requestId":"`+id+`","status":"success","metrics":{"durationMs":`+
					`1233.96,"billedDurationMs":1698,"memorySizeMB":256,"maxMemoryUsedMB":123,"initDurationMs":463.512}}`)
			}
		},
	}
	texts := map[string][]byte{}
	start := time.Date(2026, time.October, 8, 7, 30, 27, 0, time.UTC)
	for name, line := range bodies {
		body := bytes.NewBufferString("[")
		for i := range benchmarkedLines {
			if i > 0 {
				body.WriteByte(',')
			}
			at := start.Add(time.Duration(i/10) * time.Millisecond)
			body.WriteString(line(at.Format("2006-01-02T15:04:05.000Z"), i))
		}
		body.WriteByte(']')
		require.True(tb, json.Valid(body.Bytes()))
		texts[name] = body.Bytes()
	}
	return texts
}

func perRecord(b *testing.B, body []byte, decode func(body []byte) int) {
	b.Helper()
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	records, before := 0, cpuTime(b)
	for b.Loop() {
		records += decode(body)
	}
	b.ReportMetric(float64(cpuTime(b)-before)/float64(records), "cpu-ns/record")
	require.Equal(b, benchmarkedLines*b.N, records)
}

// cpuTime is what the process has used, the garbage collector included. It is what a function pays for, and tells more
// than the time on a busy machine.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func BenchmarkDecode(b *testing.B) {
	for name, body := range benchmarkBodies(b) {
		b.Run(name, func(b *testing.B) {
			perRecord(b, body, func(body []byte) int {
				batch, err := Decode(body)
				if err != nil {
					return 0
				}
				return len(batch.Events)
			})
		})
	}
}

// BenchmarkDecodeAndRecords is BenchmarkDecode and the records in addition, for the platform's events.
func BenchmarkDecodeAndRecords(b *testing.B) {
	perRecord(b, benchmarkBodies(b)["platform"], func(body []byte) int {
		batch, err := Decode(body)
		if err != nil {
			return 0
		}
		records := 0
		for _, event := range batch.Events {
			switch event.Type {
			case EventStart:
				var r StartRecord
				if _, err := r.Decode(event); err == nil && r.Tracing.Value != "" {
					records++
				}
			case EventRuntimeDone:
				var r RuntimeDoneRecord
				if _, err := r.Decode(event); err == nil && len(r.Spans) == 3 {
					records++
				}
			case EventReport:
				var r ReportRecord
				if _, err := r.Decode(event); err == nil && r.Metrics.InitDurationMs.Set {
					records++
				}
			default:
			}
		}
		return records
	})
}

// BenchmarkDecodeIntoMap is what it is measured against: the whole of it at once, with encoding/json.
func BenchmarkDecodeIntoMap(b *testing.B) {
	for name, body := range benchmarkBodies(b) {
		b.Run(name, func(b *testing.B) {
			perRecord(b, body, func(body []byte) int {
				var events []struct {
					Time   string `json:"time"`
					Type   string `json:"type"`
					Record any    `json:"record"`
				}
				if json.Unmarshal(body, &events) != nil {
					return 0
				}
				return len(events)
			})
		})
	}
}

// BenchmarkDecodeRecord reads one record of each kind into a variable, and as a result.
func BenchmarkDecodeRecord(b *testing.B) {
	batch, err := Decode(readContract(b))
	require.NoError(b, err)
	seen := map[EventType]bool{}
	for _, event := range batch.Events {
		record := newRecord(event.Type)
		if record == nil || seen[event.Type] {
			continue
		}
		seen[event.Type] = true
		b.Run(string(event.Type), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := record.Decode(event); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestDecodeAllocates bounds what a delivery costs: the events have one slice, and share the memory of the body.
func TestDecodeAllocates(t *testing.T) {
	for name, body := range benchmarkBodies(t) {
		allocations := testing.AllocsPerRun(3, func() {
			if _, err := Decode(body); err != nil {
				panic(err)
			}
		})
		require.LessOrEqual(t, allocations, 32.0, name)
	}
	one := []byte(`[{"time":"2026-10-08T07:30:27.768Z","type":"platform.report","record":{"requestId":"a"}}]`)
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() { _, _ = Decode(one) }), 2.0)
}

// BenchmarkDelivery is what a delivery of a usual size takes from the connection until its events have been handled.
func BenchmarkDelivery(b *testing.B) {
	handled := make(chan struct{})
	l := NewListener(ListenerSettings{Handle: func(context.Context, []Event) { handled <- struct{}{} }})
	require.NoError(b, l.Listen())
	l.Serve()
	defer func() { require.NoError(b, l.Shutdown(b.Context())) }()
	conn, err := net.DialTimeout("tcp4", l.Addr().String(), time.Second)
	require.NoError(b, err)
	defer conn.Close()

	// Without a time it cannot be told from one that Lambda repeats, so it is handled.
	body := `[{"type":"function","record":"` + strings.Repeat("order taken ", 150) + `"}]`
	request := fmt.Appendf(nil, "POST / HTTP/1.1\r\nHost: sandbox.localdomain:4325\r\nUser-Agent: Go-http-client/1.1\r\n"+
		"Content-Length: %d\r\nContent-Type: application/json\r\nAccept-Encoding: gzip\r\n\r\n%s", len(body), body)
	answers := bufio.NewReader(conn)
	b.ReportAllocs()
	before := cpuTime(b)
	for b.Loop() {
		_, err := conn.Write(request)
		require.NoError(b, err)
		resp, err := http.ReadResponse(answers, nil)
		require.NoError(b, err)
		_ = resp.Body.Close()
		<-handled
	}
	b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N), "cpu-ns/op")
}
