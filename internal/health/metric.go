// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package health

// Metric is the name of a monotonic sum. docs/health.md lists them for users.
type Metric string

// What the guard sees of the collector.
const (
	GuardDeaths   Metric = "otelcol_lambda.guard.deaths"
	GuardKills    Metric = "otelcol_lambda.guard.kills"
	GuardRestarts Metric = "otelcol_lambda.guard.restarts"
	// GuardOverruns has the attribute AttrPhase.
	GuardOverruns Metric = "otelcol_lambda.guard.overruns"
	GuardSkipped  Metric = "otelcol_lambda.guard.skipped_invocations"
)

// DroppedItems has the attributes AttrSignal and AttrReason.
const DroppedItems Metric = "otelcol_lambda.dropped_items"

// The keys of attributes.
const (
	AttrPhase  = "phase"
	AttrSignal = "otelcol.signal"
	AttrReason = "reason"
)

// Metrics are all of them.
func Metrics() []Metric {
	return []Metric{GuardDeaths, GuardKills, GuardRestarts, GuardOverruns, GuardSkipped, DroppedItems}
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
		return "{item}", "Spans, metric points and log records that were accepted and not delivered"
	default:
		return "", ""
	}
}
