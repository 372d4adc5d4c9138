// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi/rawjson"
)

// The values of a Status. The set is open.
const (
	// StatusSuccess means that all went well.
	StatusSuccess = "success"
	// StatusFailure means that the platform is at fault.
	StatusFailure = "failure"
	// StatusError means that the function, its runtime or an extension is at fault.
	StatusError = "error"
	// StatusTimeout means that a time limit was reached.
	StatusTimeout = "timeout"
)

// Span is a stretch of time that the platform measured inside an invocation or a restore.
type Span struct {
	// Name is one of `responseLatency`, `responseDuration`, `runtimeOverhead`, `extensionOverhead`, or new.
	Name string `json:"name"`
	// Start is RFC 3339 text as a rule. It stays text because samples of it exist that do not parse.
	Start string `json:"start"`
	// DurationMs is in milliseconds.
	DurationMs float64 `json:"durationMs"`
}

// StartTime returns Start as a time, and false if it does not parse.
func (s Span) StartTime() (time.Time, bool) {
	t, err := time.Parse(time.RFC3339Nano, s.Start)
	return t.UTC(), err == nil
}

// TraceContext is the X-Ray trace header of an invocation.
type TraceContext struct {
	// SpanID is the id of X-Ray's own segment. It is empty unless active tracing is on.
	SpanID string `json:"spanId,omitempty"`
	// Type is `X-Amzn-Trace-Id`.
	Type string `json:"type"`
	// Value is the header: `Root=…;Parent=…;Sampled=…`, in any order, and with more fields at times.
	Value string `json:"value"`
}

// InitStartRecord is the record of EventInitStart.
type InitStartRecord struct {
	InitializationType string `json:"initializationType"`
	Phase              string `json:"phase"`
	FunctionName       string `json:"functionName"`
	FunctionVersion    string `json:"functionVersion"`
	// InstanceID is the name of the log stream.
	InstanceID string `json:"instanceId,omitempty"`
	// InstanceMaxMemory is in bytes.
	InstanceMaxMemory *float64 `json:"instanceMaxMemory,omitempty"`
	// RuntimeVersion and RuntimeVersionARN are empty for runtimes that Lambda does not manage.
	RuntimeVersion    string        `json:"runtimeVersion,omitempty"`
	RuntimeVersionARN string        `json:"runtimeVersionArn,omitempty"`
	FunctionARN       string        `json:"functionArn,omitempty"`
	Tracing           *TraceContext `json:"tracing,omitempty"`
}

// InitRuntimeDoneRecord is the record of EventInitRuntimeDone.
type InitRuntimeDoneRecord struct {
	InitializationType string        `json:"initializationType"`
	Phase              string        `json:"phase,omitempty"`
	Status             string        `json:"status"`
	ErrorType          string        `json:"errorType,omitempty"`
	Spans              []Span        `json:"spans,omitempty"`
	Tracing            *TraceContext `json:"tracing,omitempty"`
}

// InitReportRecord is the record of EventInitReport.
type InitReportRecord struct {
	InitializationType string            `json:"initializationType"`
	Phase              string            `json:"phase"`
	Status             string            `json:"status,omitempty"`
	ErrorType          string            `json:"errorType,omitempty"`
	Metrics            InitReportMetrics `json:"metrics"`
	Spans              []Span            `json:"spans,omitempty"`
	Tracing            *TraceContext     `json:"tracing,omitempty"`
}

// InitReportMetrics is the measured part of an InitReportRecord.
type InitReportMetrics struct {
	DurationMs       float64  `json:"durationMs"`
	BilledDurationMs *float64 `json:"billedDurationMs,omitempty"`
}

// StartRecord is the record of EventStart.
type StartRecord struct {
	RequestID   string        `json:"requestId"`
	Version     string        `json:"version,omitempty"`
	FunctionARN string        `json:"functionArn,omitempty"`
	TenantID    string        `json:"tenantId,omitempty"`
	Tracing     *TraceContext `json:"tracing,omitempty"`
}

// RuntimeDoneRecord is the record of EventRuntimeDone. Managed Instances have none.
type RuntimeDoneRecord struct {
	RequestID string              `json:"requestId"`
	Status    string              `json:"status"`
	ErrorType string              `json:"errorType,omitempty"`
	Metrics   *RuntimeDoneMetrics `json:"metrics,omitempty"`
	Spans     []Span              `json:"spans,omitempty"`
	TenantID  string              `json:"tenantId,omitempty"`
	Tracing   *TraceContext       `json:"tracing,omitempty"`
}

// RuntimeDoneMetrics is the measured part of a RuntimeDoneRecord.
type RuntimeDoneMetrics struct {
	DurationMs    float64  `json:"durationMs"`
	ProducedBytes *float64 `json:"producedBytes,omitempty"`
}

// ReportRecord is the record of EventReport.
type ReportRecord struct {
	RequestID string        `json:"requestId"`
	Status    string        `json:"status,omitempty"`
	ErrorType string        `json:"errorType,omitempty"`
	Metrics   ReportMetrics `json:"metrics"`
	Spans     []Span        `json:"spans,omitempty"`
	TenantID  string        `json:"tenantId,omitempty"`
	Tracing   *TraceContext `json:"tracing,omitempty"`
}

// ReportMetrics is the measured part of a ReportRecord. Managed Instances report DurationMs only. The platform's MB
// is 1,048,576 bytes.
type ReportMetrics struct {
	DurationMs              float64  `json:"durationMs"`
	BilledDurationMs        *float64 `json:"billedDurationMs,omitempty"`
	MemorySizeMB            *float64 `json:"memorySizeMB,omitempty"`
	MaxMemoryUsedMB         *float64 `json:"maxMemoryUsedMB,omitempty"`
	InitDurationMs          *float64 `json:"initDurationMs,omitempty"`
	RestoreDurationMs       *float64 `json:"restoreDurationMs,omitempty"`
	BilledRestoreDurationMs *float64 `json:"billedRestoreDurationMs,omitempty"`
}

// RestoreStartRecord is the record of EventRestoreStart. All of it has been seen missing.
type RestoreStartRecord struct {
	FunctionName    string `json:"functionName,omitempty"`
	FunctionVersion string `json:"functionVersion,omitempty"`
	// InstanceID is the name of the log stream.
	InstanceID string `json:"instanceId,omitempty"`
	// InstanceMaxMemory is in bytes.
	InstanceMaxMemory *float64 `json:"instanceMaxMemory,omitempty"`
	RuntimeVersion    string   `json:"runtimeVersion,omitempty"`
	RuntimeVersionARN string   `json:"runtimeVersionArn,omitempty"`
}

// RestoreRuntimeDoneRecord is the record of EventRestoreRuntimeDone.
type RestoreRuntimeDoneRecord struct {
	Status    string `json:"status"`
	ErrorType string `json:"errorType,omitempty"`
	Spans     []Span `json:"spans,omitempty"`
}

// RestoreReportRecord is the record of EventRestoreReport.
type RestoreReportRecord struct {
	Status    string                `json:"status"`
	ErrorType string                `json:"errorType,omitempty"`
	Metrics   *RestoreReportMetrics `json:"metrics,omitempty"`
	Spans     []Span                `json:"spans,omitempty"`
}

// RestoreReportMetrics is the measured part of a RestoreReportRecord.
type RestoreReportMetrics struct {
	DurationMs float64 `json:"durationMs"`
}

// ExtensionRecord is the record of EventExtension.
type ExtensionRecord struct {
	Name string `json:"name"`
	// State is `Ready` as a rule, or names the state in which the extension failed.
	State     string   `json:"state"`
	Events    []string `json:"events"`
	ErrorType string   `json:"errorType,omitempty"`
}

// TelemetrySubscriptionRecord is the record of EventTelemetrySubscription.
type TelemetrySubscriptionRecord struct {
	Name  string   `json:"name"`
	State string   `json:"state"`
	Types []Stream `json:"types"`
}

// LogsDroppedRecord is the record of EventLogsDropped.
type LogsDroppedRecord struct {
	DroppedBytes   float64 `json:"droppedBytes"`
	DroppedRecords float64 `json:"droppedRecords"`
	// Reason is text for people.
	Reason string `json:"reason"`
}

// DecodeRecord reads an event's record into one of the record types. It is as lenient as the platform is free to
// change: unknown fields are skipped, a field of another type than expected stays zero, and a missing record gives a
// zero value. The error says that the record is not a JSON object.
func DecodeRecord[T any](event Event) (T, error) {
	var record T
	if len(event.Record) == 0 {
		return record, nil
	}
	if rawjson.KindOf(event.Record) != rawjson.KindObject {
		return record, fmt.Errorf("record of %s is not a JSON object", event.Type)
	}
	err := json.Unmarshal(event.Record, &record)
	var mismatch *json.UnmarshalTypeError
	if err != nil && !errors.As(err, &mismatch) {
		return record, fmt.Errorf("decode record of %s: %w", event.Type, err)
	}
	return record, nil
}

// RequestID returns the id of the invocation that the event says it belongs to, without decoding the record. It is
// empty when the event does not say: for lines of text, for what happens outside of invocations, and so on. Java's
// runtime calls it `AWSRequestId` in log lines.
func (e Event) RequestID() string {
	id := ""
	for key, value := range rawjson.Fields(e.Record) {
		if rawjson.Is(key, "requestId") || (id == "" && rawjson.Is(key, "AWSRequestId")) {
			if s, ok := rawjson.String(value); ok {
				id = s
			}
		}
	}
	return id
}

// Stream says which stream the event came with. What is neither a line of the function nor of an extension is the
// platform's.
func (e Event) Stream() Stream {
	switch e.Type {
	case EventFunction:
		return StreamFunction
	case EventExtensionLog:
		return StreamExtension
	default:
		return StreamPlatform
	}
}
