// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdasim

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const (
	// maxResponse is the quota of a buffered response, and maxStream of a streamed one.
	maxResponse = 6_291_556
	maxStream   = 200 << 20

	modeStreaming = "streaming"

	errorResponseTooLarge  = "Function.ResponseSizeTooLarge"
	errorTruncatedResponse = "Runtime.TruncatedResponse"
	errorFunctionUnknown   = "Function.Unknown"
	errorRuntimeUnknown    = "Runtime.Unknown"
)

// knownErrorType is what Lambda keeps of the error types that functions report.
var knownErrorType = regexp.MustCompile(`^(Runtime|Function)\.[A-Z][a-zA-Z]+$`)

func cleanErrorType(reported string) string {
	switch {
	case knownErrorType.MatchString(reported):
		return reported
	case strings.HasPrefix(reported, "Runtime."):
		return errorRuntimeUnknown
	}
	return errorFunctionUnknown
}

func (e *Environment) handlePing(w http.ResponseWriter, _ *http.Request) {
	writeBody(w, http.StatusOK, []byte("pong"))
}

func (e *Environment) handleRuntimeNext(w http.ResponseWriter, r *http.Request) {
	gen, waiter, failed := e.runtimeNext(r)
	if failed != nil {
		failed.write(w)
		return
	}
	select {
	case inv := <-waiter:
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("Lambda-Runtime-Aws-Request-Id", inv.RequestID)
		h.Set("Lambda-Runtime-Invocation-Id", inv.id)
		h.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(inv.deadline.UnixMilli(), 10))
		h.Set("Lambda-Runtime-Invoked-Function-Arn", e.opts.functionARN())
		h.Set("Lambda-Runtime-Trace-Id", inv.tracing.Value)
		if e.opts.TenantID != "" {
			h.Set("Lambda-Runtime-Aws-Tenant-Id", e.opts.TenantID)
		}
		writeBody(w, http.StatusOK, inv.Payload)
	case <-gen.ended:
		hangUp()
	case <-r.Context().Done():
	}
}

func (e *Environment) runtimeNext(r *http.Request) (*generation, <-chan *invocation, *apiError) {
	e.mu.Lock()
	defer e.mu.Unlock()
	gen := e.gen
	if gen == nil {
		return nil, nil, invalidTransition(stateExited, stateReady)
	}
	rt := &gen.runtime
	// A client that has given up its request may ask again.
	rt.forget()
	switch rt.state {
	case stateStarted, stateResponseSent, stateRestoring:
	case stateReady:
		if len(rt.workers) >= e.opts.Concurrency {
			return nil, nil, invalidTransition(rt.state, stateReady)
		}
	default:
		return nil, nil, invalidTransition(rt.state, stateReady)
	}
	now := time.Now()
	if rt.firstNext.IsZero() {
		rt.firstNext = now
	}
	if rt.state != stateReady {
		rt.lastNext = now
	}
	rt.state = stateReady
	waiter := make(chan *invocation, 1)
	rt.workers = append(rt.workers, worker{answer: waiter, waiting: r.Context()})
	gen.registrationClosed = true
	e.notify()
	return gen, waiter, nil
}

func invalidTransition(from, to agentState) *apiError {
	return forbidden("InvalidStateTransition", "Transition from %s to %s is not allowed for runtime.", from, to)
}

// beginAnswer checks that the runtime may answer the request of the path now.
func (e *Environment) beginAnswer(r *http.Request) (*generation, *invocation, *apiError) {
	e.mu.Lock()
	defer e.mu.Unlock()
	gen := e.gen
	var inv *invocation
	if gen != nil {
		inv = gen.running[r.PathValue("id")]
	}
	if inv == nil {
		return nil, nil, &apiError{http.StatusBadRequest, "InvalidRequestID", "Invalid request ID"}
	}
	if id := r.Header.Get("Lambda-Runtime-Invocation-Id"); id != "" && id != inv.id {
		return nil, nil, &apiError{http.StatusBadRequest, "InvalidInvocationId", "Invalid invocation ID"}
	}
	if !e.mayAnswer(gen, inv) || inv.responding {
		return nil, nil, invalidTransition(gen.runtime.state, stateResponseSent)
	}
	if n := e.opts.OutOfMemory; n > 0 && inv.Number == n {
		e.runOutOfMemory(gen, inv)
		hangUp()
	}
	inv.responding = true
	return gen, inv, nil
}

// endAnswer takes the runtime's answer. The lock is not held while a body is read, so the invocation can have ended.
func (e *Environment) endAnswer(gen *generation, inv *invocation, answer func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	inv.responding = false
	if !e.mayAnswer(gen, inv) || gen.running[inv.RequestID] != inv {
		return
	}
	if e.managed() {
		e.endManagedAnswer(gen, inv, answer)
	} else {
		gen.runtime.state = stateResponseSent
		answer()
	}
	e.notify()
}

// mayAnswer says whether the runtime has the invocation. The lock must be held.
func (e *Environment) mayAnswer(gen *generation, inv *invocation) bool {
	if e.managed() {
		return !inv.answered || inv.Status == StatusTimeout
	}
	return gen.runtime.state == stateRunning
}

// runOutOfMemory kills the function as the kernel does, when it has done its work and is about to answer. The lock must
// be held, so that the end of the process is not noticed before its reason.
func (e *Environment) runOutOfMemory(gen *generation, inv *invocation) {
	if gen.runtime.proc != nil {
		killFamily([]int{gen.runtime.proc.pid})
	}
	inv.outOfMemory = true
	gen.fail(errorOutOfMemory, "Runtime exited with error: signal: killed")
	e.notify()
}

func (e *Environment) handleResponse(w http.ResponseWriter, r *http.Request) {
	streaming := false
	switch mode := r.Header.Get("Lambda-Runtime-Function-Response-Mode"); mode {
	case "":
	case modeStreaming:
		streaming = true
	default:
		(&apiError{http.StatusBadRequest, "InvalidFunctionResponseMode",
			fmt.Sprintf("Invalid function response mode %q", mode)}).write(w)
		return
	}
	gen, inv, failed := e.beginAnswer(r)
	if failed != nil {
		failed.write(w)
		return
	}
	limit := maxResponse
	if streaming {
		limit = maxStream
	}
	body, err := readResponse(r.Body, limit)
	errorType, message := errorFromTrailer(r.Trailer)
	status, response := StatusSuccess, body.data
	switch {
	case errors.Is(err, errTooLarge):
		failed = &apiError{http.StatusRequestEntityTooLarge, "RequestEntityTooLarge",
			fmt.Sprintf("Exceeded maximum allowed payload size (%d bytes).", limit)}
		errorType, message = errorResponseTooLarge, fmt.Sprintf(
			"Response payload size exceeded maximum allowed payload size (%d bytes).", limit)
	case err != nil:
		failed = &apiError{http.StatusBadRequest, "TruncatedHTTPRequest", "HTTP request detected as truncated"}
		errorType, message = errorTruncatedResponse, "the response ended early"
	}
	if errorType != "" {
		status = StatusError
		if failed != nil {
			response = errorResponse(errorType, message)
		}
	}
	e.endAnswer(gen, inv, func() {
		inv.firstByte, inv.lastByte = body.first, time.Now()
		inv.answer(status, errorType, message, response)
	})
	if failed != nil {
		failed.write(w)
		return
	}
	accepted(w)
}

var errTooLarge = errors.New("body is too large")

type responseBody struct {
	data  []byte
	first time.Time
}

// readResponse reads to the end even if the body is too large, because a client that is still writing would otherwise
// see a broken connection and not our answer.
func readResponse(r io.Reader, limit int) (responseBody, error) {
	body := responseBody{}
	var head [1]byte
	n, err := io.ReadFull(r, head[:])
	body.first = time.Now()
	if errors.Is(err, io.EOF) {
		return body, nil
	}
	if err != nil {
		return body, err
	}
	body.data = append(body.data, head[:n]...)
	rest, err := io.ReadAll(io.LimitReader(r, int64(limit)))
	if err != nil {
		return body, err
	}
	body.data = append(body.data, rest...)
	if len(body.data) > limit {
		_, _ = io.CopyN(io.Discard, r, maxStream)
		return body, errTooLarge
	}
	return body, nil
}

// errorFromTrailer finds an error that happened after the response had begun.
func errorFromTrailer(trailer http.Header) (errorType, message string) {
	reported := trailer.Get(headerRuntimeType)
	if reported == "" {
		return "", ""
	}
	message = trailer.Get("Lambda-Runtime-Function-Error-Body")
	if decoded, err := base64.StdEncoding.DecodeString(message); err == nil {
		message = string(decoded)
	}
	return cleanErrorType(reported), errorMessage([]byte(message))
}

func (e *Environment) handleError(w http.ResponseWriter, r *http.Request) {
	gen, inv, failed := e.beginAnswer(r)
	if failed != nil {
		failed.write(w)
		return
	}
	body, err := readResponse(r.Body, maxResponse)
	if errors.Is(err, errTooLarge) {
		body.data = errorResponse(errorResponseTooLarge, "the error is larger than a response may be")
	}
	e.endAnswer(gen, inv, func() {
		inv.firstByte, inv.lastByte = body.first, time.Now()
		inv.answer(StatusError, cleanErrorType(r.Header.Get(headerRuntimeType)), errorMessage(body.data), body.data)
	})
	accepted(w)
}

func (e *Environment) handleRuntimeInitError(w http.ResponseWriter, r *http.Request) {
	body, failed := readBody(w, r)
	if failed == nil {
		failed = e.runtimeInitError(cleanErrorType(r.Header.Get(headerRuntimeType)), errorMessage(body))
	}
	if failed != nil {
		failed.write(w)
		return
	}
	accepted(w)
}

func (e *Environment) runtimeInitError(errorType, message string) *apiError {
	e.mu.Lock()
	defer e.mu.Unlock()
	gen := e.gen
	if gen == nil || gen.runtime.state != stateStarted {
		from := stateExited
		if gen != nil {
			from = gen.runtime.state
		}
		return invalidTransition(from, stateInitError)
	}
	gen.runtime.state = stateInitError
	gen.fail(errorType, message)
	e.notify()
	return nil
}

// errorMessage is the errorMessage of a runtime's error, or all of it.
func errorMessage(body []byte) string {
	var report struct {
		ErrorMessage string `json:"errorMessage"`
	}
	if err := json.Unmarshal(body, &report); err == nil && report.ErrorMessage != "" {
		return report.ErrorMessage
	}
	return string(body)
}

// errorResponse is what the caller of a function gets when the function could not say what went wrong.
func errorResponse(errorType, message string) []byte {
	return marshal(struct {
		ErrorMessage string `json:"errorMessage"`
		ErrorType    string `json:"errorType"`
	}{message, errorType})
}
