// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapireceiver

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/receiver"
	"go.uber.org/zap"

	"github.com/otelcol-lambda/otelcol-lambda/extension/lambdaextension"
	"github.com/otelcol-lambda/otelcol-lambda/internal/extensionsapi"
	"github.com/otelcol-lambda/otelcol-lambda/internal/health"
	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
	"github.com/otelcol-lambda/otelcol-lambda/receiver/telemetryapireceiver/internal/invocationspans"
	"github.com/otelcol-lambda/otelcol-lambda/receiver/telemetryapireceiver/internal/metadata"
)

const (
	// managedInstances is the AWS_LAMBDA_INITIALIZATION_TYPE of environments that run several invocations at once.
	managedInstances = "lambda-managed-instances"

	dataFormat = "telemetryapi"

	// lastWait is how long a pipeline may take to notice that it is not waited for any more.
	lastWait = 100 * time.Millisecond

	// refused is the reason for what is dropped because the pipeline has not taken it.
	refused = "refused by the pipeline"
)

// telemetryReceiver is one receiver for all signals of one configuration.
type telemetryReceiver struct {
	config   *Config
	logger   *zap.Logger
	obs      obsReport
	version  string
	getenv   func(string) string
	now      func() time.Time
	retryFor time.Duration
	// registration is set in Start.
	registration  func() extensionsapi.Registration
	health        *health.Registry
	functionSpans *lambdaextension.FunctionSpans
	zone          *zone
	leave         []func()
	// shutdownDeadline and lastCall are the lifecycle's.
	shutdownDeadline func() time.Time
	lastCall         func() bool

	// Where telemetry goes; nil where no pipeline of that signal uses the receiver.
	next        consumer.Logs
	nextTraces  consumer.Traces
	nextMetrics consumer.Metrics

	// turn is held by who works on events. Lambda's lifecycle gives them one delivery at a time; the lock is for
	// the end of invocations and of the receiver, which must not return while the next component is being called.
	turn chan struct{}
	// All of these belong to the holder of turn. mapper and spans are nil before the first events, metrics for as long as
	// nobody takes them.
	mapper  *logMapper
	state   streamState // after the last event that became a record
	seen    streamState // after the last event that came
	held    heldLines
	spans   *invocationspans.Builder
	metrics *platformMetrics
	// keptSpans are complete, and the pipeline has had no room for them.
	keptSpans ptrace.SpanSlice

	logsOut, tracesOut, metricsOut outlet

	stopOnce sync.Once
	stopErr  error
	// stopping is closed when no new events are to be taken; aborted, when the current ones are to be given up.
	stopping chan struct{}
	aborted  context.Context
	abort    context.CancelFunc
}

func newReceiver(set receiver.Settings, cfg *Config) (*telemetryReceiver, error) {
	obs, err := newObsReport(set)
	if err != nil {
		return nil, fmt.Errorf("create the receiver's own metrics: %w", err)
	}
	r := &telemetryReceiver{
		config:   cfg,
		logger:   set.Logger,
		obs:      obs,
		version:  set.BuildInfo.Version,
		getenv:   os.Getenv,
		now:      time.Now,
		retryFor: retryFor,
		turn:     make(chan struct{}, 1),
		stopping: make(chan struct{}),

		keptSpans: ptrace.NewSpanSlice(),

		logsOut:    outlet{signal: health.SignalLogs, drops: dropLog{items: "log records"}},
		tracesOut:  outlet{signal: health.SignalTraces, drops: dropLog{items: "spans"}},
		metricsOut: outlet{signal: health.SignalMetrics, drops: dropLog{items: "metric points"}},
	}
	r.aborted, r.abort = context.WithCancel(context.Background())
	return r, nil
}

// Start asks the lambda extension for events. Without one, or when it cannot have any, the receiver stays idle: telemetry
// that does not come is no reason to take the other pipelines down.
func (r *telemetryReceiver) Start(_ context.Context, host component.Host) error {
	if len(r.config.Types) == 0 {
		r.logger.Warn("`types` is empty, so the default is used. Leave it out, or list the streams you want.",
			zap.Strings("types", defaultTypes()))
	}
	if r.next == nil && r.nextTraces == nil && r.nextMetrics == nil {
		return nil
	}
	lifecycle, ok := lambdaextension.FindLifecycle(host)
	if !ok {
		r.logger.Warn("There is no `lambda` extension, so no events of Lambda will come. " +
			"Add `lambda:` to `extensions`, and `lambda` to the list `service::extensions`.")
		return nil
	}
	r.registration = lifecycle.Registration
	r.health = lifecycle.Health()
	r.shutdownDeadline = lifecycle.ShutdownDeadline
	r.lastCall = lifecycle.LastCall
	r.leave = append(r.leave, lifecycle.Join(r))
	if r.followsSpans() {
		r.functionSpans = lifecycle.FunctionSpans()
		r.functionSpans.Use(metadata.ScopeName)
	}
	if r.nextMetrics != nil && r.platform() {
		r.metrics = newPlatformMetrics(r.config, r.getenv, r.now())
		if !r.concurrent() {
			// Invocations that overlap cannot be told apart by what the whole environment uses.
			r.leave = append(r.leave, lifecycle.OnInvoke(r.measure))
		}
	}
	if r.config.Resource.AvailabilityZone {
		r.zone = newZone(r.getenv, r.logger)
		r.leave = append(r.leave, r.zone.start())
	}
	// The subscription is kept to the end: what comes after Shutdown is counted.
	_, err := lifecycle.SubscribeTelemetry(lambdaextension.TelemetrySubscriber{
		Streams: r.subscribedStreams(),
		Port:    r.config.Port,
		Consume: r.consume,
	})
	if err != nil {
		r.logger.Error("Cannot subscribe to Lambda's events, so none will come; the function is not affected.",
			zap.Error(err))
	}
	return nil
}

// subscribedStreams are the streams to ask for. The platform's are among them even if nothing is made of them: they tell
// which invocation a line belongs to. Lambda sends them anyway, because the lifecycle needs them.
func (r *telemetryReceiver) subscribedStreams() []telemetryapi.Stream {
	streams := []telemetryapi.Stream{telemetryapi.StreamPlatform}
	if r.next == nil {
		return streams // lines become nothing but log records
	}
	for _, stream := range r.config.streams() {
		if !slices.Contains(streams, stream) {
			streams = append(streams, stream)
		}
	}
	return streams
}

// platform reports whether telemetry is to be made of the platform's events.
func (r *telemetryReceiver) platform() bool {
	return slices.Contains(r.config.streams(), telemetryapi.StreamPlatform)
}

// makesSpans reports whether there is use for spans.
func (r *telemetryReceiver) makesSpans() bool { return r.nextTraces != nil && r.platform() }

// followsSpans reports whether it matters which spans the function makes itself: ours join them, and log records refer to
// them.
func (r *telemetryReceiver) followsSpans() bool {
	return (r.next != nil || r.makesSpans()) && r.config.invocationSpans() != invocationAlways
}

func (r *telemetryReceiver) concurrent() bool {
	return r.getenv("AWS_LAMBDA_INITIALIZATION_TYPE") == managedInstances
}

// Shutdown waits for the events that are being passed on. When ctx ends first, they are given up and counted as dropped,
// as are all that come later.
func (r *telemetryReceiver) Shutdown(ctx context.Context) error {
	r.stopOnce.Do(func() { r.stopErr = r.stop(ctx) })
	return r.stopErr
}

func (r *telemetryReceiver) stop(ctx context.Context) error {
	defer r.abort()
	for _, leave := range r.leave {
		leave()
	}
	close(r.stopping)
	var overdue error
	select {
	case r.turn <- struct{}{}:
	case <-ctx.Done():
		overdue = fmt.Errorf("wait for the events being passed on: %w", ctx.Err())
		r.abort() // and whoever has the turn gives it back
		select {
		case r.turn <- struct{}{}:
		case <-time.After(lastWait):
			return overdue
		}
	}
	// The turn is kept: nobody gets to work after this.
	if r.metrics != nil {
		defer r.metrics.usage.Close()
	}
	switch {
	case overdue != nil:
		r.abandon()
	case r.mapper != nil:
		r.finish(ctx, drop)
		if r.metrics != nil {
			r.metrics.finish()
			r.passMetrics(ctx, r.now())
			if n := r.metrics.left(r.now()); n > 0 {
				r.health.Drop(health.SignalMetrics, refused, n)
			}
		}
	}
	for _, o := range []*outlet{&r.logsOut, &r.tracesOut, &r.metricsOut} {
		o.drops.final(r.logger)
	}
	r.sayLeftOut()
	return overdue
}

// sayLeftOut logs what was not made telemetry of on purpose.
func (r *telemetryReceiver) sayLeftOut() {
	if s := r.state; s.ownLines > 0 || s.excluded > 0 || s.lesser > 0 {
		r.logger.Debug("Left out of the logs", zap.Uint64("lines_of_this_process", s.ownLines),
			zap.Uint64("events_by_type", s.excluded), zap.Uint64("records_by_severity", s.lesser))
	}
	if r.metrics != nil && r.metrics.aggregator.Forgotten() > 0 {
		r.logger.Debug("Invocations made room for others before their report came, which is not in the metrics",
			zap.Int("invocations", r.metrics.aggregator.Forgotten()))
	}
	if r.spans == nil {
		return
	}
	if s := r.spans.Stats(); s != (invocationspans.Stats{}) {
		r.logger.Debug("Lambda's events were out of the ordinary", zap.Int("forgotten_invocations", s.Forgotten),
			zap.Int("duplicates", s.Duplicates), zap.Int("malformed", s.Malformed))
	}
}

// consume takes the events of one delivery. It returns when the pipelines have what is made of them, or it is dropped and
// counted.
func (r *telemetryReceiver) consume(ctx context.Context, events []telemetryapi.Event) {
	select {
	case <-r.stopping:
		r.comeLate(events)
		return
	default:
	}
	select {
	case r.turn <- struct{}{}:
		defer func() {
			if r.aborted.Err() != nil {
				r.abandon() // Shutdown has not waited, and nobody comes after
			}
			<-r.turn
		}()
	case <-r.stopping:
		r.comeLate(events)
		return
	}
	r.prepare()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(r.aborted, cancel)()

	for i := range events {
		events[i].Share() // by what makes spans, metrics and logs
		event := events[i]
		if r.spans != nil {
			r.hint(event)
			r.spans.Observe(event)
		}
		if r.metrics != nil {
			r.observe(event)
		}
		if event.Type == telemetryapi.EventRestoreStart && r.zone != nil {
			r.zone.moved()
		}
	}
	// Logs first: they say where the instance is that all of it comes from.
	if r.next != nil {
		r.passLogs(ctx, r.ripe(events), wait)
	} else {
		r.state.follow(events)
	}
	r.passSpans(ctx, wait)
	if r.metrics != nil && r.metrics.always() {
		r.passMetrics(ctx, r.now())
	}
}

// comeLate counts the records that events would have become before Shutdown. The lambda extension logs them at its own
// end, with what its listener had no time for.
func (r *telemetryReceiver) comeLate(events []telemetryapi.Event) {
	if r.next == nil {
		return
	}
	mapper := logMapper{streams: r.config.streams(), logReport: r.config.reports(), filter: r.config.logFilter()}
	if count := mapper.count(events); count > 0 {
		r.health.Drop(health.SignalLogs, string(telemetryapi.LossAbandoned), count)
	}
}

// finish passes on all there is, at the end of the environment.
func (r *telemetryReceiver) finish(ctx context.Context, p patience) (moved bool) {
	if r.spans != nil {
		r.spans.Flush()
	}
	if r.next != nil {
		moved = r.passLogs(ctx, r.overripe(true), p)
	}
	return r.passSpans(ctx, p) || moved
}

// prepare makes what is needed for events when they first come. The caller has the turn. That is done with the first
// events and not in Start: it costs nothing of the cold start then, and Lambda has answered the registration by that time
// for sure.
func (r *telemetryReceiver) prepare() {
	if r.mapper != nil {
		return
	}
	r.mapper = r.newMapper()
	if r.next == nil && !r.makesSpans() {
		return
	}
	registration := r.registration()
	set := invocationspans.Settings{
		XRayContext:  invocationspans.XRayContext(r.config.xrayContext()),
		Invocation:   invocationspans.Invocation(r.config.invocationSpans()),
		ContextOnly:  !r.makesSpans(),
		Concurrent:   r.mapper.concurrent,
		FunctionName: firstNonEmpty(r.getenv("AWS_LAMBDA_FUNCTION_NAME"), registration.FunctionName),
		Random:       rand.Reader,
		Now:          r.now,
	}
	if r.functionSpans != nil {
		set.Function = r.functionSpans
	}
	r.spans = invocationspans.New(set)
	r.mapper.trace = func(requestID string) (pcommon.TraceID, pcommon.SpanID, bool) {
		ref, state := r.spans.Context(requestID)
		return ref.TraceID, ref.SpanID, state == invocationspans.Known
	}
}

// newMapper puts together what is known about the function.
func (r *telemetryReceiver) newMapper() *logMapper {
	resource, malformed := newResource(r.getenv, r.registration())
	if len(malformed) > 0 {
		r.logger.Warn("Skipped what cannot be read in OTEL_RESOURCE_ATTRIBUTES. Write it as key=value,key2=value2 with "+
			"%-encoding for commas, equals signs and percent signs.", zap.Strings("skipped", malformed))
	}
	m := &logMapper{
		streams:    r.config.streams(),
		logReport:  r.config.reports(),
		filter:     r.config.logFilter(),
		concurrent: r.concurrent(),
		resource:   resource,
		version:    r.version,
		now:        r.now,
	}
	if r.zone != nil {
		m.zone = r.zone.id
	}
	return m
}

var (
	_ receiver.Logs    = (*sharedComponent[*telemetryReceiver])(nil)
	_ receiver.Traces  = (*sharedComponent[*telemetryReceiver])(nil)
	_ receiver.Metrics = (*sharedComponent[*telemetryReceiver])(nil)
)
