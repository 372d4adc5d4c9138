// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package otlpsink

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
)

// Action is what a fault does to a request.
type Action string

// The actions, described in the package documentation.
const (
	ActionStatus         Action = "status"
	ActionLatency        Action = "latency"
	ActionHang           Action = "hang"
	ActionHangBeforeRead Action = "hang_before_read"
	ActionClose          Action = "close"
	ActionReset          Action = "reset"
	ActionAckLost        Action = "ack_lost"
	ActionPartial        Action = "partial"
	ActionRefuse         Action = "refuse"
)

func actions() []Action {
	return []Action{
		ActionStatus, ActionLatency, ActionHang, ActionHangBeforeRead, ActionClose, ActionReset, ActionAckLost,
		ActionPartial, ActionRefuse,
	}
}

// Fault is one way to misbehave. The package documentation has the meaning of every field under its name in the
// grammar. Fields left zero do not restrict the fault.
type Fault struct {
	// Action is what happens. It is required.
	Action Action
	// Status is the HTTP status of ActionStatus.
	Status int
	// Code is the gRPC code of ActionStatus, the equivalent of Status when it is codes.OK.
	Code codes.Code
	// RetryAfter goes with ActionStatus. Zero gives no hint.
	RetryAfter time.Duration
	// Latency is the delay of ActionLatency.
	Latency time.Duration
	// Rejected is the number of items ActionPartial rejects.
	Rejected int

	// First is the number of requests to hit.
	First int
	// Skip is the number of requests to let pass first.
	Skip int
	// Every makes the fault hit only each such request.
	Every int
	// From and For bound the fault in time, counted from Start or SetFaults.
	From, For time.Duration
	// Signal restricts the fault to requests of one signal.
	Signal Signal
	// Transport restricts the fault to requests over one transport.
	Transport Transport
}

// String returns the fault in the form that ParseFaults reads.
func (f Fault) String() string {
	var b strings.Builder
	b.WriteString(string(f.Action))
	switch f.Action {
	case ActionStatus:
		fmt.Fprintf(&b, "=%d", f.Status)
	case ActionLatency:
		fmt.Fprintf(&b, "=%s", f.Latency)
	case ActionPartial:
		fmt.Fprintf(&b, "=%d", f.Rejected)
	}
	number := func(name string, v int) {
		if v != 0 {
			fmt.Fprintf(&b, ",%s=%d", name, v)
		}
	}
	duration := func(name string, v time.Duration) {
		if v != 0 {
			fmt.Fprintf(&b, ",%s=%s", name, v)
		}
	}
	if f.Code != codes.OK {
		fmt.Fprintf(&b, ",code=%s", codeName(f.Code))
	}
	duration("retry_after", f.RetryAfter)
	number("first", f.First)
	number("skip", f.Skip)
	number("every", f.Every)
	duration("from", f.From)
	duration("for", f.For)
	if f.Signal != "" {
		fmt.Fprintf(&b, ",signal=%s", f.Signal)
	}
	if f.Transport != "" {
		fmt.Fprintf(&b, ",transport=%s", f.Transport)
	}
	return b.String()
}

// Validate reports every value that the grammar would not allow.
func (f Fault) Validate() error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }

	if !slices.Contains(actions(), f.Action) {
		fail("unknown action %q: use one of %s", f.Action, joinNames(actions()))
	}
	only := func(set bool, field string, action Action) {
		if set && f.Action != action {
			fail("`%s` goes with `%s` only", field, action)
		}
	}
	only(f.Status != 0, "status code", ActionStatus)
	only(f.Code != codes.OK, "code", ActionStatus)
	only(f.RetryAfter != 0, "retry_after", ActionStatus)
	only(f.Latency != 0, "delay", ActionLatency)
	only(f.Rejected != 0, "number of rejected items", ActionPartial)

	switch {
	case f.Action == ActionStatus && (f.Status < 300 || f.Status > 599):
		fail("`status` must be an HTTP status from 300 to 599, got %d", f.Status)
	case f.Action == ActionLatency && f.Latency <= 0:
		fail("`latency` must be a duration above zero such as `latency=2500ms`, got %s", f.Latency)
	case f.Action == ActionPartial && f.Rejected <= 0:
		fail("`partial` must be the number of items to reject, such as `partial=1`, got %d", f.Rejected)
	case f.Action == ActionRefuse && (f.First != 0 || f.Skip != 0 || f.Every != 0 || f.Signal != ""):
		fail("`refuse` sees no requests: use `from`, `for` and `transport` with it")
	}
	for _, n := range []struct {
		name  string
		value int
	}{{"first", f.First}, {"skip", f.Skip}, {"every", f.Every}} {
		if n.value < 0 {
			fail("`%s` must not be negative, got %d", n.name, n.value)
		}
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{{"retry_after", f.RetryAfter}, {"from", f.From}, {"for", f.For}} {
		if d.value < 0 {
			fail("`%s` must not be negative, got %s", d.name, d.value)
		}
	}
	if f.Code > codes.Unauthenticated {
		fail("`code` must be a gRPC code, got %d", f.Code)
	}
	if f.Signal != "" && !slices.Contains(signals(), f.Signal) {
		fail("unknown signal %q: use one of %s", f.Signal, joinNames(signals()))
	}
	if f.Transport != "" && !slices.Contains(transports(), f.Transport) {
		fail("unknown transport %q: use one of %s", f.Transport, joinNames(transports()))
	}
	return errors.Join(errs...)
}

// grpcCode returns the code that says over gRPC what Status says over HTTP.
func (f Fault) grpcCode() codes.Code {
	if f.Code != codes.OK {
		return f.Code
	}
	return grpcCodeOf(f.Status)
}

func grpcCodeOf(httpStatus int) codes.Code {
	switch httpStatus {
	case 400, 413:
		return codes.InvalidArgument
	case 401:
		return codes.Unauthenticated
	case 403:
		return codes.PermissionDenied
	case 404:
		return codes.Unimplemented
	case 408:
		return codes.DeadlineExceeded
	case 429:
		return codes.ResourceExhausted
	case 500:
		return codes.Internal
	case 502, 503, 504:
		return codes.Unavailable
	default:
		return codes.Unknown
	}
}

func joinNames[T ~string](names []T) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = "`" + string(n) + "`"
	}
	return strings.Join(quoted, ", ")
}
