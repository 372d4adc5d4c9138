// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package health

// Metric is the name of a metric. docs/health.md lists them for users.
type Metric string

// What the guard sees of the collector. They are reported at once.
const (
	GuardDeaths   Metric = "otelcol_lambda.guard.deaths"
	GuardKills    Metric = "otelcol_lambda.guard.kills"
	GuardRestarts Metric = "otelcol_lambda.guard.restarts"
	// GuardOverruns has the attribute AttrPhase.
	GuardOverruns Metric = "otelcol_lambda.guard.overruns"
	GuardSkipped  Metric = "otelcol_lambda.guard.skipped_invocations"
)

// DroppedItems has the attributes AttrSignal and AttrReason. It is reported at once.
const DroppedItems Metric = "otelcol_lambda.dropped_items"

// What is of interest in the long run. All but the durations and the events have the attribute AttrSignal.
const (
	SentItems      Metric = "otelcol_lambda.sent_items"
	SentRequests   Metric = "otelcol_lambda.sent_requests"
	FailedRequests Metric = "otelcol_lambda.failed_requests"
	FlushDuration  Metric = "otelcol_lambda.flush.duration"
	HoldDuration   Metric = "otelcol_lambda.hold.duration"

	// What Lambda delivered, without attributes.
	RedeliveredEvents Metric = "otelcol_lambda.redelivered_events"
	UnknownEvents     Metric = "otelcol_lambda.unknown_events"
	UnknownFields     Metric = "otelcol_lambda.unknown_fields"

	QueueSize   Metric = "otelcol_lambda.queue.size"
	QueueAge    Metric = "otelcol_lambda.queue.age"
	BackendDown Metric = "otelcol_lambda.backend.down"
)

// The keys of attributes.
const (
	AttrPhase  = "phase"
	AttrSignal = "otelcol.signal"
	AttrReason = "reason"
	// AttrComponent is the ID of the decouple processor, which tells several backends apart.
	AttrComponent = "otelcol.component.id"
)

// The values of AttrSignal.
const (
	SignalTraces  = "traces"
	SignalMetrics = "metrics"
	SignalLogs    = "logs"
)

// Metrics are all of them.
func Metrics() []Metric {
	return []Metric{
		GuardDeaths, GuardKills, GuardRestarts, GuardOverruns, GuardSkipped, DroppedItems,
		SentItems, SentRequests, FailedRequests, FlushDuration, HoldDuration,
		RedeliveredEvents, UnknownEvents, UnknownFields, QueueSize, QueueAge, BackendDown,
	}
}

// Gauge reports whether the metric is a level, and not a monotonic sum.
func (m Metric) Gauge() bool { return m == QueueSize || m == QueueAge || m == BackendDown }

// urgent metrics tell of trouble, and do not wait for the next regular report.
func (m Metric) urgent() bool {
	switch m {
	case GuardDeaths, GuardKills, GuardRestarts, GuardOverruns, GuardSkipped, DroppedItems:
		return true
	default:
		return false
	}
}

// Unit is in UCUM's notation.
func (m Metric) Unit() string {
	unit, _ := m.meaning()
	return unit
}

// Description is for the users of a backend.
func (m Metric) Description() string {
	_, description := m.meaning()
	return description
}

func (m Metric) meaning() (unit, description string) {
	switch m {
	case GuardDeaths:
		return "{death}", "Ends of the collector process that Lambda did not ask for"
	case GuardKills:
		return "{kill}", "Collector processes that the guard killed because they hung"
	case GuardRestarts:
		return "{restart}", "Starts of the collector process after a death"
	case GuardOverruns:
		return "{overrun}", "Phases in which the collector held the environment up to the guard's bound"
	case GuardSkipped:
		return "{invocation}", "Invocations that passed while the collector was not there or not ready"
	case DroppedItems:
		return "{item}", "Spans, metric points and log records that were lost on their way to the backend"
	case SentItems:
		return "{item}", "Spans, metric points and log records that the backend has taken"
	case SentRequests:
		return "{request}", "Requests that the backend has taken"
	case FailedRequests:
		return "{request}", "Requests that failed and were kept for another try, or refused for good"
	case FlushDuration:
		return "ms", "Time spent delivering"
	case HoldDuration:
		return "ms", "Time from knowing of the end of invocations until the environment was given back"
	case RedeliveredEvents:
		return "{event}", "Events that Lambda delivered once more, and that were left out"
	case UnknownEvents:
		return "{event}", "Events of types that this version does not know; they are log records all the same"
	case UnknownFields:
		return "{field}", "Fields of platform events that this version does not know; they are in the log records all the same"
	case QueueSize:
		return "By", "Data that waits or is being sent"
	case QueueAge:
		return "ms", "Age of the oldest data that waits"
	case BackendDown:
		return "1", "1 while the backend takes no data and is left alone between tries, else 0"
	default:
		return "", ""
	}
}
