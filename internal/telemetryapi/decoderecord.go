// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapi

import (
	"fmt"

	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi/rawjson"
)

// Decoder is what a pointer to each of the record types is.
//
// Decode reads an event's record, and says how many fields it did not know, those of objects inside included. It is as
// lenient as the platform is free to change: unknown fields are skipped, a field of another type than expected is
// zero, the last of several with the same name counts, and a missing record gives a zero value. The error says that
// the record is not a well-formed JSON object; what comes before the break has been read then. Strings are copies, so
// that a record does not keep the body in memory.
type Decoder interface {
	Decode(event Event) (unknown int, err error)
}

// DecodeRecord returns what Decode makes of an event's record. It allocates the record, which Decode itself does not.
func DecodeRecord[T any, P interface {
	*T
	Decoder
}](event Event) (T, error) {
	var record T
	_, err := P(&record).Decode(event)
	return record, err
}

// Decode is that of Decoder.
func (r *InitStartRecord) Decode(event Event) (unknown int, err error) {
	*r = InitStartRecord{}
	return decode(event, func(name, value []byte) (unknown int) {
		switch string(name) {
		case "initializationType":
			r.InitializationType = word(value)
		case "phase":
			r.Phase = word(value)
		case "functionName":
			r.FunctionName = text(value)
		case "functionVersion":
			r.FunctionVersion = word(value)
		case "instanceId":
			r.InstanceID = text(value)
		case "instanceMaxMemory":
			r.InstanceMaxMemory = numberOrText(value)
		case "runtimeVersion":
			r.RuntimeVersion = text(value)
		case "runtimeVersionArn":
			r.RuntimeVersionARN = text(value)
		case "functionArn":
			r.FunctionARN = text(value)
		case "tracing":
			r.Tracing, unknown = tracing(value)
		default:
			return 1
		}
		return unknown
	})
}

// Decode is that of Decoder.
func (r *InitRuntimeDoneRecord) Decode(event Event) (unknown int, err error) {
	*r = InitRuntimeDoneRecord{}
	return decode(event, func(name, value []byte) (unknown int) {
		switch string(name) {
		case "initializationType":
			r.InitializationType = word(value)
		case "phase":
			r.Phase = word(value)
		case "status":
			r.Status = word(value)
		case "errorType":
			r.ErrorType = text(value)
		case "spans":
			r.Spans, unknown = spans(value)
		case "tracing":
			r.Tracing, unknown = tracing(value)
		default:
			return 1
		}
		return unknown
	})
}

// Decode is that of Decoder.
func (r *InitReportRecord) Decode(event Event) (unknown int, err error) {
	*r = InitReportRecord{}
	return decode(event, func(name, value []byte) (unknown int) {
		switch string(name) {
		case "initializationType":
			r.InitializationType = word(value)
		case "phase":
			r.Phase = word(value)
		case "status":
			r.Status = word(value)
		case "errorType":
			r.ErrorType = text(value)
		case "metrics":
			unknown = r.Metrics.decode(value)
		case "spans":
			r.Spans, unknown = spans(value)
		case "tracing":
			r.Tracing, unknown = tracing(value)
		default:
			return 1
		}
		return unknown
	})
}

func (m *InitReportMetrics) decode(object []byte) (unknown int) {
	*m = InitReportMetrics{}
	return fields(object, func(name, value []byte) (unknown int) {
		switch string(name) {
		case "durationMs":
			m.DurationMs = number(value).Value
		case "billedDurationMs":
			m.BilledDurationMs = number(value)
		default:
			return 1
		}
		return 0
	})
}

// Decode is that of Decoder.
func (r *StartRecord) Decode(event Event) (unknown int, err error) {
	*r = StartRecord{}
	return decode(event, func(name, value []byte) (unknown int) {
		switch string(name) {
		case "requestId":
			r.RequestID = text(value)
		case "version":
			r.Version = word(value)
		case "functionArn":
			r.FunctionARN = text(value)
		case "tenantId":
			r.TenantID = text(value)
		case "tracing":
			r.Tracing, unknown = tracing(value)
		default:
			return 1
		}
		return unknown
	})
}

// Decode is that of Decoder.
func (r *RuntimeDoneRecord) Decode(event Event) (unknown int, err error) {
	*r = RuntimeDoneRecord{}
	return decode(event, func(name, value []byte) (unknown int) {
		switch string(name) {
		case "requestId":
			r.RequestID = text(value)
		case "status":
			r.Status = word(value)
		case "errorType":
			r.ErrorType = text(value)
		case "metrics":
			r.Metrics = nil
			if rawjson.KindOf(value) == rawjson.KindObject {
				r.Metrics = &RuntimeDoneMetrics{}
				unknown = r.Metrics.decode(value)
			}
		case "spans":
			r.Spans, unknown = spans(value)
		case "tenantId":
			r.TenantID = text(value)
		case "tracing":
			r.Tracing, unknown = tracing(value)
		default:
			return 1
		}
		return unknown
	})
}

func (m *RuntimeDoneMetrics) decode(object []byte) (unknown int) {
	return fields(object, func(name, value []byte) (unknown int) {
		switch string(name) {
		case "durationMs":
			m.DurationMs = number(value).Value
		case "producedBytes":
			m.ProducedBytes = number(value)
		default:
			return 1
		}
		return 0
	})
}

// Decode is that of Decoder.
func (r *ReportRecord) Decode(event Event) (unknown int, err error) {
	*r = ReportRecord{}
	return decode(event, func(name, value []byte) (unknown int) {
		switch string(name) {
		case "requestId":
			r.RequestID = text(value)
		case "status":
			r.Status = word(value)
		case "errorType":
			r.ErrorType = text(value)
		case "metrics":
			unknown = r.Metrics.decode(value)
		case "spans":
			r.Spans, unknown = spans(value)
		case "tenantId":
			r.TenantID = text(value)
		case "tracing":
			r.Tracing, unknown = tracing(value)
		default:
			return 1
		}
		return unknown
	})
}

func (m *ReportMetrics) decode(object []byte) (unknown int) {
	*m = ReportMetrics{}
	return fields(object, func(name, value []byte) (unknown int) {
		switch string(name) {
		case "durationMs":
			m.DurationMs = number(value).Value
		case "billedDurationMs":
			m.BilledDurationMs = number(value)
		case "memorySizeMB":
			m.MemorySizeMB = number(value)
		case "maxMemoryUsedMB":
			m.MaxMemoryUsedMB = number(value)
		case "initDurationMs":
			m.InitDurationMs = number(value)
		case "restoreDurationMs":
			m.RestoreDurationMs = number(value)
		case "billedRestoreDurationMs":
			m.BilledRestoreDurationMs = number(value)
		default:
			return 1
		}
		return 0
	})
}

// Decode is that of Decoder.
func (r *RestoreStartRecord) Decode(event Event) (unknown int, err error) {
	*r = RestoreStartRecord{}
	return decode(event, func(name, value []byte) (unknown int) {
		switch string(name) {
		case "functionName":
			r.FunctionName = text(value)
		case "functionVersion":
			r.FunctionVersion = word(value)
		case "instanceId":
			r.InstanceID = text(value)
		case "instanceMaxMemory":
			r.InstanceMaxMemory = numberOrText(value)
		case "runtimeVersion":
			r.RuntimeVersion = text(value)
		case "runtimeVersionArn":
			r.RuntimeVersionARN = text(value)
		default:
			return 1
		}
		return 0
	})
}

// Decode is that of Decoder.
func (r *RestoreRuntimeDoneRecord) Decode(event Event) (unknown int, err error) {
	*r = RestoreRuntimeDoneRecord{}
	return decode(event, func(name, value []byte) (unknown int) {
		switch string(name) {
		case "status":
			r.Status = word(value)
		case "errorType":
			r.ErrorType = text(value)
		case "spans":
			r.Spans, unknown = spans(value)
		default:
			return 1
		}
		return unknown
	})
}

// Decode is that of Decoder.
func (r *RestoreReportRecord) Decode(event Event) (unknown int, err error) {
	*r = RestoreReportRecord{}
	return decode(event, func(name, value []byte) (unknown int) {
		switch string(name) {
		case "status":
			r.Status = word(value)
		case "errorType":
			r.ErrorType = text(value)
		case "metrics":
			r.Metrics = nil
			if rawjson.KindOf(value) == rawjson.KindObject {
				r.Metrics = &RestoreReportMetrics{}
				unknown = r.Metrics.decode(value)
			}
		case "spans":
			r.Spans, unknown = spans(value)
		default:
			return 1
		}
		return unknown
	})
}

func (m *RestoreReportMetrics) decode(object []byte) (unknown int) {
	return fields(object, func(name, value []byte) (unknown int) {
		if string(name) != "durationMs" {
			return 1
		}
		m.DurationMs = number(value).Value
		return 0
	})
}

// Decode is that of Decoder.
func (r *ExtensionRecord) Decode(event Event) (unknown int, err error) {
	*r = ExtensionRecord{}
	return decode(event, func(name, value []byte) (unknown int) {
		switch string(name) {
		case "name":
			r.Name = text(value)
		case "state":
			r.State = word(value)
		case "events":
			r.Events = nil
			for element := range rawjson.Elements(value) {
				if rawjson.KindOf(element) == rawjson.KindString {
					r.Events = append(r.Events, word(element))
				}
			}
		case "errorType":
			r.ErrorType = text(value)
		default:
			return 1
		}
		return 0
	})
}

// Decode is that of Decoder.
func (r *TelemetrySubscriptionRecord) Decode(event Event) (unknown int, err error) {
	*r = TelemetrySubscriptionRecord{}
	return decode(event, func(name, value []byte) (unknown int) {
		switch string(name) {
		case "name":
			r.Name = text(value)
		case "state":
			r.State = word(value)
		case "types":
			r.Types = nil
			for element := range rawjson.Elements(value) {
				if rawjson.KindOf(element) == rawjson.KindString {
					r.Types = append(r.Types, Stream(word(element)))
				}
			}
		default:
			return 1
		}
		return 0
	})
}

// Decode is that of Decoder.
func (r *LogsDroppedRecord) Decode(event Event) (unknown int, err error) {
	*r = LogsDroppedRecord{}
	return decode(event, func(name, value []byte) (unknown int) {
		switch string(name) {
		case "droppedBytes":
			r.DroppedBytes = number(value).Value
		case "droppedRecords":
			r.DroppedRecords = number(value).Value
		case "reason":
			r.Reason = text(value)
		default:
			return 1
		}
		return 0
	})
}

// decode calls field for the fields of an event's record, and adds up its results.
func decode(event Event, field func(name, value []byte) (unknown int)) (unknown int, err error) {
	if len(event.Record) == 0 {
		return 0, nil
	}
	if ok := rawjson.Object(event.Record, func(name, value []byte) { unknown += field(name, value) }); !ok {
		return unknown, fmt.Errorf("the record of %s is not a JSON object", event.Type)
	}
	return unknown, nil
}

// fields does what decode does, for a value inside of a record. A value that is not an object has no fields.
func fields(object []byte, field func(name, value []byte) (unknown int)) (unknown int) {
	rawjson.Object(object, func(name, value []byte) { unknown += field(name, value) })
	return unknown
}

// usualSpans is how many spans a `platform.runtimeDone` has.
const usualSpans = 3

// spans leaves out what is not an object.
func spans(array []byte) (list []Span, unknown int) {
	for element := range rawjson.Elements(array) {
		if rawjson.KindOf(element) != rawjson.KindObject {
			continue
		}
		var span Span
		unknown += fields(element, func(name, value []byte) (unknown int) {
			switch string(name) {
			case "name":
				span.Name = word(value)
			case "start":
				span.Start = text(value)
			case "durationMs":
				span.DurationMs = number(value).Value
			default:
				return 1
			}
			return 0
		})
		if list == nil {
			list = make([]Span, 0, usualSpans)
		}
		list = append(list, span)
	}
	return list, unknown
}

// tracing returns nil for what is not an object.
func tracing(object []byte) (context *TraceContext, unknown int) {
	if rawjson.KindOf(object) != rawjson.KindObject {
		return nil, 0
	}
	context = &TraceContext{}
	unknown = fields(object, func(name, value []byte) (unknown int) {
		switch string(name) {
		case "spanId":
			context.SpanID = text(value)
		case "type":
			context.Type = word(value)
		case "value":
			context.Value = text(value)
		default:
			return 1
		}
		return 0
	})
	return context, unknown
}

func text(value []byte) string {
	s, _ := rawjson.String(value)
	return s
}

func number(value []byte) Optional {
	f, ok := rawjson.Float(value)
	return Optional{Value: f, Set: ok}
}

// numberOrText takes the text of a number for the number. AWS Lambda Telemetry API: `instanceMaxMemory` is a string
// in one of the tables of its reference.
func numberOrText(value []byte) Optional {
	if len(value) > 2 && value[0] == '"' && rawjson.ValidNumber(value[1:len(value)-1]) {
		value = value[1 : len(value)-1]
	}
	return number(value)
}

// word is text for strings that are one of a few as a rule: those need no memory of their own.
func word(value []byte) string {
	switch string(value) {
	case `"success"`:
		return StatusSuccess
	case `"failure"`:
		return StatusFailure
	case `"error"`:
		return StatusError
	case `"timeout"`:
		return StatusTimeout
	case `"init"`:
		return "init"
	case `"invoke"`:
		return "invoke"
	case `"on-demand"`:
		return "on-demand"
	case `"provisioned-concurrency"`:
		return "provisioned-concurrency"
	case `"snap-start"`:
		return "snap-start"
	case `"lambda-managed-instances"`:
		return "lambda-managed-instances"
	case `"$LATEST"`:
		return "$LATEST"
	case `"X-Amzn-Trace-Id"`:
		return "X-Amzn-Trace-Id"
	case `"responseLatency"`:
		return "responseLatency"
	case `"responseDuration"`:
		return "responseDuration"
	case `"runtimeOverhead"`:
		return "runtimeOverhead"
	case `"extensionOverhead"`:
		return "extensionOverhead"
	}
	return text(value)
}
