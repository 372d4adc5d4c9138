// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdasim

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"
)

// agentState is the state of an extension or of the runtime, in the words of AWS's emulator, which platform.extension
// events show.
type agentState string

const (
	stateStarted      agentState = "Started"
	stateRegistered   agentState = "Registered"
	stateReady        agentState = "Ready" // in next
	stateRunning      agentState = "Running"
	stateResponseSent agentState = "ResponseSent" // the runtime only
	stateInitError    agentState = "InitError"
	stateExitError    agentState = "ExitError"
	stateLaunchError  agentState = "LaunchError"
	stateExited       agentState = "Exited"

	// The runtime's with SnapStart.
	stateRestoreReady agentState = "RestoreReady" // in restore/next
	stateRestoring    agentState = "Restoring"
	stateRestoreError agentState = "RestoreError"
)

const (
	eventInvoke   = "INVOKE"
	eventShutdown = "SHUTDOWN"
)

// maxExtensions is AWS Lambda's limit of extensions per function.
const maxExtensions = 10

// The error types of failures the platform finds.
const (
	errorExtensionCrash  = "Extension.Crash"
	errorExtensionInit   = "Extension.InitError"
	errorExtensionExit   = "Extension.ExitError"
	errorExtensionLaunch = "Extension.LaunchError"
	errorRuntimeExit     = "Runtime.ExitError"
	errorOutOfMemory     = "Runtime.OutOfMemory"
	errorInvalidEntry    = "Runtime.InvalidEntrypoint"
	errorSandboxTimeout  = "Sandbox.Timedout"
	errorSandboxFailure  = "Sandbox.Failure"
)

// extensionEvent is the answer to an extension's next.
type extensionEvent struct {
	EventType          string         `json:"eventType"`
	ShutdownReason     string         `json:"shutdownReason,omitempty"`
	DeadlineMs         int64          `json:"deadlineMs"`
	RequestID          string         `json:"requestId,omitempty"`
	InvokedFunctionARN string         `json:"invokedFunctionArn,omitempty"`
	Tracing            *tracingRecord `json:"tracing,omitempty"`
}

// extension is one extension of a generation. Its fields belong to the environment's lock.
type extension struct {
	name string
	// internal extensions live in the function's process and have no file in the layer.
	internal bool
	id       string
	state    agentState
	// events are those it registered for.
	events    []string
	errorType string
	proc      *process

	registered time.Time
	firstNext  time.Time
	lastNext   time.Time
	exited     time.Time
	// crashed says that the process ended before it was asked to.
	crashed    bool
	subscribed bool
	// deliveryFailed says that a failed delivery has been noted as a violation.
	deliveryFailed bool

	// waiter takes the answer to the pending next; it has room for one.
	waiter chan extensionEvent
	// queued is delivered as soon as the extension calls next.
	queued *extensionEvent
}

func (x *extension) wants(event string) bool { return slices.Contains(x.events, event) }

func (x *extension) running() bool { return x.proc != nil && x.proc.alive() }

// since is the time from the start of the process to t, 0 if t is not known.
func (x *extension) since(t time.Time) time.Duration {
	if t.IsZero() || x.proc == nil {
		return 0
	}
	return t.Sub(x.proc.started)
}

// send delivers an event, now or when the extension calls next.
func (x *extension) send(event extensionEvent) {
	if x.state != stateReady {
		x.queued = &event
		return
	}
	x.state = stateRunning
	x.waiter <- event
	x.waiter = nil
}

// record is the payload of the platform.extension event.
func (x *extension) record() extensionRecord {
	return extensionRecord{
		Name: x.name, State: string(x.state), Events: append([]string{}, x.events...), ErrorType: x.errorType,
	}
}

// runtimeAgent is the function's process. Its fields belong to the environment's lock.
type runtimeAgent struct {
	state agentState
	proc  *process

	firstNext time.Time
	lastNext  time.Time

	// workers are those in next, in the order they came: one at most, except on Managed Instances.
	workers []worker
	// restored is closed when a pending restore/next may be answered.
	restored chan struct{}
}

// worker is what waits in a next.
type worker struct {
	// answer has room for one.
	answer chan *invocation
	// waiting is the context of the request.
	waiting context.Context
}

// forget removes the workers that have given up.
func (r *runtimeAgent) forget() {
	r.workers = slices.DeleteFunc(r.workers, func(w worker) bool { return w.waiting.Err() != nil })
}

// take returns the worker that has waited longest.
func (r *runtimeAgent) take() (worker, bool) {
	if len(r.workers) == 0 {
		return worker{}, false
	}
	w := r.workers[0]
	r.workers = slices.Delete(r.workers, 0, 1)
	return w, true
}

// failure is the first thing that went wrong in a generation and ends it.
type failure struct {
	status    string
	errorType string
	message   string
}

// generation is the processes between one Init and the next reset or shutdown. Its fields belong to the environment's
// lock.
type generation struct {
	number     int
	phase      string
	hub        *hub
	extensions []*extension
	runtime    runtimeAgent
	// pids are the sessions of all processes: those of what was started, and those begun since.
	pids []int

	failure *failure
	// registrationClosed is set by the runtime's first next.
	registrationClosed bool
	// initialised says that Init is over.
	initialised bool
	// stopping says that the end of a process is no surprise any more.
	stopping bool
	// ended is closed when no process is left.
	ended chan struct{}

	// initDuration is told in the first report, unless the Init phase was a suppressed one.
	initDuration time.Duration
	// restored is how the snapshot came back to life, if it did.
	restored    *RestoreReport
	invocations int
	// running are the invocations by their request ids: one at most, except on Managed Instances.
	running map[string]*invocation
}

// fail notes a failure if it is the first.
func (g *generation) fail(errorType, message string) {
	if g.failure == nil && !g.stopping {
		g.failure = &failure{status: StatusError, errorType: errorType, message: message}
	}
}

func (g *generation) external(name string) *extension {
	for _, x := range g.extensions {
		if x.name == name && !x.internal {
			return x
		}
	}
	return nil
}

func (g *generation) all(cond func(*extension) bool) bool {
	for _, x := range g.extensions {
		if !cond(x) {
			return false
		}
	}
	return true
}

func (g *generation) any(cond func(*extension) bool) bool {
	return slices.ContainsFunc(g.extensions, cond)
}

// invocationNumber is that of the running invocation, 0 if there is none or more than one.
func (g *generation) invocationNumber() int {
	if len(g.running) != 1 {
		return 0
	}
	for _, inv := range g.running {
		return inv.Number
	}
	return 0
}

// invocation is one invocation and what only the simulator needs to know about it. Its fields belong to the
// environment's lock.
type invocation struct {
	Invocation

	id       string // Lambda-Runtime-Invocation-Id
	tracing  tracingRecord
	deadline time.Time

	// begun says that platform.start has been emitted.
	begun bool
	// dispatched is when function and extensions got it.
	dispatched time.Time
	firstByte  time.Time
	lastByte   time.Time
	// answered says that the caller's result is known, result is closed when the caller may have it.
	answered bool
	result   chan struct{}
	// responding says that the runtime is sending its response.
	responding bool
	// outOfMemory says that the function was killed for it.
	outOfMemory bool
}

func newInvocation(payload []byte) *invocation {
	return &invocation{
		Invocation: Invocation{RequestID: uuid.NewString(), Payload: slices.Clone(payload)},
		id:         uuid.NewString(),
		tracing:    newTracing(),
		result:     make(chan struct{}),
	}
}

// answer sets what the caller gets, once.
func (i *invocation) answer(status, errorType, message string, response []byte) {
	if i.answered {
		return
	}
	i.answered = true
	i.Status, i.ErrorType, i.Message, i.Response = status, errorType, message, response
}

// spans are those of platform.runtimeDone.
func (i *invocation) spans(runtimeNext time.Time) []spanRecord {
	spans := i.responseSpans()
	if spans == nil || runtimeNext.IsZero() {
		return nil
	}
	return append(spans, newSpan("runtimeOverhead", i.lastByte, runtimeNext))
}

// responseSpans are those of the response alone.
func (i *invocation) responseSpans() []spanRecord {
	if i.firstByte.IsZero() {
		return nil
	}
	return []spanRecord{
		newSpan("responseLatency", i.dispatched, i.firstByte),
		newSpan("responseDuration", i.firstByte, i.lastByte),
	}
}
