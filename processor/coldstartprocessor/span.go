// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package coldstartprocessor

import (
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

const (
	attrColdstart    = "faas.coldstart"
	attrInvocationID = "faas.invocation_id"
	// attrExecution is what older instrumentations call faas.invocation_id.
	attrExecution = "faas.execution"
)

// The ends of the instrumentation scopes of the receivers that make init spans: this project's and the OpenTelemetry
// Lambda layer's.
const (
	scopeOurs  = "/receiver/telemetryapireceiver"
	scopeLayer = "/receiver/telemetryapi"
)

// maxGap is the longest time between the end of Init and the beginning of the invocation that had to wait for it. On
// demand, all of Init is over in 10 s and the invocation follows at once. Where more time has passed, the environment
// was made ready in advance (provisioned concurrency, a snapshot), or the first invocation was not sampled.
const maxGap = time.Minute

// invocation is what is remembered of an invocation's span.
type invocation struct {
	trace pcommon.TraceID
	span  pcommon.SpanID
	state string
	flags uint32
	start pcommon.Timestamp
	end   pcommon.Timestamp
	// identified says that the span carries the request id, as the function's own does. A SERVER span without it may
	// be one of a web framework below.
	identified bool
	// warm says that the instrumentation denies a cold start.
	warm bool
}

// findInvocation returns the span of a batch's earliest invocation.
func findInvocation(td ptrace.Traces) (first invocation, ok bool) {
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				if candidate, is := invocationOf(span); is && (!ok || candidate.before(first)) {
					first, ok = candidate, true
				}
			}
		}
	}
	return first, ok
}

// findInit returns the first init span of a batch.
func findInit(td ptrace.Traces) (init ptrace.Span, ok bool) {
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				if isInit(ss.Scope(), span) {
					return span, true
				}
			}
		}
	}
	return init, false
}

// invocationOf reads the span of an invocation, if it is one.
func invocationOf(span ptrace.Span) (invocation, bool) {
	identified := hasRequestID(span)
	if span.Kind() != ptrace.SpanKindServer && !identified {
		return invocation{}, false
	}
	cold, said := saysCold(span)
	return invocation{
		trace:      span.TraceID(),
		span:       span.SpanID(),
		state:      span.TraceState().AsRaw(),
		flags:      span.Flags(),
		start:      span.StartTimestamp(),
		end:        span.EndTimestamp(),
		identified: identified,
		warm:       said && !cold,
	}, true
}

func hasRequestID(span ptrace.Span) bool {
	attributes := span.Attributes()
	if _, ok := attributes.Get(attrInvocationID); ok {
		return true
	}
	_, ok := attributes.Get(attrExecution)
	return ok
}

// before orders the invocation spans of one batch by how likely they are the first invocation's.
func (i invocation) before(other invocation) bool {
	if i.identified != other.identified {
		return i.identified
	}
	return i.start < other.start
}

// saysCold returns what the span says about a cold start, if it does.
func saysCold(span ptrace.Span) (cold, said bool) {
	value, ok := span.Attributes().Get(attrColdstart)
	if !ok || value.Type() != pcommon.ValueTypeBool {
		return false, false
	}
	return value.Bool(), true
}

// isInit recognises the span of a cold start's Init that is in nobody's trace yet. Instrumentations that put
// faas.coldstart on the invocation's span are why it is not enough.
func isInit(scope pcommon.InstrumentationScope, span ptrace.Span) bool {
	if !span.ParentSpanID().IsEmpty() || span.Kind() == ptrace.SpanKindServer || hasRequestID(span) {
		return false
	}
	if cold, said := saysCold(span); said {
		return cold
	}
	if !strings.HasSuffix(scope.Name(), scopeOurs) && !strings.HasSuffix(scope.Name(), scopeLayer) {
		return false
	}
	return span.Name() == "init" || strings.HasPrefix(span.Name(), "init ")
}

// waitedFor decides whether the invocation had to wait for Init.
func (i invocation) waitedFor(span ptrace.Span) bool {
	if i.warm || span.StartTimestamp() > i.end {
		return false
	}
	return i.start <= span.EndTimestamp() || time.Duration(i.start-span.EndTimestamp()) <= maxGap
}

// cutInit moves the first init span out of td, with its resource and scope.
func cutInit(td ptrace.Traces) ptrace.Traces {
	out := ptrace.NewTraces()
	wanted, ok := findInit(td)
	if !ok {
		return out
	}
	td.ResourceSpans().RemoveIf(func(rs ptrace.ResourceSpans) bool {
		rs.ScopeSpans().RemoveIf(func(ss ptrace.ScopeSpans) bool {
			ss.Spans().RemoveIf(func(span ptrace.Span) bool {
				if span != wanted {
					return false
				}
				resource := out.ResourceSpans().AppendEmpty()
				resource.SetSchemaUrl(rs.SchemaUrl())
				rs.Resource().CopyTo(resource.Resource())
				scope := resource.ScopeSpans().AppendEmpty()
				scope.SetSchemaUrl(ss.SchemaUrl())
				ss.Scope().CopyTo(scope.Scope())
				span.MoveTo(scope.Spans().AppendEmpty())
				return true
			})
			return ss.Spans().Len() == 0
		})
		return rs.ScopeSpans().Len() == 0
	})
	return out
}

// adopt makes the init span a child of the invocation's, if it is what the invocation had to wait for.
func (i invocation) adopt(span ptrace.Span) {
	if !i.waitedFor(span) {
		return
	}
	span.SetTraceID(i.trace)
	span.SetParentSpanID(i.span)
	// Both are of the trace: a sampler may read in them what it has to keep.
	span.TraceState().FromRaw(i.state)
	span.SetFlags(i.flags & 0xff)
}
