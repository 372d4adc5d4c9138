// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapireceiver

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelcol-lambda/otelcol-lambda/internal/health"
	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
)

const (
	// retryFor is how long a pipeline that is full gets to make room. Lambda's events wait behind the ones that are
	// tried again, in a queue with room for seconds of them, and an invocation that is over waits with them: its end is
	// one of these events. So only the first delivery in a row is given the time.
	retryFor = 500 * time.Millisecond
	// The pauses between tries double from the first to the longest. Memory is freed within milliseconds of a flush.
	firstPause   = 5 * time.Millisecond
	longestPause = 200 * time.Millisecond
)

// outlet is where one signal leaves the receiver.
type outlet struct {
	signal string
	drops  dropLog
	// full says that the pipeline had no room the last time.
	full bool
}

// patience says what is done when a pipeline has no room.
type patience int

const (
	// wait tries again for some time, and then drops.
	wait patience = iota
	// keep leaves it for the next opportunity, which follows.
	keep
	// drop does neither: there is no other opportunity.
	drop
)

// attempt calls send, and does so again when the pipeline has no room: for as long as retryFor, or just once if there was
// none the last time, or no patience. It returns send's last error.
func (r *telemetryReceiver) attempt(ctx context.Context, o *outlet, p patience, send func() error) error {
	var deadline time.Time
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		err := send()
		if err == nil || !mayPass(err) || ctx.Err() != nil || p != wait {
			return err
		}
		now := time.Now()
		if deadline.IsZero() {
			deadline = now
			if !o.full {
				deadline = now.Add(r.retryFor)
			}
		} else if !now.Before(deadline) {
			return err
		}
		timer := time.NewTimer(min(pause, deadline.Sub(now)))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return err
		}
	}
}

// mayPass reports whether there is a point in trying again. Of several pipelines that are given the same, those that have
// taken it would get it twice.
func mayPass(err error) bool {
	var several interface{ Unwrap() []error }
	return !consumererror.IsPermanent(err) && !errors.As(err, &several)
}

// account counts what a pipeline has not taken and never will, and says so.
func (r *telemetryReceiver) account(o *outlet, left int, err error) {
	o.full = err != nil && !consumererror.IsPermanent(err)
	if err == nil {
		o.drops.recovered()
		return
	}
	r.health.Drop(o.signal, refused, left)
	o.drops.dropped(r.logger, r.now(), left, err)
}

// passLogs makes records of events and gives them to the pipeline. It is false if there was nothing to give, or it is kept.
func (r *telemetryReceiver) passLogs(ctx context.Context, events []telemetryapi.Event, p patience) (moved bool) {
	if len(events) == 0 {
		return false
	}
	before := r.state
	logs := r.mapper.logs(events, &r.state)
	count := logs.LogRecordCount()
	if count == 0 {
		return false
	}
	again := func() plog.Logs {
		// The consumer may have changed or emptied what it was given, so the events are mapped once more, from the
		// same state.
		state := before
		return r.mapper.logs(events, &state)
	}
	ctx = r.obs.StartLogsOp(ctx)
	left, partly := count, false
	err := r.attempt(ctx, &r.logsOut, p, func() error {
		if logs == (plog.Logs{}) {
			logs = again()
		}
		left = logs.LogRecordCount()
		err := r.next.ConsumeLogs(ctx, logs)
		logs = plog.Logs{}
		if rest, ok := restOf(err); ok {
			partly = true
			left, again = rest.LogRecordCount(), func() plog.Logs {
				logs := plog.NewLogs()
				rest.CopyTo(logs)
				return logs
			}
		}
		return err
	})
	r.obs.EndLogsOp(ctx, dataFormat, count, err)
	if err != nil && p == keep && mayPass(err) && !partly {
		r.state = before
		r.held.putBack(events, r.now())
		return false
	}
	r.account(&r.logsOut, left, err)
	return true
}

// restOf returns what a pipeline has not taken if it says that it has taken some. It is a copy: the original is the
// pipeline's.
func restOf(err error) (plog.Logs, bool) {
	partial, ok := errors.AsType[consumererror.Logs](err)
	if !ok {
		return plog.Logs{}, false
	}
	rest := plog.NewLogs()
	partial.Data().CopyTo(rest)
	return rest, true
}

// passSpans gives the spans that are complete to the pipeline. It is false if there was nothing to give, or it is kept.
func (r *telemetryReceiver) passSpans(ctx context.Context, p patience) (moved bool) {
	if r.spans == nil || r.nextTraces == nil {
		return false
	}
	spans := r.keptSpans
	r.keptSpans = ptrace.NewSpanSlice()
	r.spans.Take(spans)
	count := spans.Len()
	if count == 0 {
		return false
	}
	ctx = r.obs.StartTracesOp(ctx)
	err := r.attempt(ctx, &r.tracesOut, p, func() error {
		// What is given away is the consumer's, whatever it returns.
		return r.nextTraces.ConsumeTraces(ctx, r.mapper.traces(spans, &r.state))
	})
	r.obs.EndTracesOp(ctx, dataFormat, count, err)
	if err != nil && p == keep && mayPass(err) {
		r.keptSpans = spans
		return false
	}
	r.account(&r.tracesOut, count, err)
	return true
}

// traces returns a copy of spans, with what they come from.
func (m *logMapper) traces(spans ptrace.SpanSlice, state *streamState) ptrace.Traces {
	traces := ptrace.NewTraces()
	rs := traces.ResourceSpans().AppendEmpty()
	m.putResource(rs.Resource(), state)
	ss := rs.ScopeSpans().AppendEmpty()
	m.putScope(ss.Scope())
	spans.CopyTo(ss.Spans())
	return traces
}

// abandon counts what there is no time left for, and forgets it.
func (r *telemetryReceiver) abandon() {
	if r.mapper == nil {
		return
	}
	lose := func(signal string, items int) {
		if items > 0 {
			r.health.Drop(signal, string(telemetryapi.LossAbandoned), items)
		}
	}
	lose(health.SignalLogs, r.mapper.count(r.held.events))
	r.held = heldLines{}
	if r.spans != nil && r.nextTraces != nil {
		r.spans.Flush()
		spans := ptrace.NewSpanSlice()
		r.spans.Take(spans)
		lose(health.SignalTraces, spans.Len())
	}
	lose(health.SignalTraces, r.keptSpans.Len())
	r.keptSpans = ptrace.NewSpanSlice()
	if r.metrics != nil {
		lose(health.SignalMetrics, r.metrics.left(r.now()))
	}
}

// count returns how many records events would become.
func (m *logMapper) count(events []telemetryapi.Event) (n int) {
	for _, event := range events {
		if m.wants(event) && !isOwnLine(event) {
			n++
		}
	}
	return n
}
