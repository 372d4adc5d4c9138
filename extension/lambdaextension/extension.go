// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdaextension

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/extension/extensioncapabilities"
	"go.uber.org/zap"

	"github.com/otelcol-lambda/otelcol-lambda/internal/extensionsapi"
	"github.com/otelcol-lambda/otelcol-lambda/internal/flush"
	"github.com/otelcol-lambda/otelcol-lambda/internal/health"
	"github.com/otelcol-lambda/otelcol-lambda/internal/spool"
)

const (
	envRuntimeAPI         = "AWS_LAMBDA_RUNTIME_API"
	envInitializationType = "AWS_LAMBDA_INITIALIZATION_TYPE"

	// registrationWait is how long the pipelines wait for the registration before they start without knowing what
	// Lambda says about the function. Init may take 10 seconds in all.
	registrationWait = 5 * time.Second

	// listenerShutdownTimeout bounds what is left to do for the listener when everything has been delivered.
	listenerShutdownTimeout = 100 * time.Millisecond
)

// lambdaExtension is the lifecycle of the environment.
type lambdaExtension struct {
	flush    FlushConfig
	logger   *zap.Logger
	settings settings

	participants participants
	subscription subscription
	invocations  *invocations
	health       *health.Registry
	disk         disk
	heap         *heap
	collections  *collections
	unwatch      func()
	own          *extensionsapi.Pending // the registration, if it is nobody else's
	managed      *managed               // nil where there is no Managed Instance

	// running is the context of everything that outlives Start.
	running context.Context
	cancel  context.CancelFunc
	wg      sync.WaitGroup

	// heard says that something has come from the Telemetry API.
	heard atomic.Bool
	// rootSpans says that the function's own span ends the wait for an invocation, as platform.runtimeDone does.
	rootSpans atomic.Bool

	functionSpans *FunctionSpans
	invokeHooks   invokeHooks

	// stopTicking ends the deliveries of an invocation that is over, or those alongside the invocations of a Managed
	// Instance. It belongs to the loop.
	stopTicking context.CancelFunc
	late        lateness

	mu           sync.Mutex
	history      flush.History
	registration extensionsapi.Registration
	schedule     Schedule
	silent       bool
	deadline     time.Time
	// lastCall says that there is no more to come.
	lastCall bool
}

var (
	_ Lifecycle                             = (*lambdaExtension)(nil)
	_ extension.Extension                   = (*lambdaExtension)(nil)
	_ extensioncapabilities.PipelineWatcher = (*lambdaExtension)(nil)
)

func newExtension(logger *zap.Logger, cfg *Config, set settings) *lambdaExtension {
	flushConfig, errs := cfg.Flush.override(os.Getenv)
	for _, err := range errs {
		logger.Warn("A variable that sets how data is delivered is wrong", zap.Error(err))
	}
	return &lambdaExtension{flush: flushConfig, logger: logger, stopTicking: func() {}, unwatch: func() {},
		disk: disk{cfg: cfg.Spool, logger: logger}, settings: set, invocations: new(invocations), heap: newHeap(), collections: newCollections(),
		functionSpans: newFunctionSpans(os.Getenv(envInitializationType) == extensionsapi.ManagedInstances),
		health:        health.NewRegistry(time.Now())}
}

// Start registers the extension, or waits for whoever does. Trouble with Lambda never fails it: the pipelines run
// without the lifecycle then.
func (e *lambdaExtension) Start(ctx context.Context, _ component.Host) error {
	e.running, e.cancel = context.WithCancel(context.Background())
	if e.settings.stop == nil {
		e.settings.stop = terminate
	}
	if e.settings.session == nil {
		runtimeAPI := os.Getenv(envRuntimeAPI)
		if runtimeAPI == "" {
			e.logger.Info("This is not AWS Lambda (" + envRuntimeAPI + " is not set): data is delivered as it comes")
			return nil
		}
		e.own = extensionsapi.NewClient(runtimeAPI).Begin(e.running, filepath.Base(os.Args[0]),
			extensionsapi.Events(os.Getenv(envInitializationType)))
		e.settings.session = e.own.Session
	}
	e.schedule = ScheduleFlush
	if os.Getenv(envInitializationType) == extensionsapi.ManagedInstances {
		e.manage()
	}
	ctx, cancel := context.WithTimeout(ctx, registrationWait)
	defer cancel()
	session, err := e.settings.session(ctx)
	if err != nil {
		// Ready waits on, and says so if it is refused.
		e.logger.Debug("Starting before the registration is through", zap.Error(err))
		return nil
	}
	e.registration = session.Registration()
	return nil
}

func terminate(time.Time) { _ = syscall.Kill(os.Getpid(), syscall.SIGTERM) }

// Ready implements extensioncapabilities.PipelineWatcher: the collector takes data, so Lambda can go on.
func (e *lambdaExtension) Ready() error {
	if e.settings.session == nil {
		return nil
	}
	e.unwatch = e.collections.watch()
	e.wg.Go(func() { e.run(e.running) })
	return nil
}

// NotReady implements extensioncapabilities.PipelineWatcher.
func (*lambdaExtension) NotReady() error { return nil }

// Shutdown ends the loop. A pending call for the next event stays open where somebody else keeps the session.
func (e *lambdaExtension) Shutdown(context.Context) error {
	// Extensions are shut down last: whoever had something for the spool has written it.
	defer e.disk.close()
	if e.cancel != nil {
		e.cancel()
	}
	e.wg.Wait()
	e.unwatch()
	if e.own != nil {
		// The registration has ended, by itself or with the context of everything.
		if session, err := e.own.Session(context.Background()); err == nil {
			session.Close()
		}
	}
	e.subscription.mu.Lock()
	listener := e.subscription.listener
	e.subscription.listener = nil
	e.subscription.mu.Unlock()
	if listener == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), listenerShutdownTimeout)
	defer cancel()
	_ = listener.Shutdown(ctx) // what it has no time for is counted
	e.sayLost()
	return nil
}

// Join implements Lifecycle.
func (e *lambdaExtension) Join(p Participant) (leave func()) { return e.participants.join(p) }

// SubscribeTelemetry implements Lifecycle.
func (e *lambdaExtension) SubscribeTelemetry(s TelemetrySubscriber) (cancel func(), err error) {
	return e.subscription.add(s)
}

// Registration implements Lifecycle.
func (e *lambdaExtension) Registration() extensionsapi.Registration {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.registration
}

// Health implements Lifecycle.
func (e *lambdaExtension) Health() *health.Registry { return e.health }

// ReserveSpool implements Lifecycle.
func (e *lambdaExtension) ReserveSpool(name string) (give func()) { return e.disk.reserve(name) }

// Spool implements Lifecycle.
func (e *lambdaExtension) Spool(name string) (s *spool.Spool, lasting bool) { return e.disk.of(name) }

// Schedule implements Lifecycle.
func (e *lambdaExtension) Schedule() Schedule {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.schedule
}

// LastCall implements Lifecycle.
func (e *lambdaExtension) LastCall() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.lastCall
}

// ShutdownDeadline implements Lifecycle.
func (e *lambdaExtension) ShutdownDeadline() time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.deadline
}
