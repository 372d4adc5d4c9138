// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdaextension

import "go.opentelemetry.io/collector/pdata/ptrace"

// attrInvocationID is of OpenTelemetry's semantic conventions: the SDKs' Lambda instrumentations set it on the span of the
// invocation.
const attrInvocationID = "faas.invocation_id"

// What the end of an invocation is known by.
const (
	waitForAuto        = "auto"
	waitForRuntimeDone = "runtime_done"
	waitForRootSpan    = "root_span"
)

// signalled is a participant that says which signal it holds.
type signalled interface{ Signal() string }

// awaitsRootSpan decides whether the function's own span may end the wait for an invocation. By default that is so where it
// is the last that is of interest: metrics and logs leave the function after its spans, and what Lambda tells comes later
// still.
func (e *lambdaExtension) awaitsRootSpan() bool {
	switch e.flush.WaitFor {
	case waitForRootSpan:
		return true
	case waitForRuntimeDone:
		return false
	}
	e.subscription.mu.Lock()
	subscribers := len(e.subscription.subscribers)
	e.subscription.mu.Unlock()
	if subscribers > 0 {
		return false
	}
	for _, m := range e.participants.members() {
		if s, ok := m.Participant.(signalled); ok && s.Signal() != "traces" {
			return false
		}
	}
	return true
}

// ObserveTraces implements Lifecycle.
func (e *lambdaExtension) ObserveTraces(td ptrace.Traces) (taken func()) {
	if !e.rootSpans.Load() {
		return func() {}
	}
	ended := endedInvocations(td)
	return func() {
		for _, id := range ended {
			e.invocations.root(id)
		}
	}
}

// endedInvocations returns the invocations whose own span is there, which the function sends when it has ended.
func endedInvocations(td ptrace.Traces) (ids []string) {
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				if span.Kind() != ptrace.SpanKindServer {
					continue
				}
				if id, ok := span.Attributes().Get(attrInvocationID); ok {
					ids = append(ids, id.Str())
				}
			}
		}
	}
	return ids
}
