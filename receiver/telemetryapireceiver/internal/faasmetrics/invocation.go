// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package faasmetrics

import (
	"time"

	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
)

// The errors that mean that memory ran out. The second one is any death of the runtime, so it takes the report to tell.
const (
	errorOutOfMemory = "Runtime.OutOfMemory"
	errorExit        = "Runtime.ExitError"
)

// outcome is what an event says of how something ended.
type outcome struct {
	seen              bool
	at                time.Time
	status, errorType string
}

func (o outcome) succeeded() bool { return o.status == telemetryapi.StatusSuccess }

// failed says that it ended badly. It may be neither: the set of states is open.
func (o outcome) failed() bool {
	switch o.status {
	case telemetryapi.StatusSuccess:
		return false
	case telemetryapi.StatusTimeout, telemetryapi.StatusError, telemetryapi.StatusFailure:
		return true
	default:
		return o.errorType != ""
	}
}

// known says that it is clear how it ended.
func (o outcome) known() bool { return o.succeeded() || o.failed() }

// eventKind is one of an invocation's events.
type eventKind int

const (
	startTime eventKind = iota
	doneTime
	reportTime
	eventKinds
)

// invocation is what the events have said of one so far. They are put together when somebody asks, because they come in
// any order, and some of them not at all.
type invocation struct {
	id string
	// times are those of its events, and before is the last of the attempt before under the same id.
	times  [eventKinds]time.Time
	before time.Time
	// started says that platform.start has been seen.
	started bool
	// done is of platform.runtimeDone, report of platform.report.
	done, report outcome

	// All in milliseconds. Those of an event that has not been seen are not set.
	runtime, total, billed, billedRestore telemetryapi.Optional
	spans                                 invocationSpans
	produced                              telemetryapi.Optional // bytes
	memorySize, memoryUsed                telemetryapi.Optional // MB

	// What has become part of the metrics; settled is all there is.
	judged, timed, measured, reported, outOfMemory, settled bool
}

// invocationSpans are the durations of the platform's inner spans in milliseconds.
type invocationSpans struct {
	latency, response, overhead, extensions telemetryapi.Optional
}

func (s *invocationSpans) add(spans []telemetryapi.Span) {
	for _, span := range spans {
		var d *telemetryapi.Optional
		switch span.Name {
		case "responseLatency":
			d = &s.latency
		case "responseDuration":
			d = &s.response
		case "runtimeOverhead":
			d = &s.overhead
		case "extensionOverhead":
			d = &s.extensions
		default:
			continue
		}
		if !d.Set {
			*d = telemetryapi.Optional{Value: span.DurationMs, Set: true}
		}
	}
}

func (i *invocation) observeDone(at time.Time, r *telemetryapi.RuntimeDoneRecord) {
	if i.done.seen {
		return
	}
	i.done = outcome{seen: true, at: at, status: r.Status, errorType: r.ErrorType}
	i.runtime = positive(r.Metrics.DurationMs)
	i.produced = r.Metrics.ProducedBytes
	i.spans.add(r.Spans)
}

func (i *invocation) observeReport(at time.Time, r *telemetryapi.ReportRecord) {
	if i.report.seen {
		return
	}
	i.report = outcome{seen: true, at: at, status: r.Status, errorType: r.ErrorType}
	i.total = positive(r.Metrics.DurationMs)
	i.billed = r.Metrics.BilledDurationMs
	i.billedRestore = r.Metrics.BilledRestoreDurationMs
	i.memorySize = r.Metrics.MemorySizeMB
	i.memoryUsed = r.Metrics.MaxMemoryUsedMB
	i.spans.add(r.Spans)
}

// positive takes a zero for a number that is missing: nothing takes no time at all.
func positive(n telemetryapi.Optional) telemetryapi.Optional {
	n.Set = n.Set && n.Value > 0
	return n
}

func firstSet(a, b telemetryapi.Optional) telemetryapi.Optional {
	if a.Set {
		return a
	}
	return b
}

// foreign reports whether all that is known of an invocation is its report: an earlier process of the environment has
// seen the rest, and counted how it ended. The report itself is news. Managed Instances run one process to the end,
// and their report is all there is.
func (a *Aggregator) foreign(i *invocation) bool { return !i.started && !i.done.seen && !a.managed() }

// settle puts into the metrics what is known of an invocation and not in them yet.
func (a *Aggregator) settle(i *invocation) {
	if !i.done.seen && !i.report.seen || i.settled {
		return
	}
	foreign := a.foreign(i)
	if !foreign {
		a.settleRun(i)
	}
	a.settleOutOfMemory(i, foreign)
	if i.report.seen && !i.reported {
		i.reported = true
		a.settleReport(i)
	}
	if i.reported && !foreign {
		if i.done.succeeded() && i.report.failed() {
			// The function succeeded, and an extension did not come to an end: the response is good, the environment is lost.
			a.judge(i.report)
		}
		// What is left is enough to know a duplicate by. What comes behind the report from now on comes too late.
		*i = invocation{id: i.id, times: i.times, before: i.before, reported: true, settled: true}
	}
}

// settleRun is about how the function ran.
func (a *Aggregator) settleRun(i *invocation) {
	a.settleOutcome(i)
	// Managed Instances have the report alone, and so may an invocation that was killed.
	if duration := firstSet(i.runtime, i.total); duration.Set && !i.timed {
		i.timed = true
		a.recordMs(invokeDuration, duration)
	}
	if !i.measured {
		i.measured = true
		a.recordMs(responseLatency, i.spans.latency)
		a.recordMs(responseDuration, i.spans.response)
		a.recordMs(runtimeOverhead, i.spans.overhead)
		a.record(responseSize, i.produced)
	}
}

// settleOutcome counts how the invocation ended: as the runtime has it, or else the report.
func (a *Aggregator) settleOutcome(i *invocation) {
	o := i.done
	if !o.known() {
		o = i.report
	}
	if !i.judged && o.known() {
		i.judged = true
		a.judge(o)
		if !a.first.seen || o.at.Before(a.first.at) {
			a.first = o
		}
	}
}

func (a *Aggregator) settleOutOfMemory(i *invocation, foreign bool) {
	if !i.outOfMemory && i.ranOutOfMemory(foreign) {
		i.outOfMemory = true
		a.count(outOfMemory)
	}
}

// ranOutOfMemory leaves out what the earlier process of a foreign invocation could tell without the report.
func (i *invocation) ranOutOfMemory(foreign bool) bool {
	switch {
	case i.done.errorType == errorOutOfMemory, i.report.errorType == errorOutOfMemory:
		return !foreign
	case i.done.errorType == errorExit, i.report.errorType == errorExit:
		return i.memoryUsed.Set && i.memorySize.Set && i.memoryUsed.Value >= i.memorySize.Value
	default:
		return false
	}
}

func (a *Aggregator) settleReport(i *invocation) {
	a.recordMs(billedDuration, i.billed)
	a.recordMs(billedRestoreDuration, i.billedRestore)
	a.recordMB(memoryUsage, i.memoryUsed)
	a.recordMB(memorySize, i.memorySize)
	if !i.spans.extensions.Set && i.total.Set && i.runtime.Set {
		// A timeout is reported shorter than it was: the platform cuts the total at the limit, and the runtime's not.
		i.spans.extensions = telemetryapi.Optional{Value: max(0, i.total.Value-i.runtime.Value), Set: true}
	}
	a.recordMs(postRuntimeDuration, i.spans.extensions)
}
