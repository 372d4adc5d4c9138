// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdasim

import (
	"net/http"
	"time"

	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
)

// isSnapshot says that a generation waits to be restored.
func (e *Environment) isSnapshot(gen *generation) bool {
	if e.opts.Mode != ModeSnapStart || gen == nil {
		return false
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return gen.phase == phaseInit && gen.restored == nil
}

// restore brings the snapshot back to life, as an environment with a name of its own.
func (e *Environment) restore(gen *generation) *failure {
	start := time.Now()
	e.instance = newInstanceID(e.opts.FunctionVersion, start)
	// The connections of a snapshot lead nowhere.
	e.deliveries.CloseIdleConnections()
	gen.hub.emit(telemetryapi.EventRestoreStart, restoreStartRecord{
		FunctionName:      e.opts.FunctionName,
		FunctionVersion:   e.opts.FunctionVersion,
		InstanceID:        e.instance,
		InstanceMaxMemory: e.opts.memoryBytes(),
	})
	e.thaw()
	told := e.tellRestored(gen)
	failed := e.reach(gen, start.Add(e.opts.RestoreTimeout), func() bool { return gen.runtime.state == stateReady })
	if failed != nil && failed.status == StatusTimeout {
		failed.message = "the runtime had not called next " + e.opts.RestoreTimeout.String() + " after the restore began"
	}
	e.drainOutput(gen)
	e.endRestore(gen, start, told, failed)
	return failed
}

// tellRestored answers a runtime that waits for the restore, and returns when that was. One that does not is restored
// without knowing.
func (e *Environment) tellRestored(gen *generation) (told time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if gen.runtime.state != stateRestoreReady {
		return time.Time{}
	}
	gen.runtime.state = stateRestoring
	close(gen.runtime.restored)
	return time.Now()
}

// endRestore notes how the restore went.
func (e *Environment) endRestore(gen *generation, start, told time.Time, failed *failure) {
	e.mu.Lock()
	defer e.mu.Unlock()
	report := RestoreReport{
		InstanceID: e.instance, Start: start, Duration: time.Since(start), Status: StatusSuccess,
	}
	if failed == nil && !told.IsZero() {
		report.Billed = max(0, gen.runtime.lastNext.Sub(told))
	}
	record := restoreEndRecord{Status: StatusSuccess}
	if failed != nil {
		report.Status, report.ErrorType, report.Message = failed.status, failed.errorType, failed.message
		record.Status, record.ErrorType = failed.status, eventErrorType(failed)
	}
	gen.restored = &report
	e.report.Restores = append(e.report.Restores, report)
	gen.hub.emit(telemetryapi.EventRestoreRuntimeDone, record)
	record.Metrics = &durationMetrics{DurationMs: millis(report.Duration)}
	gen.hub.emit(telemetryapi.EventRestoreReport, record)
}

func notSnapStart() *apiError {
	return &apiError{http.StatusNotFound, "InvalidStateTransition", "SnapStart is not enabled for this function"}
}

func (e *Environment) handleRestoreNext(w http.ResponseWriter, r *http.Request) {
	gen, restored, failed := e.restoreNext()
	if failed != nil {
		failed.write(w)
		return
	}
	select {
	case <-restored:
		writeBody(w, http.StatusOK, nil)
	case <-gen.ended:
		hangUp()
	case <-r.Context().Done():
	}
}

// restoreNext says that the runtime is ready for the snapshot, and returns what is closed after its restore.
func (e *Environment) restoreNext() (*generation, <-chan struct{}, *apiError) {
	e.mu.Lock()
	defer e.mu.Unlock()
	gen := e.gen
	switch {
	case e.opts.Mode != ModeSnapStart:
		return nil, nil, notSnapStart()
	case gen == nil:
		return nil, nil, invalidTransition(stateExited, stateRestoreReady)
	case gen.runtime.state != stateStarted:
		return nil, nil, invalidTransition(gen.runtime.state, stateRestoreReady)
	}
	gen.runtime.restored = make(chan struct{})
	gen.registrationClosed = true
	if gen.phase == phaseInvoke {
		// A suppressed init makes no snapshot: there is nothing to wait for.
		gen.runtime.state = stateRestoring
		close(gen.runtime.restored)
		return gen, gen.runtime.restored, nil
	}
	gen.runtime.state = stateRestoreReady
	gen.runtime.firstNext = time.Now()
	e.notify()
	return gen, gen.runtime.restored, nil
}

func (e *Environment) handleRestoreError(w http.ResponseWriter, r *http.Request) {
	body, failed := readBody(w, r)
	if failed == nil {
		failed = e.restoreError(cleanErrorType(r.Header.Get(headerRuntimeType)), errorMessage(body))
	}
	if failed != nil {
		failed.write(w)
		return
	}
	accepted(w)
}

func (e *Environment) restoreError(errorType, message string) *apiError {
	e.mu.Lock()
	defer e.mu.Unlock()
	gen := e.gen
	switch {
	case e.opts.Mode != ModeSnapStart:
		return notSnapStart()
	case gen == nil:
		return invalidTransition(stateExited, stateRestoreError)
	case gen.runtime.state != stateRestoring:
		return invalidTransition(gen.runtime.state, stateRestoreError)
	}
	gen.runtime.state = stateRestoreError
	gen.fail(errorType, message)
	e.notify()
	return nil
}
