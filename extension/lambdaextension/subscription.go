// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdaextension

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/otelcol-lambda/otelcol-lambda/internal/extensionsapi"
	"github.com/otelcol-lambda/otelcol-lambda/internal/flush"
	"github.com/otelcol-lambda/otelcol-lambda/internal/health"
	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
)

// subscribeTimeout bounds the one call that subscribes. It is part of Init, which Lambda allows 10 seconds.
const subscribeTimeout = 3 * time.Second

// droppedByLambda is the reason for events that Lambda tells to have dropped: they were more than it could hand over.
const droppedByLambda = "dropped by Lambda"

var errSubscriptionClosed = errors.New("the subscription to the Telemetry API is made; " +
	"a component can ask for events only until the collector's pipelines are ready")

// subscription is the one subscription to the Telemetry API, shared by everybody who wants events.
type subscription struct {
	mu          sync.Mutex
	subscribers []*TelemetrySubscriber
	closed      bool
	listener    *telemetryapi.Listener
}

func (s *subscription) add(wish TelemetrySubscriber) (cancel func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errSubscriptionClosed
	}
	s.subscribers = append(s.subscribers, &wish)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.subscribers = slices.DeleteFunc(slices.Clone(s.subscribers), func(w *TelemetrySubscriber) bool { return w == &wish })
	}, nil
}

// wants closes the list of subscribers and returns what they ask for, in a fixed order. Platform events are always
// part of it: they tell when an invocation is over.
func (s *subscription) wants(logger *zap.Logger) (streams []telemetryapi.Stream, port int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, stream := range []telemetryapi.Stream{
		telemetryapi.StreamPlatform, telemetryapi.StreamFunction, telemetryapi.StreamExtension,
	} {
		if stream == telemetryapi.StreamPlatform || slices.ContainsFunc(s.subscribers, func(w *TelemetrySubscriber) bool {
			return slices.Contains(w.Streams, stream)
		}) {
			streams = append(streams, stream)
		}
	}
	for _, w := range s.subscribers {
		switch {
		case w.Port == 0 || w.Port == port:
		case port == 0:
			port = w.Port
		default:
			logger.Warn("Several receivers ask for different ports, but there is one listener for Lambda's events",
				zap.Int("port", port), zap.Int("ignored_port", w.Port))
		}
	}
	return streams, port
}

// wantsPlatform reports whether any component wants to see platform events.
func (s *subscription) wantsPlatform() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.subscribers, func(w *TelemetrySubscriber) bool {
		return slices.Contains(w.Streams, telemetryapi.StreamPlatform)
	})
}

// deliver hands events to the subscribers, each the ones it asked for.
func (s *subscription) deliver(ctx context.Context, events []telemetryapi.Event) {
	s.mu.Lock()
	subscribers := s.subscribers // is only appended to, or replaced
	s.mu.Unlock()
	for _, w := range subscribers {
		wanted := events
		unwanted := func(e telemetryapi.Event) bool { return !slices.Contains(w.Streams, e.Stream()) }
		if slices.ContainsFunc(events, unwanted) {
			wanted = slices.DeleteFunc(slices.Clone(events), unwanted)
		}
		if len(wanted) > 0 {
			w.Consume(ctx, wanted)
		}
	}
}

// subscribe opens the listener and makes the subscription. On error no events will come.
func (e *lambdaExtension) subscribe(ctx context.Context, session *extensionsapi.Session) error {
	streams, port := e.subscription.wants(e.logger)
	if streams = e.needed(streams); len(streams) == 0 {
		return nil
	}
	settings := telemetryapi.ListenerSettings{Port: port, Handle: e.handle, Logger: e.logger,
		Lost:        func(loss telemetryapi.Loss, items int) { e.lose(string(loss), items) },
		Redelivered: func(events int) { e.health.Add(health.RedeliveredEvents, int64(events)) }}
	if e.settings.listen != nil {
		var err error
		if settings.Listener, err = e.settings.listen(); err != nil {
			e.logger.Warn("The listener that was opened for this process cannot be used; it opens one itself", zap.Error(err))
		}
	}
	if settings.Listener != nil && port != 0 {
		// Nobody but Lambda comes to the port, and Lambda is told which one it is.
		e.logger.Debug("The port is not used: the listener outlives this process", zap.Int("port", port))
	}
	listener := telemetryapi.NewListener(settings)
	if err := listener.Listen(); err != nil { //nolint:contextcheck // the listener outlives ctx
		return fmt.Errorf("open the listener for Lambda's events: %w", err)
	}
	// Lambda sends from the moment it has accepted the subscription, so the listener serves before.
	listener.Serve()
	ctx, cancel := context.WithTimeout(ctx, subscribeTimeout)
	defer cancel()
	subscription := telemetryapi.NewSubscription(listener.URI(), streams)
	if err := telemetryapi.Subscribe(ctx, session.Do, session.ID(), subscription); err != nil {
		return errors.Join(err, listener.Shutdown(ctx))
	}
	e.subscription.mu.Lock()
	defer e.subscription.mu.Unlock()
	e.subscription.listener = listener
	e.logger.Debug("Subscribed to the Telemetry API",
		zap.String("uri", listener.URI()), zap.String("streams", fmt.Sprint(streams)))
	return nil
}

// needed leaves out what nobody uses: without a component that wants events, they tell when an invocation is over, which
// is of no interest to a strategy that never waits for that.
func (e *lambdaExtension) needed(streams []telemetryapi.Stream) []telemetryapi.Stream {
	e.subscription.mu.Lock()
	defer e.subscription.mu.Unlock()
	switch e.flush.settings().Strategy {
	case flush.Periodic, flush.Continuous:
		if len(e.subscription.subscribers) == 0 {
			return nil
		}
	}
	return streams
}

// handle takes one delivery of the Telemetry API. An invocation counts as finished only after everything that came
// with the news has been consumed: the tail of its logs travels in the same request.
func (e *lambdaExtension) handle(ctx context.Context, events []telemetryapi.Event) {
	if !e.heard.Swap(true) {
		e.endSilence()
	}
	// Deferred, so that a panic of a component, which the listener outlives, does not cost the end of the invocation and
	// with it hold the environment until the deadline.
	defer func() {
		for _, event := range events {
			switch event.Type {
			case telemetryapi.EventRuntimeDone:
				e.invocations.finish(event.RequestID())
			case telemetryapi.EventReport:
				e.invocations.report(event.RequestID())
			case telemetryapi.EventInitReport, telemetryapi.EventRestoreReport:
				e.invocations.initialize()
			case telemetryapi.EventLogsDropped:
				e.lose(droppedByLambda, droppedRecords(event))
			default:
				if !event.Type.Known() {
					e.health.Add(health.UnknownEvents, 1)
				}
			}
		}
	}()
	defer e.managed.observe(events) // when all of them are consumed
	e.subscription.deliver(ctx, events)
}

// droppedRecords is how many records an event says that Lambda has dropped: one at least, or there would be no event.
func droppedRecords(event telemetryapi.Event) int {
	// A record of another form has no number.
	record, _ := telemetryapi.DecodeRecord[telemetryapi.LogsDroppedRecord](event)
	return int(min(max(record.DroppedRecords, 1), math.MaxInt32))
}

// lossReasons are those of what is lost between Lambda and the pipelines.
func lossReasons() []string {
	reasons := []string{droppedByLambda}
	for _, loss := range telemetryapi.Losses() {
		reasons = append(reasons, string(loss))
	}
	return reasons
}

// lose counts what was lost between Lambda and the subscribers. Without any, events are no data: they only tell the
// extension when an invocation is over.
func (e *lambdaExtension) lose(reason string, items int) {
	e.subscription.mu.Lock()
	data := len(e.subscription.subscribers) > 0
	e.subscription.mu.Unlock()
	if data {
		e.health.Drop(health.SignalLogs, reason, items)
	}
}

// sayLost logs what was lost between Lambda and the pipelines: what was lost last can be in no metric any more.
func (e *lambdaExtension) sayLost() {
	for _, reason := range lossReasons() {
		if n := e.health.Dropped(health.SignalLogs, reason); n > 0 {
			e.logger.Warn("Data was dropped", zap.String(health.AttrSignal, health.SignalLogs),
				zap.String("items", "log records"), zap.Int64("count", n), zap.String("reason", reason))
		}
	}
}

// explainRefusal says what a failed subscription means for the user.
func explainRefusal(logger *zap.Logger, err error) {
	if errors.Is(err, telemetryapi.ErrNotSupported) {
		logger.Warn("There is no Telemetry API here, as in local emulators of Lambda: " +
			"logs and platform events will not come, and data is delivered as it arrives")
		return
	}
	logger.Error("Subscribing to the Telemetry API failed: logs and platform events will not come, and data is "+
		"delivered as it arrives or with the next invocation. "+hint(err), zap.Error(err))
}

func hint(err error) string {
	if strings.Contains(err.Error(), "address already in use") {
		return "Set another `port` at the telemetryapi receiver, or none for any free port."
	}
	return "The function is not affected."
}
