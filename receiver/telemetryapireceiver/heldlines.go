// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapireceiver

import (
	"slices"
	"time"

	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
	"github.com/otelcol-lambda/otelcol-lambda/receiver/telemetryapireceiver/internal/invocationspans"
)

// Lines of a function with an SDK are held until its span of the invocation tells which trace they belong to. It comes at
// the end of the invocation. These bound what that costs: memory of the function, and lines that nobody sees while a long
// invocation runs and data leaves alongside. Lines that have to go before go without a trace.
const (
	maxHeldBytes = 256 << 10
	maxHeldFor   = time.Second

	// eventBytes is what an event takes besides its record.
	eventBytes = 64
)

// heldLines are events that are still to become log records, in the order in which they came.
type heldLines struct {
	events []telemetryapi.Event
	bytes  int
	// since is when the first one came, or became the first, by the wall clock.
	since time.Time
	// refused says that the pipeline has had no room for them: they wait for nothing else any more.
	refused bool
}

// hold adds events. Their records are copied: they share the memory of whole deliveries.
func (h *heldLines) hold(events []telemetryapi.Event, now time.Time) {
	if len(h.events) == 0 {
		h.since = now.Round(0)
	}
	for _, event := range events {
		event.Record = slices.Clone(event.Record)
		h.events = append(h.events, event)
		h.bytes += len(event.Record) + eventBytes
	}
}

// take removes the first n events and returns them.
func (h *heldLines) take(n int, now time.Time) []telemetryapi.Event {
	taken := h.events[:n:n]
	for _, event := range taken {
		h.bytes -= len(event.Record) + eventBytes
	}
	h.events = h.events[n:]
	if len(h.events) == 0 {
		*h = heldLines{}
	} else if n > 0 {
		h.since = now.Round(0)
	}
	return taken
}

// putBack returns events that the pipeline has not taken to the front.
func (h *heldLines) putBack(events []telemetryapi.Event, now time.Time) {
	rest := h.events
	*h = heldLines{}
	h.hold(events, now)
	h.hold(rest, now)
	h.refused = true
}

// due reports whether there has been enough waiting.
func (h *heldLines) due(now time.Time) bool {
	waited := now.Round(0).Sub(h.since)
	return h.refused || waited >= maxHeldFor || waited < 0
}

// ripe returns the events that can become records now, and holds the rest: all from the first line of an invocation on whose
// trace is to be known later. What does not fit goes at once.
func (r *telemetryReceiver) ripe(fresh []telemetryapi.Event) []telemetryapi.Event {
	now := r.now()
	waits := func(id string) bool {
		_, trace := r.spans.Context(id)
		return trace == invocationspans.Wait
	}
	if len(r.held.events) == 0 {
		n := r.ready(fresh, waits)
		r.held.hold(fresh[n:], now)
		return fresh[:n]
	}
	r.held.hold(fresh, now)
	if r.held.refused || r.held.bytes > maxHeldBytes {
		return r.held.take(len(r.held.events), now)
	}
	return r.held.take(r.ready(r.held.events, waits), now)
}

// overripe returns the held events that wait no longer, because a delivery is about to begin: the environment may be frozen
// after it for any time. These are the lines of invocations that have ended, those that have waited for long enough, or
// all of them.
func (r *telemetryReceiver) overripe(all bool) []telemetryapi.Event {
	now := r.now()
	if all || r.held.due(now) {
		return r.held.take(len(r.held.events), now)
	}
	return r.held.take(r.ready(r.held.events, func(id string) bool {
		_, trace := r.spans.Context(id)
		return trace == invocationspans.Wait && !r.spans.Ended(id)
	}), now)
}

// ready returns how many of the events come before the first line of an invocation that is to be waited for.
func (r *telemetryReceiver) ready(events []telemetryapi.Event, waits func(requestID string) bool) int {
	if r.spans == nil || r.mapper.concurrent {
		return len(events)
	}
	state := r.state
	known := ""
	for i, event := range events {
		state.before(event)
		if id := state.requestID; id != known {
			if waits(id) {
				return i
			}
			known = id
		}
		state.after(event)
	}
	return len(events)
}

// follow carries the state forward without making records.
func (s *streamState) follow(events []telemetryapi.Event) {
	for _, event := range events {
		s.before(event)
		s.after(event)
	}
}
