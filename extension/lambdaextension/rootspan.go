// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdaextension

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// The SDKs' Lambda instrumentations set this on the span of the invocation. The first is the name in OpenTelemetry's
// semantic conventions, the second is what they called it before.
const (
	attrInvocationID = "faas.invocation_id"
	attrExecution    = "faas.execution"
)

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
	awaited := e.rootSpans.Load()
	if !awaited && !e.functionSpans.used.Load() {
		return nothing
	}
	ended := e.observeTraces(td)
	if !awaited || len(ended) == 0 {
		return nothing
	}
	return func() {
		for _, id := range ended {
			e.invocations.root(id)
		}
	}
}

func nothing() {}

// observeTraces returns the invocations whose own span is there, which the function sends when it has ended, and takes
// notice of the function's spans if somebody wants to know of them. What the collector itself made of Lambda's events is
// left out.
func (e *lambdaExtension) observeTraces(td ptrace.Traces) (ended []string) {
	f := e.functionSpans
	used := f.used.Load()
	if used {
		f.mu.Lock()
		defer f.mu.Unlock()
	}
	for i := range td.ResourceSpans().Len() {
		scopes := td.ResourceSpans().At(i).ScopeSpans()
		for j := range scopes.Len() {
			scope := scopes.At(j)
			switch {
			case !used:
				ended = endedInvocations(scope.Spans(), ended)
			case f.scope == "" || scope.Scope().Name() != f.scope:
				ended = f.observe(scope.Spans(), ended)
			}
		}
	}
	return ended
}

// endedInvocations adds the ids of the invocations whose own span is among spans to ended.
func endedInvocations(spans ptrace.SpanSlice, ended []string) []string {
	for i := range spans.Len() {
		if id := invocationID(spans.At(i)); id != "" {
			ended = append(ended, id)
		}
	}
	return ended
}

// invocationID returns the request id of the invocation that the span stands for, and nothing for other spans.
func invocationID(span ptrace.Span) string {
	if span.Kind() != ptrace.SpanKindServer {
		return ""
	}
	id, ok := span.Attributes().Get(attrInvocationID)
	if !ok {
		if id, ok = span.Attributes().Get(attrExecution); !ok {
			return ""
		}
	}
	if id.Type() != pcommon.ValueTypeStr {
		return ""
	}
	return id.Str()
}
