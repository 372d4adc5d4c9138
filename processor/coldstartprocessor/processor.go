// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package coldstartprocessor

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pipeline"
	"go.uber.org/zap"

	"github.com/otelcol-lambda/otelcol-lambda/extension/lambdaextension"
)

// maxHold is how long the init span waits for an invocation's. An invocation takes 15 minutes at most, and its span
// comes right after it.
const maxHold = 16 * time.Minute

// refusedToTheEnd is the reason for an init span that is dropped.
const refusedToTheEnd = "refused by the next component until shutdown"

// phase is how far the environment's init span has come.
type phase int

const (
	phaseExpected phase = iota // it has not been seen
	phaseMoving                // one call has it, and is about to hold it or to pass it on
	phaseHeld
	phaseGone
)

var _ lambdaextension.Participant = (*coldstart)(nil)

// coldstart ties one init span to the first invocation's trace.
type coldstart struct {
	logger    *zap.Logger
	next      consumer.Traces
	lifecycle lambdaextension.Lifecycle // nil outside a collector with the lambda extension
	leave     func()

	// gone is phaseGone for those who need no lock: the processor has nothing to do any more.
	gone atomic.Bool

	mu      sync.Mutex
	phase   phase
	held    ptrace.Traces // the init span, with its resource and scope; its owner's while phaseMoving
	since   time.Time     // when it was held first, by the wall clock
	first   invocation
	invoked bool // first is known
	stopped bool
}

// Capabilities tells that the init span is changed.
func (*coldstart) Capabilities() consumer.Capabilities {
	return consumer.Capabilities{MutatesData: true}
}

// Start joins the flushes of the host's lifecycle, if it has one.
func (c *coldstart) Start(_ context.Context, host component.Host) error {
	if lifecycle, ok := lambdaextension.FindLifecycle(host); ok {
		c.lifecycle = lifecycle
		c.leave = lifecycle.Join(c)
	}
	return nil
}

// Shutdown passes on what is held. After it, nothing is held any more.
func (c *coldstart) Shutdown(ctx context.Context) error {
	if c.leave != nil {
		c.leave()
		c.leave = nil
	}
	c.mu.Lock()
	c.stopped = true
	c.mu.Unlock()
	c.release(ctx)
	return nil
}

// Drain implements lambdaextension.Participant: it passes on the init span if there is no use in holding it any longer.
func (c *coldstart) Drain(ctx context.Context) (moved bool) { return c.release(ctx) }

// Flush implements lambdaextension.Participant. The processor talks to no backend.
func (*coldstart) Flush(context.Context) error { return nil }

// ConsumeTraces passes td on, without the init span if the first invocation is not known yet, and after the init span
// if td makes it known.
func (c *coldstart) ConsumeTraces(ctx context.Context, td ptrace.Traces) error {
	if c.gone.Load() {
		return c.next.ConsumeTraces(ctx, td)
	}
	switch c.look(td) {
	case initTied:
		err := c.next.ConsumeTraces(ctx, td)
		c.settle(err, phaseExpected) // who brought it still has it
		return err
	case initEarly:
		return c.hold(ctx, td)
	default:
		// First the init span: at an invocation's span a flush may begin.
		c.release(ctx)
		return c.next.ConsumeTraces(ctx, td)
	}
}

// finding is what a batch has to do with the init span.
type finding int

const (
	initNone  finding = iota // nothing
	initTied                 // it has the init span, which is where it belongs now
	initEarly                // it has the init span, and no invocation is known
)

// look learns from a batch. The caller of look has the init span if there is one.
func (c *coldstart) look(td ptrace.Traces) finding {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.invoked {
		c.first, c.invoked = findInvocation(td)
	}
	if c.phase != phaseExpected {
		return initNone
	}
	span, ok := findInit(td)
	if !ok {
		return initNone
	}
	c.phase = phaseMoving
	if !c.invoked {
		return initEarly
	}
	c.first.adopt(span)
	return initTied
}

// hold keeps the init span of td, and passes on the rest. It leaves td as it is, since a caller who is refused may try
// again with it.
func (c *coldstart) hold(ctx context.Context, td ptrace.Traces) error {
	rest := ptrace.NewTraces()
	td.CopyTo(rest)
	held := cutInit(rest)
	var err error
	if rest.ResourceSpans().Len() > 0 {
		err = c.next.ConsumeTraces(ctx, rest)
	}
	if err != nil && !consumererror.IsPermanent(err) {
		c.settle(err, phaseExpected)
		return err
	}
	c.mu.Lock()
	c.held, c.since, c.phase = held, time.Now().Round(0), phaseHeld
	c.mu.Unlock()
	c.release(ctx) // an invocation may have come meanwhile
	return err
}

// ready decides whether a held span has waited long enough.
func (c *coldstart) ready() bool {
	return c.invoked || c.stopped ||
		c.lifecycle != nil && !c.lifecycle.ShutdownDeadline().IsZero() ||
		time.Now().Round(0).Sub(c.since) > maxHold
}

// release passes on the held span if it is ready, and reports whether it has moved.
func (c *coldstart) release(ctx context.Context) (moved bool) {
	c.mu.Lock()
	if c.phase != phaseHeld || !c.ready() {
		c.mu.Unlock()
		return false
	}
	c.phase = phaseMoving
	if c.invoked {
		if span, ok := findInit(c.held); ok {
			c.first.adopt(span)
		}
	}
	// A copy, because the next component may have taken it apart by the time it refuses it.
	td := ptrace.NewTraces()
	c.held.CopyTo(td)
	c.mu.Unlock()

	err := c.next.ConsumeTraces(ctx, td)
	c.settle(err, phaseHeld)
	return err == nil
}

// settle ends phaseMoving. After a refusal that is not for good, the init span is back in phase again.
func (c *coldstart) settle(err error, again phase) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err == nil, consumererror.IsPermanent(err): // which is counted where it was decided
	case again == phaseHeld && c.stopped:
		c.logger.Warn("Data was dropped", zap.Int("count", 1), zap.String("reason", refusedToTheEnd), zap.Error(err))
		if c.lifecycle != nil {
			c.lifecycle.Health().Drop(pipeline.SignalTraces.String(), refusedToTheEnd, 1)
		}
	default:
		c.phase = again
		return
	}
	c.phase = phaseGone
	c.held = ptrace.Traces{} // what is passed on must not stay in memory
	c.gone.Store(true)
}
