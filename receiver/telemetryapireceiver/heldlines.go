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
// invocation runs.
const (
	maxHeldBytes = 256 << 10
	maxHeldFor   = time.Second
)

// heldLines are events that are still to become log records, in the order in which they came.
type heldLines struct {
	events []telemetryapi.Event
	bytes  int
	// kept is how many of the first events are copies that have been waiting.
	kept int
	// since is when the first one came.
	since time.Time
}

func (h *heldLines) add(events []telemetryapi.Event, now time.Time) {
	if len(h.events) == 0 {
		// The usual case: they are made records of at once.
		h.events, h.since = events, now.Round(0)
		return
	}
	h.events = append(h.events, events...)
}

// take removes the first n events and returns them. What stays is copied: it shares the memory of whole deliveries
// otherwise.
func (h *heldLines) take(n int) []telemetryapi.Event {
	taken := h.events[:n:n]
	rest := h.events[n:]
	kept := max(h.kept-n, 0)
	if len(rest) == 0 {
		*h = heldLines{}
		return taken
	}
	rest = slices.Clone(rest)
	h.bytes = 0
	for i := range rest {
		if i >= kept {
			rest[i].Record = slices.Clone(rest[i].Record)
		}
		h.bytes += len(rest[i].Record)
	}
	h.events, h.kept = rest, len(rest)
	return taken
}

// due reports whether there has been enough waiting.
func (h *heldLines) due(now time.Time) bool {
	waited := now.Round(0).Sub(h.since)
	return h.bytes > maxHeldBytes || waited >= maxHeldFor || waited < 0
}

// ready returns how many of the held events can become records: all up to the first line of an invocation whose trace will
// be known later. Its trace is decided upon now if there has been enough waiting, or all are wanted.
func (r *telemetryReceiver) ready(all bool) int {
	if r.spans == nil || r.mapper.concurrent {
		return len(r.held.events)
	}
	decide := all || r.held.due(r.now())
	state := r.state
	known := ""
	for i, event := range r.held.events {
		state.before(event)
		if id := state.requestID; id != known {
			if _, trace := r.spans.Context(id); trace == invocationspans.Wait {
				if !decide {
					return i
				}
				r.spans.Resolve(id)
			}
			known = id
		}
		state.after(event)
	}
	return len(r.held.events)
}

// follow carries the state forward without making records.
func (s *streamState) follow(events []telemetryapi.Event) {
	for _, event := range events {
		s.before(event)
		s.after(event)
	}
}
