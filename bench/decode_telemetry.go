// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
)

const (
	// The largest buffer that Lambda has for a subscriber. It delivers when it has either of them.
	batchBytes  = 1 << 20
	batchEvents = 10_000
	// platformInvocations is how many there are in a row where the platform's events are measured, one delivery each.
	platformInvocations = 1000

	linesRequestID = "79b5e81f-9cdd-4145-b1f6-7c50ef8a2a36"
	lambdaTime     = "2006-01-02T15:04:05.000Z"
)

// telemetry is what Lambda delivers in an environment.
type telemetry struct {
	name string
	// lines says that these are what the function has written, in one batch that is as large as Lambda makes them.
	lines bool
	// before is delivered ahead, and is not measured.
	before [][]byte
	bodies [][]byte
	// events are those in bodies, records how many log records there are to be of them: none is made of the report of an
	// invocation.
	events, records int
}

func (t telemetry) size() (bytes int) {
	for _, body := range t.bodies {
		bytes += len(body)
	}
	return bytes
}

// allTelemetry makes all kinds.
func allTelemetry() ([]telemetry, error) {
	plain := func(_ time.Time, i int) any {
		return fmt.Sprintf("order %04d taken, 99.90 EUR, 3 items\n", i)
	}
	node := func(at time.Time, i int) any {
		return fmt.Sprintf("%s\t%s\tINFO\torder %04d taken, 99.90 EUR, 3 items\n", at.Format(lambdaTime), linesRequestID, i)
	}
	type customer struct {
		ID   int    `json:"id"`
		Tier string `json:"tier"`
	}
	type message struct {
		Order    int      `json:"orderId"`
		Total    float64  `json:"total"`
		Items    []string `json:"items"`
		Customer customer `json:"customer"`
	}
	type line struct {
		Timestamp string  `json:"timestamp"`
		Level     string  `json:"level"`
		RequestID string  `json:"requestId"`
		Message   message `json:"message"`
	}
	object := func(at time.Time, i int) any {
		return line{at.Format(lambdaTime), "INFO", linesRequestID, message{
			i, 99.9, []string{"tea", "cup"}, customer{4711, "gold"},
		}}
	}
	var all []telemetry
	for _, kind := range []struct {
		name   string
		record func(time.Time, int) any
	}{{"plain text", plain}, {"text of Node's runtime", node}, {"Lambda's JSON format", object}} {
		t, err := newLines(kind.name, kind.record)
		if err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return append(all, newPlatform()), nil
}

// newLines fills a batch with lines of an invocation, ten in each millisecond.
func newLines(name string, record func(at time.Time, i int) any) (telemetry, error) {
	began := firstInvocation().Add(time.Minute)
	t := telemetry{
		name: name, lines: true,
		before: [][]byte{environmentBegins(), batch(startEvent(began, linesRequestID))},
	}
	body := []byte{'['}
	for i := range batchEvents {
		at := began.Add(time.Duration(i/10) * time.Millisecond)
		event, err := json.Marshal(struct {
			Time   string                 `json:"time"`
			Type   telemetryapi.EventType `json:"type"`
			Record any                    `json:"record"`
		}{at.Format(lambdaTime), telemetryapi.EventFunction, record(at, i)})
		if err != nil {
			return t, fmt.Errorf("encode a line: %w", err)
		}
		// A comma or a bracket follows.
		if len(body)+len(event)+1 > batchBytes {
			break
		}
		body = append(append(body, event...), ',')
		t.events++
	}
	body[len(body)-1] = ']'
	t.bodies, t.records = [][]byte{body}, t.events
	return t, nil
}

// newPlatform has what the platform says about warm invocations.
func newPlatform() telemetry {
	t := telemetry{
		name: "platform events", before: [][]byte{environmentBegins()},
		events: 3 * platformInvocations, records: 2 * platformInvocations,
	}
	for i := range platformInvocations {
		began := firstInvocation().Add(time.Duration(i+1) * time.Second)
		t.bodies = append(t.bodies, invocation(began, fmt.Sprintf("%08x-9cdd-4145-b1f6-7c50ef8a2a36", i+1)))
	}
	return t
}

func firstInvocation() time.Time { return time.Date(2026, time.October, 8, 7, 30, 28, 0, time.UTC) }

// environmentBegins is what there is up to the end of the first invocation, after which it is known that the function
// makes no spans itself.
func environmentBegins() []byte {
	began := firstInvocation()
	init := platformEvent(began.Add(-200*time.Millisecond), telemetryapi.EventInitStart,
		`{"initializationType":"on-demand","phase":"init","runtimeVersion":"nodejs:22.v30","runtimeVersionArn":`+
			`"arn:aws:lambda:eu-central-1::runtime:0","functionName":"checkout","functionVersion":"$LATEST",`+
			`"instanceId":"2026/10/08/[$LATEST]0123456789abcdef0123456789abcdef","instanceMaxMemory":536870912}`)
	done := platformEvent(began.Add(-10*time.Millisecond), telemetryapi.EventInitRuntimeDone,
		`{"initializationType":"on-demand","phase":"init","status":"success"}`)
	report := platformEvent(began.Add(-10*time.Millisecond), telemetryapi.EventInitReport,
		`{"initializationType":"on-demand","phase":"init","status":"success","metrics":{"durationMs":190.21}}`)
	invoked := invocation(began, "00000000-9cdd-4145-b1f6-7c50ef8a2a36")
	return batch(init, done, report, string(invoked[1:len(invoked)-1]))
}

// invocation is a delivery with all that the platform says about one.
func invocation(began time.Time, requestID string) []byte {
	span := func(name string, after time.Duration, ms float64) string {
		return fmt.Sprintf(`{"name":%q,"start":%q,"durationMs":%g}`, name, began.Add(after).Format(lambdaTime), ms)
	}
	done := fmt.Sprintf(`{"requestId":%q,"status":"success","spans":[%s,%s,%s],"metrics":{"durationMs":41.185,`+
		`"producedBytes":40}}`, requestID, span("responseLatency", 30*time.Millisecond, 2.215),
		span("responseDuration", 33*time.Millisecond, 0.056), span("runtimeOverhead", 33*time.Millisecond, 5.686))
	report := fmt.Sprintf(`{"requestId":%q,"status":"success","metrics":{"durationMs":43.96,"billedDurationMs":44,`+
		`"memorySizeMB":512,"maxMemoryUsedMB":123}}`, requestID)
	return batch(
		startEvent(began, requestID),
		platformEvent(began.Add(42*time.Millisecond), telemetryapi.EventRuntimeDone, done),
		platformEvent(began.Add(44*time.Millisecond), telemetryapi.EventReport, report),
	)
}

func startEvent(at time.Time, requestID string) string {
	return platformEvent(at, telemetryapi.EventStart, fmt.Sprintf(`{"requestId":%q,"functionArn":`+
		`"arn:aws:lambda:eu-central-1:123456789012:function:checkout","version":"$LATEST","tracing":{"type":`+
		`"X-Amzn-Trace-Id","value":"Root=1-%08x-1e2c502e358361800241fd45;Parent=35465b3a9e2f7c6a;Sampled=1"}}`,
		requestID, at.Unix()))
}

func platformEvent(at time.Time, name telemetryapi.EventType, record string) string {
	return fmt.Sprintf(`{"time":%q,"type":%q,"record":%s}`, at.Format(lambdaTime), name, record)
}

func batch(events ...string) []byte { return []byte("[" + strings.Join(events, ",") + "]") }
