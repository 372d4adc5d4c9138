// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdasim

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
)

// invokePhase runs one invocation until all are ready again, or until the environment has been reset.
func (e *Environment) invokePhase(inv *invocation) {
	gen, failed := e.prepare(inv)
	if failed == nil {
		failed = e.dispatch(gen, inv)
	}
	if failed == nil {
		failed = e.reach(gen, inv.deadline, func() bool { return inv.answered })
	}
	e.settleCaller(inv, failed)
	if failed == nil {
		failed = e.reach(gen, inv.deadline, func() bool { return gen.runtime.state == stateReady })
	}
	e.runtimeDone(gen, inv, failed)
	if failed == nil && e.opts.TelemetryFaults.LateInvoke {
		e.invokeLate(gen, inv)
	}
	if failed == nil {
		failed = e.reach(gen, inv.deadline, func() bool {
			return gen.all(func(x *extension) bool { return !x.wants(eventInvoke) || x.state == stateReady })
		})
	}
	e.platformReport(gen, inv, failed)
	if failed == nil {
		e.freeze()
		return
	}
	e.stop(gen, e.resetReason(failed.status))
}

// prepare thaws the processes, restores or starts them.
func (e *Environment) prepare(inv *invocation) (*generation, *failure) {
	e.mu.Lock()
	gen, started := e.gen, e.started
	e.mu.Unlock()
	if gen == nil && !started {
		if gen, _ = e.initAhead(); gen != nil && e.opts.Mode.frozenAfterInit() {
			e.freeze()
		}
	}
	var failed *failure
	if e.isSnapshot(gen) {
		failed = e.restore(gen)
	}
	e.thaw()

	start := time.Now()
	e.mu.Lock()
	inv.Start, inv.deadline = start, start.Add(e.opts.Timeout)
	e.mu.Unlock()
	if gen == nil {
		// The time of a suppressed init counts as the invocation's.
		var initFailed *InitError
		gen, initFailed = e.initialise(phaseInvoke, inv.deadline)
		failed = initFailed.failure()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	inv.Cold = gen.invocations == 0
	inv.Restored = inv.Cold && gen.restored != nil
	gen.invocations++
	gen.running[inv.RequestID] = inv
	return gen, failed
}

// dispatch gives the invocation to the extensions and then to the runtime.
func (e *Environment) dispatch(gen *generation, inv *invocation) *failure {
	e.emitStart(gen, inv)
	e.mu.Lock()
	defer e.mu.Unlock()
	// Processes that are not frozen can have ended since the last invocation.
	if gen.failure != nil {
		return gen.failure
	}
	inv.dispatched = time.Now()
	if !e.opts.TelemetryFaults.LateInvoke {
		e.invokeExtensions(gen, inv)
	}
	gen.runtime.state = stateRunning
	if w, ok := gen.runtime.take(); ok {
		w.answer <- inv
	}
	return nil
}

// invokeExtensions sends INVOKE. The lock must be held.
func (e *Environment) invokeExtensions(gen *generation, inv *invocation) {
	for _, x := range gen.extensions {
		if x.wants(eventInvoke) {
			x.send(extensionEvent{
				EventType:          eventInvoke,
				DeadlineMs:         inv.deadline.UnixMilli(),
				RequestID:          inv.RequestID,
				InvokedFunctionARN: e.opts.functionARN(),
				Tracing:            &tracingRecord{Type: inv.tracing.Type, Value: inv.tracing.Value},
			})
		}
	}
}

// lateInvokeLimit is how long a late INVOKE waits for the delivery of platform.runtimeDone, which a subscriber may ask
// to be buffered for longer than the function may run.
const lateInvokeLimit = time.Second

// invokeLate sends INVOKE when the extensions have been told that the function is done.
func (e *Environment) invokeLate(gen *generation, inv *invocation) {
	e.await(time.Now().Add(lateInvokeLimit), func() bool {
		return gen.failure != nil || gen.hub.settled(telemetryapi.EventRuntimeDone)
	})
	e.mu.Lock()
	defer e.mu.Unlock()
	e.invokeExtensions(gen, inv)
}

// emitStart emits platform.start, once.
func (e *Environment) emitStart(gen *generation, inv *invocation) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if inv.begun {
		return
	}
	inv.begun = true
	gen.hub.turnOver()
	gen.hub.emit(telemetryapi.EventStart, startRecord{
		RequestID:   inv.RequestID,
		FunctionARN: e.opts.functionARN(),
		Version:     e.opts.FunctionVersion,
		TenantID:    e.opts.TenantID,
		Tracing:     inv.tracing,
	})
}

// settleCaller lets the caller go with the function's answer, or with what the platform says instead.
func (e *Environment) settleCaller(inv *invocation, failed *failure) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if failed != nil {
		status, message := StatusFailure, failed.message
		if failed.status == StatusTimeout {
			status = StatusTimeout
			message = fmt.Sprintf("Task timed out after %.2f seconds", e.opts.Timeout.Seconds())
		}
		message = fmt.Sprintf("RequestId: %s Error: %s", inv.RequestID, message)
		inv.answer(status, failed.errorType, message, errorResponse(failed.errorType, message))
	}
	switch {
	case !inv.lastByte.IsZero():
		inv.FunctionDuration = inv.lastByte.Sub(inv.dispatched)
	case !inv.dispatched.IsZero():
		inv.FunctionDuration = time.Since(inv.dispatched)
	}
	close(inv.result)
}

// runtimeDone emits platform.runtimeDone.
func (e *Environment) runtimeDone(gen *generation, inv *invocation, failed *failure) {
	// If it is the init that failed, the invocation has to have a beginning all the same.
	e.emitStart(gen, inv)
	e.drainOutput(gen)
	e.mu.Lock()
	defer e.mu.Unlock()
	end := time.Now()
	record := runtimeDoneRecord{
		RequestID: inv.RequestID, TenantID: e.opts.TenantID, Tracing: inv.tracing, Status: StatusSuccess,
	}
	produced := 0
	if failed != nil {
		record.Status, record.ErrorType = failed.status, eventErrorType(failed)
	} else {
		end = gen.runtime.lastNext
		produced = len(inv.Response)
		record.Spans = inv.spans(end)
		if inv.Status == StatusError {
			record.Status, record.ErrorType = StatusError, inv.ErrorType
		}
	}
	record.Metrics = durationMetrics{DurationMs: millis(end.Sub(inv.Start)), ProducedBytes: &produced}
	gen.hub.emit(telemetryapi.EventRuntimeDone, record)
}

// eventErrorType is the errorType in platform events, which have none for a timeout.
func eventErrorType(failed *failure) string {
	if failed.status == StatusTimeout {
		return ""
	}
	return failed.errorType
}

// platformReport emits platform.report and completes the Invocation.
func (e *Environment) platformReport(gen *generation, inv *invocation, failed *failure) {
	end := time.Now()
	e.survey(gen)
	e.drainOutput(gen)
	e.mu.Lock()
	defer e.mu.Unlock()
	record := e.newReport(inv, failed)
	runtimeNext := gen.runtime.lastNext
	if runtimeNext.After(inv.dispatched) && !inv.dispatched.IsZero() {
		end = e.hold(gen, inv, runtimeNext, failed)
		record.Spans = []spanRecord{newSpan("extensionOverhead", runtimeNext, runtimeNext.Add(inv.Held))}
	}
	inv.Duration = end.Sub(inv.Start)
	if failed != nil && failed.status == StatusTimeout {
		inv.Duration = e.opts.Timeout
	}
	record.Metrics = e.measure(gen, inv)
	inv.Settled = true
	delete(gen.running, inv.RequestID)
	gen.hub.emit(telemetryapi.EventReport, record)
}

// newReport is a platform.report without metrics. The lock must be held.
func (e *Environment) newReport(inv *invocation, failed *failure) reportRecord {
	record := reportRecord{
		RequestID: inv.RequestID, TenantID: e.opts.TenantID, Tracing: inv.tracing, Status: StatusSuccess,
	}
	if inv.Status == StatusError {
		record.Status, record.ErrorType = StatusError, inv.ErrorType
	}
	if failed != nil {
		record.Status, record.ErrorType = failed.status, eventErrorType(failed)
	}
	inv.PlatformStatus = record.Status
	return record
}

// measure completes the Invocation with what is billed for it. The lock must be held.
func (e *Environment) measure(gen *generation, inv *invocation) reportMetrics {
	metrics := reportMetrics{
		DurationMs:      millis(inv.Duration),
		MemorySizeMB:    e.opts.MemoryMB,
		MaxMemoryUsedMB: int(math.Ceil(float64(e.peak) / (1 << 20))),
	}
	if inv.outOfMemory {
		metrics.MaxMemoryUsedMB = e.opts.MemoryMB
	}
	billed := inv.Duration
	if inv.Cold && gen.initDuration > 0 {
		initDuration := millis(gen.initDuration)
		metrics.InitDurationMs = &initDuration
		if e.opts.Mode == ModeOnDemand {
			// AWS Lambda bills the Init phase since August 2025. That of provisioned concurrency is no invocation's.
			billed += gen.initDuration
		}
	}
	if inv.Restored {
		restored, billedRestore := millis(gen.restored.Duration), ceilMillis(gen.restored.Billed)
		metrics.RestoreDurationMs, metrics.BilledRestoreDurationMs = &restored, &billedRestore
		billed += gen.restored.Billed
	}
	metrics.BilledDurationMs = ceilMillis(billed)
	inv.Billed = time.Duration(metrics.BilledDurationMs) * time.Millisecond
	inv.MaxMemoryMB = metrics.MaxMemoryUsedMB
	return metrics
}

// ceilMillis is a duration as Lambda bills it.
func ceilMillis(d time.Duration) int64 {
	return int64(math.Ceil(float64(d) / float64(time.Millisecond)))
}

// survey measures the memory of all processes, and remembers the sessions that have come up: a process that has begun
// one could not be found any more when its parent has ended.
func (e *Environment) survey(gen *generation) {
	members := family(e.pids())
	peak := peakMemory(members)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.peak = max(e.peak, peak)
	for _, p := range members {
		if p.session > 0 && !slices.Contains(gen.pids, p.session) {
			gen.pids = append(gen.pids, p.session)
		}
	}
}

// hold measures how long the extensions held the environment after the runtime, notes who did so for too long, and
// returns when the last was ready. The lock must be held.
func (e *Environment) hold(gen *generation, inv *invocation, runtimeNext time.Time, failed *failure) time.Time {
	end := runtimeNext
	inv.Holds = map[string]time.Duration{}
	for _, x := range gen.extensions {
		if !x.wants(eventInvoke) {
			continue
		}
		until := x.lastNext
		if x.state != stateReady {
			until = time.Now()
			if failed != nil && failed.status == StatusTimeout {
				until = inv.deadline
				e.violations.add(ViolationPastDeadline, x.name, inv.Number, fmt.Sprintf(
					"had not called next when the function's timeout of %s was over", e.opts.Timeout))
			}
		}
		held := max(0, until.Sub(runtimeNext))
		inv.Holds[x.name] = held
		if held > inv.Held {
			inv.Held, end = held, until
		}
		if limit := e.opts.HoldLimit; limit > 0 && held > limit {
			e.violations.add(ViolationOverHold, x.name, inv.Number, fmt.Sprintf(
				"held the environment for %s after the function, the limit is %s", held, limit))
		}
	}
	return end
}
