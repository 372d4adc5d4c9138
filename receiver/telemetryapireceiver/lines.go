// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapireceiver

import (
	"bytes"
	"encoding/hex"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-lambda/otelcol-lambda/internal/rawjson"
	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
)

const (
	// attrRecordType holds a `type` that the function itself logged; plain `type` is the event's.
	attrRecordType = "record.type"

	// maxUnwrapping bounds how often a message is found to be a JSON object once more. Node's console.log of JSON text
	// makes it one level in JSON format.
	maxUnwrapping = 2

	// usualFields is how many fields a line in JSON can have without an allocation for their list.
	usualFields = 16
)

// fillLine makes a record of a line that the function or an extension wrote.
func fillLine(record plog.LogRecord, event telemetryapi.Event) {
	switch rawjson.KindOf(event.Record) {
	case rawjson.KindString:
		text, _ := rawjson.String(event.Record)
		fillText(record, text)
	case rawjson.KindObject:
		fillObject(record, event.Record, 0)
	default:
		setJSON(record.Body(), event.Record)
	}
	if record.SeverityNumber() == plog.SeverityNumberUnspecified {
		if _, failed := record.Attributes().Get(attrExceptionType); failed {
			record.SetSeverityNumber(plog.SeverityNumberError)
		}
	}
}

// fillText takes a line of text apart: what the runtime put in front of it, and JSON that the function wrote itself.
func fillText(record plog.LogRecord, text string) {
	text = strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r")
	if h, ok := parseHeader(text); ok {
		setSeverityText(record, h.level)
		if !h.time.IsZero() {
			setTime(record, h.time)
		}
		putNonEmpty(record.Attributes(), attrFaasInvocation, h.requestID)
		putNonEmpty(record.Attributes(), "logger", h.logger)
		text = h.message
	}
	object, ok := jsonObject(text)
	if !ok {
		object, ok = logfmtObject(text)
	}
	if ok {
		fillObject(record, object, 1)
		return
	}
	fillMessageText(record, text, 1)
}

// fillMessageText makes the body of a text, without the exception at its end.
func fillMessageText(record plog.LogRecord, text string, nested int) {
	if before, object, ok := cutErrorObject(text); ok && nested <= maxUnwrapping {
		fillObject(record, object, nested+1)
		if before != "" {
			record.Body().SetStr(before + " " + record.Body().AsString())
		}
		return
	}
	record.Body().SetStr(cutStackTrace(record, text))
}

// fillObject makes a record of a JSON object. With a message in it, that is the body and the other keys are
// attributes; without one, the whole object is the body, unless it is an error. Level, time, request id, trace context
// and exception go where OpenTelemetry has a place for them. Objects come from Lambda's JSON format (nested is 0) or
// from text that the function wrote, on its own or inside of Lambda's format.
func fillObject(record plog.LogRecord, object []byte, nested int) {
	var space [usualFields]field
	fields, complete := appendFields(space[:0], object)
	r := rolesOf(fields)
	if r.stamp.index >= 0 {
		setTime(record, r.time)
	}
	if r.level.index >= 0 && !setSeverity(record, fields[r.level.index].value) {
		r.level.index = -1
	}
	attributes := record.Attributes()
	whole := !complete || r.message.index < 0 && !r.failed
	if whole {
		setJSON(record.Body(), object)
	} else {
		attributes.EnsureCapacity(attributes.Len() + len(fields) - r.count())
	}
	for i, f := range fields {
		switch {
		case i == r.message.index, i == r.stamp.index, i == r.level.index:
		case takeField(record, f, nested), whole:
		case takeException(attributes, f):
		default:
			putField(attributes, f)
		}
	}
	switch {
	case whole:
	case r.message.index < 0:
		record.Body().SetStr(exceptionText(attributes))
	default:
		fillMessage(record, fields[r.message.index].value, nested)
	}
}

// roles says which fields of an object are its message, its time and its level.
type roles struct {
	message, stamp, level choice
	time                  time.Time
	// failed says that the object has the message of an error.
	failed bool
}

// choice is the best of several fields that mean the same: the index is -1 if there is none, a lower rank is better.
type choice struct{ index, rank int }

func (c *choice) offer(index, rank int) bool {
	if c.index >= 0 && rank > c.rank {
		return false
	}
	*c = choice{index, rank}
	return true
}

func rolesOf(fields []field) roles {
	r := roles{message: choice{index: -1}, stamp: choice{index: -1}, level: choice{index: -1}}
	for i, f := range fields {
		switch string(f.name) {
		case "message":
			r.offerMessage(i, f.value, 0)
		case "msg":
			r.offerMessage(i, f.value, 1)
		case "timestamp":
			r.offerTime(i, f.value, 0)
		case "time":
			r.offerTime(i, f.value, 1)
		case "ts", "@timestamp":
			r.offerTime(i, f.value, 2)
		case "level":
			r.level.offer(i, 0)
		case "severity", "levelname", "log.level":
			if text, ok := rawjson.String(f.value); ok && textSeverity(text) != plog.SeverityNumberUnspecified {
				r.level.offer(i, 1)
			}
		case "errorMessage":
			r.failed = r.failed || rawjson.KindOf(f.value) == rawjson.KindString
		}
	}
	return r
}

// count is how many fields have a role.
func (r *roles) count() (n int) {
	for _, c := range []choice{r.message, r.stamp, r.level} {
		if c.index >= 0 {
			n++
		}
	}
	return n
}

func (r *roles) offerMessage(index int, value []byte, rank int) {
	if rawjson.KindOf(value) != rawjson.KindNull {
		r.message.offer(index, rank)
	}
}

func (r *roles) offerTime(index int, value []byte, rank int) {
	if t, ok := parseTimestamp(value); ok && r.stamp.offer(index, rank) {
		r.time = t
	}
}

func putField(attributes pcommon.Map, f field) {
	name := f.text()
	if name == attrType {
		name = attrRecordType
	}
	setJSON(attributes.PutEmpty(name), f.value)
}

// fillMessage makes the body of a message, and takes it for an object of its own if that is what its text is, or if it
// is an error: that is how Node.js logs one in JSON format.
func fillMessage(record plog.LogRecord, value []byte, nested int) {
	text, ok := rawjson.String(value)
	switch {
	case !ok && nested < maxUnwrapping && isErrorObject(value):
		fillObject(record, value, nested+1)
	case !ok:
		setJSON(record.Body(), value)
	default:
		if nested < maxUnwrapping {
			if object, ok := jsonObject(text); ok {
				fillObject(record, object, nested+1)
				return
			}
		}
		fillMessageText(record, text, nested)
	}
}

// takeField puts a field where OpenTelemetry has a place for it. It is false when the field is to be kept as it is.
func takeField(record plog.LogRecord, f field, nested int) bool {
	switch string(f.name) {
	case "requestId", "AWSRequestId":
		return takeRequestID(record, f.value, nested)
	case "tenantId":
		// Elsewhere it could be anybody's tenant.
		return nested == 0 && takeText(record, attrTenantID, f.value)
	case "executionArn":
		// Step Functions have such ARNs too.
		return bytes.Contains(f.value, []byte(":lambda:")) && takeText(record, attrExecutionARN, f.value)
	case "trace_id", "traceId":
		var id pcommon.TraceID
		if !decodeID(id[:], f.value) {
			return false
		}
		record.SetTraceID(id)
		return true
	case "span_id", "spanId":
		var id pcommon.SpanID
		if !decodeID(id[:], f.value) {
			return false
		}
		record.SetSpanID(id)
		return true
	default:
		return false
	}
}

func takeText(record plog.LogRecord, attribute string, value []byte) bool {
	text, ok := rawjson.String(value)
	putNonEmpty(record.Attributes(), attribute, text)
	return ok
}

// takeRequestID takes the id of the invocation. What the function wrote itself under that name may be the id of any
// request: it counts only if it has the form of Lambda's ids, and Lambda has not given another one.
func takeRequestID(record plog.LogRecord, value []byte, nested int) bool {
	id, ok := rawjson.String(value)
	if !ok || (nested > 0 && !isUUID(id)) {
		return false
	}
	if id == "" {
		// Python's runtime has none during Init.
		return true
	}
	if known, ok := record.Attributes().Get(attrFaasInvocation); ok {
		return known.AsString() == id
	}
	record.Attributes().PutStr(attrFaasInvocation, id)
	return true
}

func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if !('0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F') {
				return false
			}
		}
	}
	return true
}

// decodeID reads a trace or span id in hex into id. All zeros is no id.
func decodeID(id, value []byte) bool {
	text, ok := rawjson.String(value)
	if !ok || len(text) != hex.EncodedLen(len(id)) {
		return false
	}
	if _, err := hex.Decode(id, []byte(text)); err != nil {
		return false
	}
	for _, b := range id {
		if b != 0 {
			return true
		}
	}
	return false
}
