// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdasim

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
)

// initPhase is Init ahead of any invocation. Its processes are frozen when they are ready.
func (e *Environment) initPhase() error {
	e.mu.Lock()
	started := e.started
	e.mu.Unlock()
	if started {
		return errInitialised
	}
	if err := e.open(); err != nil {
		return err
	}
	if _, failed := e.initAhead(); failed != nil {
		return failed
	}
	e.freeze()
	return nil
}

// initAhead is Init as a phase of its own. There is no generation if it fails.
func (e *Environment) initAhead() (*generation, *InitError) {
	gen, failed := e.initialise(phaseInit, time.Now().Add(e.opts.InitTimeout))
	if failed != nil {
		e.stop(gen, e.resetReason(failed.Status))
		if e.managed() {
			e.finish()
		}
		return nil, failed
	}
	if e.managed() {
		e.background.Go(func() { e.watch(gen) })
	}
	return gen, nil
}

// initialise starts a generation of processes. If that fails, the generation still has to be stopped.
func (e *Environment) initialise(phase string, deadline time.Time) (*generation, *InitError) {
	start := time.Now()
	gen := e.newGeneration(phase)
	gen.hub.emit(telemetryapi.EventInitStart, initStartRecord{
		InitializationType: e.opts.Mode.initializationType(),
		Phase:              e.eventPhase(phase),
		FunctionName:       e.opts.FunctionName,
		FunctionVersion:    e.opts.FunctionVersion,
		InstanceID:         e.instance,
		InstanceMaxMemory:  e.opts.memoryBytes(),
	})

	// Lambda starts the runtime only after every extension has registered.
	e.launchExtensions(gen)
	failed := e.reach(gen, deadline, func() bool {
		return gen.all(func(x *extension) bool { return x.internal || x.state != stateStarted })
	})
	if failed == nil {
		e.launchRuntime(gen)
		failed = e.reach(gen, deadline, func() bool {
			return gen.runtime.state == stateReady || gen.runtime.state == stateRestoreReady
		})
	}
	e.drainOutput(gen)
	gen.hub.emit(telemetryapi.EventInitRuntimeDone, e.initEnd(phase, failed, nil))
	if failed == nil {
		failed = e.reach(gen, deadline, func() bool {
			return gen.all(func(x *extension) bool { return x.state == stateReady })
		})
	}
	return gen, e.endInit(gen, start, failed)
}

// reach waits for cond and says what prevented it.
func (e *Environment) reach(gen *generation, deadline time.Time, cond func() bool) *failure {
	reached := e.await(deadline, func() bool { return gen.failure != nil || cond() })
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	// A failure counts even if what was waited for has come meanwhile.
	case gen.failure != nil:
		return gen.failure
	case cond():
		return nil
	case !reached && e.isClosing():
		return &failure{StatusFailure, errorSandboxFailure, "the simulator was closed"}
	}
	return &failure{status: StatusTimeout, errorType: errorSandboxTimeout}
}

// eventPhase is the name of a phase in events.
func (e *Environment) eventPhase(phase string) string {
	if phase == phaseInit {
		return e.opts.InitPhase
	}
	return phase
}

func (e *Environment) initEnd(phase string, failed *failure, metrics *durationMetrics) initEndRecord {
	record := initEndRecord{
		InitializationType: e.opts.Mode.initializationType(), Phase: e.eventPhase(phase), Status: StatusSuccess,
		Metrics: metrics,
	}
	if failed != nil {
		record.Status, record.ErrorType = failed.status, failed.errorType
	}
	return record
}

// endInit notes how Init went.
func (e *Environment) endInit(gen *generation, start time.Time, failed *failure) *InitError {
	duration := time.Since(start)
	e.mu.Lock()
	defer e.mu.Unlock()
	if failed != nil && failed.status == StatusTimeout {
		failed.message = e.blameInitTimeout(gen, duration)
	}
	gen.initialised = true
	if gen.phase == phaseInit && e.opts.tellsInitDuration() {
		gen.initDuration = duration
	}
	report := InitReport{
		Generation: gen.number, Phase: gen.phase, Start: start, Duration: duration, Status: StatusSuccess,
		Extensions: []ExtensionInit{},
	}
	if rt := gen.runtime; rt.proc != nil && !rt.firstNext.IsZero() {
		report.Runtime = rt.firstNext.Sub(rt.proc.started)
	}
	for _, x := range gen.extensions {
		init := ExtensionInit{
			Name: x.name, State: string(x.state), Events: append([]string{}, x.events...),
			Register: x.since(x.registered), FirstNext: x.since(x.firstNext),
		}
		if x.proc != nil {
			init.PID = x.proc.pid
		}
		report.Extensions = append(report.Extensions, init)
	}
	var initErr *InitError
	if failed != nil {
		report.Status, report.ErrorType, report.Message = failed.status, failed.errorType, failed.message
		initErr = &InitError{Status: failed.status, ErrorType: failed.errorType, Message: failed.message}
		for _, x := range gen.extensions {
			// Those that got ready have had their event.
			if x.firstNext.IsZero() && x.state != stateLaunchError {
				gen.hub.emit(telemetryapi.EventExtension, x.record())
			}
		}
	}
	e.report.Inits = append(e.report.Inits, report)
	metrics := &durationMetrics{DurationMs: millis(duration)}
	gen.hub.emit(telemetryapi.EventInitReport, e.initEnd(gen.phase, failed, metrics))
	gen.hub.closeSubscriptions()
	return initErr
}

// blameInitTimeout says who was waited for. The lock must be held.
func (e *Environment) blameInitTimeout(gen *generation, after time.Duration) string {
	var blamed []string
	for _, x := range gen.extensions {
		switch x.state {
		case stateStarted:
			blamed = append(blamed, fmt.Sprintf("extension %s had not registered", x.name))
			e.violations.add(ViolationNeverRegistered, x.name, 0, fmt.Sprintf("had not registered %s after the start", after))
		case stateRegistered:
			// Before the runtime has started, this one is not to blame.
			if gen.runtime.proc == nil {
				continue
			}
			blamed = append(blamed, fmt.Sprintf("extension %s had not called next", x.name))
			e.violations.add(ViolationLateFirstNext, x.name, 0, fmt.Sprintf("had not called next %s after the start", after))
		}
	}
	if gen.runtime.proc != nil && gen.runtime.state == stateStarted {
		blamed = append(blamed, "the runtime had not called next")
	}
	return fmt.Sprintf("after %s %s", after.Round(time.Millisecond), strings.Join(blamed, ", "))
}

func (e *Environment) newGeneration(phase string) *generation {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.number++
	e.started = true
	e.gen = &generation{
		number:  e.number,
		phase:   phase,
		hub:     newHub(e.gate, e.opts.LogFormat == LogFormatJSON, e.observe),
		runtime: runtimeAgent{state: stateStarted},
		running: map[string]*invocation{},
		ended:   make(chan struct{}),
	}
	e.gen.hub.tenant, e.gen.hub.faults = e.opts.TenantID, e.opts.TelemetryFaults
	return e.gen
}

// launchExtensions starts all of the layer's extensions before it waits for any.
func (e *Environment) launchExtensions(gen *generation) {
	names, err := extensionNames(e.opts.LayerDir)
	e.mu.Lock()
	defer e.mu.Unlock()
	if err != nil {
		gen.fail(errorExtensionLaunch, err.Error())
		return
	}
	for i, name := range names {
		x := &extension{name: name, state: stateStarted}
		gen.extensions = append(gen.extensions, x)
		if i >= maxExtensions {
			e.launchFailed(gen, x, "TooManyExtensions",
				fmt.Errorf("AWS Lambda allows %d extensions, there are %d", maxExtensions, len(names)))
		}
	}
	// The lock is not held during a start: an extension may register before it is over.
	for _, x := range gen.extensions {
		if x.state != stateStarted {
			continue
		}
		e.mu.Unlock()
		err := e.launchExtension(gen, x)
		e.mu.Lock()
		if err != nil {
			errorType := "UnknownError"
			if errors.Is(err, fs.ErrPermission) {
				errorType = "PermissionDenied"
			}
			e.launchFailed(gen, x, errorType, err)
		}
	}
}

func (e *Environment) launchFailed(gen *generation, x *extension, errorType string, err error) {
	x.state, x.errorType = stateLaunchError, errorType
	gen.hub.emit(telemetryapi.EventExtension, x.record())
	e.violations.add(ViolationLaunch, x.name, 0, err.Error())
	gen.fail(errorExtensionLaunch, fmt.Sprintf("cannot start extension %s: %s", x.name, err))
}

func (e *Environment) sandbox() sandbox {
	return sandbox{api: e.listener.Addr().String(), token: e.token, tempDir: e.tempDir}
}

// extensionNames lists what Lambda takes for extensions, in the order of their names.
func extensionNames(layer string) ([]string, error) {
	if layer == "" {
		return nil, nil
	}
	if _, err := os.Stat(layer); err != nil {
		return nil, fmt.Errorf("cannot read the layer: %w", err)
	}
	entries, err := os.ReadDir(filepath.Join(layer, "extensions"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the layer: %w", err)
	}
	var names []string
	for _, entry := range entries {
		if !entry.IsDir() {
			names = append(names, entry.Name())
		}
	}
	return names, nil
}

func (e *Environment) launchExtension(gen *generation, x *extension) error {
	c := command{
		argv: []string{filepath.Join(e.opts.LayerDir, "extensions", x.name)},
		// Lambda does not document the working directory, so there must be nothing useful in it.
		dir:  string(filepath.Separator),
		env:  e.opts.extensionEnv(e.sandbox()),
		emit: e.lineSink(gen, "extension "+x.name, telemetryapi.StreamExtension),
	}
	p, err := c.start(e.spawner, e.freezer, func(p *process) {
		e.mu.Lock()
		defer e.mu.Unlock()
		p.end()
		x.proc, x.exited = p, time.Now()
		// One that has reported an error has to end.
		if x.state != stateInitError && x.state != stateExitError {
			x.state = stateExited
			x.crashed = !gen.stopping
		}
		if x.crashed {
			message := fmt.Sprintf("ended with %s although nobody asked it to", p.status)
			e.violations.add(ViolationCrash, x.name, gen.invocationNumber(), message)
			gen.fail(errorExtensionCrash, fmt.Sprintf("extension %s %s", x.name, message))
		}
		e.tell(EventSimExit, exitRecord{Name: x.name, PID: p.pid, Status: p.status.String()})
		e.notify()
	})
	if err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	x.proc = p
	gen.pids = append(gen.pids, p.pid)
	return nil
}

// exitRecord is the payload of EventSimExit.
type exitRecord struct {
	Name   string `json:"name"`
	PID    int    `json:"pid"`
	Status string `json:"status"`
}

func (e *Environment) launchRuntime(gen *generation) {
	p, err := e.startFunction(gen)
	e.mu.Lock()
	defer e.mu.Unlock()
	if err != nil {
		gen.fail(errorInvalidEntry, fmt.Sprintf("cannot start the function: %s", err))
		return
	}
	gen.runtime.proc = p
	gen.pids = append(gen.pids, p.pid)
}

func (e *Environment) startFunction(gen *generation) (*process, error) {
	program, err := exec.LookPath(e.opts.Function[0])
	if err != nil {
		return nil, err
	}
	c := command{
		argv: append([]string{program}, e.opts.Function[1:]...),
		dir:  cmp.Or(e.opts.FunctionDir, filepath.Dir(program)),
		emit: e.lineSink(gen, "function", telemetryapi.StreamFunction),
	}
	c.env = e.opts.functionEnv(e.sandbox(), c.dir, e.instance)
	return c.start(e.spawner, e.freezer, func(p *process) {
		e.mu.Lock()
		defer e.mu.Unlock()
		p.end()
		gen.runtime.proc = p
		if gen.runtime.state != stateInitError {
			gen.runtime.state = stateExited
		}
		message := "Runtime exited with error: " + p.status.String()
		if p.status.Success() {
			message = "Runtime exited without providing a reason"
		}
		gen.fail(errorRuntimeExit, message)
		e.tell(EventSimExit, exitRecord{Name: "function", PID: p.pid, Status: p.status.String()})
		e.notify()
	})
}

// lineSink is where the lines of a process go.
func (e *Environment) lineSink(gen *generation, source string, stream telemetryapi.Stream) func(string) {
	return func(line string) {
		e.echo(source, line)
		gen.hub.line(stream, line)
	}
}

// drainOutput makes events of everything the processes have written, so that it comes before what follows.
func (e *Environment) drainOutput(gen *generation) {
	for _, p := range e.processes(gen) {
		p.output.drain()
	}
}

// processes are all that have been started.
func (e *Environment) processes(gen *generation) []*process {
	e.mu.Lock()
	defer e.mu.Unlock()
	var list []*process
	for _, x := range gen.extensions {
		if x.proc != nil {
			list = append(list, x.proc)
		}
	}
	if gen.runtime.proc != nil {
		list = append(list, gen.runtime.proc)
	}
	return slices.Clip(list)
}
