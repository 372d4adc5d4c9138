// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package otlpsink

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// record is what a Sink or a Tap remembers. Readers get copies; the telemetry in them is read-only.
type record struct {
	mu       sync.Mutex
	changed  chan struct{} // closed and replaced at every change
	requests []*Request

	traces  []ptrace.Traces
	metrics []pmetric.Metrics
	logs    []plog.Logs

	spans      []Span
	points     []Point
	logRecords []LogRecord
	identities map[string]int
}

func newRecord() *record {
	return &record{changed: make(chan struct{}), identities: map[string]int{}}
}

func (r *record) begin(signal Signal, transport Transport, path string, header http.Header) *Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	req := &Request{
		Number: len(r.requests) + 1, Signal: signal, Transport: transport, Path: path, Header: header,
		Started: time.Now(), Outcome: OutcomePending,
	}
	r.requests = append(r.requests, req)
	r.notify()
	return req
}

// update changes a request; all that becomes of it after begin goes through here.
func (r *record) update(change func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change()
	r.notify()
}

// settled gives the request its outcome and, with the outcomes that mean arrival, records the items of p. The first
// outcome stays.
func (r *record) settled(req *Request, p payload, outcome Outcome, change func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if req.Outcome != OutcomePending {
		return
	}
	req.Outcome = outcome
	req.Ended = time.Now()
	if change != nil {
		change()
	}
	if outcome == OutcomeAccepted || outcome == OutcomeAckLost {
		r.add(req, p)
	}
	r.notify()
}

func (r *record) add(req *Request, p payload) {
	seed := Item{Arrived: req.Received, Request: req.Number, Transport: req.Transport}
	switch p.signal {
	case SignalTraces:
		p.traces.MarkReadOnly()
		r.traces = append(r.traces, p.traces)
		r.spans = append(r.spans, countIdentities(r.identities, flattenTraces(p.traces, seed))...)
	case SignalMetrics:
		p.metrics.MarkReadOnly()
		r.metrics = append(r.metrics, p.metrics)
		r.points = append(r.points, countIdentities(r.identities, flattenMetrics(p.metrics, seed))...)
	case SignalLogs:
		p.logs.MarkReadOnly()
		r.logs = append(r.logs, p.logs)
		r.logRecords = append(r.logRecords, countIdentities(r.identities, flattenLogs(p.logs, seed))...)
	}
}

func (i Item) identity() string { return i.ID }

func countIdentities[T interface{ identity() string }](counts map[string]int, items []T) []T {
	for _, it := range items {
		counts[it.identity()]++
	}
	return items
}

func (r *record) notify() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// wait returns when cond holds. It asks again after every change and only then.
func (r *record) wait(ctx context.Context, cond func() bool) error {
	for {
		r.mu.Lock()
		changed := r.changed
		r.mu.Unlock()
		if cond() {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Requests returns every request so far, in the order of their numbers.
func (r *record) Requests() []Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]Request, len(r.requests))
	for i, req := range r.requests {
		out[i] = *req
	}
	return out
}

// Traces returns the requests for traces that arrived, read-only, without rejected items.
func (r *record) Traces() []ptrace.Traces {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.traces)
}

// Metrics returns the requests for metrics that arrived, read-only, without rejected items.
func (r *record) Metrics() []pmetric.Metrics {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.metrics)
}

// Logs returns the requests for logs that arrived, read-only, without rejected items.
func (r *record) Logs() []plog.Logs {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.logs)
}

// Spans returns every span that arrived, in the order of arrival.
func (r *record) Spans() []Span {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.spans)
}

// Points returns every metric point that arrived, in the order of arrival.
func (r *record) Points() []Point {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.points)
}

// LogRecords returns every log record that arrived, in the order of arrival.
func (r *record) LogRecords() []LogRecord {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.logRecords)
}

// Identities returns how often each identity arrived.
func (r *record) Identities() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.identities)
}

// Counts sums up what a Sink or a Tap saw.
type Counts struct {
	// Requests is the number of all requests, by outcome.
	Requests map[Outcome]int
	// Spans, Points and LogRecords are the items that arrived.
	Spans, Points, LogRecords int
	// Refused is the number of items in requests that did not arrive, as far as they could be read, and of items
	// rejected in a partial success.
	Refused int
}

// Counts returns the sums so far.
func (r *record) Counts() Counts {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := Counts{
		Requests: map[Outcome]int{},
		Spans:    len(r.spans), Points: len(r.points), LogRecords: len(r.logRecords),
	}
	for _, req := range r.requests {
		c.Requests[req.Outcome]++
		c.Refused += req.Rejected
		switch req.Outcome {
		case OutcomeRefused, OutcomeBroken, OutcomeAbandoned, OutcomeInvalid:
			c.Refused += req.Items
		case OutcomePending, OutcomeAccepted, OutcomeAckLost:
		}
	}
	return c
}
