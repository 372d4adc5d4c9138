// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdaextension

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/otelcol-lambda/otelcol-lambda/internal/flush"
	"github.com/otelcol-lambda/otelcol-lambda/internal/health"
	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
)

// managed is what is known of a Managed Instance, where Lambda tells of invocations by the Telemetry API alone.
type managed struct {
	mu   sync.Mutex
	plan *flush.Managed
	// changed is closed, and made anew, when events have come.
	changed chan struct{}
	// interrupt ends a delivery that goes on only for as long as nothing runs.
	interrupt context.CancelFunc
}

func newManaged(settings flush.Settings, now time.Time) *managed {
	return &managed{plan: flush.NewManaged(settings, now), changed: make(chan struct{}), interrupt: func() {}}
}

// observe takes one delivery of the Telemetry API, after everything in it has been consumed. It does nothing where there
// is no Managed Instance.
func (m *managed) observe(events []telemetryapi.Event) {
	if m == nil {
		return
	}
	now := time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, event := range events {
		switch event.Type {
		case telemetryapi.EventStart:
			m.plan.Started(event.RequestID(), now)
		case telemetryapi.EventReport:
			m.plan.Reported(event.RequestID(), now)
		}
	}
	if !m.plan.Idle() {
		m.interrupt()
	}
	close(m.changed)
	m.changed = make(chan struct{})
}

// next is when to deliver, unless changed is closed before.
func (m *managed) next() (at time.Time, changed <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.plan.Next(), m.changed
}

// delivers notes that a delivery begins, and reports whether nothing runs. If so, interrupt is called when something does.
func (m *managed) delivers(interrupt context.CancelFunc) (idle bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.plan.Delivered(time.Now())
	if idle = m.plan.Idle(); idle {
		m.interrupt = interrupt
	}
	return idle
}

// awaitIdle waits until no invocation is known to run, or ctx ends.
func (m *managed) awaitIdle(ctx context.Context) {
	for {
		m.mu.Lock()
		running, changed := m.plan.Running(), m.changed
		m.mu.Unlock()
		if !running {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// manage makes the environment a Managed Instance. There the strategies all mean the same, since nothing is ever held or
// frozen; the user's interval counts whichever was chosen.
func (e *lambdaExtension) manage() {
	settings := e.flush.settings()
	e.managed = newManaged(settings, time.Now())
	e.flush.Strategy, e.flush.Interval = string(flush.Continuous), settings.Interval
	e.logger.Info("On Managed Instances data leaves once in an interval and when nothing runs any more, whatever the "+
		"flush strategy", zap.String("strategy", string(settings.Strategy)),
		zap.Duration("interval", e.managed.plan.Interval()))
}

// deliverAlongside delivers until ctx ends, beside the invocations of a Managed Instance.
func (e *lambdaExtension) deliverAlongside(ctx context.Context) {
	for {
		at, changed := e.managed.next()
		timer := time.NewTimer(time.Until(at))
		select {
		case <-timer.C:
			limited, cancel := e.unheld(ctx)
			if e.managed.delivers(cancel) {
				_ = e.flushAll(limited) // what fails stays queued
			} else {
				e.sendAll(limited)
			}
			cancel()
		case <-changed:
			timer.Stop()
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// sendAll has everything sent that waits, and does not wait for answers. While a flush waits, data that arrives is sent as
// it comes, which is what there is to avoid on a busy instance, and never ends there.
func (e *lambdaExtension) sendAll(ctx context.Context) {
	began := time.Now()
	defer func() { e.health.Add(health.FlushDuration, time.Since(began).Milliseconds()) }()
	members := e.participants.members()
	drain(ctx, members)
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	_ = deliver(ctx, members)
}

// explainTime says what a failed subscription means on a Managed Instance.
func (e *lambdaExtension) explainTime(err error) {
	const consequence = "logs and platform events will not come, and data is delivered once in an interval only"
	if errors.Is(err, telemetryapi.ErrNotSupported) {
		e.logger.Warn("There is no Telemetry API here, as in local emulators of Lambda: " + consequence)
		return
	}
	e.logger.Error("Subscribing to the Telemetry API failed: "+consequence+". "+hint(err), zap.Error(err))
}
