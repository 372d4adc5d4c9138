// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapireceiver

import (
	"context"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/otelcol-lambda/otelcol-lambda/internal/health"
	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
	"github.com/otelcol-lambda/otelcol-lambda/receiver/telemetryapireceiver/internal/faasmetrics"
	"github.com/otelcol-lambda/otelcol-lambda/receiver/telemetryapireceiver/internal/sandboxstat"
)

// envTemporality is of OpenTelemetry's specification of OTLP exporters.
const envTemporality = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"

// platformMetrics makes metrics of Lambda's events and of what the environment uses. It belongs to the holder of the turn.
type platformMetrics struct {
	aggregator *faasmetrics.Aggregator
	usage      *sandboxstat.Reader
	// last is what the environment had used at the beginning of the current invocation.
	last     sandboxstat.Sample
	measured bool
	// unread says that an invocation has begun or ended since it was last read what is in use.
	unread bool

	delta    bool
	interval time.Duration
	// exported is the wall time of the last export; zero before the first.
	exported time.Time
	// unsent is what the pipeline has not taken yet.
	unsent pmetric.Metrics
}

func newPlatformMetrics(cfg *Config, getenv func(string) string, now time.Time) *platformMetrics {
	delta := isDelta(firstNonEmpty(cfg.temporality(), getenv(envTemporality)))
	return &platformMetrics{
		aggregator: faasmetrics.New(faasmetrics.Settings{Delta: delta, Exponential: cfg.exponentialHistograms(), Start: now}),
		usage:      sandboxstat.NewReader(""),
		delta:      delta,
		interval:   cfg.exportInterval(),
	}
}

// isDelta reads a preference. `lowmemory` is delta for all that is made here.
func isDelta(preference string) bool {
	switch strings.ToLower(strings.TrimSpace(preference)) {
	case "delta", "lowmemory":
		return true
	default:
		return false
	}
}

// observe has metrics made of an event.
func (r *telemetryReceiver) observe(event telemetryapi.Event) {
	a := r.metrics.aggregator
	known := a.UnknownFields()
	a.Observe(event)
	if n := a.UnknownFields() - known; n > 0 {
		r.health.Add(health.UnknownFields, int64(n))
	}
}

// always says that metrics leave with each delivery of events.
func (p *platformMetrics) always() bool { return p.interval == 0 }

// due says that it is time to export. The first export does not wait: short functions would not live to see it.
func (p *platformMetrics) due(now time.Time, last bool) bool {
	since := now.Round(0).Sub(p.exported)
	return last || p.exported.IsZero() || since >= p.interval || since < 0
}

// measure notes what the environment has used since the last invocation began, which is what that one has used: nothing
// runs between invocations.
func (p *platformMetrics) measure() {
	sample := p.usage.Read()
	if p.measured {
		p.aggregator.ObserveUsage(sample.Sub(p.last))
		p.unread = true
	}
	p.last, p.measured = sample, true
}

// finish ends what is under way with the environment. A flush at its end may come here several times.
func (p *platformMetrics) finish() {
	if p.measured {
		p.measure()
		p.measured = false
	}
	p.aggregator.Finish()
}

// measure is called when an invocation begins.
func (r *telemetryReceiver) measure() {
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
		r.metrics.measure()
	default:
		// Events are being passed on. The next invocation's usage has this one's in it then, which is better than to wait.
	}
}

// passMetrics gives what has been measured to the pipeline, and reports whether it has taken anything. What it does not take is
// kept. The caller has the turn.
func (r *telemetryReceiver) passMetrics(ctx context.Context, now time.Time) (moved bool) {
	p := r.metrics
	// Cumulative points are in the next export again, if there is one.
	if p.unsent != (pmetric.Metrics{}) && (p.delta || p.aggregator.Empty()) {
		if !r.sendMetrics(ctx, p.unsent) {
			return false
		}
		p.unsent, p.exported, moved = pmetric.Metrics{}, now.Round(0), true
	}
	if p.aggregator.Empty() {
		return moved
	}
	if p.unread {
		// Only for an export, and once in an invocation: it takes as long as all the rest of an invocation's events.
		p.aggregator.ObserveInUse(p.usage.ReadInUse())
		p.unread = false
	}
	metrics := pmetric.NewMetrics()
	rm := metrics.ResourceMetrics().AppendEmpty()
	r.mapper.putResource(rm.Resource(), &r.state)
	sm := rm.ScopeMetrics().AppendEmpty()
	r.mapper.putScope(sm.Scope())
	p.aggregator.Collect(now, sm.Metrics())
	if p.unsent = metrics; !r.sendMetrics(ctx, metrics) {
		return moved
	}
	p.unsent, p.exported = pmetric.Metrics{}, now.Round(0)
	return true
}

// left counts what will not be delivered.
func (p *platformMetrics) left(now time.Time) (points int) {
	if p.unsent != (pmetric.Metrics{}) {
		points = p.unsent.DataPointCount()
	}
	if !p.aggregator.Empty() {
		points += p.aggregator.Collect(now, pmetric.NewMetricSlice())
	}
	p.unsent = pmetric.Metrics{}
	return points
}

// sendMetrics is false if the pipeline may take the metrics later. What it will never take is counted as dropped.
func (r *telemetryReceiver) sendMetrics(ctx context.Context, metrics pmetric.Metrics) bool {
	count := metrics.DataPointCount()
	ctx = r.obs.StartMetricsOp(ctx)
	own := pmetric.NewMetrics() // what is given away is the consumer's, whatever it returns
	metrics.CopyTo(own)
	err := r.nextMetrics.ConsumeMetrics(ctx, own)
	r.obs.EndMetricsOp(ctx, dataFormat, count, err)
	if err != nil && mayPass(err) {
		return false
	}
	r.account(&r.metricsOut, count, err)
	return true
}
