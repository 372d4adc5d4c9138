// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdaextension

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/otelcol-lambda/otelcol-lambda/internal/extensionsapi"
	"github.com/otelcol-lambda/otelcol-lambda/internal/flush"
	"github.com/otelcol-lambda/otelcol-lambda/internal/guard/contract"
	"github.com/otelcol-lambda/otelcol-lambda/internal/health"
)

const (
	// deadlineMargin is how long before the invocation's deadline the environment is given back to Lambda, which kills
	// a function that is a moment late. A tenth of the time is enough for functions with a short one.
	deadlineMargin = 200 * time.Millisecond

	// reportWait is how long the shutdown waits for the report of the last invocation, which Lambda sends at the same
	// time as SHUTDOWN or a little later.
	reportWait = 300 * time.Millisecond

	// defaultShutdownTime is assumed where SHUTDOWN has no deadline; Lambda gives external extensions two seconds.
	defaultShutdownTime = 2 * time.Second

	// silenceLimit is how long an invocation waits for the very first event of the Telemetry API. Lambda buffers events
	// for 25 ms at the rate that we ask for.
	silenceLimit = 2 * time.Second
)

var errSilent = errors.New("the Telemetry API is silent")

// run is the extension's life after Init's own work: it subscribes, then follows Lambda's events until SHUTDOWN.
func (e *lambdaExtension) run(ctx context.Context) {
	session, err := e.settings.session(ctx)
	if err != nil {
		if ctx.Err() == nil {
			e.logger.Error("Lambda did not register the extension; the collector runs without knowing of invocations, "+
				"and delivers data as it comes", zap.Error(err))
			e.deliverContinuously(ctx)
		}
		return
	}
	e.mu.Lock()
	e.registration = session.Registration()
	e.mu.Unlock()
	// Nothing waits for the end of an invocation of a Managed Instance.
	e.rootSpans.Store(e.managed == nil && e.awaitsRootSpan())
	err = e.subscribe(ctx, session)
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return
	case e.managed != nil:
		e.explainTime(err)
	default:
		explainRefusal(e.logger, err)
		e.deliverContinuously(ctx)
	}
	if e.disk.resume() {
		e.deliverWhatWaited(ctx)
	}
	if e.managed != nil {
		alongside, stop := context.WithCancel(ctx)
		e.stopTicking = stop
		e.wg.Go(func() { e.deliverAlongside(alongside) })
	}
	if err := e.follow(ctx, session); err != nil && ctx.Err() == nil {
		e.logger.Error("Lambda's Extensions API is gone; the collector stops", zap.Error(err))
		e.shutdown(ctx, extensionsapi.Event{}, "")
	}
}

// deliverContinuously gives up on being told when an invocation is over, and starts with what has been waiting for it.
func (e *lambdaExtension) deliverContinuously(ctx context.Context) {
	e.mu.Lock()
	e.schedule = ScheduleContinuous
	e.mu.Unlock()
	e.deliverWhatWaited(ctx)
}

// decide says when the data of an invocation that begins now leaves.
func (e *lambdaExtension) decide(now time.Time) flush.Plan {
	settings := e.flush.settings()
	e.mu.Lock()
	before := e.history.Mode()
	plan, history := flush.Decide(settings, e.history, now)
	e.history = history
	e.mu.Unlock()
	if mode := history.Mode(); mode != before && settings.Strategy == flush.Adaptive {
		e.logger.Debug("The flush strategy follows the traffic", zap.String("strategy", string(mode)))
	}
	return plan
}

// flushAll delivers everything within ctx, and measures how long that takes.
func (e *lambdaExtension) flushAll(ctx context.Context) error {
	began := time.Now()
	defer func() { e.health.Add(health.FlushDuration, time.Since(began).Milliseconds()) }()
	return e.participants.flush(ctx)
}

// delivers notes that a delivery of everything begins.
func (e *lambdaExtension) delivers() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.history = e.history.Delivered(time.Now())
}

// deliverWhileItRuns starts to deliver everything. Nobody waits for it; what is under way when the environment is frozen
// goes on after the thaw.
func (e *lambdaExtension) deliverWhileItRuns(ctx context.Context) {
	e.delivers()
	e.deliverWhatWaited(ctx)
}

// tick delivers again and again until the next event. A timer that runs out in a freeze fires after it, together with that
// event, and at worst brings a delivery forward.
func (e *lambdaExtension) tick(ctx context.Context, every time.Duration) {
	ctx, e.stopTicking = context.WithCancel(ctx)
	e.wg.Go(func() {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				e.delivers()
				limited, cancel := e.unheld(ctx)
				_ = e.flushAll(limited) // what fails stays queued
				cancel()
			case <-ctx.Done():
				return
			}
		}
	})
}

func (e *lambdaExtension) deliverWhatWaited(ctx context.Context) {
	ctx, cancel := e.unheld(ctx)
	e.wg.Go(func() {
		defer cancel()
		_ = e.flushAll(ctx) // what fails stays queued
	})
}

// unheld is the context of a flush that nobody waits for. It ends some time, so that flushes do not pile up, but without a
// deadline: one that passes while the environment is frozen says nothing about the backend.
func (e *lambdaExtension) unheld(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	timer := time.AfterFunc(e.flush.Timeout, cancel)
	return ctx, func() {
		timer.Stop()
		cancel()
	}
}

// begin starts to deliver, while something else goes on, what an earlier flush has left behind, or all there is. leave stops
// being interested in the outcome; deliveries under way are not affected.
func (e *lambdaExtension) begin(ctx context.Context, all bool) (leave func()) {
	members := e.participants.members()
	if !all {
		members = e.participants.behind()
	}
	if len(members) == 0 {
		return nothing
	}
	ctx, cancel := context.WithCancel(ctx)
	e.wg.Go(func() {
		defer cancel()
		_ = deliver(ctx, members) // what fails stays queued
	})
	return cancel
}

// follow handles events until SHUTDOWN or until the API is gone.
func (e *lambdaExtension) follow(ctx context.Context, session *extensionsapi.Session) error {
	var last string // request id of the last invocation
	for {
		event, err := session.Await(ctx)
		if err != nil {
			return err
		}
		e.countGuard(event.Guard)
		switch event.Type {
		case extensionsapi.EventInvoke:
			e.stopTicking()
			// If nobody waited for the end of the last one, it was noted since.
			e.invocations.end(last)
			last = event.RequestID
			e.invoke(ctx, event)
		case extensionsapi.EventShutdown:
			e.shutdown(ctx, event, last)
			return nil
		default:
			e.logger.Debug("Lambda sent an event of an unknown type", zap.String("type", string(event.Type)))
		}
	}
}

// countGuard takes over what the guard tells with an event.
func (e *lambdaExtension) countGuard(c contract.Counters) {
	if c == (contract.Counters{}) {
		return
	}
	e.health.Set(health.GuardDeaths, c.Deaths, c.Since)
	e.health.Set(health.GuardKills, c.Kills, c.Since)
	e.health.Set(health.GuardRestarts, c.Restarts, c.Since)
	e.health.Set(health.GuardSkipped, c.Skipped, c.Since)
	e.health.Set(health.GuardOverruns, c.InitOverruns, c.Since, health.Attribute{Key: health.AttrPhase, Value: "init"})
	e.health.Set(health.GuardOverruns, c.InvokeOverruns, c.Since, health.Attribute{Key: health.AttrPhase, Value: "invoke"})
}

// invoke returns when the environment may be frozen as far as we are concerned.
func (e *lambdaExtension) invoke(ctx context.Context, event extensionsapi.Event) {
	e.invokeHooks.call()
	e.invocations.begin(event.RequestID)
	defer e.invocations.end(event.RequestID)
	e.heap.trim(e.running, e.wg.Go)
	e.judgeLateness(time.Now())
	if e.Schedule() == ScheduleContinuous {
		return
	}
	plan := e.decide(time.Now())
	if plan.Every > 0 {
		e.tick(ctx, plan.Every)
	}
	if !plan.AtEnd {
		if plan.AtStart {
			e.deliverWhileItRuns(ctx)
		}
		return
	}
	defer e.stopTicking()
	// What the last invocation left behind travels while the handler runs, which costs the function nothing. What is merely
	// late, such as its report, travels with what this one makes, unless it is old.
	leave := e.begin(ctx, plan.AtStart)
	defer leave()

	now := time.Now()
	if deadline := event.Deadline(now); !deadline.IsZero() {
		margin := min(deadlineMargin, deadline.Sub(now)/10)
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-margin))
		defer cancel()
	}
	if err := e.awaitFinish(ctx, event.RequestID); errors.Is(err, errSilent) {
		e.logger.Warn("Lambda accepted the subscription to the Telemetry API, but sends nothing: "+
			"data is delivered as it comes", zap.Duration("waited", time.Since(now)))
		e.beginSilence()
		return
	} else if err != nil {
		// The function is about to run into its timeout. SHUTDOWN follows, and is not sent before we ask for it.
		e.late.overdue = !errors.Is(err, context.Canceled)
		e.logger.Debug("The invocation was not over shortly before its deadline", zap.String("request_id", event.RequestID))
		return
	}
	finished := time.Now()
	defer func() { e.health.Add(health.HoldDuration, time.Since(finished).Milliseconds()) }()
	limit := finished.Add(e.flush.Timeout)
	if end, ok := ctx.Deadline(); !ok || limit.Before(end) {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, limit)
		defer cancel()
	}
	e.delivers()
	if err := e.flushAll(ctx); err != nil {
		e.logger.Debug("Not everything was delivered at the end of the invocation",
			zap.String("request_id", event.RequestID), zap.Error(err))
	}
}

// awaitFinish waits until the invocation is done. The error is errSilent if nothing at all has come from the Telemetry
// API, as in emulators that accept a subscription and leave it at that: what happened before the subscription is
// delivered right after it, so that a function's first invocation is not the first to be heard of.
func (e *lambdaExtension) awaitFinish(ctx context.Context, requestID string) error {
	if !e.heard.Load() {
		limited, cancel := context.WithTimeout(ctx, silenceLimit)
		defer cancel()
		if err := e.invocations.awaitFinish(limited, requestID); err == nil {
			return nil
		}
		// A function whose deadline is before the limit would run into it again and again.
		if !e.heard.Load() && !errors.Is(ctx.Err(), context.Canceled) {
			return errSilent
		}
	}
	return e.invocations.awaitFinish(ctx, requestID)
}

// beginSilence delivers continuously for as long as nothing is heard of the Telemetry API.
func (e *lambdaExtension) beginSilence() {
	e.mu.Lock()
	begins := !e.heard.Load() // an event may have come this very moment, and its endSilence have had nothing to end
	if begins {
		e.silent, e.schedule = true, ScheduleContinuous
	}
	e.mu.Unlock()
	if begins {
		e.deliverWhatWaited(e.running)
	}
}

// endSilence goes back to waiting for the end of invocations, if that had been given up for silence.
func (e *lambdaExtension) endSilence() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.silent {
		e.silent, e.schedule = false, ScheduleFlush
	}
}

// shutdown delivers what it can in the time that is left, and has the process stopped.
func (e *lambdaExtension) shutdown(ctx context.Context, event extensionsapi.Event, lastRequestID string) {
	e.stopTicking()
	now := time.Now()
	deadline := event.Deadline(now)
	if deadline.IsZero() {
		deadline = now.Add(defaultShutdownTime)
	}
	// Two thirds of the time for delivery while all pipelines run, a part for them to shut down, and a rest for the process
	// to exit before it is killed, on a small share of a CPU and with the disk that it writes to busy.
	left := deadline.Sub(now)
	e.mu.Lock()
	e.deadline = now.Add(left * 4 / 5)
	e.mu.Unlock()
	e.logger.Debug("The environment ends", zap.String("reason", event.Reason()), zap.Duration("time_left", left))

	e.disk.prepare(event.Reason())
	ctx, cancel := context.WithDeadline(ctx, now.Add(left*2/3))
	defer cancel()
	e.awaitLastEvents(ctx, lastRequestID)
	e.mu.Lock()
	e.lastCall = true
	e.mu.Unlock()
	if err := e.flushAll(ctx); err != nil {
		e.logger.Debug("Not everything was delivered before shutdown", zap.Error(err))
	}
	e.settings.stop(now.Add(left * 9 / 10))
}

// awaitLastEvents waits for the report of the last invocation, if anybody is interested, and for everything that came
// to be consumed.
func (e *lambdaExtension) awaitLastEvents(ctx context.Context, lastRequestID string) {
	e.subscription.mu.Lock()
	listener := e.subscription.listener
	e.subscription.mu.Unlock()
	if listener == nil {
		return
	}
	if e.subscription.wantsPlatform() {
		e.awaitReports(ctx, lastRequestID)
	}
	_ = listener.Idle(ctx)
}

// awaitReports waits for what Lambda says of the invocations that ended last, which is worth a short wait and not more.
func (e *lambdaExtension) awaitReports(ctx context.Context, lastRequestID string) {
	ctx, cancel := context.WithTimeout(ctx, reportWait)
	defer cancel()
	switch {
	case e.managed != nil:
		e.managed.awaitIdle(ctx)
	case lastRequestID != "":
		_ = e.invocations.awaitReport(ctx, lastRequestID)
	default:
		// Init may have failed just now: its last lines, which say why, come with its report.
		_ = e.invocations.awaitInit(ctx)
	}
}
