// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapi

import (
	"fmt"
	"sync"

	"github.com/otelcol-lambda/otelcol-lambda/internal/rawjson"
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

// decoded is what has been made of an event's record; nothing yet if there is no record.
type decoded struct {
	once    sync.Once
	record  Decoder
	unknown int
	err     error
}

func (d *decoded) decode(event Event) {
	if d.record = newRecord(event.Type); d.record != nil {
		d.unknown, d.err = d.record.Decode(event)
	}
}

// newRecord returns an empty record for an event of the given type, or nil if there is no record type for it.
func newRecord(event EventType) Decoder {
	switch event {
	case EventInitStart:
		return &InitStartRecord{}
	case EventInitRuntimeDone:
		return &InitRuntimeDoneRecord{}
	case EventInitReport:
		return &InitReportRecord{}
	case EventStart:
		return &StartRecord{}
	case EventRuntimeDone:
		return &RuntimeDoneRecord{}
	case EventReport:
		return &ReportRecord{}
	case EventRestoreStart:
		return &RestoreStartRecord{}
	case EventRestoreRuntimeDone:
		return &RestoreRuntimeDoneRecord{}
	case EventRestoreReport:
		return &RestoreReportRecord{}
	case EventExtension:
		return &ExtensionRecord{}
	case EventTelemetrySubscription:
		return &TelemetrySubscriptionRecord{}
	case EventLogsDropped:
		return &LogsDroppedRecord{}
	default:
		return nil
	}
}

// Share has the record of a platform event decoded once, for all who call Decoded of this event and of copies of it, and
// not before the first of them does. It is for several who look at the same events one after the other.
func (e *Event) Share() {
	if e.decoded == nil && e.Stream() == StreamPlatform {
		e.decoded = &decoded{}
	}
}

// Decoded returns the event's record as a pointer to its type, and what Decode returned. The record is nil if there is no
// type for it, as for lines. It is not to be changed: others may have the same one.
func (e Event) Decoded() (record Decoder, unknown int, err error) {
	d := e.decoded
	if d == nil {
		d = &decoded{}
	}
	d.once.Do(func() { d.decode(e) })
	return d.record, d.unknown, d.err
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
			unknown = (&TraceContext{}).decode(value)
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
			unknown = (&TraceContext{}).decode(value)
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
			unknown = (&TraceContext{}).decode(value)
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
			m.DurationMs = number(value)
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
			unknown = r.Tracing.decode(value)
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
			unknown = r.Metrics.decode(value)
		case "spans":
			r.Spans, unknown = spans(value)
		case "tenantId":
			r.TenantID = text(value)
		case "tracing":
			unknown = (&TraceContext{}).decode(value)
		default:
			return 1
		}
		return unknown
	})
}

func (m *RuntimeDoneMetrics) decode(object []byte) (unknown int) {
	*m = RuntimeDoneMetrics{}
	return fields(object, func(name, value []byte) (unknown int) {
		switch string(name) {
		case "durationMs":
			m.DurationMs = number(value)
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
			unknown = (&TraceContext{}).decode(value)
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
			m.DurationMs = number(value)
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
			unknown = r.Metrics.decode(value)
		case "spans":
			r.Spans, unknown = spans(value)
		default:
			return 1
		}
		return unknown
	})
}

func (m *RestoreReportMetrics) decode(object []byte) (unknown int) {
	*m = RestoreReportMetrics{}
	return fields(object, func(name, value []byte) (unknown int) {
		if string(name) != "durationMs" {
			return 1
		}
		m.DurationMs = number(value)
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
				span.Start = decodeTime(value)
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

func (c *TraceContext) decode(object []byte) (unknown int) {
	*c = TraceContext{}
	return fields(object, func(name, value []byte) (unknown int) {
		switch string(name) {
		case "value":
			c.Value = text(value)
		case "spanId", "type":
		default:
			return 1
		}
		return 0
	})
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
