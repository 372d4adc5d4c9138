// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapireceiver

import (
	"strconv"
	"strings"
	"unicode"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi/rawjson"
)

const (
	// attrPrefix is that of the platform's fields for which OpenTelemetry has no name. Behind it comes the platform's
	// own name in snake case, unit included.
	attrPrefix = "aws.lambda."

	attrStatus    = attrPrefix + "status"
	attrPhase     = attrPrefix + "phase"
	attrExtension = attrPrefix + "extension."
)

// part is one piece of the text that a platform event is shown as: an attribute with a name in front and its unit
// behind. Parts whose attribute is missing are left out.
type part struct {
	label, attribute, unit string
}

// platformText says how the events are shown. The form is that of the lines which Lambda writes to CloudWatch.
type platformText struct {
	title string
	parts []part
}

var (
	partRequest    = part{label: "RequestId", attribute: attrFaasInvocation}
	partVersion    = part{label: "Version", attribute: attrFaasVersion}
	partRuntime    = part{label: "Runtime Version", attribute: attrPrefix + "runtime_version"}
	partRuntimeARN = part{label: "Runtime Version ARN", attribute: attrPrefix + "runtime_version_arn"}
	partInitType   = part{label: "Type", attribute: attrPrefix + "initialization_type"}
	partPhase      = part{label: "Phase", attribute: attrPhase}
	partStatus     = part{label: "Status", attribute: attrStatus}
	partErrorType  = part{label: "Error Type", attribute: attrErrorType}
	partDuration   = part{label: "Duration", attribute: attrPrefix + "duration_ms", unit: " ms"}
)

// textOf returns how a platform event is shown, and false for events that this version does not know.
func textOf(event telemetryapi.EventType) (platformText, bool) {
	switch event {
	case telemetryapi.EventInitStart:
		return platformText{"INIT_START", []part{partRuntime, partRuntimeARN, partInitType, partPhase}}, true
	case telemetryapi.EventInitRuntimeDone:
		return platformText{"INIT_RUNTIME_DONE", []part{partStatus, partErrorType, partInitType, partPhase}}, true
	case telemetryapi.EventInitReport:
		return platformText{"INIT_REPORT", []part{
			{"Init Duration", attrPrefix + "duration_ms", " ms"}, partStatus, partErrorType, partInitType, partPhase,
		}}, true
	case telemetryapi.EventStart:
		return platformText{"START", []part{partRequest, partVersion}}, true
	case telemetryapi.EventRuntimeDone:
		return platformText{"END", []part{
			partRequest, partVersion, partStatus, partErrorType, partDuration,
			{"Produced", attrPrefix + "produced_bytes", " bytes"},
		}}, true
	case telemetryapi.EventReport:
		return platformText{"REPORT", []part{
			partRequest, partDuration,
			{"Billed Duration", attrPrefix + "billed_duration_ms", " ms"},
			{"Memory Size", attrPrefix + "memory_size_mb", " MB"},
			{"Max Memory Used", attrPrefix + "max_memory_used_mb", " MB"},
			{"Init Duration", attrPrefix + "init_duration_ms", " ms"},
			{"Restore Duration", attrPrefix + "restore_duration_ms", " ms"},
			{"Billed Restore Duration", attrPrefix + "billed_restore_duration_ms", " ms"},
			partStatus, partErrorType,
		}}, true
	case telemetryapi.EventRestoreStart:
		return platformText{"RESTORE_START", []part{partRuntime, partRuntimeARN}}, true
	case telemetryapi.EventRestoreRuntimeDone:
		return platformText{"RESTORE_RUNTIME_DONE", []part{partStatus, partErrorType}}, true
	case telemetryapi.EventRestoreReport:
		return platformText{"RESTORE_REPORT", []part{
			{"Restore Duration", attrPrefix + "duration_ms", " ms"}, partStatus, partErrorType,
		}}, true
	case telemetryapi.EventExtension:
		return platformText{"EXTENSION", []part{
			{"Name", attrExtension + "name", ""}, {"State", attrExtension + "state", ""},
			{"Events", attrExtension + "events", ""}, partErrorType,
		}}, true
	case telemetryapi.EventTelemetrySubscription:
		return platformText{"TELEMETRY", []part{
			{"Name", attrExtension + "name", ""}, {"State", attrPrefix + "subscription.state", ""},
			{"Types", attrPrefix + "subscription.types", ""},
		}}, true
	case telemetryapi.EventLogsDropped:
		return platformText{"LOGS_DROPPED", []part{
			{"Records", attrPrefix + "dropped_records", ""}, {"Bytes", attrPrefix + "dropped_bytes", ""},
			{"Reason", attrPrefix + "reason", ""},
		}}, true
	default:
		return platformText{}, false
	}
}

// fillPlatform makes a record of what the platform says: text for people, and the fields as attributes. An event that
// is new to us, or has another form than expected, is passed on as it is.
func fillPlatform(record plog.LogRecord, event telemetryapi.Event, state *streamState) {
	record.SetSeverityNumber(plog.SeverityNumberInfo)
	record.SetSeverityText("INFO")
	text, known := textOf(event.Type)
	if !known || rawjson.KindOf(event.Record) != rawjson.KindObject && len(event.Record) > 0 {
		setJSON(record.Body(), event.Record)
		putNonEmpty(record.Attributes(), attrFaasInvocation, event.RequestID())
		setPlatformSeverity(record, event)
		return
	}
	attributes := record.Attributes()
	for key, value := range rawjson.Fields(event.Record) {
		name, _ := rawjson.String(key)
		switch name {
		case "metrics":
			flatten(attributes, attrPrefix, name, value)
		case "tracing":
			flatten(attributes, attrPrefix+"tracing.", name, value)
		default:
			putPlatformField(attributes, fieldAttribute(event.Type, name, value), name, value)
		}
	}
	switch event.Type {
	case telemetryapi.EventStart, telemetryapi.EventRuntimeDone:
		if _, ok := attributes.Get(attrFaasVersion); !ok {
			putNonEmpty(attributes, attrFaasVersion, state.version)
		}
	default:
	}
	setPlatformSeverity(record, event)
	record.Body().SetStr(text.render(attributes))
}

// flatten puts the fields of an object next to those around it. What is no object stays one field.
func flatten(attributes pcommon.Map, prefix, name string, value []byte) {
	if rawjson.KindOf(value) != rawjson.KindObject {
		putPlatformField(attributes, attrPrefix+snakeCase(name), name, value)
		return
	}
	for key, value := range rawjson.Fields(value) {
		name, _ := rawjson.String(key)
		putPlatformField(attributes, prefix+snakeCase(name), name, value)
	}
}

// putPlatformField puts one field. Milliseconds are always floating point, whichever way this value is written: many
// backends fix the type of an attribute when they see it first.
func putPlatformField(attributes pcommon.Map, attribute, name string, value []byte) {
	if rawjson.KindOf(value) == rawjson.KindNull {
		return
	}
	if strings.HasSuffix(name, "Ms") && rawjson.KindOf(value) == rawjson.KindNumber {
		if f, err := strconv.ParseFloat(string(value), 64); err == nil {
			attributes.PutDouble(attribute, f)
			return
		}
	}
	setJSON(attributes.PutEmpty(attribute), value)
}

// fieldAttribute names the attribute for a field on the top level of a record. OpenTelemetry's names are for text;
// should the platform put something else there, it goes under the platform's own name.
func fieldAttribute(event telemetryapi.EventType, name string, value []byte) string {
	if rawjson.KindOf(value) == rawjson.KindString {
		switch name {
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
		switch name {
		case "name", "state", "events":
			return attrExtension + name
		}
	case telemetryapi.EventTelemetrySubscription:
		switch name {
		case "name":
			return attrExtension + name
		case "state", "types":
			return attrPrefix + "subscription." + name
		}
	default:
	}
	return attrPrefix + snakeCase(name)
}

// setPlatformSeverity makes errors of what went wrong, and a warning of lines that are gone.
func setPlatformSeverity(record plog.LogRecord, event telemetryapi.Event) {
	var status, errorType string
	for key, value := range rawjson.Fields(event.Record) {
		switch {
		case rawjson.Is(key, "status"):
			status, _ = rawjson.String(value)
		case rawjson.Is(key, "errorType"):
			errorType, _ = rawjson.String(value)
		}
	}
	switch {
	case status == telemetryapi.StatusError, status == telemetryapi.StatusTimeout, status == telemetryapi.StatusFailure,
		errorType != "":
		record.SetSeverityNumber(plog.SeverityNumberError)
		record.SetSeverityText("ERROR")
	case event.Type == telemetryapi.EventLogsDropped:
		record.SetSeverityNumber(plog.SeverityNumberWarn)
		record.SetSeverityText("WARN")
	}
}

func (t platformText) render(attributes pcommon.Map) string {
	var text strings.Builder
	text.WriteString(t.title)
	separator := " "
	for _, p := range t.parts {
		value, ok := attributes.Get(p.attribute)
		if !ok {
			continue
		}
		text.WriteString(separator)
		text.WriteString(p.label)
		text.WriteString(": ")
		text.WriteString(readable(value))
		text.WriteString(p.unit)
		separator = "\t"
	}
	return text.String()
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

// snakeCase turns maxMemoryUsedMB into max_memory_used_mb.
func snakeCase(name string) string {
	var snake strings.Builder
	runes := []rune(name)
	for i, r := range runes {
		if unicode.IsUpper(r) && i > 0 &&
			(!unicode.IsUpper(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1])) {
			snake.WriteByte('_')
		}
		snake.WriteRune(unicode.ToLower(r))
	}
	return snake.String()
}
