// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package extensionsapi

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/otelcol-lambda/otelcol-lambda/internal/guard/contract"
	"github.com/otelcol-lambda/otelcol-lambda/internal/rawjson"
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
	Type EventType
	// DeadlineMs is when the phase must be over; see Deadline.
	DeadlineMs int64
	// RequestID, InvokedFunctionARN and Tracing come with INVOKE. Tracing is nil when the invocation has no trace header.
	RequestID          string
	InvokedFunctionARN string
	Tracing            *Tracing
	// ShutdownReason comes with SHUTDOWN: spindown, timeout or failure. Its case differs between sources, and
	// emulators send other texts.
	ShutdownReason string
	// Guard is what a guard between Lambda and the extension has seen, zero if there is none or nothing has happened.
	Guard contract.Counters
}

var (
	errNotObject = errors.New("it is not a JSON object")
	errNoType    = errors.New("its eventType is not a text")
)

// decodeEvent reads what it can: an event whose type is known must not be missed for a field of an unexpected shape.
func decodeEvent(answer []byte) (Event, error) {
	var e Event
	odd := false // the type
	valid := rawjson.Object(answer, func(name, value []byte) {
		switch {
		case is(name, "eventType"):
			t, ok := rawjson.String(value)
			e.Type, odd = EventType(t), !ok && rawjson.KindOf(value) != rawjson.KindNull
		case is(name, "deadlineMs"):
			e.DeadlineMs = milliseconds(value)
		case is(name, "requestId"):
			e.RequestID, _ = rawjson.String(value)
		case is(name, "invokedFunctionArn"):
			e.InvokedFunctionARN, _ = rawjson.String(value)
		case is(name, "tracing"):
			e.Tracing = decodeTracing(value)
		case is(name, "shutdownReason"):
			e.ShutdownReason, _ = rawjson.String(value)
		}
	})
	switch {
	case !valid:
		return Event{}, errNotObject
	case odd:
		return Event{}, errNoType
	default:
		return e, nil
	}
}

// is compares names as encoding/json does, for the sake of emulators.
func is(name []byte, want string) bool {
	return len(name) == len(want) && (string(name) == want || strings.EqualFold(string(name), want))
}

// milliseconds returns 0, for no deadline, where there is none that can be read. Some emulators send fractions.
func milliseconds(number []byte) int64 {
	if whole, err := strconv.ParseInt(string(number), 10, 64); err == nil {
		return whole
	}
	fraction, _ := rawjson.Float(number)
	if math.Abs(fraction) >= math.MaxInt64 {
		return 0
	}
	return int64(fraction)
}

// Tracing is the trace header of an invocation.
type Tracing struct {
	Type  string
	Value string
}

func decodeTracing(object []byte) *Tracing {
	var t Tracing
	if rawjson.KindOf(object) != rawjson.KindObject || !rawjson.Object(object, func(name, value []byte) {
		switch {
		case is(name, "type"):
			t.Type, _ = rawjson.String(value)
		case is(name, "value"):
			t.Value, _ = rawjson.String(value)
		}
	}) {
		return nil
	}
	return &t
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
	FunctionName    string
	FunctionVersion string
	Handler         string
	// AccountID is empty where the platform does not know it, as in emulators.
	AccountID string
}

// decodeRegistration reads what it can. The registration only informs: an answer that is something else must not cost the
// session.
func decodeRegistration(answer []byte) Registration {
	var r Registration
	if !rawjson.Object(answer, func(name, value []byte) {
		switch {
		case is(name, "functionName"):
			r.FunctionName, _ = rawjson.String(value)
		case is(name, "functionVersion"):
			r.FunctionVersion, _ = rawjson.String(value)
		case is(name, "handler"):
			r.Handler, _ = rawjson.String(value)
		case is(name, "accountId"):
			r.AccountID, _ = rawjson.String(value)
		}
	}) {
		return Registration{}
	}
	return r
}
