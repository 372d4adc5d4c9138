// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapireceiver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/receiverhelper"
	"go.uber.org/zap"

	"github.com/otelcol-lambda/otelcol-lambda/extension/lambdaextension"
	"github.com/otelcol-lambda/otelcol-lambda/internal/extensionsapi"
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

	// managedInstances is the AWS_LAMBDA_INITIALIZATION_TYPE of environments that run several invocations at once.
	managedInstances = "lambda-managed-instances"

	dataFormat = "telemetryapi"

	// refused is the reason for records that are dropped because the pipeline has not taken them.
	refused = "refused by the pipeline"
)

// telemetryReceiver is one receiver for all signals of one configuration.
type telemetryReceiver struct {
	config   *Config
	logger   *zap.Logger
	obs      *receiverhelper.ObsReport
	version  string
	getenv   func(string) string
	now      func() time.Time
	retryFor time.Duration
	// registration is set in Start.
	registration func() extensionsapi.Registration
	health       *health.Registry
	leave        func()
	// shutdownDeadline is the lifecycle's.
	shutdownDeadline func() time.Time

	// next takes the logs; it is nil when no pipeline of logs uses the receiver. nextMetrics is the same for metrics.
	next        consumer.Logs
	nextMetrics consumer.Metrics
	// underived are the signals that pipelines expect of the receiver in vain.
	underived []string

	// turn is held by who works on events. Lambda's lifecycle gives them one delivery at a time; the lock is for
	// Shutdown, which must not return while the next component is still being called.
	turn chan struct{}
	// mapper and state belong to the holder of turn. mapper is nil before the first events.
	mapper *logMapper
	state  streamState
	drops  dropLog
	// full says that the last delivery was dropped because the pipeline had no room.
	full bool

	stopOnce sync.Once
	stopErr  error
	// stopping is closed when no new events are to be taken; aborted, when the current ones are to be given up.
	stopping chan struct{}
	aborted  context.Context
	abort    context.CancelFunc
}

func newReceiver(set receiver.Settings, cfg *Config) (*telemetryReceiver, error) {
	obs, err := receiverhelper.NewObsReport(receiverhelper.ObsReportSettings{
		ReceiverID:             set.ID,
		Transport:              "http",
		ReceiverCreateSettings: set,
	})
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
	}
	r.aborted, r.abort = context.WithCancel(context.Background())
	return r, nil
}

// Start asks the lambda extension for events. Without one, or when it cannot have any, the receiver stays idle: logs
// that do not come are no reason to take the other pipelines down.
func (r *telemetryReceiver) Start(_ context.Context, host component.Host) error {
	if len(r.underived) > 0 {
		r.logger.Info("This version derives no traces from Lambda's events.",
			zap.Strings("pipelines_without_data", r.underived))
	}
	if len(r.config.Types) == 0 {
		r.logger.Warn("`types` is empty, so the default is used. Leave it out, or list the streams you want.",
			zap.Strings("types", defaultTypes()))
	}
	if r.next == nil && r.nextMetrics == nil {
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
	if r.nextMetrics != nil {
		r.shutdownDeadline = lifecycle.ShutdownDeadline
		r.leave = lifecycle.Join(r)
	}
	if r.next == nil {
		return nil
	}
	// The subscription is kept to the end: what comes after Shutdown is counted.
	_, err := lifecycle.SubscribeTelemetry(lambdaextension.TelemetrySubscriber{
		Streams: subscribedStreams(r.config.streams()),
		Port:    r.config.Port,
		Consume: r.consume,
	})
	if err != nil {
		r.logger.Error("Cannot subscribe to Lambda's events, so none will come; the function is not affected.",
			zap.Error(err))
	}
	return nil
}

// subscribedStreams are the streams to ask for. The platform's are among them even if they are not to become records:
// they tell which invocation a line belongs to. Lambda sends them anyway, because the lifecycle needs them.
func subscribedStreams(streams []telemetryapi.Stream) []telemetryapi.Stream {
	if slices.Contains(streams, telemetryapi.StreamPlatform) {
		return streams
	}
	return append([]telemetryapi.Stream{telemetryapi.StreamPlatform}, streams...)
}

// Shutdown waits for the events that are being passed on. When ctx ends first, they are given up and counted as dropped,
// as are all that come later.
func (r *telemetryReceiver) Shutdown(ctx context.Context) error {
	r.stopOnce.Do(func() { r.stopErr = r.stop(ctx) })
	return r.stopErr
}

func (r *telemetryReceiver) stop(ctx context.Context) error {
	defer r.abort()
	if r.leave != nil {
		r.leave()
	}
	close(r.stopping)
	select {
	case r.turn <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("wait for the events being passed on: %w", ctx.Err())
	}
	// The turn is kept: nobody gets to work after this.
	r.drops.final(r.logger)
	if r.state.ownLines > 0 {
		r.logger.Debug("Left out lines that this process wrote.", zap.Uint64("lines", r.state.ownLines))
	}
	return nil
}

// consume takes the events of one delivery. It returns when the pipeline has them, or they are dropped and counted.
func (r *telemetryReceiver) consume(ctx context.Context, events []telemetryapi.Event) {
	select {
	case <-r.stopping:
		r.comeLate(events)
		return
	default:
	}
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
	case <-r.stopping:
		r.comeLate(events)
		return
	}
	r.prepare()

	before := r.state
	logs := r.mapper.logs(events, &r.state)
	count := logs.LogRecordCount()
	if count == 0 {
		return
	}
	again := func() plog.Logs {
		// The consumer may have changed or emptied what it was given, so the events are mapped once more, from the
		// same state.
		state := before
		return r.mapper.logs(events, &state)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(r.aborted, cancel)()
	ctx = r.obs.StartLogsOp(ctx)
	left, err := r.pass(ctx, logs, again)
	r.obs.EndLogsOp(ctx, dataFormat, count, err)
	r.full = err != nil && !consumererror.IsPermanent(err)
	if err == nil {
		r.drops.recovered()
		return
	}
	r.health.Drop(health.SignalLogs, refused, left)
	r.drops.dropped(r.logger, r.now(), left, err)
}

// comeLate counts the records that events would have become before Shutdown. The lambda extension logs them at its own
// end, with what its listener had no time for.
func (r *telemetryReceiver) comeLate(events []telemetryapi.Event) {
	mapper := logMapper{streams: r.config.streams(), logReport: r.config.LogReport}
	count := 0
	for _, event := range events {
		if mapper.wants(event) && !isOwnLine(event) {
			count++
		}
	}
	if count > 0 {
		r.health.Drop(health.SignalLogs, string(telemetryapi.LossAbandoned), count)
	}
}

// pass gives logs to the pipeline and tries again when the pipeline has no room: for as long as retryFor, or just once
// if the delivery before was dropped. It returns how many records were not taken, and why.
func (r *telemetryReceiver) pass(ctx context.Context, logs plog.Logs, again func() plog.Logs) (left int, err error) {
	var deadline time.Time
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		left = logs.LogRecordCount()
		err = r.next.ConsumeLogs(ctx, logs)
		if err == nil {
			return 0, nil
		}
		if partial, ok := errors.AsType[consumererror.Logs](err); ok {
			// Some were taken. The rest is a copy of ours, for the same reason as above.
			rest := plog.NewLogs()
			partial.Data().CopyTo(rest)
			left = rest.LogRecordCount()
			again = func() plog.Logs {
				logs := plog.NewLogs()
				rest.CopyTo(logs)
				return logs
			}
		}
		if consumererror.IsPermanent(err) || ctx.Err() != nil {
			return left, err
		}
		now := time.Now()
		if deadline.IsZero() {
			deadline = now
			if !r.full {
				deadline = now.Add(r.retryFor)
			}
		} else if !now.Before(deadline) {
			return left, err
		}
		timer := time.NewTimer(min(pause, deadline.Sub(now)))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return left, err
		}
		logs = again()
	}
}

// prepare makes the mapper when it is first needed. The caller has the turn.
func (r *telemetryReceiver) prepare() {
	if r.mapper == nil {
		r.mapper = r.newMapper()
	}
}

// newMapper puts together what is known about the function. That is done with the first events and not in Start: it
// costs nothing of the cold start then, and Lambda has answered the registration by that time for sure.
func (r *telemetryReceiver) newMapper() *logMapper {
	resource, malformed := newResource(r.getenv, r.registration())
	if len(malformed) > 0 {
		r.logger.Warn("Skipped what cannot be read in OTEL_RESOURCE_ATTRIBUTES. Write it as key=value,key2=value2 with "+
			"%-encoding for commas, equals signs and percent signs.", zap.Strings("skipped", malformed))
	}
	return &logMapper{
		streams:    r.config.streams(),
		logReport:  r.config.LogReport,
		concurrent: r.getenv("AWS_LAMBDA_INITIALIZATION_TYPE") == managedInstances,
		resource:   resource,
		version:    r.version,
		now:        r.now,
	}
}

var (
	_ receiver.Logs    = (*sharedComponent[*telemetryReceiver])(nil)
	_ receiver.Traces  = (*sharedComponent[*telemetryReceiver])(nil)
	_ receiver.Metrics = (*sharedComponent[*telemetryReceiver])(nil)
)
