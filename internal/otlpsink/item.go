// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package otlpsink

import (
	"net/http"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// Signal is one of the kinds of telemetry that OTLP carries.
type Signal string

// The signals, by the name that their path has in OTLP/HTTP.
const (
	SignalTraces  Signal = "traces"
	SignalMetrics Signal = "metrics"
	SignalLogs    Signal = "logs"
)

func signals() []Signal { return []Signal{SignalTraces, SignalMetrics, SignalLogs} }

// Transport is one of the two ways OTLP travels.
type Transport string

// The transports.
const (
	TransportHTTP Transport = "http"
	TransportGRPC Transport = "grpc"
)

func transports() []Transport { return []Transport{TransportHTTP, TransportGRPC} }

// Item is what spans, points and records have in common. Its maps belong to recorded data, which is read-only.
type Item struct {
	// ID is the identity of the item, as the package documentation defines it.
	ID string
	// Arrived is when the request had been read, by the wall clock.
	Arrived time.Time
	// Request is the number of the request that brought the item; see Request.Number.
	Request int
	// Transport is how it came.
	Transport Transport
	// Resource holds the resource's attributes.
	Resource pcommon.Map
	// Scope is the instrumentation scope.
	Scope pcommon.InstrumentationScope
}

// Service returns the service.name of the item's resource, empty when it has none.
func (i Item) Service() string {
	v, ok := i.Resource.Get("service.name")
	if !ok {
		return ""
	}
	return v.AsString()
}

// Span is a span that arrived.
type Span struct {
	Item
	ptrace.Span
}

// LogRecord is a log record that arrived.
type LogRecord struct {
	Item
	plog.LogRecord
}

// Point is a metric point that arrived.
type Point struct {
	Item
	// Metric is the metric the point belongs to, with its other points of the same request.
	Metric pmetric.Metric
	// Attributes are those of the point.
	Attributes pcommon.Map
	// Start is zero when the point has no start time.
	Start, Timestamp pcommon.Timestamp
	// Number is the value of a gauge or sum, the sum of a distribution.
	Number float64
	// Count is the number of measurements in a distribution, 1 for a gauge or sum.
	Count uint64
	// Value is everything that was measured, in words.
	Value string
}

// Outcome is what became of a request.
type Outcome string

// The outcomes.
const (
	// OutcomePending requests have not been answered yet.
	OutcomePending Outcome = "pending"
	// OutcomeAccepted requests were answered with success; their items arrived, less those rejected.
	OutcomeAccepted Outcome = "accepted"
	// OutcomeAckLost requests were recorded like accepted ones, but the client saw its connection break.
	OutcomeAckLost Outcome = "ack_lost"
	// OutcomeRefused requests were answered with an error status.
	OutcomeRefused Outcome = "refused"
	// OutcomeBroken requests had their connection closed or reset.
	OutcomeBroken Outcome = "broken"
	// OutcomeAbandoned requests were given up by the client before they were answered.
	OutcomeAbandoned Outcome = "abandoned"
	// OutcomeInvalid requests were not OTLP.
	OutcomeInvalid Outcome = "invalid"
)

// Request is one request that a Sink or a Tap saw.
type Request struct {
	// Number counts requests from 1 in the order in which their headers came.
	Number int
	// Signal is empty when the path is not one of OTLP's.
	Signal Signal
	// Transport is how it came.
	Transport Transport
	// Path is the URL path, or the full gRPC method.
	Path string
	// Header holds the request's headers, or gRPC metadata under canonical header names.
	Header http.Header
	// Started is when the headers had come, by the wall clock.
	Started time.Time
	// Received is when the request had been read. It is zero before.
	Received time.Time
	// Ended is when the request was answered or given up. It is zero before.
	Ended time.Time
	// Bytes is the size of the request after decompression.
	Bytes int
	// Items is the number of items in the request, Rejected those rejected by a partial success.
	Items, Rejected int
	// Outcome is what became of the request.
	Outcome Outcome
	// Status is the HTTP status of the answer, zero when there was none or the request came over gRPC.
	Status int
	// Err says what was wrong, if something was.
	Err string
}
