// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapireceiver

import (
	"bytes"
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-lambda/otelcol-lambda/internal/rawjson"
	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
)

const (
	// attrPrefix is that of the platform's fields for which OpenTelemetry has no name. Behind it comes the platform's
	// own name in snake case, unit included.
	attrPrefix = "aws.lambda."

	attrStatus       = attrPrefix + "status"
	attrPhase        = attrPrefix + "phase"
	attrExtension    = attrPrefix + "extension."
	attrTracing      = attrPrefix + "tracing."
	attrTenantID     = attrPrefix + "tenant_id"
	attrExecutionARN = attrPrefix + "durable.execution_arn"

	// phaseInvoke is that of an Init which takes place inside of an invocation, because the one before has failed.
	phaseInvoke = "invoke"

	// renderedBytes is what a text takes as a rule.
	renderedBytes = 256
)

// The parts of the text that a platform event is shown as. Each is a line with what is in front of a value, the
// attribute that has it, and its unit, with tabs between them.
const (
	partRequest    = "\nRequestId\t" + attrFaasInvocation + "\t"
	partVersion    = "\nVersion\t" + attrFaasVersion + "\t"
	partRuntime    = "\nRuntime Version\t" + attrPrefix + "runtime_version\t"
	partRuntimeARN = "\nRuntime Version ARN\t" + attrPrefix + "runtime_version_arn\t"
	partInitType   = "\nType\t" + attrPrefix + "initialization_type\t"
	partPhase      = "\nPhase\t" + attrPhase + "\t"
	partStatus     = "\nStatus\t" + attrStatus + "\t"
	partErrorType  = "\nError Type\t" + attrErrorType + "\t"
	durationValue  = "Duration\t" + attrPrefix + "duration_ms\t ms"
	partDuration   = "\n" + durationValue
)

// textOf returns how a platform event is shown: a title and the parts behind it, which are left out when their
// attribute is missing. The form is that of the lines which Lambda writes to CloudWatch. It is empty for events that
// this version does not know.
func textOf(event telemetryapi.EventType) string {
	switch event {
	case telemetryapi.EventInitStart:
		return "INIT_START" + partRuntime + partRuntimeARN + partInitType + partPhase
	case telemetryapi.EventInitRuntimeDone:
		return "INIT_RUNTIME_DONE" + partStatus + partErrorType + partInitType + partPhase
	case telemetryapi.EventInitReport:
		return "INIT_REPORT\nInit " + durationValue + partStatus + partErrorType + partInitType + partPhase
	case telemetryapi.EventStart:
		return "START" + partRequest + partVersion
	case telemetryapi.EventRuntimeDone:
		return "END" + partRequest + partVersion + partStatus + partErrorType + partDuration +
			"\nProduced\t" + attrPrefix + "produced_bytes\t bytes"
	case telemetryapi.EventReport:
		return "REPORT" + partRequest + partDuration +
			"\nBilled Duration\t" + attrPrefix + "billed_duration_ms\t ms" +
			"\nMemory Size\t" + attrPrefix + "memory_size_mb\t MB" +
			"\nMax Memory Used\t" + attrPrefix + "max_memory_used_mb\t MB" +
			"\nInit Duration\t" + attrPrefix + "init_duration_ms\t ms" +
			"\nRestore Duration\t" + attrPrefix + "restore_duration_ms\t ms" +
			"\nBilled Restore Duration\t" + attrPrefix + "billed_restore_duration_ms\t ms" +
			partStatus + partErrorType
	case telemetryapi.EventRestoreStart:
		return "RESTORE_START" + partRuntime + partRuntimeARN
	case telemetryapi.EventRestoreRuntimeDone:
		return "RESTORE_RUNTIME_DONE" + partStatus + partErrorType
	case telemetryapi.EventRestoreReport:
		return "RESTORE_REPORT\nRestore " + durationValue + partStatus + partErrorType
	case telemetryapi.EventExtension:
		return "EXTENSION\nName\t" + attrExtension + "name\t\nState\t" + attrExtension + "state\t\nEvents\t" +
			attrExtension + "events\t" + partErrorType
	case telemetryapi.EventTelemetrySubscription:
		return "TELEMETRY\nName\t" + attrExtension + "name\t\nState\t" + attrPrefix + "subscription.state\t\nTypes\t" +
			attrPrefix + "subscription.types\t"
	case telemetryapi.EventLogsDropped:
		return "LOGS_DROPPED\nRecords\t" + attrPrefix + "dropped_records\t\nBytes\t" + attrPrefix +
			"dropped_bytes\t\nReason\t" + attrPrefix + "reason\t"
	default:
		return ""
	}
}

// fillPlatform makes a record of what the platform says: text for people, and the fields as attributes. An event that
// is new to us, or has another form than expected, is passed on as it is.
func fillPlatform(record plog.LogRecord, event telemetryapi.Event, state *streamState) {
	record.SetSeverityNumber(plog.SeverityNumberInfo)
	record.SetSeverityText("INFO")
	text := textOf(event.Type)
	var space [usualFields]field
	fields, complete := appendFields(space[:0], event.Record)
	if text == "" || !complete || rawjson.KindOf(event.Record) != rawjson.KindObject && len(event.Record) > 0 {
		setJSON(record.Body(), event.Record)
		putNonEmpty(record.Attributes(), attrFaasInvocation, event.RequestID())
		setPlatformSeverity(record, event.Type, fields)
		return
	}
	attributes := record.Attributes()
	attributes.EnsureCapacity(attributes.Len() + 2*len(fields))
	for _, f := range fields {
		switch string(f.name) {
		case "metrics":
			flatten(attributes, attrPrefix, f)
		case "tracing":
			flatten(attributes, attrTracing, f)
		default:
			putPlatformField(attributes, fieldAttribute(event.Type, f), f)
		}
	}
	switch event.Type {
	case telemetryapi.EventStart, telemetryapi.EventRuntimeDone:
		if _, ok := attributes.Get(attrFaasVersion); !ok {
			putNonEmpty(attributes, attrFaasVersion, state.version)
		}
	default:
	}
	setPlatformSeverity(record, event.Type, fields)
	record.Body().SetStr(renderText(text, attributes))
}

// flatten puts the fields of an object next to those around it. What is no object stays one field.
func flatten(attributes pcommon.Map, prefix string, object field) {
	var space [usualFields]field
	fields, complete := appendFields(space[:0], object.value)
	if !complete || rawjson.KindOf(object.value) != rawjson.KindObject {
		putPlatformField(attributes, attributeOf(attrPrefix, object), object)
		return
	}
	for _, f := range fields {
		putPlatformField(attributes, attributeOf(prefix, f), f)
	}
}

// putPlatformField puts one field. Milliseconds are always floating point, whichever way this value is written: many
// backends fix the type of an attribute when they see it first.
func putPlatformField(attributes pcommon.Map, attribute string, f field) {
	if rawjson.KindOf(f.value) == rawjson.KindNull {
		return
	}
	if bytes.HasSuffix(f.name, []byte("Ms")) && rawjson.KindOf(f.value) == rawjson.KindNumber {
		if n, err := strconv.ParseFloat(string(f.value), 64); err == nil {
			attributes.PutDouble(attribute, n)
			return
		}
	}
	setJSON(attributes.PutEmpty(attribute), f.value)
}

// fieldAttribute names the attribute for a field on the top level of a record. OpenTelemetry's names are for text;
// should the platform put something else there, it goes under the platform's own name.
func fieldAttribute(event telemetryapi.EventType, f field) string {
	if rawjson.KindOf(f.value) == rawjson.KindString {
		switch string(f.name) {
		case "requestId":
			return attrFaasInvocation
		case "version", "functionVersion":
			return attrFaasVersion
		case "functionName":
			return attrFaasName
		case "instanceId":
			return attrFaasInstance
		case "errorType":
			return attrErrorType
		}
	}
	switch event {
	case telemetryapi.EventExtension:
		switch name := f.text(); name {
		case "name", "state", "events":
			return attrExtension + name
		}
	case telemetryapi.EventTelemetrySubscription:
		switch name := f.text(); name {
		case "name":
			return attrExtension + name
		case "state", "types":
			return attrPrefix + "subscription." + name
		}
	default:
	}
	return attributeOf(attrPrefix, f)
}

// attributeOf is attributeName for a field. What Lambda tells of each invocation needs no memory for its names.
func attributeOf(prefix string, f field) string {
	switch prefix {
	case attrPrefix:
		switch string(f.name) {
		case "status":
			return attrStatus
		case "functionArn":
			return attrPrefix + "function_arn"
		case "durationMs":
			return attrPrefix + "duration_ms"
		case "producedBytes":
			return attrPrefix + "produced_bytes"
		case "spans":
			return attrPrefix + "spans"
		}
	case attrTracing:
		switch string(f.name) {
		case "spanId":
			return attrTracing + "span_id"
		case "type":
			return attrTracing + "type"
		case "value":
			return attrTracing + "value"
		}
	}
	return attributeName(prefix, f.text())
}

// setPlatformSeverity makes errors of what went wrong, and a warning of lines that are gone.
func setPlatformSeverity(record plog.LogRecord, event telemetryapi.EventType, fields []field) {
	var status, errorType string
	for _, f := range fields {
		switch string(f.name) {
		case "status":
			status = word(f.value)
		case "errorType":
			errorType = word(f.value)
		}
	}
	switch {
	case status == telemetryapi.StatusError, status == telemetryapi.StatusTimeout, status == telemetryapi.StatusFailure,
		errorType != "":
		record.SetSeverityNumber(plog.SeverityNumberError)
		record.SetSeverityText("ERROR")
	case event == telemetryapi.EventLogsDropped:
		record.SetSeverityNumber(plog.SeverityNumberWarn)
		record.SetSeverityText("WARN")
	}
}

// renderText writes the parts of a text, as textOf has them.
func renderText(parts string, attributes pcommon.Map) string {
	var space [renderedBytes]byte
	title, parts, _ := strings.Cut(parts, "\n")
	text := append(space[:0], title...)
	separator := " "
	for part := range strings.SplitSeq(parts, "\n") {
		label, part, _ := strings.Cut(part, "\t")
		attribute, unit, _ := strings.Cut(part, "\t")
		value, ok := attributes.Get(attribute)
		if !ok {
			continue
		}
		text = append(append(append(text, separator...), label...), ": "...)
		text = append(append(text, readable(value)...), unit...)
		separator = "\t"
	}
	return string(text)
}

func readable(value pcommon.Value) string {
	if value.Type() != pcommon.ValueTypeSlice {
		return value.AsString()
	}
	items := make([]string, 0, value.Slice().Len())
	for _, item := range value.Slice().All() {
		items = append(items, item.AsString())
	}
	return "[" + strings.Join(items, ", ") + "]"
}

// attributeName turns maxMemoryUsedMB into aws.lambda.max_memory_used_mb, with the prefix given.
func attributeName(prefix, name string) string {
	var snake strings.Builder
	snake.Grow(len(prefix) + len(name) + 4)
	snake.WriteString(prefix)
	upper := func(i int) bool { return 'A' <= name[i] && name[i] <= 'Z' }
	for i := range len(name) {
		c := name[i]
		if upper(i) {
			if i > 0 && (!upper(i-1) || i+1 < len(name) && 'a' <= name[i+1] && name[i+1] <= 'z') {
				snake.WriteByte('_')
			}
			c |= 0x20
		}
		snake.WriteByte(c)
	}
	return snake.String()
}
