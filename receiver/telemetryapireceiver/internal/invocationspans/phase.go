// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package invocationspans

import (
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
)

const (
	phaseInit = "init"
	// phaseInvoke is the phase of a suppressed init: the one of an environment that was reset, as part of an invocation.
	phaseInvoke  = "invoke"
	phaseRestore = "restore"

	initSnapStart   = "snap-start"
	initProvisioned = "provisioned-concurrency"
	initManaged     = "lambda-managed-instances"

	// maxPending bounds the phases that wait for an invocation: an init that failed, and the one that was tried after it.
	maxPending = 4
)

// phase is an init, or a restore from a snapshot.
type phase struct {
	name string
	at   times // start is 0 if only the end has come
	// begin and end are what is known of the times by measure; end is 0 as long as it lasts.
	begin, end pcommon.Timestamp

	status, errorType  string
	kind               string // the platform's name for the phase
	initializationType string
	// skip says that it is not of this environment's life: the init that a snapshot was made of.
	skip bool
	// alone says that no invocation waited for it, so that it has a trace of its own.
	alone bool
	cold  bool
	spans []platformSpan

	// inv is the invocation it belongs to.
	inv *invocation
}

func (b *Builder) observeInitStart(o *observed) {
	b.name(o)
	if p := b.init; p != nil {
		switch {
		case o.at <= p.at.start || !o.timed && p.end == 0:
			// There is no other init before the latest that would be news.
			b.stats.Duplicates++
			return
		case p.at.start == 0 && o.at <= max(p.at.done, p.at.report):
			// Its end came first.
			p.at.start, p.begin = o.at, o.at
			return
		}
	}
	b.init = b.newInit(o)
	b.init.at.start, b.init.begin = o.at, o.at
	b.place(b.init, o.at)
}

func (b *Builder) observeInitEnd(o *observed) {
	p := b.init
	if p != nil && o.at < p.at.start {
		b.stats.Duplicates++
		return
	}
	if p == nil || p.other(o) {
		p = b.newInit(o)
		b.init = p
		b.place(p, 0)
	}
	b.finish(p, o)
}

func (b *Builder) observeRestoreStart(o *observed) {
	b.name(o)
	if p := b.restore; p != nil && (p.at.start == o.at || !o.timed && p.end == 0) {
		b.stats.Duplicates++
		return
	}
	// What came before is of the environment that the snapshot was made of.
	if b.init != nil {
		b.init.skip = true
	}
	b.pending = nil
	b.restore = &phase{name: phaseRestore, cold: true}
	b.restore.at.start, b.restore.begin = o.at, o.at
	b.place(b.restore, o.at)
}

func (b *Builder) observeRestoreEnd(o *observed) {
	p := b.restore
	if p == nil || p.other(o) {
		p = &phase{name: phaseRestore, cold: true}
		b.restore = p
		b.place(p, 0)
	}
	b.finish(p, o)
}

// name takes the function's name from the events where nobody else knew it.
func (b *Builder) name(o *observed) {
	if b.set.FunctionName == "" {
		b.set.FunctionName = o.functionName
	}
}

func (b *Builder) newInit(o *observed) *phase {
	p := &phase{name: phaseInit, kind: o.phase, initializationType: o.initializationType}
	if o.phase == phaseInvoke {
		return p // part of an invocation, however the environment came about
	}
	p.skip = o.phase == initSnapStart || o.initializationType == initSnapStart
	p.alone = b.set.Concurrent || o.initializationType == initProvisioned || o.initializationType == initManaged
	p.cold = !p.skip && !p.alone
	return p
}

// other reports whether an event is the end of another phase than p.
func (p *phase) other(o *observed) bool {
	if o.phase != "" && p.kind != "" && o.phase != p.kind {
		return true
	}
	at := *p.at.of(o.kind)
	return at != 0 && at != o.at && o.timed
}

// place finds the invocation that a phase belongs to: the next one, unless that has begun already.
func (b *Builder) place(p *phase, at pcommon.Timestamp) {
	if p.skip {
		return
	}
	inv := b.running(p, at)
	switch {
	case inv != nil:
		p.inv = inv
		inv.phases = append(inv.phases, p)
		inv.coldStart = inv.coldStart || p.cold
	case len(b.pending) < maxPending:
		b.pending = append(b.pending, p)
		b.cold = b.cold || p.cold
	}
	if p.kind == phaseInvoke {
		b.healthy = false
	}
}

// running returns the invocation that has begun and that a phase is part of, or nil.
func (b *Builder) running(p *phase, at pcommon.Timestamp) *invocation {
	if len(b.order) == 0 || p.alone {
		return nil
	}
	if p.kind != phaseInvoke {
		// The first invocation's news may be faster.
		if first := b.order[0]; at != 0 && at <= first.at.start && len(first.phases) < maxPending {
			return first
		}
		return nil
	}
	last := b.order[len(b.order)-1]
	if last.at.start == 0 || last.ended() || last.lost || len(last.phases) >= maxPending {
		return nil
	}
	if b.healthy {
		// There was nothing to initialise when it began, so it is the one that was killed.
		b.lose(last, at)
		return nil
	}
	return last
}

// finish takes the end of a phase.
func (b *Builder) finish(p *phase, o *observed) {
	known := p.at.of(o.kind)
	if *known != 0 {
		b.stats.Duplicates++
		return
	}
	*known = o.at
	if p.status == "" || p.status == telemetryapi.StatusSuccess {
		p.status = o.status
	}
	if p.errorType == "" {
		p.errorType = o.errorType
	}
	p.spans = append(p.spans, o.spans...)
	switch duration := o.durationMs.milliseconds(); {
	case !o.durationMs.Set:
		p.end = max(p.end, o.at)
	case p.begin == 0:
		p.begin, p.end = o.at-min(duration, o.at), o.at
	default:
		p.end = p.begin + duration
	}
	b.healthy = !p.failed()
	if p.inv != nil && p.inv.owner != undecided {
		b.settle(p.inv, false)
	}
}

func (p *phase) failed() bool {
	return p.errorType != "" || p.status != "" && p.status != telemetryapi.StatusSuccess
}

// adoptPhases gives an invocation what comes before it.
func (b *Builder) adoptPhases(inv *invocation) {
	pending := b.pending
	b.pending = nil
	for _, p := range pending {
		switch {
		case !p.alone:
			p.inv = inv
			inv.phases = append(inv.phases, p)
		case p.end != 0:
			b.emitPhase(p, SpanRef{})
		default:
			b.pending = append(b.pending, p)
		}
	}
	inv.coldStart = inv.coldStart || b.cold
	b.cold = false
}

// emitPhases makes the spans of an invocation's phases, and of those that have no end only if force.
func (b *Builder) emitPhases(inv *invocation, force bool, end pcommon.Timestamp) {
	inv.phases = slices.DeleteFunc(inv.phases, func(p *phase) bool {
		if p.end == 0 && !force {
			return false
		}
		if p.end == 0 {
			p.end = end
		}
		if inv.visible() {
			b.emitPhase(p, inv.span)
		}
		return true
	})
}
