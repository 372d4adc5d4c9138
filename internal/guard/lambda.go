// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package guard

import (
	"errors"
	"strconv"
	"time"

	"github.com/otelcol-lambda/otelcol-lambda/internal/http1"
)

// The paths and headers of the AWS Lambda Extensions API (2020-01-01) and Telemetry API (2022-07-01).
const (
	pathRegister  = "/2020-01-01/extension/register"
	pathNext      = "/2020-01-01/extension/event/next"
	pathInitError = "/2020-01-01/extension/init/error"
	pathExitError = "/2020-01-01/extension/exit/error"
	pathTelemetry = "/2022-07-01/telemetry"

	headerName          = "Lambda-Extension-Name"
	headerIdentifier    = "Lambda-Extension-Identifier"
	headerAcceptFeature = "Lambda-Extension-Accept-Feature"
	headerErrorType     = "Lambda-Extension-Function-Error-Type"
	headerContentType   = "Content-Type"
	typeJSON            = "application/json"
)

const (
	statusOK            = 200
	statusAccepted      = 202
	statusForbidden     = 403
	statusNotFound      = 404
	statusInternalError = 500
	statusBadGateway    = 502
)

const (
	// relayTimeout bounds calls of the collector's that go through to Lambda.
	relayTimeout = 10 * time.Second

	retryDelay = 25 * time.Millisecond
	// maxFailures is after how many failures in a row, of about 6 seconds in all, the API is taken for gone.
	maxFailures = 8
	// maxInternalErrors is the same for a status of 500. AWS Lambda Extensions API: it is not recoverable, and the
	// extension should exit. Leaving costs the function its environment, so it is asked a second and a third time.
	maxInternalErrors = 3
)

// registerBody is the body of a registration. On Lambda Managed Instances INVOKE is refused.
func registerBody(managed bool) string {
	if managed {
		return `{"events":["SHUTDOWN"]}`
	}
	return `{"events":["INVOKE","SHUTDOWN"]}`
}

// registerRequest announces the extension. The name must be that of the executable.
func registerRequest(name string, managed bool) *http1.Request {
	return &http1.Request{
		Method: "POST",
		Target: pathRegister,
		Header: http1.Header{
			{Name: headerName, Value: name},
			{Name: headerAcceptFeature, Value: "accountId"},
			{Name: headerContentType, Value: typeJSON},
		},
		Body: []byte(registerBody(managed)),
	}
}

// statusError is an answer that is none.
type statusError struct {
	status int
	body   string
}

func (e *statusError) Error() string {
	return "the Extensions API answered " + strconv.Itoa(e.status) + ": " + e.body
}

// errorOf returns what is wrong with an answer, nil if it is a good one.
func errorOf(resp *http1.Response, err error) error {
	const shown = 200
	switch {
	case err != nil:
		return err
	case resp.Status != statusOK:
		return &statusError{status: resp.Status, body: string(resp.Body[:min(len(resp.Body), shown)])}
	default:
		return nil
	}
}

// failures counts what has gone wrong in a row.
type failures struct {
	all, internal int
}

// retryAfter notes a failure and returns how long to wait before the call is made again; false is never.
func (f *failures) retryAfter(err error) (time.Duration, bool) {
	f.all++
	if refused, ok := errors.AsType[*statusError](err); ok && refused.status == statusInternalError {
		f.internal++
	}
	if errors.Is(err, http1.ErrClosed) || f.all >= maxFailures || f.internal >= maxInternalErrors {
		return 0, false
	}
	return retryDelay << (f.all - 1), true
}

// refused is an error answer of the Extensions API.
func refused(errorType, message string) *http1.Response {
	body := append([]byte(`{"errorMessage":"`), appendEscaped(nil, message)...)
	body = append(append(body, `","errorType":"`...), errorType...)
	return &http1.Response{
		Status: statusForbidden,
		Header: http1.Header{{Name: headerContentType, Value: typeJSON}},
		Body:   append(body, `"}`...),
	}
}
