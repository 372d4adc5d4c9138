// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapi

import (
	"time"

	"github.com/otelcol-lambda/otelcol-lambda/internal/rawjson"
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

// Optional is a number that a record may lack.
type Optional struct {
	Value float64
	// Set says that the record had the number. Value is 0 otherwise.
	Set bool
}

// The tags of the types below are the names that the fields have in JSON.

// Span is a stretch of time that the platform measured inside an invocation or a restore.
type Span struct {
	// Name is one of `responseLatency`, `responseDuration`, `runtimeOverhead`, `extensionOverhead`, or new.
	Name string `json:"name"`
	// Start is zero if it was missing or does not parse, of which there are samples.
	Start time.Time `json:"start"`
	// DurationMs is in milliseconds.
	DurationMs float64 `json:"durationMs"`
}

// TraceContext is the X-Ray trace header of an invocation. What else Lambda tells with it is of no use to anybody.
type TraceContext struct {
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
	InstanceID string `json:"instanceId"`
	// InstanceMaxMemory is in bytes.
	InstanceMaxMemory Optional `json:"instanceMaxMemory"`
	// RuntimeVersion and RuntimeVersionARN are empty for runtimes that Lambda does not manage.
	RuntimeVersion    string `json:"runtimeVersion"`
	RuntimeVersionARN string `json:"runtimeVersionArn"`
	FunctionARN       string `json:"functionArn"`
}

// InitRuntimeDoneRecord is the record of EventInitRuntimeDone.
type InitRuntimeDoneRecord struct {
	InitializationType string `json:"initializationType"`
	Phase              string `json:"phase"`
	Status             string `json:"status"`
	ErrorType          string `json:"errorType"`
	Spans              []Span `json:"spans"`
}

// InitReportRecord is the record of EventInitReport.
type InitReportRecord struct {
	InitializationType string            `json:"initializationType"`
	Phase              string            `json:"phase"`
	Status             string            `json:"status"`
	ErrorType          string            `json:"errorType"`
	Metrics            InitReportMetrics `json:"metrics"`
	Spans              []Span            `json:"spans"`
}

// InitReportMetrics is the measured part of an InitReportRecord.
type InitReportMetrics struct {
	DurationMs       Optional `json:"durationMs"`
	BilledDurationMs Optional `json:"billedDurationMs"`
}

// StartRecord is the record of EventStart.
type StartRecord struct {
	RequestID   string       `json:"requestId"`
	Version     string       `json:"version"`
	FunctionARN string       `json:"functionArn"`
	TenantID    string       `json:"tenantId"`
	Tracing     TraceContext `json:"tracing"`
}

// RuntimeDoneRecord is the record of EventRuntimeDone. Managed Instances have none.
type RuntimeDoneRecord struct {
	RequestID string             `json:"requestId"`
	Status    string             `json:"status"`
	ErrorType string             `json:"errorType"`
	Metrics   RuntimeDoneMetrics `json:"metrics"`
	Spans     []Span             `json:"spans"`
	TenantID  string             `json:"tenantId"`
}

// RuntimeDoneMetrics is the measured part of a RuntimeDoneRecord.
type RuntimeDoneMetrics struct {
	DurationMs    Optional `json:"durationMs"`
	ProducedBytes Optional `json:"producedBytes"`
}

// ReportRecord is the record of EventReport.
type ReportRecord struct {
	RequestID string        `json:"requestId"`
	Status    string        `json:"status"`
	ErrorType string        `json:"errorType"`
	Metrics   ReportMetrics `json:"metrics"`
	Spans     []Span        `json:"spans"`
	TenantID  string        `json:"tenantId"`
}

// ReportMetrics is the measured part of a ReportRecord. Managed Instances report DurationMs only. The platform's MB
// is 1,048,576 bytes.
type ReportMetrics struct {
	DurationMs              Optional `json:"durationMs"`
	BilledDurationMs        Optional `json:"billedDurationMs"`
	MemorySizeMB            Optional `json:"memorySizeMB"`
	MaxMemoryUsedMB         Optional `json:"maxMemoryUsedMB"`
	InitDurationMs          Optional `json:"initDurationMs"`
	RestoreDurationMs       Optional `json:"restoreDurationMs"`
	BilledRestoreDurationMs Optional `json:"billedRestoreDurationMs"`
}

// RestoreStartRecord is the record of EventRestoreStart. All of it has been seen missing.
type RestoreStartRecord struct {
	FunctionName    string `json:"functionName"`
	FunctionVersion string `json:"functionVersion"`
	// InstanceID is the name of the log stream.
	InstanceID string `json:"instanceId"`
	// InstanceMaxMemory is in bytes.
	InstanceMaxMemory Optional `json:"instanceMaxMemory"`
	RuntimeVersion    string   `json:"runtimeVersion"`
	RuntimeVersionARN string   `json:"runtimeVersionArn"`
}

// RestoreRuntimeDoneRecord is the record of EventRestoreRuntimeDone.
type RestoreRuntimeDoneRecord struct {
	Status    string `json:"status"`
	ErrorType string `json:"errorType"`
	Spans     []Span `json:"spans"`
}

// RestoreReportRecord is the record of EventRestoreReport.
type RestoreReportRecord struct {
	Status    string               `json:"status"`
	ErrorType string               `json:"errorType"`
	Metrics   RestoreReportMetrics `json:"metrics"`
	Spans     []Span               `json:"spans"`
}

// RestoreReportMetrics is the measured part of a RestoreReportRecord.
type RestoreReportMetrics struct {
	DurationMs Optional `json:"durationMs"`
}

// ExtensionRecord is the record of EventExtension.
type ExtensionRecord struct {
	Name string `json:"name"`
	// State is `Ready` as a rule, or names the state in which the extension failed.
	State     string   `json:"state"`
	Events    []string `json:"events"`
	ErrorType string   `json:"errorType"`
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

// RequestID returns the id of the invocation that the event says it belongs to, without decoding the record unless the
// event is shared. It is empty when the event does not say: for lines of text, for what happens outside of invocations, and so on. Java's
// runtime calls it `AWSRequestId` in log lines.
func (e Event) RequestID() string {
	if e.decoded != nil {
		record, _, _ := e.Decoded()
		if id := requestID(record); id != "" {
			return id
		}
	}
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

// requestID returns the id of a record that has one.
func requestID(record Decoder) string {
	switch r := record.(type) {
	case *StartRecord:
		return r.RequestID
	case *RuntimeDoneRecord:
		return r.RequestID
	case *ReportRecord:
		return r.RequestID
	default:
		return ""
	}
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
