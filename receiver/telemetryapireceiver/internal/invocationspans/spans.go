// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package invocationspans

import (
	"bytes"
	"io"
	"math"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// Attributes of OpenTelemetry's semantic conventions, v1.44, and those for which it has no name, as log records have them.
const (
	attrInvocationID = "faas.invocation_id"
	attrColdStart    = "faas.coldstart"
	attrResourceID   = "cloud.resource_id"
	attrErrorType    = "error.type"

	attrTenantID           = "aws.lambda.tenant_id"
	attrProducedBytes      = "aws.lambda.produced_bytes"
	attrBilledDuration     = "aws.lambda.billed_duration_ms"
	attrMemorySize         = "aws.lambda.memory_size_mb"
	attrMaxMemoryUsed      = "aws.lambda.max_memory_used_mb"
	attrInitializationType = "aws.lambda.initialization_type"
	attrPhase              = "aws.lambda.phase"
)

const (
	// Flags of OTLP's spans and links.
	flagSampled      = 0x001
	flagRemoteParent = 0x300

	// unnamed is the name of an invocation's span if nobody knows the function's.
	unnamed = "invocation"

	// usualSpans is how many spans there are of an invocation as a rule.
	usualSpans = 5

	// arnParts are the parts of a function's ARN without a version or an alias.
	arnParts = 7
)

// visible reports whether there is a span that others can be children of.
func (i *invocation) visible() bool { return i.owner == function || i.owner == ours }

// random fills an id, which must not be zero.
func (b *Builder) random(id []byte) {
	made := b.id[:len(id)]
	clear(made)
	_, _ = io.ReadFull(b.set.Random, made) // see Settings
	if bytes.Count(made, []byte{0}) == len(made) {
		made[0] = 1
	}
	copy(id, made)
}

// emit adds a span. An end before the start, which clocks that are set can make, is put at the start.
func (b *Builder) emit(name string, ref SpanRef, start, end pcommon.Timestamp) ptrace.Span {
	b.spans.EnsureCapacity(usualSpans)
	span := b.spans.AppendEmpty()
	span.SetName(name)
	span.SetKind(ptrace.SpanKindInternal)
	span.SetTraceID(ref.TraceID)
	span.SetSpanID(ref.SpanID)
	span.SetStartTimestamp(start)
	span.SetEndTimestamp(max(start, end))
	return span
}

// child adds a span below another.
func (b *Builder) child(name string, parent SpanRef, start, end pcommon.Timestamp) (ptrace.Span, SpanRef) {
	ref := SpanRef{TraceID: parent.TraceID}
	b.random(ref.SpanID[:])
	span := b.emit(name, ref, start, end)
	span.SetParentSpanID(parent.SpanID)
	return span, ref
}

// bounds returns when an invocation that is over began and ended, as far as that is known.
func (i *invocation) bounds() (start, end pcommon.Timestamp) {
	end, duration := i.closed, i.duration
	switch {
	case i.at.done != 0:
		end = i.at.done
	case i.at.report != 0:
		end = i.at.report
		if i.reported != nil {
			duration = i.reported.durationMs
		}
	}
	length := duration.milliseconds()
	if i.at.start == 0 {
		return end - min(length, end), end
	}
	if !duration.Set {
		return i.at.start, end
	}
	// An Init within the invocation is part of the duration, and may be told of before the invocation's start.
	if i.at.done != 0 && i.at.start+length > i.at.done+timeSlack {
		return i.at.done - min(length, i.at.done), i.at.done
	}
	return i.at.start, i.at.start + length
}

// timeSlack is for times that are in whole milliseconds.
const timeSlack = pcommon.Timestamp(2 * time.Millisecond)

// emitInvocation makes the span that stands for an invocation.
func (b *Builder) emitInvocation(inv *invocation) {
	name := b.set.FunctionName
	if name == "" {
		name = unnamed
	}
	start, end := inv.bounds()
	span := b.emit(name, inv.span, start, end)
	span.SetKind(ptrace.SpanKindServer)
	b.linkInvocation(span, inv)

	attributes := span.Attributes()
	attributes.EnsureCapacity(8)
	attributes.PutStr(attrInvocationID, inv.id)
	attributes.PutBool(attrColdStart, inv.coldStart)
	arn := inv.arn
	if arn == "" {
		arn = b.set.FunctionARN
	}
	putText(attributes, attrResourceID, resolvedARN(arn, inv.version))
	putText(attributes, attrTenantID, inv.tenantID)
	putInt(attributes, attrProducedBytes, inv.producedBytes)
	if r := inv.reported; r != nil {
		if r.billedDurationMs.Set {
			attributes.PutDouble(attrBilledDuration, r.billedDurationMs.Value)
		}
		putInt(attributes, attrMemorySize, r.memorySizeMB)
		putInt(attributes, attrMaxMemoryUsed, r.maxMemoryUsedMB)
	}
	switch {
	case inv.failed():
		setError(span, inv.status, inv.errorType)
	case inv.lost:
		setError(span, errorUnknown, "")
	}
}

// linkInvocation ties the span to the traces of others.
func (b *Builder) linkInvocation(span ptrace.Span, inv *invocation) {
	x := inv.xray
	continued := b.set.XRayContext == XRayParent && x.root == inv.span.TraceID
	switch {
	case x.root.IsEmpty() || x.parent.IsEmpty():
	case continued:
		span.SetParentSpanID(x.parent)
		span.SetFlags(flagRemoteParent)
	default:
		flags := uint32(flagRemoteParent)
		if x.sampled {
			flags |= flagSampled
		}
		link(span, SpanRef{TraceID: x.root, SpanID: x.parent}, flags)
	}
}

func link(span ptrace.Span, to SpanRef, flags uint32) {
	l := span.Links().AppendEmpty()
	l.SetTraceID(to.TraceID)
	l.SetSpanID(to.SpanID)
	l.SetFlags(flags)
}

// emitSpans makes children of what the platform measured inside an invocation.
func (b *Builder) emitSpans(inv *invocation) {
	spans := inv.spans
	inv.spans = nil
	if len(spans) == 0 || !inv.visible() {
		return
	}
	start, end := inv.bounds()
	if inv.measured {
		start = end // the platform's spans come in order, and the rest comes after the end
	}
	inv.measured = true
	b.emitPlatform(spans, inv.span, start)
}

// emitPlatform makes children of what the platform measured. One of which it is not known when it began began when the
// one before it ended, or at start if it is the first.
func (b *Builder) emitPlatform(spans []platformSpan, parent SpanRef, start pcommon.Timestamp) {
	if b.set.ContextOnly {
		return
	}
	for _, s := range spans {
		if s.start != 0 {
			start = s.start
		}
		b.child(s.name, parent, start, start+s.duration)
		start += s.duration
	}
}

// emitPhase makes the span of an init or a restore, in a trace of its own if there is no parent.
func (b *Builder) emitPhase(p *phase, parent SpanRef) {
	alone := parent == SpanRef{}
	if b.set.ContextOnly || p.begin == 0 || alone && b.set.Invocation == InvocationNever {
		return
	}
	if alone {
		b.random(parent.TraceID[:])
	}
	span, ref := b.child(p.name, parent, p.begin, p.end)
	attributes := span.Attributes()
	if p.name == phaseInit {
		attributes.PutBool(attrColdStart, p.cold)
	}
	putText(attributes, attrInitializationType, p.initializationType)
	putText(attributes, attrPhase, p.kind)
	if p.failed() {
		setError(span, p.status, p.errorType)
	}
	b.emitPlatform(p.spans, ref, p.begin)
}

// emitPending makes the spans of the phases that no invocation came for.
func (b *Builder) emitPending(end pcommon.Timestamp) {
	for _, p := range b.pending {
		if p.end == 0 {
			p.end = end
		}
		b.emitPhase(p, SpanRef{})
	}
	b.pending = nil
}

func setError(span ptrace.Span, status, errorType string) {
	span.Status().SetCode(ptrace.StatusCodeError)
	if errorType == "" {
		errorType = status
	}
	span.Attributes().PutStr(attrErrorType, errorType)
}

func putText(attributes pcommon.Map, key, value string) {
	if value != "" {
		attributes.PutStr(key, value)
	}
}

func putInt(attributes pcommon.Map, key string, n number) {
	if n.Set && math.Abs(n.Value) < 1<<53 {
		attributes.PutInt(key, int64(n.Value))
	}
}

// resolvedARN puts the version in the place of an alias, which may point at another one tomorrow.
func resolvedARN(arn, version string) string {
	if version == "" || strings.Count(arn, ":") != arnParts {
		return arn
	}
	return arn[:strings.LastIndexByte(arn, ':')+1] + version
}
