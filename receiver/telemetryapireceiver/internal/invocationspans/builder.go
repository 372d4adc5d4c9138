// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

// Package invocationspans makes spans of what Lambda tells about an environment and its invocations, and says which trace
// an invocation belongs to.
//
// There is one trace for each invocation. If the function has an SDK that makes a span of kind SERVER for the invocation,
// that is the one: what Lambda measured becomes children of it. If not, or if the invocation is killed before the SDK can
// send its span, the span is made here.
//
// A Builder does no I/O, has no clock of its own, starts no goroutine, and is for one caller at a time. What it knows is
// bounded.
package invocationspans

import (
	"io"
	"slices"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelcol-lambda/otelcol-lambda/extension/lambdaextension"
	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
)

const (
	// maxInvocations bounds the invocations that are remembered: the report of one comes during the next, or when
	// the environment ends, and its log lines may come later than that.
	maxInvocations = 64
	// maxConcurrentInvocations is the same for Managed Instances, which run up to 64 at once on each of their processors.
	maxConcurrentInvocations = 1024
)

// SpanRef is what others refer to a span by.
type SpanRef = lambdaextension.SpanRef

// XRayContext says what becomes of the X-Ray trace header of an invocation.
type XRayContext string

// The values of XRayContext.
const (
	// XRayLink gives the invocation a trace of its own, and its span a link to where the header points.
	XRayLink XRayContext = "link"
	// XRayParent continues the trace of the header. There is no span for an invocation that X-Ray does not sample.
	XRayParent XRayContext = "parent"
	// XRayNone ignores the header.
	XRayNone XRayContext = "none"
)

// Invocation says when a span of kind SERVER is made for an invocation.
type Invocation string

// The values of Invocation.
const (
	// InvocationAuto makes the span unless the function's SDK does.
	InvocationAuto Invocation = "auto"
	// InvocationAlways makes the span and takes no notice of what an SDK does, which has a trace of its own then.
	InvocationAlways Invocation = "always"
	// InvocationNever makes none. What Lambda measured becomes children of the SDK's span, where there is one.
	InvocationNever Invocation = "never"
)

// Function is what is known of the spans that the function's own SDK makes. *lambdaextension.FunctionSpans is one.
type Function interface {
	// Invocation returns the SDK's span of an invocation, once it has come.
	Invocation(requestID string) (SpanRef, bool)
	// Active reports whether the SDK has sent any span in this environment, and Rooted whether one of them was an
	// invocation's own.
	Active() bool
	Rooted() bool
	// Orphan returns the span that the current invocation's others hang on and that has not come itself. The span id is
	// zero if that can be several.
	Orphan() (SpanRef, bool)
	// Begin and End frame an invocation.
	Begin(requestID string)
	End(requestID string)
}

// Settings are what a Builder has to know.
type Settings struct {
	// XRayContext and Invocation are XRayLink and InvocationAuto if empty.
	XRayContext XRayContext
	Invocation  Invocation
	// ContextOnly has no spans made at all: there is no use for them. What Context says is about the SDK's spans only.
	ContextOnly bool
	// Concurrent says that invocations overlap, as on Managed Instances, and that their report is all that tells of their
	// end.
	Concurrent bool
	// FunctionName names the spans of invocations. FunctionARN is used where Lambda's events have none.
	FunctionName string
	FunctionARN  string
	// Function is nil if there is no way to know.
	Function Function
	// Random is where ids come from. It is not read before the first platform.start, or Flush: a snapshot of the
	// environment would otherwise have ids in it that its copies share. Its errors are ignored, since crypto/rand.Reader
	// has none.
	Random io.Reader
	// Now is the time for what comes without one.
	Now func() time.Time
}

// State is what is known of an invocation's trace.
type State int

// The states.
const (
	// None says that there is no trace, or that the invocation is not known.
	None State = iota
	// Known says that the trace is known.
	Known
	// Wait says that the trace will be known, at the end of the invocation or the beginning of the next one.
	Wait
)

// Stats counts what was out of the ordinary.
type Stats struct {
	// Forgotten are invocations that were given up to make room while they ran, so that they have no span from their start.
	Forgotten int
	// Duplicates are events that had been there already.
	Duplicates int
	// Malformed are events that say too little to be used.
	Malformed int
}

// Builder makes spans of events.
type Builder struct {
	set   Settings
	limit int
	stats Stats
	spans ptrace.SpanSlice
	// id is where a random id is made.
	id pcommon.TraceID

	invocations map[string]*invocation
	order       []*invocation // as they came, oldest first
	undecided   int           // how many of them have no owner
	// judged says that the function has had the opportunity to show whether it has an SDK.
	judged bool

	// init and restore are the latest of their kind. pending are those that belong to the next invocation.
	init, restore *phase
	pending       []*phase
	// cold says that the next invocation is the environment's first.
	cold bool
	// healthy says that the runtime was up and nothing is known to have ended it since.
	healthy bool
}

// New returns a Builder.
func New(set Settings) *Builder {
	limit := maxInvocations
	if set.Concurrent {
		limit = maxConcurrentInvocations
	}
	if set.XRayContext == "" {
		set.XRayContext = XRayLink
	}
	if set.Invocation == "" {
		set.Invocation = InvocationAuto
	}
	if set.ContextOnly {
		set.Invocation = InvocationNever
	}
	return &Builder{set: set, limit: limit, spans: ptrace.NewSpanSlice(), invocations: make(map[string]*invocation)}
}

// Observe takes an event. Those of log lines and of types that are not known are of no interest.
func (b *Builder) Observe(event telemetryapi.Event) {
	switch event.Type {
	case telemetryapi.EventStart, telemetryapi.EventRuntimeDone, telemetryapi.EventReport,
		telemetryapi.EventInitStart, telemetryapi.EventInitRuntimeDone, telemetryapi.EventInitReport,
		telemetryapi.EventRestoreStart, telemetryapi.EventRestoreRuntimeDone, telemetryapi.EventRestoreReport:
	default:
		return
	}
	decoded, _, err := event.Decoded()
	if err != nil {
		b.stats.Malformed++
		return
	}
	o := observed{kind: event.Type, at: timestamp(event.Time)}
	o.take(decoded)
	if o.timed = o.at != 0; !o.timed {
		o.at = b.now()
	}
	switch event.Type {
	case telemetryapi.EventInitStart:
		b.observeInitStart(&o)
	case telemetryapi.EventInitRuntimeDone, telemetryapi.EventInitReport:
		b.observeInitEnd(&o)
	case telemetryapi.EventRestoreStart:
		b.observeRestoreStart(&o)
	case telemetryapi.EventRestoreRuntimeDone, telemetryapi.EventRestoreReport:
		b.observeRestoreEnd(&o)
	default:
		b.observeInvocation(&o)
	}
}

// observed is an event that is being observed.
type observed struct {
	record
	kind telemetryapi.EventType
	at   pcommon.Timestamp
	// timed says that at is the event's own time.
	timed bool
}

// Take moves the spans that are complete to the end of dst. It is to be called after each delivery of events, and after
// Flush.
func (b *Builder) Take(dst ptrace.SpanSlice) { b.spans.MoveAndAppendTo(dst) }

// Stats returns the counts since the beginning.
func (b *Builder) Stats() Stats { return b.stats }

// Context returns the span of an invocation for what is to refer to it, such as a line of its log. Once it is known it
// stays the same, or another of the same trace, unless the function turns out to have an SDK after all.
func (b *Builder) Context(requestID string) (SpanRef, State) {
	inv := b.invocations[requestID]
	if inv == nil {
		return SpanRef{}, None
	}
	b.settle(inv, false)
	switch {
	case inv.owner == nobody:
		return SpanRef{}, None
	case inv.owner != undecided:
		return inv.span, Known
	case inv.pinned:
		return inv.own, Known
	case inv.at.start == 0 || !b.uninstrumented():
		return SpanRef{}, Wait
	case b.set.Invocation == InvocationNever:
		return SpanRef{}, None
	}
	return b.pin(inv), Known
}

// Hint says which trace a line of an invocation's log names. If the function is killed before its SDK sends a span, that is all
// that tells which trace the invocation was in.
func (b *Builder) Hint(requestID string, trace pcommon.TraceID) {
	if inv := b.invocations[requestID]; inv != nil && inv.hint.IsEmpty() {
		inv.hint = trace
	}
}

// Ended reports whether the end of an invocation is known. What refers to it has no more to wait for then, though the
// function's SDK may still send its span.
func (b *Builder) Ended(requestID string) bool {
	inv := b.invocations[requestID]
	return inv == nil || inv.ended() || inv.lost
}

// Flush makes spans of everything that is still open, as far as it is known. It is for the end of the environment.
func (b *Builder) Flush() {
	now := b.now()
	for _, inv := range b.order {
		b.lose(inv, now)
	}
	b.emitPending(now)
}

// now is never 0, which stands for a time that is not known.
func (b *Builder) now() pcommon.Timestamp { return max(timestamp(b.set.Now()), 1) }

// alone reports whether nobody else's spans matter.
func (b *Builder) alone() bool { return b.set.Function == nil || b.set.Invocation == InvocationAlways }

// uninstrumented reports whether the function is known to have no SDK that matters.
func (b *Builder) uninstrumented() bool { return b.alone() || b.judged && !b.set.Function.Active() }

// orphan returns what the current invocation's spans hang on, if anything.
func (b *Builder) orphan() (ref SpanRef) {
	if !b.alone() && !b.set.Concurrent {
		ref, _ = b.set.Function.Orphan()
	}
	return ref
}

// add makes room for a new invocation.
func (b *Builder) add(requestID string) *invocation {
	if len(b.order) >= b.limit {
		oldest := max(slices.IndexFunc(b.order, (*invocation).over), 0)
		b.forget(b.order[oldest])
	}
	inv := &invocation{id: requestID}
	b.invocations[requestID] = inv
	b.order = append(b.order, inv)
	b.undecided++
	return inv
}

// open returns the invocations from the first one on that has no owner. There are few, and they are the last ones: what has
// become of the others is in memory that need not be touched.
func (b *Builder) open() []*invocation {
	n := len(b.order)
	for left := b.undecided; left > 0 && n > 0; {
		if n--; b.order[n].owner == undecided {
			left--
		}
	}
	return b.order[n:]
}

// forget gives an invocation up. If it has ended, it has a span by then.
func (b *Builder) forget(inv *invocation) {
	switch {
	case inv.owner != undecided:
	case inv.ended():
		b.settle(inv, true)
	default:
		b.stats.Forgotten++
		b.undecided--
	}
	b.end(inv)
	delete(b.invocations, inv.id)
	b.order = slices.DeleteFunc(b.order, func(other *invocation) bool { return other == inv })
}

// end tells that nothing more is to be learned of the function's spans for an invocation. It does so once: the next time,
// they could be of another invocation with the same id.
func (b *Builder) end(inv *invocation) {
	if b.set.Function != nil && !inv.released {
		b.set.Function.End(inv.id)
	}
	inv.released = true
}
