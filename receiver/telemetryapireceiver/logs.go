// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapireceiver

import (
	"bytes"
	"slices"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-lambda/otelcol-lambda/internal/selftelemetry"
	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
	"github.com/otelcol-lambda/otelcol-lambda/receiver/telemetryapireceiver/internal/metadata"
)

// attrType holds the type of the event that a record was made of.
const attrType = "type"

// logMapper makes log records of events. It is the same for the life of a receiver; what events say about later ones
// is in streamState.
type logMapper struct {
	// streams are those whose events become records.
	streams []telemetryapi.Stream
	// logReport makes records of `platform.report`.
	logReport bool
	// filter takes out what is not wanted of these.
	filter logFilter
	// concurrent means that invocations overlap, as on Managed Instances: a line that does not say which invocation
	// it belongs to could be any one's then.
	concurrent bool
	// resource describes the function, as far as it is known from the start.
	resource pcommon.Map
	// version is that of the instrumentation scope.
	version string
	now     func() time.Time
	// trace, if set, knows the span of an invocation. Records that name no trace themselves belong to it.
	trace func(requestID string) (pcommon.TraceID, pcommon.SpanID, bool)
	// zone, if set, returns the availability zone, empty as long as it is not known.
	zone func() string
}

// streamState is what the events so far said about those to come. Copying it makes a snapshot.
type streamState struct {
	// requestID is the current invocation's, empty between invocations.
	requestID string
	// version is the function's.
	version string
	// instance is the name of the environment's log stream.
	instance string
	// started is when the last invocation started, and described when the instance was named. Redelivered events that
	// are older change nothing.
	started, described time.Time
	// ownLines counts the lines of this process that were thrown away.
	ownLines uint64
	// excluded counts the events that the configuration leaves out by their type, and lesser the records that it leaves
	// out by their severity.
	excluded, lesser uint64
}

// logs makes records of events and carries the state forward. The result depends on nothing but the arguments and the
// clock, so that the same events can be mapped again. It may have no records.
func (m *logMapper) logs(events []telemetryapi.Event, state *streamState) plog.Logs {
	logs := plog.NewLogs()
	resourceLogs := logs.ResourceLogs().AppendEmpty()
	scopeLogs := resourceLogs.ScopeLogs().AppendEmpty()
	m.putScope(scopeLogs.Scope())
	records := scopeLogs.LogRecords()
	records.EnsureCapacity(len(events))
	observed := pcommon.NewTimestampFromTime(m.now())
	for _, event := range events {
		state.before(event)
		switch {
		case !m.takes(event):
		case !m.filter.passes(event):
			state.excluded++
		case isOwnLine(event):
			state.ownLines++
		default:
			record := records.AppendEmpty()
			record.SetObservedTimestamp(observed)
			m.fill(record, event, state)
		}
		state.after(event)
	}
	state.lesser += m.filter.dropsLesser(records)

	// The instance is known from one of the first events on, and holds for those before it just as well.
	m.putResource(resourceLogs.Resource(), state)
	return logs
}

func (m *logMapper) putScope(scope pcommon.InstrumentationScope) {
	scope.SetName(metadata.ScopeName)
	scope.SetVersion(m.version)
}

func (m *logMapper) putResource(resource pcommon.Resource, state *streamState) {
	m.resource.CopyTo(resource.Attributes())
	if _, set := m.resource.Get(attrFaasInstance); !set {
		putNonEmpty(resource.Attributes(), attrFaasInstance, state.instance)
	}
	if m.zone != nil {
		putNonEmpty(resource.Attributes(), attrZoneID, m.zone())
	}
}

// wants says whether an event is to become a record.
func (m *logMapper) wants(event telemetryapi.Event) bool {
	return m.takes(event) && m.filter.passes(event)
}

// takes says whether an event is of a stream whose events become records.
func (m *logMapper) takes(event telemetryapi.Event) bool {
	if event.Type == telemetryapi.EventReport && !m.logReport {
		return false
	}
	return slices.Contains(m.streams, event.Stream())
}

// isOwnLine recognizes what this process wrote. Making telemetry of it could make the process write again, and so on
// for ever.
func isOwnLine(event telemetryapi.Event) bool {
	return event.Type == telemetryapi.EventExtensionLog &&
		(bytes.Contains(event.Record, []byte(selftelemetry.MarkerKey)) || isLastResort(event.Record))
}

// isLastResort recognizes the OTLP JSON that an earlier process of the environment wrote to the log because it could not
// deliver it. A marker in it would make it something else than OTLP. The record is text, or an object where Lambda reads
// the lines as JSON.
func isLastResort(record []byte) bool {
	for _, signal := range []string{"Spans", "Metrics", "Logs"} {
		if bytes.HasPrefix(record, []byte(`"{\"resource`+signal+`\":[`)) || bytes.HasPrefix(record, []byte(`{"resource`+signal+`":[`)) {
			return true
		}
	}
	return false
}

// usualAttributes is how many attributes a record has room for from the start.
func usualAttributes(event telemetryapi.Event) int {
	switch {
	case event.Stream() == telemetryapi.StreamPlatform:
		return 10 // those of platform.runtimeDone
	case bytes.HasPrefix(event.Record, []byte{'{'}) || bytes.HasPrefix(event.Record, []byte(`"{`)):
		return 4 // the two below, and what the line adds to its message
	default:
		return 2 // most lines have their type and the id of the invocation
	}
}

func (m *logMapper) fill(record plog.LogRecord, event telemetryapi.Event, state *streamState) {
	record.Attributes().EnsureCapacity(usualAttributes(event))
	record.Attributes().PutStr(attrType, string(event.Type))
	if !event.Time.IsZero() {
		record.SetTimestamp(pcommon.NewTimestampFromTime(event.Time))
	}
	switch event.Type {
	case telemetryapi.EventFunction, telemetryapi.EventExtensionLog:
		fillLine(record, event)
	default:
		fillPlatform(record, event, state)
		if phase, ok := record.Attributes().Get(attrPhase); ok && phase.AsString() != phaseInvoke {
			return // An Init that came late belongs to no invocation.
		}
	}
	id, known := record.Attributes().Get(attrFaasInvocation)
	if !known && !m.concurrent && state.requestID != "" {
		id, known = record.Attributes().PutEmpty(attrFaasInvocation), true
		id.SetStr(state.requestID)
	}
	if known && m.trace != nil && record.TraceID().IsEmpty() {
		if traceID, spanID, ok := m.trace(id.AsString()); ok {
			record.SetTraceID(traceID)
			if record.SpanID().IsEmpty() {
				record.SetSpanID(spanID)
			}
		}
	}
}

// before takes from an event what holds for itself and those behind it.
func (s *streamState) before(event telemetryapi.Event) {
	switch event.Type {
	case telemetryapi.EventInitStart, telemetryapi.EventRestoreStart, telemetryapi.EventStart:
	default:
		return
	}
	// A record that is no object leaves the fields empty, and the state as it is.
	record, _, _ := event.Decoded()
	switch r := record.(type) {
	case *telemetryapi.InitStartRecord:
		if s.describe(event.Time, firstNonEmpty(r.InstanceID, s.instance), r.FunctionVersion) && r.Phase != phaseInvoke {
			s.requestID = ""
		}
	case *telemetryapi.RestoreStartRecord:
		// What an Init before has said is about the environment that the snapshot is of.
		if s.describe(event.Time, r.InstanceID, r.FunctionVersion) {
			s.requestID = ""
		}
	case *telemetryapi.StartRecord:
		if !event.Time.IsZero() && !event.Time.After(s.started) {
			return
		}
		s.started = event.Time
		s.requestID = r.RequestID
		s.version = firstNonEmpty(r.Version, s.version)
	}
}

// after takes from an event what holds for those behind it only.
func (s *streamState) after(event telemetryapi.Event) {
	switch event.Type {
	case telemetryapi.EventRuntimeDone, telemetryapi.EventReport:
		// The report of an invocation usually comes during the next one.
		if id := event.RequestID(); id == "" || id == s.requestID {
			s.requestID = ""
		}
	default:
	}
}

// describe takes what an event of the given time says about the environment. It is false when the event is old.
func (s *streamState) describe(at time.Time, instance, version string) bool {
	if !at.IsZero() && !at.After(s.described) {
		return false
	}
	s.described = at
	s.instance = instance
	s.version = firstNonEmpty(version, s.version)
	return true
}
