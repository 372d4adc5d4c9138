// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapireceiver

import (
	"context"

	"github.com/otelcol-lambda/otelcol-lambda/extension/lambdaextension"
)

var _ lambdaextension.Participant = (*telemetryReceiver)(nil)

// Drain implements lambdaextension.Participant: what has been measured since the last time joins the data that is about to
// be delivered, and so do lines that have waited for long enough. At the end of the environment that is all there is.
func (r *telemetryReceiver) Drain(ctx context.Context) (moved bool) {
	if r.nextMetrics != nil {
		moved = r.drainHealth(ctx)
	}
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
	case <-r.stopping:
		return moved
	case <-ctx.Done():
		return moved
	}
	r.prepare()
	last := !r.shutdownDeadline().IsZero()
	if last {
		waiting := len(r.held.events) > 0
		r.finish(ctx)
		moved = moved || waiting
	} else if len(r.held.events) > 0 {
		r.passLogs(ctx, false)
		moved = true
	}
	if r.metrics == nil {
		return moved
	}
	if last {
		r.metrics.finish(r.resumes())
	}
	if now := r.now(); r.metrics.due(now, last) && r.passMetrics(ctx, now) {
		moved = true
	}
	return moved
}

// Flush implements lambdaextension.Participant. Nothing is left to deliver after a Drain.
func (*telemetryReceiver) Flush(context.Context) error { return nil }
