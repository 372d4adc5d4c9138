// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdasim

import (
	"context"
	"fmt"
	"time"

	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
)

// managed says that the environment is a Managed Instance, where invocations run beside each other.
func (e *Environment) managed() bool { return e.opts.Mode == ModeManagedInstances }

// takeSlot waits until one more invocation may run.
func (e *Environment) takeSlot(ctx context.Context) error {
	select {
	case e.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("as many invocations are going on as may be: %w", ctx.Err())
	}
}

// takeSlots waits until no invocation runs. Whoever takes slots must have the turn.
func (e *Environment) takeSlots(ctx context.Context) error {
	for taken := range cap(e.slots) {
		if err := e.takeSlot(ctx); err != nil {
			for range taken {
				<-e.slots
			}
			return err
		}
	}
	return nil
}

// freeSlots undoes takeSlots.
func (e *Environment) freeSlots() {
	for range cap(e.slots) {
		<-e.slots
	}
}

// refuseInvoke answers a registration for an event that does not exist on Managed Instances. The lock must be held.
func (e *Environment) refuseInvoke(gen *generation, name string) *apiError {
	const detail = "registered for INVOKE, which Managed Instances do not have"
	e.violations.add(ViolationInvokeRegistered, name, 0, detail)
	gen.fail(errorExtensionInit, "extension "+name+" "+detail)
	e.notify()
	return forbidden("Extension.InvalidEventType", "%s: event %q is not supported", name, eventInvoke)
}

// invokeManaged runs one invocation beside others. It has a slot, and the turn until the processes are ready.
func (e *Environment) invokeManaged(inv *invocation) {
	defer func() { <-e.slots }()
	e.mu.Lock()
	inv.Start = time.Now() // unless it begins later
	e.mu.Unlock()
	gen, failed := e.prepareManaged()
	e.release()
	if failed == nil {
		failed = e.dispatchManaged(gen, inv)
	}
	if failed == nil {
		failed = e.reach(gen, inv.deadline, func() bool { return inv.answered })
	}
	e.settleCaller(inv, failed)
	e.managedReport(gen, inv, failed)
}

// prepareManaged starts the processes if nobody has. There is no generation if that fails.
func (e *Environment) prepareManaged() (*generation, *failure) {
	e.mu.Lock()
	gen := e.gen
	e.mu.Unlock()
	if gen != nil {
		return gen, nil
	}
	gen, failed := e.initAhead()
	return gen, failed.failure()
}

// dispatchManaged gives the invocation to a worker of the runtime. Until one asks the invocation has not begun; Lambda
// would have throttled it.
func (e *Environment) dispatchManaged(gen *generation, inv *invocation) *failure {
	var w worker
	found := false
	failed := e.reach(gen, time.Now().Add(e.opts.Timeout), func() bool {
		if !found {
			gen.runtime.forget()
			w, found = gen.runtime.take()
		}
		return found
	})
	if failed != nil {
		if failed.status == StatusTimeout {
			failed = &failure{StatusFailure, errorSandboxTimeout, "no worker of the runtime asked for the invocation"}
		}
		return failed
	}
	e.mu.Lock()
	inv.Start = time.Now()
	inv.dispatched, inv.deadline = inv.Start, inv.Start.Add(e.opts.Timeout)
	inv.Cold = gen.invocations == 0
	gen.invocations++
	gen.running[inv.RequestID] = inv
	e.mu.Unlock()
	e.emitStart(gen, inv)
	w.answer <- inv
	return nil
}

// managedReport emits platform.report, which tells less than elsewhere, and completes the Invocation.
func (e *Environment) managedReport(gen *generation, inv *invocation, failed *failure) {
	if inv.begun {
		e.drainOutput(gen)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	record := e.newReport(inv, failed)
	inv.Settled = true
	if !inv.begun {
		return
	}
	switch {
	case !inv.lastByte.IsZero():
		inv.Duration = inv.lastByte.Sub(inv.Start)
	case record.Status == StatusTimeout:
		inv.Duration = e.opts.Timeout
	default:
		inv.Duration = time.Since(inv.Start)
	}
	record.Metrics = durationMetrics{DurationMs: millis(inv.Duration)}
	record.Spans = inv.responseSpans()
	if record.Status != StatusTimeout {
		delete(gen.running, inv.RequestID)
	}
	gen.hub.emit(telemetryapi.EventReport, record)
}

// endManagedAnswer takes an answer. One that comes after the timeout is accepted and forgotten, because a refusal would
// end the runtime, whose other invocations go on. The lock must be held.
func (e *Environment) endManagedAnswer(gen *generation, inv *invocation, answer func()) {
	if inv.answered {
		delete(gen.running, inv.RequestID)
		return
	}
	answer()
}

// watch ends the environment when something in it fails. Nothing is started again: Lambda would have another one.
func (e *Environment) watch(gen *generation) {
	failed := false
	e.await(time.Time{}, func() bool {
		failed = gen.failure != nil
		return failed || gen.stopping
	})
	if !failed {
		return
	}
	select {
	case <-e.turn:
	case <-e.lifetime.Done():
		return
	}
	defer e.release()
	if e.takeSlots(e.lifetime) != nil {
		return
	}
	defer e.freeSlots()
	e.mu.Lock()
	status, stopped := gen.failure.status, e.gen != gen
	e.mu.Unlock()
	if !stopped {
		e.finish()
		e.stop(gen, e.resetReason(status))
	}
}
