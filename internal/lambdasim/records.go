// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdasim

import (
	"encoding/json"
	"math"
	"time"

	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
)

// Record is one event of the timeline: what Lambda sends to subscribers of the Telemetry API, and what the simulator
// itself has to say.
type Record struct {
	Time   time.Time              `json:"time"`
	Type   telemetryapi.EventType `json:"type"`
	Record json.RawMessage        `json:"record"`
}

// The event types of the simulator itself. They are not part of Lambda and are not sent to subscribers.
const (
	EventSimFreeze    telemetryapi.EventType = "sim.freeze"
	EventSimThaw      telemetryapi.EventType = "sim.thaw"
	EventSimShutdown  telemetryapi.EventType = "sim.shutdown"
	EventSimExit      telemetryapi.EventType = "sim.exit"
	EventSimViolation telemetryapi.EventType = "sim.violation"
)

// The values of `status` in platform events, and of Invocation.Status.
const (
	StatusSuccess = "success"
	StatusError   = "error"
	StatusTimeout = "timeout"
	StatusFailure = "failure"
)

const (
	phaseInit      = "init"
	phaseInvoke    = "invoke"
	phaseSnapStart = "snap-start"

	traceHeaderType = "X-Amzn-Trace-Id"
)

// timeFormat is that of the Telemetry API: UTC with milliseconds.
const timeFormat = "2006-01-02T15:04:05.000Z"

func formatTime(t time.Time) string { return t.UTC().Format(timeFormat) }

// millis is a duration as the Telemetry API has it: milliseconds with three decimals.
func millis(d time.Duration) float64 {
	return math.Round(float64(d)/float64(time.Microsecond)) / 1000
}

type tracingRecord struct {
	SpanID string `json:"spanId,omitempty"`
	Type   string `json:"type"`
	Value  string `json:"value"`
}

type spanRecord struct {
	Name       string  `json:"name"`
	Start      string  `json:"start"`
	DurationMs float64 `json:"durationMs"`
}

func newSpan(name string, start, end time.Time) spanRecord {
	return spanRecord{Name: name, Start: formatTime(start), DurationMs: millis(max(0, end.Sub(start)))}
}

type initStartRecord struct {
	InitializationType string `json:"initializationType"`
	Phase              string `json:"phase"`
	FunctionName       string `json:"functionName"`
	FunctionVersion    string `json:"functionVersion"`
	InstanceID         string `json:"instanceId"`
	// InstanceMaxMemory is in bytes, as in real events; the documentation's example is not.
	InstanceMaxMemory uint64 `json:"instanceMaxMemory"`
}

type initEndRecord struct {
	InitializationType string           `json:"initializationType"`
	Phase              string           `json:"phase"`
	Status             string           `json:"status"`
	ErrorType          string           `json:"errorType,omitempty"`
	Metrics            *durationMetrics `json:"metrics,omitempty"`
}

type restoreStartRecord struct {
	FunctionName      string `json:"functionName"`
	FunctionVersion   string `json:"functionVersion"`
	InstanceID        string `json:"instanceId"`
	InstanceMaxMemory uint64 `json:"instanceMaxMemory"` // bytes
}

type restoreEndRecord struct {
	Status    string           `json:"status"`
	ErrorType string           `json:"errorType,omitempty"`
	Metrics   *durationMetrics `json:"metrics,omitempty"`
}

type durationMetrics struct {
	DurationMs    float64 `json:"durationMs"`
	ProducedBytes *int    `json:"producedBytes,omitempty"`
}

type startRecord struct {
	RequestID   string        `json:"requestId"`
	FunctionARN string        `json:"functionArn"`
	Version     string        `json:"version"`
	TenantID    string        `json:"tenantId,omitempty"`
	Tracing     tracingRecord `json:"tracing"`
}

type runtimeDoneRecord struct {
	RequestID string          `json:"requestId"`
	Status    string          `json:"status"`
	ErrorType string          `json:"errorType,omitempty"`
	Metrics   durationMetrics `json:"metrics"`
	Spans     []spanRecord    `json:"spans,omitempty"`
	TenantID  string          `json:"tenantId,omitempty"`
	Tracing   tracingRecord   `json:"tracing"`
}

type reportRecord struct {
	RequestID string `json:"requestId"`
	Status    string `json:"status"`
	ErrorType string `json:"errorType,omitempty"`
	// Metrics are reportMetrics, and durationMetrics on Managed Instances.
	Metrics  any           `json:"metrics"`
	Spans    []spanRecord  `json:"spans,omitempty"`
	TenantID string        `json:"tenantId,omitempty"`
	Tracing  tracingRecord `json:"tracing"`
}

type reportMetrics struct {
	DurationMs       float64  `json:"durationMs"`
	BilledDurationMs int64    `json:"billedDurationMs"`
	MemorySizeMB     int      `json:"memorySizeMB"`
	MaxMemoryUsedMB  int      `json:"maxMemoryUsedMB"`
	InitDurationMs   *float64 `json:"initDurationMs,omitempty"`

	RestoreDurationMs       *float64 `json:"restoreDurationMs,omitempty"`
	BilledRestoreDurationMs *int64   `json:"billedRestoreDurationMs,omitempty"`
}

type extensionRecord struct {
	Name      string   `json:"name"`
	State     string   `json:"state"`
	Events    []string `json:"events"`
	ErrorType string   `json:"errorType,omitempty"`
}

type subscriptionRecord struct {
	Name  string                `json:"name"`
	State string                `json:"state"`
	Types []telemetryapi.Stream `json:"types"`
}

type logsDroppedRecord struct {
	DroppedBytes   int    `json:"droppedBytes"`
	DroppedRecords int    `json:"droppedRecords"`
	Reason         string `json:"reason"`
}
