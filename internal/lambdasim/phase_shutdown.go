// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdasim

import (
	"fmt"
	"time"
)

// The values of shutdownReason.
const (
	reasonSpindown = "spindown"
	reasonTimeout  = "timeout"
	reasonFailure  = "failure"
)

const (
	// runtimeShutdown is how long the runtime has after SIGTERM. It is at most runtimeShare of the window.
	runtimeShutdown = 300 * time.Millisecond
	runtimeShare    = 0.3
	// managedRuntimeShutdown is the same on Managed Instances.
	managedRuntimeShutdown = 600 * time.Millisecond

	// internalShutdown is the window if the only extensions are in the function's process.
	internalShutdown = 500 * time.Millisecond

	// reapTimeout bounds the wait for a process that has been killed.
	reapTimeout = 5 * time.Second
)

// resetReason is the shutdownReason after a failure. Managed Instances know of no timeout there.
func (e *Environment) resetReason(status string) string {
	if status == StatusTimeout && !e.managed() {
		return reasonTimeout
	}
	return reasonFailure
}

// shutdownRecord is the payload of EventSimShutdown.
type shutdownRecord struct {
	Reason string `json:"reason"`
}

// stop takes a generation through Shutdown: the runtime first, then the extensions, and at the end of the window
// everything that is left is killed.
func (e *Environment) stop(gen *generation, reason string) {
	e.thaw()
	gen.hub.letGo()
	start := time.Now()
	e.survey(gen)
	e.tell(EventSimShutdown, shutdownRecord{Reason: reason})

	e.mu.Lock()
	gen.stopping = true
	registered := gen.any(func(x *extension) bool { return x.id != "" })
	window := time.Duration(0)
	switch {
	case gen.any(func(x *extension) bool { return x.running() }):
		window = e.opts.ShutdownTimeout
	case registered:
		window = min(e.opts.ShutdownTimeout, internalShutdown)
	}
	e.mu.Unlock()
	deadline := start.Add(window)

	e.stopRuntime(gen, registered, window)
	asked := time.Now()
	killed := e.stopExtensions(gen, reason, deadline)

	killAll(e.freezer)
	for _, p := range e.processes(gen) {
		p.wait(reapTimeout)
		p.output.close()
	}
	gen.hub.close()
	e.endGeneration(gen, e.shutdownReport(gen, reason, start, asked, killed))
}

// stopRuntime ends the function's process. It gets a signal only if there are extensions.
func (e *Environment) stopRuntime(gen *generation, registered bool, window time.Duration) {
	e.mu.Lock()
	p := gen.runtime.proc
	e.mu.Unlock()
	if p == nil {
		return
	}
	if registered && p.alive() {
		p.terminate()
		share := time.Duration(float64(window) * runtimeShare)
		limit := runtimeShutdown
		if e.managed() {
			limit = managedRuntimeShutdown
		}
		e.await(time.Now().Add(min(limit, share)), func() bool { return !p.alive() })
	}
	killFamily([]int{p.pid})
	p.wait(reapTimeout)
}

// stopExtensions sends SHUTDOWN and returns the extensions that had to be killed at the deadline.
func (e *Environment) stopExtensions(gen *generation, reason string, deadline time.Time) map[*extension]bool {
	e.mu.Lock()
	var unasked []int
	for _, x := range gen.extensions {
		switch {
		case x.wants(eventShutdown):
			x.send(extensionEvent{
				EventType: eventShutdown, ShutdownReason: reason, DeadlineMs: deadline.UnixMilli(),
			})
		case x.running() && x.state != stateInitError && x.state != stateExitError:
			unasked = append(unasked, x.proc.pid)
		}
	}
	e.mu.Unlock()
	killFamily(unasked)

	e.await(deadline, func() bool { return gen.all(func(x *extension) bool { return !x.running() }) })

	e.mu.Lock()
	defer e.mu.Unlock()
	killed := map[*extension]bool{}
	for _, x := range gen.extensions {
		if !x.running() {
			continue
		}
		killed[x] = true
		if x.wants(eventShutdown) && !e.isClosing() {
			detail := "was still running at the end of the shutdown window and was killed"
			if x.queued != nil {
				detail = "never called next to get SHUTDOWN, and was killed at the end of the shutdown window"
			}
			e.violations.add(ViolationIgnoredShutdown, x.name, 0, fmt.Sprintf("%s (reason %s)", detail, reason))
		}
	}
	return killed
}

// shutdownReport looks at how the extensions ended.
func (e *Environment) shutdownReport(
	gen *generation, reason string, start, asked time.Time, killed map[*extension]bool,
) ShutdownReport {
	e.mu.Lock()
	defer e.mu.Unlock()
	report := ShutdownReport{
		Generation: gen.number, Reason: reason, Start: start, Duration: time.Since(start),
		Extensions: []ExtensionExit{},
	}
	for _, x := range gen.extensions {
		if x.proc == nil {
			continue
		}
		exit := ExtensionExit{Name: x.name, Status: "not reaped", ExitCode: -1, Crashed: x.crashed}
		if !x.running() {
			exit.Status, exit.ExitCode = x.proc.status.String(), x.proc.status.ExitCode()
		}
		asksForIt := x.wants(eventShutdown)
		exit.Killed = killed[x] || (!asksForIt && !x.crashed && exit.ExitCode < 0)
		if !x.crashed && !x.exited.IsZero() {
			exit.Duration = max(0, x.exited.Sub(asked))
		}
		reported := x.state == stateInitError || x.state == stateExitError
		if asksForIt && !exit.Killed && !exit.Crashed && !reported && exit.ExitCode != 0 {
			e.violations.add(ViolationExitStatus, x.name, 0, "ended at shutdown with "+exit.Status)
		}
		report.Extensions = append(report.Extensions, exit)
	}
	return report
}

func (e *Environment) endGeneration(gen *generation, report ShutdownReport) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.report.Shutdowns = append(e.report.Shutdowns, report)
	e.report.Telemetry = append(e.report.Telemetry, gen.hub.reports(gen.number)...)
	e.gen = nil
	close(gen.ended)
	e.notify()
}

// freezeRecord is the payload of EventSimFreeze and EventSimThaw.
type freezeRecord struct {
	Mode  string `json:"mode"`
	Error string `json:"error,omitempty"`
}

// freeze stops deliveries first, so that nothing is sent to a process that cannot answer.
func (e *Environment) freeze() {
	if e.opts.Freeze == FreezeNone {
		return
	}
	e.gate.freeze()
	err := e.freezer.freeze()
	record := freezeRecord{Mode: e.freezer.name()}
	e.mu.Lock()
	if err != nil {
		record.Error = err.Error()
		e.report.FreezeErrors = append(e.report.FreezeErrors, record.Error)
	} else {
		e.report.Freezes++
	}
	e.frozenAt = time.Now()
	e.mu.Unlock()
	e.tell(EventSimFreeze, record)
}

func (e *Environment) thaw() {
	e.mu.Lock()
	frozen := !e.frozenAt.IsZero()
	if frozen {
		e.report.Frozen += time.Since(e.frozenAt)
		e.frozenAt = time.Time{}
	}
	e.mu.Unlock()
	if !frozen {
		return
	}
	record := freezeRecord{Mode: e.freezer.name()}
	if err := e.freezer.thaw(); err != nil {
		record.Error = err.Error()
		e.mu.Lock()
		e.report.FreezeErrors = append(e.report.FreezeErrors, record.Error)
		e.mu.Unlock()
	}
	e.gate.thaw()
	e.tell(EventSimThaw, record)
}
