// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

// Package faasmetrics makes OpenTelemetry's metrics of what Lambda says about an environment and its invocations.
package faasmetrics

import (
	"time"

	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
	"github.com/otelcol-lambda/otelcol-lambda/receiver/telemetryapireceiver/internal/sandboxstat"
)

const (
	bytesPerMB = 1 << 20

	// maxInvocations bounds what is remembered of invocations: until their report is there, and then to know it again
	// when it is delivered twice.
	maxInvocations = 64

	// maxDrops bounds what is remembered of platform.logsDropped for the same reason.
	maxDrops = 16

	// maxErrorTypes bounds the values of error.type, which functions make up. The rest is errorTypeOther.
	maxErrorTypes  = 32
	errorTypeOther = "_OTHER"

	// maxValue is more than any number of seconds or bytes, and fits 64 bits.
	maxValue = 1 << 62
)

// The values of initializationType and of the phase of an init that matter here.
const (
	typeOnDemand  = "on-demand"
	typeSnapStart = "snap-start"
	typeManaged   = "lambda-managed-instances"
	phaseInit     = "init"
	phaseInvoke   = "invoke"
)

// Settings are what an Aggregator needs.
type Settings struct {
	// Delta makes each Collect return what has happened since the one before. Otherwise it is what has happened since
	// Start.
	Delta bool
	// Exponential makes exponential histograms, with at most 160 buckets. Otherwise they have the bounds of
	// OpenTelemetry's semantic conventions.
	Exponential bool
	// Start is when the process began to listen for events.
	Start time.Time

	// prevent unkeyed literal initialization
	_ struct{}
}

// Aggregator makes metrics of events. They may come in any order, more than once, and of several invocations at a time.
// What they mean together is worked out in Collect, so that the order does not matter as long as they come before it.
// It is for one goroutine at a time.
type Aggregator struct {
	settings Settings
	// start is that of the points to come.
	start time.Time

	streams    [metricCount]stream
	errorTypes []errorCount
	// changed says that there is something that no Collect has returned, collected that one has returned something.
	changed, collected bool

	invocations []invocation
	// places are the indices of invocations by their id.
	places map[string]int
	// oldest is the index of the invocation that has been there for longest, once there are maxInvocations.
	oldest    int
	forgotten int
	drops     []drop

	init, restore phase
	// restoredAt is the time of platform.restoreStart.
	restoredAt time.Time
	// suppressed says that there was an init as a part of an invocation.
	suppressed bool
	// invoked says that there has been an invocation, first how the first one known ended.
	invoked bool
	first   outcome
	// latest is when the last event happened that is not about an init.
	latest   time.Time
	finished bool

	unknownFields int
}

// stream is what one metric holds.
type stream struct {
	// live says that there is something to return.
	live      bool
	value     int64
	histogram histogram
}

type errorCount struct {
	errorType string
	n         int64
}

// drop is one platform.logsDropped, which has no id to know it again by.
type drop struct {
	at             time.Time
	records, bytes float64
}

// phase is the init or the restore of the environment.
type phase struct {
	seen               bool
	initializationType string
	// done is of the event runtimeDone, report of the report, which comes later and is about extensions too.
	done, report outcome
	// duration is that of the report, fallback what the report of an invocation says; both in milliseconds.
	duration, fallback telemetryapi.Optional

	// What has become part of the metrics.
	counted, timed, judged bool
}

// New returns an Aggregator.
func New(settings Settings) *Aggregator {
	return &Aggregator{settings: settings, start: settings.Start}
}

// Observe takes note of an event. It is false when metrics should have been made of the event and cannot, because its
// record is none, or does not say which invocation it is about.
func (a *Aggregator) Observe(event telemetryapi.Event) (understood bool) {
	if event.Time.Before(a.restoredAt) && !event.Time.IsZero() {
		// It is about the environment that the snapshot was made of.
		return true
	}
	switch event.Type {
	case telemetryapi.EventRestoreStart:
		a.observeRestoreStart(event.Time)
		return true
	case telemetryapi.EventInitStart, telemetryapi.EventInitRuntimeDone, telemetryapi.EventInitReport:
	case telemetryapi.EventStart, telemetryapi.EventRuntimeDone, telemetryapi.EventReport,
		telemetryapi.EventRestoreRuntimeDone, telemetryapi.EventRestoreReport, telemetryapi.EventLogsDropped:
		if event.Time.After(a.latest) {
			a.latest = event.Time
		}
		a.invoked = a.invoked || event.Type == telemetryapi.EventStart
	default:
		return true
	}
	record, unknown, err := event.Decoded()
	a.unknownFields += unknown
	return err == nil && a.observeRecord(event.Time, record)
}

// observeRecord takes the record of an event of the given time.
func (a *Aggregator) observeRecord(at time.Time, record telemetryapi.Decoder) (understood bool) {
	switch r := record.(type) {
	case *telemetryapi.InitStartRecord:
		a.observeInit(r.InitializationType, r.Phase)
	case *telemetryapi.InitRuntimeDoneRecord:
		// The phase may be missing here, so this event alone does not tell that there was an init.
		if r.Phase == "" || a.observeInit(r.InitializationType, r.Phase) {
			a.init.done = outcome{seen: true, at: at, status: r.Status, errorType: r.ErrorType}
		}
	case *telemetryapi.InitReportRecord:
		if a.observeInit(r.InitializationType, r.Phase) {
			a.init.report = outcome{seen: true, at: at, status: r.Status, errorType: r.ErrorType}
			a.init.duration = positive(r.Metrics.DurationMs)
		}
	case *telemetryapi.RestoreRuntimeDoneRecord:
		a.restore.seen = true
		a.restore.done = outcome{seen: true, at: at, status: r.Status, errorType: r.ErrorType}
	case *telemetryapi.RestoreReportRecord:
		a.restore.seen = true
		a.restore.report = outcome{seen: true, at: at, status: r.Status, errorType: r.ErrorType}
		if r.Metrics.DurationMs.Set {
			a.restore.duration = positive(r.Metrics.DurationMs)
		}
	case *telemetryapi.LogsDroppedRecord:
		a.observeDrop(drop{at: at, records: r.DroppedRecords, bytes: r.DroppedBytes})
	default:
		return a.observeInvocation(at, record)
	}
	return true
}

// observeInvocation takes the record of one of an invocation's events.
func (a *Aggregator) observeInvocation(at time.Time, record telemetryapi.Decoder) (understood bool) {
	switch r := record.(type) {
	case *telemetryapi.StartRecord:
		if r.RequestID == "" {
			return false
		}
		if a.managed() {
			return true // so many run at once that the room is for those that end
		}
		if i := a.attempt(r.RequestID, at, startTime); i != nil {
			i.started = true
		}
	case *telemetryapi.RuntimeDoneRecord:
		if r.RequestID == "" {
			return false
		}
		if i := a.attempt(r.RequestID, at, doneTime); i != nil {
			i.observeDone(at, r)
		}
	case *telemetryapi.ReportRecord:
		if r.RequestID == "" {
			return false
		}
		if i := a.attempt(r.RequestID, at, reportTime); i != nil {
			i.observeReport(at, r)
		}
		keep(&a.init.fallback, r.Metrics.InitDurationMs)
		keep(&a.restore.fallback, r.Metrics.RestoreDurationMs)
	}
	return true
}

// UnknownFields is how many fields the events had that this version does not know.
func (a *Aggregator) UnknownFields() int { return a.unknownFields }

// keep sets a number that is not set yet.
func keep(number *telemetryapi.Optional, n telemetryapi.Optional) {
	if !number.Set {
		*number = n
	}
}

// managed reports whether this is a Managed Instance.
func (a *Aggregator) managed() bool { return a.init.initializationType == typeManaged }

// observeInit is true for an init that counts: not for one that is part of an invocation, whose time includes it and
// whose outcome it decides, nor for one that ended in a snapshot.
func (a *Aggregator) observeInit(initializationType, phase string) bool {
	if phase == phaseInvoke {
		a.suppressed = true
	}
	if phase != phaseInit && phase != "" || initializationType == typeSnapStart {
		return false
	}
	a.init.seen = true
	if a.init.initializationType == "" {
		a.init.initializationType = initializationType
	}
	return true
}

// observeRestoreStart begins anew: what there is comes with the snapshot, from the environment it was made of, and
// other environments have it too.
func (a *Aggregator) observeRestoreStart(at time.Time) {
	if !a.restoredAt.IsZero() && !at.After(a.restoredAt) {
		return
	}
	if a.latest.Before(at) {
		a.forget()
	}
	// Streams that somebody has seen cannot begin later, unless they begin anew.
	if !a.collected && at.After(a.start) {
		a.start = at
	}
	a.restoredAt = at
	a.restore.seen = true
}

// forget is what makes it as new.
func (a *Aggregator) forget() {
	*a = Aggregator{settings: a.settings, start: a.start, forgotten: a.forgotten}
}

func (a *Aggregator) observeDrop(d drop) {
	for _, known := range a.drops {
		if known == d && !d.at.IsZero() {
			return
		}
	}
	if len(a.drops) == maxDrops {
		a.drops = append(a.drops[:0], a.drops[1:]...)
	}
	a.drops = append(a.drops, d)
	a.record(droppedRecords, positive(telemetryapi.Optional{Value: d.records, Set: true}))
	a.record(droppedBytes, positive(telemetryapi.Optional{Value: d.bytes, Set: true}))
}

// ObserveUsage takes note of what an invocation used. On Managed Instances there is no use in that: several invocations
// share an environment.
func (a *Aggregator) ObserveUsage(u sandboxstat.Usage) {
	a.recordUsage(cpuUsage, u.CPU, 1e9)
	a.recordUsage(netIO, u.Network, 1)
}

// ObserveInUse takes note of what is in use. It is for the moment before a Collect, which returns the latest.
func (a *Aggregator) ObserveInUse(u sandboxstat.InUse) {
	a.recordUsage(tmpUsage, u.Tmp, 1)
	a.recordUsage(openFiles, u.OpenFiles, 1)
	a.recordUsage(threads, u.Threads, 1)
}

func (a *Aggregator) recordUsage(metric int, v sandboxstat.Value, perUnit float64) {
	a.record(metric, telemetryapi.Optional{Value: float64(v.N) / perUnit, Set: v.Known})
}

// Finish says that no invocation will come any more, to this process at least. What was waiting for one counts: the duration
// of the init, and its failure, which otherwise the invocation has that made Lambda try again.
func (a *Aggregator) Finish() { a.finished = true }

// Empty says that nothing is new since the last Collect.
func (a *Aggregator) Empty() bool {
	a.settleAll()
	return !a.changed
}

// Forgotten is the number of invocations whose report had not come when too many others had. Should it come after all,
// the invocation counts twice.
func (a *Aggregator) Forgotten() int { return a.forgotten }

// Collect appends the metrics at a time, which is to be that of the points, and returns how many points there are.
func (a *Aggregator) Collect(now time.Time, dst pmetric.MetricSlice) (points int) {
	a.settleAll()
	if now.Before(a.start) {
		// The clock was set back.
		a.start = now
	}
	points = a.write(now, dst)
	a.changed = false
	a.collected = a.collected || points > 0
	if a.settings.Delta {
		a.reset()
		a.start = now
	}
	return points
}

// invocation finds the invocation with an id, or puts it into the place of the oldest one.
func (a *Aggregator) invocation(id string) *invocation {
	a.invoked = true
	if i, known := a.places[id]; known {
		return &a.invocations[i]
	}
	if a.places == nil {
		a.places = make(map[string]int)
	}
	if len(a.invocations) < maxInvocations {
		a.places[id] = len(a.invocations)
		a.invocations = append(a.invocations, invocation{id: id})
		return &a.invocations[len(a.invocations)-1]
	}
	place := &a.invocations[a.oldest]
	a.settle(place)
	if !place.reported {
		a.forgotten++
	}
	delete(a.places, place.id)
	a.places[id] = a.oldest
	*place = invocation{id: id}
	a.oldest = (a.oldest + 1) % maxInvocations
	return place
}

// attempt returns the invocation that an event of a kind belongs to, or nil if it is one that has made room for another
// attempt: Lambda tries an asynchronous invocation that failed again, under its id. An event that comes twice has the same
// time both times.
func (a *Aggregator) attempt(id string, at time.Time, kind eventKind) *invocation {
	i := a.invocation(id)
	switch known := i.times[kind]; {
	case at.IsZero():
		return i
	case !at.After(i.before):
		return nil
	case !known.IsZero() && at.After(known):
		a.settle(i)
		before := i.before
		for _, t := range i.times {
			if t.After(before) {
				before = t
			}
		}
		*i = invocation{id: id, before: before}
	}
	if i.times[kind].IsZero() {
		i.times[kind] = at
	}
	return i
}

func (a *Aggregator) settleAll() {
	for i := range a.invocations {
		a.settle(&a.invocations[i])
	}
	if a.restore.seen {
		a.countPhase(&a.restore, restores)
		a.settlePhase(&a.restore, restoreDuration)
		return
	}
	// Until an invocation has come, the environment may be the one that a snapshot is made of.
	if !a.invoked && !a.finished {
		return
	}
	if a.suppressed && !a.init.seen {
		a.init.fallback = telemetryapi.Optional{}
	}
	// An invocation waited for it, also where it failed and the next process of the environment has that invocation.
	waited := a.invoked || a.init.report.failed() || a.init.done.failed()
	if waited && a.init.seen && a.init.initializationType == typeOnDemand {
		a.countPhase(&a.init, coldStarts)
	}
	a.settlePhase(&a.init, initDuration)
}

func (a *Aggregator) countPhase(p *phase, metric int) {
	if !p.counted {
		p.counted = true
		a.count(metric)
	}
}

// settlePhase puts into the metrics what is known of an init or restore and not in them yet.
func (a *Aggregator) settlePhase(p *phase, duration int) {
	keep(&p.duration, p.fallback)
	if p.duration.Set && !p.timed {
		p.timed = true
		a.recordMs(duration, p.duration)
	}
	o := p.report
	if !o.known() {
		o = p.done
	}
	if p.judged || !p.seen || !o.failed() || !a.first.seen && !a.finished {
		return
	}
	p.judged = true
	// The first invocation fails for the same reason, unless the second try went well.
	if !a.first.failed() {
		a.judge(o)
		if o.errorType == errorOutOfMemory {
			a.count(outOfMemory)
		}
	}
}

// judge counts a success, a timeout or an error.
func (a *Aggregator) judge(o outcome) {
	switch {
	case o.succeeded():
		a.count(invocations)
	case o.status == telemetryapi.StatusTimeout:
		a.count(timeouts)
	case o.failed():
		a.addError(o)
	}
}

func (a *Aggregator) addError(o outcome) {
	a.count(failures)
	errorType := o.errorType
	if errorType == "" {
		errorType = o.status
	}
	for i := range a.errorTypes {
		if e := &a.errorTypes[i]; e.errorType == errorType || e.errorType == errorTypeOther {
			e.n++
			return
		}
	}
	if len(a.errorTypes) == maxErrorTypes {
		errorType = errorTypeOther
	}
	a.errorTypes = append(a.errorTypes, errorCount{errorType: errorType, n: 1})
}

func (a *Aggregator) count(metric int) {
	s := &a.streams[metric]
	s.value++
	s.live = true
	a.changed = true
}

func (a *Aggregator) recordMs(metric int, ms telemetryapi.Optional) {
	ms.Value /= 1000
	a.record(metric, ms)
}

func (a *Aggregator) recordMB(metric int, mb telemetryapi.Optional) {
	mb.Value *= bytesPerMB
	a.record(metric, mb)
}

// record adds a number to what a metric has. What is not set or makes no sense is left out.
func (a *Aggregator) record(metric int, number telemetryapi.Optional) {
	v := number.Value
	if !number.Set || !(v >= 0 && v < maxValue) {
		return
	}
	s := &a.streams[metric]
	s.live = true
	a.changed = true
	switch m := &metrics[metric]; {
	case m.Kind == KindCounter:
		s.value += int64(v)
	case m.Kind == KindGauge:
		s.value = int64(v)
	case a.settings.Exponential:
		s.histogram.addExponential(v)
	default:
		s.histogram.addExplicit(v, m.Bounds())
	}
}

// reset makes all streams begin anew.
func (a *Aggregator) reset() {
	for i := range a.streams {
		s := &a.streams[i]
		s.live = false
		s.value = 0
		s.histogram.reset(!a.settings.Exponential)
	}
	for i := range a.errorTypes {
		a.errorTypes[i].n = 0
	}
}
