// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package extensionsapi

import (
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/otelcol-lambda/otelcol-lambda/internal/guard/contract"
)

// EventType names a lifecycle event.
type EventType string

// The events an extension can register for.
const (
	EventInvoke   EventType = "INVOKE"
	EventShutdown EventType = "SHUTDOWN"
)

// ManagedInstances is the value of AWS_LAMBDA_INITIALIZATION_TYPE on Lambda Managed Instances, where an environment
// runs several invocations at once, is never frozen, and refuses extensions that ask for INVOKE.
const ManagedInstances = "lambda-managed-instances"

// Events returns the events to register for, given the value of AWS_LAMBDA_INITIALIZATION_TYPE.
func Events(initializationType string) []EventType {
	if initializationType == ManagedInstances {
		return []EventType{EventShutdown}
	}
	return []EventType{EventInvoke, EventShutdown}
}

// Event is what Lambda answers to Next.
type Event struct {
	Type EventType `json:"eventType"`
	// DeadlineMs is when the phase must be over; see Deadline.
	DeadlineMs int64 `json:"deadlineMs"`
	// RequestID, InvokedFunctionARN and Tracing come with INVOKE. Tracing is nil when the invocation has no trace header.
	RequestID          string   `json:"requestId,omitempty"`
	InvokedFunctionARN string   `json:"invokedFunctionArn,omitempty"`
	Tracing            *Tracing `json:"tracing,omitempty"`
	// ShutdownReason comes with SHUTDOWN: spindown, timeout or failure. Its case differs between sources, and
	// emulators send other texts.
	ShutdownReason string `json:"shutdownReason,omitempty"`
	// Guard is what a guard between Lambda and the extension has seen, zero if there is none or nothing has happened.
	Guard contract.Counters `json:"-"`
}

// decodeEvent reads what it can: an event whose type is known must not be missed for a field of an unexpected shape.
func decodeEvent(answer []byte) (Event, error) {
	var e Event
	err := json.Unmarshal(answer, &e)
	if typeErr := (*json.UnmarshalTypeError)(nil); err != nil && (!errors.As(err, &typeErr) || e.Type == "") {
		return Event{}, err
	}
	if e.DeadlineMs == 0 {
		var fraction struct {
			DeadlineMs float64 `json:"deadlineMs"`
		}
		_ = json.Unmarshal(answer, &fraction) // no deadline is the same as none that can be read
		e.DeadlineMs = int64(fraction.DeadlineMs)
	}
	return e, nil
}

// Tracing is the trace header of an invocation.
type Tracing struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

// relativeDeadlineMs is where a deadline stops being a point in time. The API reference shows a small number and calls
// it time remaining; the service sends milliseconds since the epoch, which passed this value in 2001.
const relativeDeadlineMs = 1_000_000_000_000

// Deadline is when the phase that the event begins must be over. Without one in the event it is the zero time.
func (e Event) Deadline(now time.Time) time.Time {
	switch {
	case e.DeadlineMs <= 0:
		return time.Time{}
	case e.DeadlineMs < relativeDeadlineMs:
		return now.Add(time.Duration(e.DeadlineMs) * time.Millisecond)
	default:
		// Counted from now, so that the result also has a monotonic reading and survives a step of the wall clock.
		return now.Add(time.UnixMilli(e.DeadlineMs).Sub(now.Round(0)))
	}
}

// Reason is ShutdownReason in lower case.
func (e Event) Reason() string { return strings.ToLower(e.ShutdownReason) }

// Registration is what Lambda tells an extension about the function.
type Registration struct {
	FunctionName    string `json:"functionName"`
	FunctionVersion string `json:"functionVersion"`
	Handler         string `json:"handler"`
	// AccountID is empty where the platform does not know it, as in emulators.
	AccountID string `json:"accountId"`
}
