// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapireceiver

import (
	"context"

	"go.opentelemetry.io/collector/pdata/pmetric"

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
	last := r.lastCall()
	if last {
		moved = r.finish(ctx, keep) || moved
	} else if len(r.held.events) > 0 {
		moved = r.passLogs(ctx, r.overripe(false), keep) || moved
	}
	if r.metrics != nil {
		if last {
			r.metrics.finish()
		}
		if now := r.now(); r.metrics.due(now, last) {
			moved = r.passMetrics(ctx, now) || moved
		}
	}
	// What there was no room for may find some in another round of this flush, the last one that there is.
	return moved || last && r.keeps()
}

// keeps reports whether there is something that the pipelines have not taken.
func (r *telemetryReceiver) keeps() bool {
	return len(r.held.events) > 0 || r.keptSpans.Len() > 0 ||
		r.metrics != nil && r.metrics.unsent != (pmetric.Metrics{})
}

// Flush implements lambdaextension.Participant. Nothing is left to deliver after a Drain.
func (*telemetryReceiver) Flush(context.Context) error { return nil }
