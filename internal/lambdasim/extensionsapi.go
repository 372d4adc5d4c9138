// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdasim

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
)

const (
	headerName        = "Lambda-Extension-Name"
	headerIdentifier  = "Lambda-Extension-Identifier"
	headerEventID     = "Lambda-Extension-Event-Identifier"
	headerFeature     = "Lambda-Extension-Accept-Feature"
	headerExtErrType  = "Lambda-Extension-Function-Error-Type"
	headerRuntimeType = "Lambda-Runtime-Function-Error-Type"
)

// maxAPIBody bounds request bodies of the Extensions and Telemetry APIs, as AWS's emulator for Managed Instances does.
const maxAPIBody = 1 << 20

// writeTimeout bounds the write of an answer. A frozen process reads nothing, but answers fit the socket's buffer.
const writeTimeout = 10 * time.Second

// apiError is an error answer of any of the APIs.
type apiError struct {
	status  int
	kind    string
	message string
}

func forbidden(kind, format string, args ...any) *apiError {
	return &apiError{status: http.StatusForbidden, kind: kind, message: fmt.Sprintf(format, args...)}
}

func (a *apiError) write(w http.ResponseWriter) {
	writeJSON(w, a.status, struct {
		ErrorMessage string `json:"errorMessage"`
		ErrorType    string `json:"errorType"`
	}{a.message, a.kind})
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	writeBody(w, status, marshal(body))
}

func writeBody(w http.ResponseWriter, status int, body []byte) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout))
	w.WriteHeader(status)
	// A client that has gone away is no concern of the server's.
	_, _ = w.Write(body)
}

func accepted(w http.ResponseWriter) {
	writeJSON(w, http.StatusAccepted, struct {
		Status string `json:"status"`
	}{"OK"})
}

// hangUp ends a request without an answer, because there is none for a process that is about to be killed.
func hangUp() { panic(http.ErrAbortHandler) }

// readBody reads a whole body of limited size.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, *apiError) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxAPIBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, &apiError{http.StatusRequestEntityTooLarge, "RequestEntityTooLarge",
			fmt.Sprintf("Exceeded maximum allowed payload size (%d bytes).", maxAPIBody)}
	case err != nil:
		return nil, &apiError{http.StatusBadRequest, "InvalidRequestFormat", "cannot read the body"}
	}
	return body, nil
}

func (e *Environment) handleRegister(w http.ResponseWriter, r *http.Request) {
	e.pause(r, e.opts.RegisterDelay)
	body, failed := readBody(w, r)
	if failed != nil {
		failed.write(w)
		return
	}
	identifier, failed := e.register(r.Header.Get(headerName), body)
	if failed != nil {
		failed.write(w)
		return
	}
	answer := struct {
		FunctionName    string `json:"functionName"`
		FunctionVersion string `json:"functionVersion"`
		Handler         string `json:"handler"`
		AccountID       string `json:"accountId,omitempty"`
	}{FunctionName: e.opts.FunctionName, FunctionVersion: e.opts.FunctionVersion, Handler: e.opts.Handler}
	for feature := range strings.SplitSeq(r.Header.Get(headerFeature), ",") {
		if strings.TrimSpace(feature) == "accountId" {
			answer.AccountID = e.opts.AccountID
		}
	}
	w.Header().Set(headerIdentifier, identifier)
	writeJSON(w, http.StatusOK, answer)
}

func (e *Environment) register(name string, body []byte) (identifier string, failed *apiError) {
	var request struct {
		Events            []string          `json:"events"`
		ConfigurationKeys []json.RawMessage `json:"configurationKeys"`
	}
	if len(body) > 0 {
		if err := json.Unmarshal(body, &request); err != nil {
			return "", forbidden("InvalidRequestFormat", "%s", err)
		}
	}
	if len(request.ConfigurationKeys) > 0 {
		return "", forbidden("InvalidRequestFormat", "configurationKeys are deprecated; use environment variables")
	}
	if name == "" {
		return "", forbidden("Extension.InvalidExtensionName", "Empty extension name")
	}

	e.mu.Lock()
	defer e.mu.Unlock()
	gen := e.gen
	if gen == nil {
		return "", registrationClosed()
	}
	x := gen.external(name)
	if x != nil && x.id != "" {
		e.violations.add(ViolationSecondRegister, name, gen.invocationNumber(), "registered a second time")
	}
	if gen.registrationClosed {
		return "", registrationClosed()
	}
	internal := x == nil
	if e.managed() && slices.Contains(request.Events, eventInvoke) {
		return "", e.refuseInvoke(gen, name)
	}
	for _, event := range request.Events {
		if event != eventInvoke && (event != eventShutdown || internal) {
			return "", forbidden("Extension.InvalidEventType", "%s: event %q is not supported", name, event)
		}
	}
	if internal {
		if x, failed = e.addInternal(gen, name); failed != nil {
			return "", failed
		}
	}
	if x.state != stateStarted {
		return "", invalidState(x, stateRegistered)
	}
	x.id = uuid.NewString()
	x.events = slices.Compact(slices.Sorted(slices.Values(request.Events)))
	x.state = stateRegistered
	x.registered = time.Now()
	e.notify()
	return x.id, nil
}

func registrationClosed() *apiError {
	return forbidden("Extension.RegistrationClosed", "Extension registration closed already")
}

// addInternal makes room for a name that no file in the layer has. Lambda takes it for an extension in the function's
// process, but before that has started it can only be one that does not know its own name.
func (e *Environment) addInternal(gen *generation, name string) (*extension, *apiError) {
	for _, x := range gen.extensions {
		if x.name == name {
			return x, nil
		}
	}
	if len(gen.extensions) >= maxExtensions {
		return nil, forbidden("Extension.TooManyExtensions", "Extension limit (%d) reached", maxExtensions)
	}
	if gen.runtime.proc == nil {
		e.violations.add(ViolationWrongName, name, 0, fmt.Sprintf(
			"registered as %q, which is no file in the extensions directory: Lambda goes on waiting for the real name", name))
	}
	x := &extension{name: name, internal: true, state: stateStarted}
	gen.extensions = append(gen.extensions, x)
	return x, nil
}

func invalidState(x *extension, to agentState) *apiError {
	return forbidden("Extension.InvalidExtensionState",
		"State transition from %s to %s failed for extension %s. Error: State transition is not allowed",
		x.state, to, x.name)
}

// identify finds the caller. The environment's lock must be held.
func (e *Environment) identify(r *http.Request) (*generation, *extension, *apiError) {
	identifier := r.Header.Get(headerIdentifier)
	if identifier == "" {
		return nil, nil, forbidden("Extension.MissingExtensionIdentifier", "Missing %s header", headerIdentifier)
	}
	if _, err := uuid.Parse(identifier); err != nil {
		return nil, nil, forbidden("Extension.InvalidExtensionIdentifier", "Invalid %s", headerIdentifier)
	}
	if e.gen != nil {
		for _, x := range e.gen.extensions {
			if x.id == identifier {
				return e.gen, x, nil
			}
		}
	}
	return nil, nil, forbidden("Extension.UnknownExtensionIdentifier", "Unknown extension %s", identifier)
}

func (e *Environment) handleExtensionNext(w http.ResponseWriter, r *http.Request) {
	gen, waiter, failed := e.extensionNext(r)
	if failed != nil {
		failed.write(w)
		return
	}
	select {
	case event := <-waiter:
		if event.EventType == eventInvoke {
			w.Header().Set(headerEventID, uuid.NewString())
		}
		writeJSON(w, http.StatusOK, event)
	case <-gen.ended:
		hangUp()
	case <-r.Context().Done():
	}
}

// extensionNext makes the caller ready and returns where its event will come.
func (e *Environment) extensionNext(r *http.Request) (*generation, <-chan extensionEvent, *apiError) {
	e.mu.Lock()
	defer e.mu.Unlock()
	gen, x, failed := e.identify(r)
	if failed != nil {
		return nil, nil, failed
	}
	switch x.state {
	case stateRegistered, stateRunning:
	case stateReady:
		e.violations.add(ViolationSecondNext, x.name, gen.invocationNumber(),
			"called next while its previous next was pending, or had been abandoned")
		return nil, nil, invalidState(x, stateReady)
	default:
		return nil, nil, invalidState(x, stateReady)
	}
	now := time.Now()
	x.state = stateReady
	x.lastNext = now
	waiter := make(chan extensionEvent, 1)
	x.waiter = waiter
	if x.firstNext.IsZero() {
		x.firstNext = now
		gen.hub.emit(telemetryapi.EventExtension, x.record())
		if limit := e.opts.FirstNextLimit; limit > 0 && x.since(now) > limit {
			e.violations.add(ViolationLateFirstNext, x.name, 0, fmt.Sprintf(
				"called next for the first time %s after its start, the limit is %s", x.since(now), limit))
		}
	}
	if event := x.queued; event != nil {
		x.queued = nil
		x.send(*event)
	}
	e.notify()
	return gen, waiter, nil
}

func (e *Environment) handleInitError(w http.ResponseWriter, r *http.Request) {
	e.handleExtensionError(w, r, stateInitError, errorExtensionInit, stateRegistered)
}

func (e *Environment) handleExitError(w http.ResponseWriter, r *http.Request) {
	e.handleExtensionError(w, r, stateExitError, errorExtensionExit, stateRegistered, stateReady, stateRunning)
}

func (e *Environment) handleExtensionError(
	w http.ResponseWriter, r *http.Request, to agentState, errorType string, from ...agentState,
) {
	body, failed := readBody(w, r)
	if failed == nil {
		failed = e.extensionError(r, string(body), to, errorType, from)
	}
	if failed != nil {
		failed.write(w)
		return
	}
	accepted(w)
}

func (e *Environment) extensionError(
	r *http.Request, body string, to agentState, errorType string, from []agentState,
) *apiError {
	e.mu.Lock()
	defer e.mu.Unlock()
	gen, x, failed := e.identify(r)
	if failed != nil {
		return failed
	}
	reported := r.Header.Get(headerExtErrType)
	switch {
	case reported == "":
		return forbidden("Extension.MissingHeader", "%s not found", headerExtErrType)
	case x.state == to:
		return nil
	case !slices.Contains(from, x.state):
		return invalidState(x, to)
	}
	x.state, x.errorType = to, reported
	message := fmt.Sprintf("extension %s reported %s", x.name, reported)
	if body != "" {
		message += ": " + body
	}
	if !gen.stopping {
		e.violations.add(ViolationReportedError, x.name, gen.invocationNumber(), message)
	}
	gen.fail(errorType, message)
	e.notify()
	return nil
}
