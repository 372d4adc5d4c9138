// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package invocationspans

import (
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
)

const (
	// maxTextBytes bounds what is kept of a text. Those of the platform are shorter by far.
	maxTextBytes = 512
	// maxPlatformSpans bounds the spans of one event. The platform sends three.
	maxPlatformSpans = 16
	// maxDuration bounds what the platform can have measured: an invocation takes 15 minutes at most, and an hour or two
	// where Lambda allows more some day.
	maxDuration = 24 * time.Hour
)

// record is what is of interest in the record of any of the platform's events about Init, restore and invocations.
type record struct {
	requestID          string
	status             string
	errorType          string
	phase              string
	initializationType string
	functionName       string
	functionARN        string
	version            string
	tenantID           string
	xray               string
	durationMs         number
	producedBytes      number
	billedDurationMs   number
	memorySizeMB       number
	maxMemoryUsedMB    number
	spans              []platformSpan
}

// number is a number that may be missing.
type number telemetryapi.Optional

// platformSpan is a stretch of time that the platform measured.
type platformSpan struct {
	name     string
	start    pcommon.Timestamp // 0: not known
	duration pcommon.Timestamp
}

// take fills in what a decoded record says.
func (r *record) take(decoded telemetryapi.Decoder) {
	switch d := decoded.(type) {
	case *telemetryapi.InitStartRecord:
		r.phase, r.initializationType = text(d.Phase), text(d.InitializationType)
		r.functionName = text(d.FunctionName)
	case *telemetryapi.InitRuntimeDoneRecord:
		r.phase, r.initializationType = text(d.Phase), text(d.InitializationType)
		r.end(d.Status, d.ErrorType, d.Spans)
	case *telemetryapi.InitReportRecord:
		r.phase, r.initializationType = text(d.Phase), text(d.InitializationType)
		r.end(d.Status, d.ErrorType, d.Spans)
		r.durationMs = number(d.Metrics.DurationMs)
	case *telemetryapi.RestoreStartRecord:
		r.functionName = text(d.FunctionName)
	case *telemetryapi.RestoreRuntimeDoneRecord:
		r.end(d.Status, d.ErrorType, d.Spans)
	case *telemetryapi.RestoreReportRecord:
		r.end(d.Status, d.ErrorType, d.Spans)
		r.durationMs = number(d.Metrics.DurationMs)
	case *telemetryapi.StartRecord:
		r.requestID = text(d.RequestID)
		r.functionARN, r.version, r.tenantID = text(d.FunctionARN), text(d.Version), text(d.TenantID)
		r.xray = text(d.Tracing.Value)
	case *telemetryapi.RuntimeDoneRecord:
		r.requestID = text(d.RequestID)
		r.end(d.Status, d.ErrorType, d.Spans)
		r.durationMs, r.producedBytes = number(d.Metrics.DurationMs), number(d.Metrics.ProducedBytes)
	case *telemetryapi.ReportRecord:
		r.requestID = text(d.RequestID)
		r.end(d.Status, d.ErrorType, d.Spans)
		r.durationMs, r.billedDurationMs = number(d.Metrics.DurationMs), number(d.Metrics.BilledDurationMs)
		r.memorySizeMB, r.maxMemoryUsedMB = number(d.Metrics.MemorySizeMB), number(d.Metrics.MaxMemoryUsedMB)
	}
}

// end fills in how something ended, and what was measured meanwhile.
func (r *record) end(status, errorType string, spans []telemetryapi.Span) {
	r.status, r.errorType = text(status), text(errorType)
	for _, span := range spans {
		if span.Name == "" {
			continue
		}
		if r.spans == nil {
			r.spans = make([]platformSpan, 0, min(len(spans), maxPlatformSpans))
		}
		duration := number{Value: span.DurationMs, Set: true}
		r.spans = append(r.spans, platformSpan{text(span.Name), timestamp(span.Start), duration.milliseconds()})
		if len(r.spans) == maxPlatformSpans {
			return
		}
	}
}

// text bounds what is kept of a text.
func text(s string) string {
	if len(s) > maxTextBytes {
		s = strings.ToValidUTF8(s[:maxTextBytes], "")
	}
	return s
}

// milliseconds is the number as a duration, within sense.
func (n number) milliseconds() pcommon.Timestamp {
	const limit = float64(maxDuration / time.Millisecond)
	if !n.Set || !(n.Value > 0) {
		return 0
	}
	return pcommon.Timestamp(min(n.Value, limit) * float64(time.Millisecond))
}

// timestamp is 0 for a time that OTLP has no room for.
func timestamp(t time.Time) pcommon.Timestamp {
	const end = 1 << 33 // the year 2242
	if seconds := t.Unix(); seconds <= 0 || seconds >= end {
		return 0
	}
	return pcommon.NewTimestampFromTime(t)
}
