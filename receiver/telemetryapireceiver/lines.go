// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapireceiver

import (
	"encoding/hex"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi/rawjson"
)

const (
	// attrRecordType holds a `type` that the function itself logged; plain `type` is the event's.
	attrRecordType = "record.type"

	// maxUnwrapping bounds how often a message is found to be a JSON object once more. Node's console.log of JSON text
	// makes it one level in JSON format.
	maxUnwrapping = 2
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
}

// fillText takes a line of text apart: what the runtime put in front of it, and JSON that the function wrote itself.
func fillText(record plog.LogRecord, text string) {
	text = strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r")
	if header, ok := parseHeader(text); ok {
		setSeverityText(record, header.level)
		record.SetTimestamp(pcommon.NewTimestampFromTime(header.time))
		putNonEmpty(record.Attributes(), attrFaasInvocation, header.requestID)
		text = header.message
	}
	if object, ok := jsonObject(text); ok {
		fillObject(record, object, 1)
		return
	}
	record.Body().SetStr(text)
}

// header is what Lambda's runtimes write in front of a message in text format.
type header struct {
	level     string
	time      time.Time
	requestID string
	message   string
}

// parseHeader reads the formats of the Node.js and Python runtimes:
//
//	2026-10-08T07:30:29.443Z<tab>request id<tab>LEVEL<tab>message
//	[LEVEL]<tab>2026-10-08T07:30:29.443Z<tab>request id<tab>message
//
// It is strict: a line that merely resembles them is the function's own and stays whole.
func parseHeader(text string) (header, bool) {
	first, rest, ok := strings.Cut(text, "\t")
	if !ok {
		return header{}, false
	}
	second, rest, ok := strings.Cut(rest, "\t")
	if !ok {
		return header{}, false
	}
	third, message, ok := strings.Cut(rest, "\t")
	if !ok {
		return header{}, false
	}
	h := header{message: message}
	var timeText, id string
	if level, bracketed := strings.CutPrefix(first, "["); bracketed {
		h.level, bracketed = strings.CutSuffix(level, "]")
		if !bracketed {
			return header{}, false
		}
		timeText, id = padMilliseconds(second), third
	} else {
		timeText, id, h.level = first, second, third
	}
	var err error
	if h.time, err = time.Parse(time.RFC3339, timeText); err != nil || strings.ContainsAny(id, " \n") ||
		textSeverity(h.level) == plog.SeverityNumberUnspecified {
		return header{}, false
	}
	// Node.js writes `undefined` outside of invocations, Python nothing.
	if id != "undefined" {
		h.requestID = id
	}
	return h, true
}

// padMilliseconds makes up for Python's runtime, which writes the milliseconds as a number without leading zeros: five
// of them are `.5`.
func padMilliseconds(text string) string {
	dot := strings.LastIndexByte(text, '.')
	if dot < 0 {
		return text
	}
	digits := len(strings.TrimRight(text[dot+1:], "Z"))
	if digits == 0 || digits > 2 {
		return text
	}
	return text[:dot+1] + strings.Repeat("0", 3-digits) + text[dot+1:]
}

// message says where in a JSON object the message and the time are.
type message struct {
	// key is `message`, `msg`, or empty if the object has neither.
	key   string
	value []byte
	// timeKey is the key whose value is the record's time, empty if there is none.
	timeKey string
	time    time.Time
}

func findMessage(object []byte) message {
	var m message
	for key, value := range rawjson.Fields(object) {
		switch {
		case rawjson.Is(key, "message"), rawjson.Is(key, "msg") && m.key != "message":
			if rawjson.KindOf(value) != rawjson.KindNull {
				m.key, m.value = string(key[1:len(key)-1]), value
			}
		case rawjson.Is(key, "timestamp"), rawjson.Is(key, "time") && m.timeKey != "timestamp":
			if t, ok := parseTimestamp(value); ok {
				m.timeKey, m.time = string(key[1:len(key)-1]), t
			}
		}
	}
	return m
}

// fillObject makes a record of a JSON object. With a message in it, that is the body and the other keys are
// attributes; without one, the whole object is the body. Level, time, request id and trace context go where
// OpenTelemetry has a place for them. Objects come from Lambda's JSON format (nested is 0) or from text that the
// function wrote, on its own or inside of Lambda's format.
func fillObject(record plog.LogRecord, object []byte, nested int) {
	m := findMessage(object)
	if tooManyFields(object) {
		m.key = ""
	}
	if m.timeKey != "" {
		record.SetTimestamp(pcommon.NewTimestampFromTime(m.time))
	}
	if m.key == "" {
		setJSON(record.Body(), object)
	}
	attributes := record.Attributes()
	for key, value := range rawjson.Fields(object) {
		name, _ := rawjson.String(key)
		switch {
		case name == m.timeKey && name != "", name == m.key && name != "":
			continue
		case takeField(record, name, value, nested), m.key == "":
			continue
		case name == attrType:
			name = attrRecordType
		}
		setJSON(attributes.PutEmpty(name), value)
	}
	if m.key != "" {
		fillMessage(record, m.value, nested)
	}
}

// fillMessage makes the body of a message, and takes it for an object of its own if that is what its text is.
func fillMessage(record plog.LogRecord, value []byte, nested int) {
	text, ok := rawjson.String(value)
	if !ok {
		setJSON(record.Body(), value)
		return
	}
	if nested < maxUnwrapping {
		if object, ok := jsonObject(text); ok {
			fillObject(record, object, nested+1)
			return
		}
	}
	record.Body().SetStr(text)
}

// takeField puts a field where OpenTelemetry has a place for it. It is false when the field is to be kept as it is.
func takeField(record plog.LogRecord, name string, value []byte, nested int) bool {
	switch name {
	case "level":
		return setSeverity(record, value)
	case "requestId", "AWSRequestId":
		return takeRequestID(record, value, nested)
	case "trace_id", "traceId":
		var id pcommon.TraceID
		if !decodeID(id[:], value) {
			return false
		}
		record.SetTraceID(id)
		return true
	case "span_id", "spanId":
		var id pcommon.SpanID
		if !decodeID(id[:], value) {
			return false
		}
		record.SetSpanID(id)
		return true
	default:
		return false
	}
}

// takeRequestID takes the id of the invocation. What the function wrote itself under that name may be the id of any
// request: it counts only if it has the form of Lambda's ids, and Lambda has not given another one.
func takeRequestID(record plog.LogRecord, value []byte, nested int) bool {
	id, ok := rawjson.String(value)
	if !ok || id == "" || (nested > 0 && !isUUID(id)) {
		return false
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
