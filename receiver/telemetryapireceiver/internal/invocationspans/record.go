// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package invocationspans

import (
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi/rawjson"
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
type number struct {
	value float64
	known bool
}

// platformSpan is a stretch of time that the platform measured.
type platformSpan struct {
	name     string
	start    pcommon.Timestamp // 0: not known
	duration pcommon.Timestamp
}

// decodeRecord reads a record. It is false for what is not an object; fields of another type than expected are as good as
// missing.
func decodeRecord(raw []byte) (r record, ok bool) {
	for key, value := range rawjson.Fields(raw) {
		switch string(key) {
		case `"requestId"`:
			r.requestID = text(value)
		case `"status"`:
			r.status = text(value)
		case `"errorType"`:
			r.errorType = text(value)
		case `"phase"`:
			r.phase = text(value)
		case `"initializationType"`:
			r.initializationType = text(value)
		case `"functionName"`:
			r.functionName = text(value)
		case `"functionArn"`:
			r.functionARN = text(value)
		case `"version"`:
			r.version = text(value)
		case `"tenantId"`:
			r.tenantID = text(value)
		case `"tracing"`:
			for key, value := range rawjson.Fields(value) {
				if string(key) == `"value"` {
					r.xray = text(value)
				}
			}
		case `"metrics"`:
			r.decodeMetrics(value)
		case `"spans"`:
			r.spans = decodeSpans(value)
		}
	}
	return r, rawjson.KindOf(raw) == rawjson.KindObject
}

func (r *record) decodeMetrics(raw []byte) {
	for key, value := range rawjson.Fields(raw) {
		switch string(key) {
		case `"durationMs"`:
			r.durationMs = decodeNumber(value)
		case `"producedBytes"`:
			r.producedBytes = decodeNumber(value)
		case `"billedDurationMs"`:
			r.billedDurationMs = decodeNumber(value)
		case `"memorySizeMB"`:
			r.memorySizeMB = decodeNumber(value)
		case `"maxMemoryUsedMB"`:
			r.maxMemoryUsedMB = decodeNumber(value)
		}
	}
}

func decodeSpans(raw []byte) (spans []platformSpan) {
	for element := range rawjson.Elements(raw) {
		var span platformSpan
		for key, value := range rawjson.Fields(element) {
			switch string(key) {
			case `"name"`:
				span.name = text(value)
			case `"start"`:
				var t time.Time
				_ = t.UnmarshalJSON(value) // what does not parse is not known, no more than what is missing
				span.start = timestamp(t)
			case `"durationMs"`:
				span.duration = decodeNumber(value).milliseconds()
			}
		}
		if span.name == "" {
			continue
		}
		if spans = append(spans, span); len(spans) == maxPlatformSpans {
			break
		}
	}
	return spans
}

// text is the value of a JSON string, or nothing for another value. The most common values have their constants, which
// saves allocations.
func text(raw []byte) string {
	switch string(raw) {
	case `"success"`:
		return telemetryapi.StatusSuccess
	case `"responseLatency"`:
		return "responseLatency"
	case `"responseDuration"`:
		return "responseDuration"
	case `"runtimeOverhead"`:
		return "runtimeOverhead"
	case `"extensionOverhead"`:
		return "extensionOverhead"
	}
	s, _ := rawjson.String(raw)
	if len(s) > maxTextBytes {
		s = strings.ToValidUTF8(s[:maxTextBytes], "")
	}
	return s
}

func decodeNumber(raw []byte) number {
	value, err := strconv.ParseFloat(string(raw), 64)
	return number{value, err == nil}
}

// milliseconds is the number as a duration, within sense.
func (n number) milliseconds() pcommon.Timestamp {
	const limit = float64(maxDuration / time.Millisecond)
	if !n.known || !(n.value > 0) {
		return 0
	}
	return pcommon.Timestamp(min(n.value, limit) * float64(time.Millisecond))
}

// timestamp is 0 for a time that OTLP has no room for.
func timestamp(t time.Time) pcommon.Timestamp {
	const end = 1 << 33 // the year 2242
	if seconds := t.Unix(); seconds <= 0 || seconds >= end {
		return 0
	}
	return pcommon.NewTimestampFromTime(t)
}
