// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdaextension

import (
	"encoding/binary"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

const (
	// maxManagedInvocations bounds the invocations whose span is remembered on a Managed Instance, which runs up to 64
	// of them at once on each of its processors.
	maxManagedInvocations = 1024

	// maxMissingParents bounds the spans that are known by their children alone.
	maxMissingParents = 64

	// maxSeenSpans bounds the spans that are remembered for the children that end after them. Children end before their
	// parents as a rule, so few are needed.
	maxSeenSpans = 128

	// maxRequestIDBytes bounds what is remembered as a request id. Lambda's have 36.
	maxRequestIDBytes = 128

	// Flags of OTLP's spans that say whether the parent is in another process.
	flagHasIsRemote, flagIsRemote = 0x100, 0x200
)

// SpanRef is what others refer to a span by.
type SpanRef struct {
	TraceID pcommon.TraceID
	SpanID  pcommon.SpanID
}

// FunctionSpans is what is known of the spans that the function's own SDK makes, by what passes through the collector. It
// is empty, and costs next to nothing, until Use is called. Its methods may be called at any time.
type FunctionSpans struct {
	used atomic.Bool
	// remember is how many invocations' spans are kept.
	remember int
	// overlapping says that several invocations run at once: which of them a span belongs to is not known then.
	overlapping bool

	mu     sync.Mutex
	scope  string
	active bool
	rooted bool
	// roots are the invocations' own spans by request id; order is the ids, oldest first.
	roots map[string]SpanRef
	order []string

	// current is the invocation that runs, as far as Begin and End say.
	current string
	missing []missingParent
	// crowded says that there were more of them than there is room for.
	crowded bool
	// seen is a ring of span ids, the next of which goes to seenAt.
	seen   [maxSeenSpans]uint64
	seenAt int
}

// missingParent is a span that is known by a child of it alone.
type missingParent struct {
	trace pcommon.TraceID
	span  uint64
}

func newFunctionSpans(managed bool) *FunctionSpans {
	f := &FunctionSpans{remember: maxRemembered, overlapping: managed}
	if managed {
		f.remember = maxManagedInvocations
	}
	return f
}

// Use switches on. Spans of the given instrumentation scope are not the function's: it is the scope of those who make
// spans of what they learn here.
func (f *FunctionSpans) Use(scope string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.scope = scope
	if f.roots == nil {
		f.roots = make(map[string]SpanRef)
	}
	f.used.Store(true)
}

// Invocation returns the span that the function's SDK made for an invocation: it is of kind SERVER and has the request
// id.
func (f *FunctionSpans) Invocation(requestID string) (SpanRef, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	ref, ok := f.roots[requestID]
	return ref, ok
}

// Active reports whether the function has sent any span in this environment.
func (f *FunctionSpans) Active() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.active
}

// Rooted reports whether the function has sent the span of an invocation in this environment.
func (f *FunctionSpans) Rooted() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.rooted
}

// Orphan returns the span that the current invocation's other spans hang on and that has not come itself, as is so for the
// span of an invocation that does not get to its end. The span id is zero if there are several candidates, all of one
// trace. It is false if there are none or of several traces, and always on Managed Instances.
func (f *FunctionSpans) Orphan() (SpanRef, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.missing) == 0 || f.crowded {
		return SpanRef{}, false
	}
	ref := SpanRef{TraceID: f.missing[0].trace}
	for _, m := range f.missing[1:] {
		if m.trace != ref.TraceID {
			return SpanRef{}, false
		}
	}
	if len(f.missing) == 1 {
		binary.BigEndian.PutUint64(ref.SpanID[:], f.missing[0].span)
	}
	return ref, true
}

// Begin says that an invocation runs. Spans that came since the end of the one before are its own: they may be faster
// than Lambda's news. What is left of another that has not ended is forgotten.
func (f *FunctionSpans) Begin(requestID string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.current != "" && f.current != requestID {
		f.forgetMissing()
	}
	f.current = requestID
}

// End says that an invocation is over, so that spans from now on are of another one. Its own span is remembered for as long
// as there is room: others may ask for it.
func (f *FunctionSpans) End(requestID string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.current == requestID {
		f.forgetMissing()
		f.current = ""
	}
}

func (f *FunctionSpans) forgetMissing() { f.missing, f.crowded = f.missing[:0], false }

// observe takes notice of one scope's spans, and adds the ids of the invocations whose own span is among them to ended.
func (f *FunctionSpans) observe(spans ptrace.SpanSlice, ended []string) []string {
	f.active = f.active || spans.Len() > 0
	for i := range spans.Len() {
		span := spans.At(i)
		if id := invocationID(span); id != "" {
			ended = append(ended, id)
			f.addRoot(id, SpanRef{span.TraceID(), span.SpanID()})
		}
		if !f.overlapping {
			f.observeParent(span)
		}
	}
	return ended
}

func (f *FunctionSpans) addRoot(id string, ref SpanRef) {
	f.rooted = true
	if len(id) > maxRequestIDBytes {
		return
	}
	if _, ok := f.roots[id]; !ok {
		if len(f.order) == f.remember {
			delete(f.roots, f.order[0])
			f.order = slices.Delete(f.order, 0, 1)
		}
		id = strings.Clone(id) // of the request that it came with
		f.order = append(f.order, id)
	}
	f.roots[id] = ref
}

// observeParent keeps account of the parents that have not come.
func (f *FunctionSpans) observeParent(span ptrace.Span) {
	id := spanNumber(span.SpanID())
	for i := range f.missing {
		if f.missing[i].span == id {
			f.missing = slices.Delete(f.missing, i, i+1)
			break
		}
	}
	f.seen[f.seenAt] = id
	f.seenAt = (f.seenAt + 1) % maxSeenSpans

	parent := spanNumber(span.ParentSpanID())
	if parent == 0 || hasRemoteParent(span) {
		return
	}
	for i := range f.missing {
		if f.missing[i].span == parent {
			return
		}
	}
	if slices.Contains(f.seen[:], parent) {
		return
	}
	if len(f.missing) == maxMissingParents {
		f.crowded = true
		return
	}
	f.missing = append(f.missing, missingParent{trace: span.TraceID(), span: parent})
}

// hasRemoteParent tells whether the parent is somebody else's span, which will never come. SDKs that do not say so have
// such a parent for the spans that answer to somebody else.
func hasRemoteParent(span ptrace.Span) bool {
	if flags := span.Flags(); flags&flagHasIsRemote != 0 {
		return flags&flagIsRemote != 0
	}
	return span.Kind() == ptrace.SpanKindServer || span.Kind() == ptrace.SpanKindConsumer
}

func spanNumber(id pcommon.SpanID) uint64 { return binary.BigEndian.Uint64(id[:]) }

// FunctionSpans implements Lifecycle.
func (e *lambdaExtension) FunctionSpans() *FunctionSpans { return e.functionSpans }
