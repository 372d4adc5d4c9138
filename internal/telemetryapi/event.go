// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapi

import (
	"encoding/json"
	"time"
)

// Stream is what a subscriber can ask the Telemetry API for.
type Stream string

// The streams of the Telemetry API.
const (
	// StreamPlatform carries what Lambda itself says about the environment and its invocations.
	StreamPlatform Stream = "platform"
	// StreamFunction carries the lines the function wrote to stdout and stderr.
	StreamFunction Stream = "function"
	// StreamExtension carries the lines the extensions wrote to stdout and stderr, ours among them.
	StreamExtension Stream = "extension"
)

// EventType is the `type` of an event.
type EventType string

// The event types of schema version 2025-01-29. The set is open: other values are passed on as they are.
const (
	EventInitStart             EventType = "platform.initStart"
	EventInitRuntimeDone       EventType = "platform.initRuntimeDone"
	EventInitReport            EventType = "platform.initReport"
	EventStart                 EventType = "platform.start"
	EventRuntimeDone           EventType = "platform.runtimeDone"
	EventReport                EventType = "platform.report"
	EventRestoreStart          EventType = "platform.restoreStart"
	EventRestoreRuntimeDone    EventType = "platform.restoreRuntimeDone"
	EventRestoreReport         EventType = "platform.restoreReport"
	EventExtension             EventType = "platform.extension"
	EventTelemetrySubscription EventType = "platform.telemetrySubscription"
	EventLogsDropped           EventType = "platform.logsDropped"
	EventFunction              EventType = "function"
	EventExtensionLog          EventType = "extension"
)

// Known reports whether t is one of the types above. What others hold is for nobody to say.
func (t EventType) Known() bool { return knownType(string(t)) != "" }

// knownType returns the constant that name is, or nothing.
func knownType(name string) EventType {
	switch EventType(name) {
	case EventFunction:
		return EventFunction
	case EventExtensionLog:
		return EventExtensionLog
	case EventStart:
		return EventStart
	case EventRuntimeDone:
		return EventRuntimeDone
	case EventReport:
		return EventReport
	case EventInitStart:
		return EventInitStart
	case EventInitRuntimeDone:
		return EventInitRuntimeDone
	case EventInitReport:
		return EventInitReport
	case EventRestoreStart:
		return EventRestoreStart
	case EventRestoreRuntimeDone:
		return EventRestoreRuntimeDone
	case EventRestoreReport:
		return EventRestoreReport
	case EventExtension:
		return EventExtension
	case EventTelemetrySubscription:
		return EventTelemetrySubscription
	case EventLogsDropped:
		return EventLogsDropped
	default:
		return ""
	}
}

// Event is one element of the array that Lambda posts to a subscriber.
type Event struct {
	// Time is when the platform generated the event. It is zero when the event had none or one that does not parse;
	// the rest of the event is good all the same.
	Time time.Time
	// Type names the event.
	Type EventType
	// Record is the event's payload as it came: a JSON object for platform events, a JSON string or object for log
	// lines, empty when it was missing.
	Record json.RawMessage

	// decoded is there once the event is shared.
	decoded *decoded
}
