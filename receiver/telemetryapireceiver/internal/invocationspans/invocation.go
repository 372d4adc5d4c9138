// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package invocationspans

import (
	"slices"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
)

// owner is whose span stands for an invocation.
type owner int

const (
	undecided owner = iota
	// function: the SDK's.
	function
	// ours.
	ours
	// unsampled: nobody's, but the ids are there.
	unsampled
	nobody
)

// errorUnknown is the error.type of an invocation that was ended without a word: OpenTelemetry's value for what has no
// other.
const errorUnknown = "_OTHER"

// times are those of an invocation's events, 0 for what has not come. Lambda sends an event again if it is not sure that
// it has arrived; the time is the same then.
type times struct{ start, done, report pcommon.Timestamp }

func (t *times) of(kind telemetryapi.EventType) *pcommon.Timestamp {
	switch kind {
	case telemetryapi.EventStart:
		return &t.start
	case telemetryapi.EventRuntimeDone, telemetryapi.EventInitRuntimeDone, telemetryapi.EventRestoreRuntimeDone:
		return &t.done
	default:
		return &t.report
	}
}

// invocation is what is known of an invocation.
type invocation struct {
	id string
	at times
	// earlier and stale are of the invocation before with the same id: Lambda tries an asynchronous one that failed again.
	earlier times
	stale   SpanRef

	coldStart bool
	version   string
	arn       string
	tenantID  string
	xray      xrayHeader

	status, errorType string
	duration          number
	producedBytes     number
	reported          *record // if it came before the span was made
	// lost says that the environment ended, or was reset, without a word about the invocation.
	lost bool
	// closed is when there was no more to come, for an invocation of which no end is known.
	closed pcommon.Timestamp

	owner owner
	// span is the one that stands for the invocation, once there is an owner.
	span SpanRef
	// own are the ids of the span that we would make, or have made; zero before they are needed. pinned says that somebody
	// was told.
	own    SpanRef
	pinned bool
	// orphan is what the SDK's spans hung on when the next invocation began.
	orphan SpanRef

	// hint is the trace that a line names.
	hint pcommon.TraceID

	phases []*phase
	// spans are those that the platform measured and that wait for the span above them. measured says that there were
	// some before.
	spans    []platformSpan
	measured bool
	// released says that the function's spans are of no more interest.
	released bool
}

// ended reports whether the end is known.
func (i *invocation) ended() bool { return i.at.done != 0 || i.at.report != 0 }

// over reports whether nothing more is to come.
func (i *invocation) over() bool { return i.owner != undecided && (i.at.report != 0 || i.lost) }

func (i *invocation) failed() bool {
	return i.errorType != "" || i.status != "" && i.status != telemetryapi.StatusSuccess
}

// killed reports whether the function's process was ended with the invocation, so that its SDK has no more to send.
// After other errors it lives on.
func (i *invocation) killed() bool {
	switch i.status {
	case telemetryapi.StatusTimeout, telemetryapi.StatusFailure:
		return true
	}
	switch i.errorType {
	case "Runtime.ExitError", "Runtime.OutOfMemory":
		return true
	}
	return i.lost || strings.HasPrefix(i.errorType, "Sandbox.") || strings.HasPrefix(i.errorType, "Extension.")
}

// fail keeps how the invocation ended. What was known before counts, unless it was that all is well.
func (i *invocation) fail(o *observed) {
	if i.status == "" || i.status == telemetryapi.StatusSuccess {
		i.status = o.status
	}
	if i.errorType == "" {
		i.errorType = o.errorType
	}
}

func (b *Builder) observeInvocation(o *observed) {
	if o.requestID == "" {
		b.stats.Malformed++
		return
	}
	inv := b.attempt(o)
	if inv == nil {
		return
	}
	switch o.kind {
	case telemetryapi.EventStart:
		b.begin(inv, o)
		return
	case telemetryapi.EventRuntimeDone:
		inv.duration, inv.producedBytes = o.durationMs, o.producedBytes
	case telemetryapi.EventReport:
		if inv.owner == undecided {
			r := o.record
			inv.reported = &r
		}
	}
	inv.fail(o)
	if killed := inv.killed(); killed || o.kind == telemetryapi.EventRuntimeDone {
		b.healthy = !killed
	}
	if inv.spans == nil {
		inv.spans = o.spans
	} else {
		inv.spans = append(inv.spans, o.spans...)
	}
	// Its report is the last word. Without its beginning, an invocation waits for that a little longer.
	b.settle(inv, inv.at.report != 0 && inv.at.start != 0)
	b.settleBefore(inv, o.at)
	if inv.owner == undecided && inv.orphan == (SpanRef{}) {
		inv.orphan = b.orphan()
	}
	b.end(inv) // what comes from now on is of the next one, whose news may be slower than its spans
}

// begin takes the beginning of an invocation.
func (b *Builder) begin(inv *invocation, o *observed) {
	inv.version, inv.tenantID, inv.arn = o.version, o.tenantID, o.functionARN
	if b.set.XRayContext != XRayNone {
		inv.xray = parseXRay(o.xray)
	}
	b.adoptPhases(inv)
	if !b.set.Concurrent && !b.alone() {
		b.overtake(inv)
		b.set.Function.Begin(inv.id)
	}
	b.settle(inv, inv.at.report != 0)
}

// attempt returns the invocation that an event belongs to, with the event's time noted, or nil if the event is no news.
func (b *Builder) attempt(o *observed) *invocation {
	inv := b.invocations[o.requestID]
	if inv == nil {
		inv = b.add(o.requestID)
	}
	at, earlier := inv.at.of(o.kind), inv.earlier.of(o.kind)
	switch {
	case *at == 0 && *earlier != o.at && (inv.earlier == times{} || inv.at.start <= o.at):
	case *at == 0 || *at == o.at || !o.timed:
		b.stats.Duplicates++
		return nil
	default:
		// It has another time: Lambda tries the invocation again, under its id.
		inv = b.replace(inv, o.at)
		at = inv.at.of(o.kind)
	}
	*at = o.at
	return inv
}

// replace begins an invocation that has the id of an earlier one.
func (b *Builder) replace(old *invocation, at pcommon.Timestamp) *invocation {
	if old.owner == undecided {
		old.closed = at
		b.settle(old, true)
	}
	b.forget(old)
	inv := b.add(old.id)
	inv.earlier = old.at
	if old.owner == function {
		inv.stale = old.span
	}
	return inv
}

// overtake notes what the invocations before leave behind: what comes from now on is of the next one.
func (b *Builder) overtake(next *invocation) {
	orphan := b.orphan()
	for _, inv := range b.open() {
		if inv != next && inv.owner == undecided && inv.orphan == (SpanRef{}) {
			inv.orphan = orphan
		}
	}
}

// settleBefore decides on the invocations before one that has ended: what has not come by now will not.
func (b *Builder) settleBefore(later *invocation, at pcommon.Timestamp) {
	if b.set.Concurrent {
		return
	}
	open := b.open()
	if !slices.Contains(open, later) {
		return // all of them came after it
	}
	for _, inv := range open {
		if inv == later {
			return
		}
		if inv.owner == undecided {
			inv.closed = at
			b.settle(inv, true)
		}
	}
}

// lose decides on an invocation that nothing more will come of, unless that is done.
func (b *Builder) lose(inv *invocation, at pcommon.Timestamp) {
	if !inv.ended() {
		inv.lost, inv.closed = true, at
	}
	b.settle(inv, true)
}

// settle decides whose span stands for the invocation as soon as that can be told, or now if final, and makes the spans
// that can be made.
func (b *Builder) settle(inv *invocation, final bool) {
	if inv.owner == undecided {
		if inv.owner = b.decide(inv, final); inv.owner == undecided {
			return
		}
		b.undecided--
		b.judged = b.judged || !inv.killed()
		if inv.owner == ours {
			b.emitInvocation(inv)
		}
	}
	reported := inv.at.report != 0
	if final || inv.ended() {
		_, end := inv.bounds()
		b.emitPhases(inv, final || reported, end)
	}
	b.emitSpans(inv)
	inv.reported = nil
}

func (b *Builder) decide(inv *invocation, final bool) owner {
	b.seekFunction(inv)
	if inv.span != (SpanRef{}) {
		return function
	}
	if !final && (inv.at.start == 0 || !inv.ended() || b.mayComeYet(inv)) {
		return undecided
	}
	switch {
	case b.set.Invocation == InvocationNever, b.foreign(inv):
		return nobody
	case b.rooted() && !inv.failed() && !inv.lost:
		// The SDK makes a span for each invocation, and has not sent this one: it is not sampled. What failed is worth one.
		return nobody
	}
	if inv.at.start == 0 {
		b.adoptPhases(inv)
	}
	if inv.orphan == (SpanRef{}) && b.order[len(b.order)-1] == inv {
		inv.orphan = b.orphan()
	}
	b.hangOn(inv, inv.orphan, inv.killed())
	if inv.killed() {
		b.hangOn(inv, SpanRef{TraceID: inv.hint}, false)
	}
	inv.span = b.ids(inv)
	if b.set.XRayContext == XRayParent && inv.xray.unsampled && inv.xray.root == inv.span.TraceID {
		return unsampled
	}
	return ours
}

// foreign reports whether all that is known of the invocation is its report: an earlier process of the environment has seen
// the rest, and made the span.
func (b *Builder) foreign(inv *invocation) bool {
	return !b.set.Concurrent && inv.at.start == 0 && inv.at.done == 0
}

// seekFunction looks for the SDK's span. Whatever was thought of the invocation before, that is the one.
func (b *Builder) seekFunction(inv *invocation) {
	if b.alone() {
		return
	}
	if ref, ok := b.set.Function.Invocation(inv.id); ok && ref != inv.stale {
		inv.span = ref
	}
}

// rooted reports whether the function has an SDK that makes a span for each invocation.
func (b *Builder) rooted() bool { return !b.alone() && b.set.Function.Rooted() }

// mayComeYet reports whether the SDK may send its span after the end of the invocation. Some do so when the next one has
// them run again.
func (b *Builder) mayComeYet(inv *invocation) bool {
	return !b.alone() && !inv.killed() && b.set.Function.Active()
}

// hangOn makes the invocation's own ids those that the spans of the SDK refer to, so that the trace has no hole. Where
// the SDK may still send that span, it is the trace alone: a span id must not come twice.
func (b *Builder) hangOn(inv *invocation, orphan SpanRef, gone bool) {
	if orphan.TraceID.IsEmpty() || !inv.own.TraceID.IsEmpty() {
		return
	}
	inv.own.TraceID = orphan.TraceID
	if gone {
		inv.own.SpanID = orphan.SpanID
	}
}

// pin promises that the invocation is in the trace of its own ids.
func (b *Builder) pin(inv *invocation) SpanRef {
	inv.pinned = true
	return b.ids(inv)
}

// ids returns the invocation's own ids, which are made when they are first needed.
func (b *Builder) ids(inv *invocation) SpanRef {
	if inv.own.TraceID.IsEmpty() && b.set.XRayContext == XRayParent {
		inv.own.TraceID = inv.xray.root
	}
	if inv.own.TraceID.IsEmpty() {
		b.random(inv.own.TraceID[:])
	}
	if inv.own.SpanID.IsEmpty() {
		b.random(inv.own.SpanID[:])
	}
	return inv.own
}
