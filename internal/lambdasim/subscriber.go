// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdasim

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
)

// What Lambda does with a subscriber that does not keep up is documented as "retries with backoff" and "drops"; the
// figures are ours.
const (
	deliveryAttempts   = 8
	deliveryTimeout    = 5 * time.Second
	deliveryBackoff    = 50 * time.Millisecond
	deliveryMaxBackoff = time.Second

	// queueFactor times maxItems and maxBytes is how much waits for a slow subscriber.
	queueFactor = 4

	slowConsumer = "Some logs were dropped because the downstream consumer is slower than the logs production rate"
)

// poster delivers one body. The context ends when the delivery has taken too long.
type poster func(ctx context.Context, body []byte) (status int, err error)

// item is an encoded event.
type item struct {
	eventType telemetryapi.EventType
	text      string // of a log line
	body      []byte
	// lostRecords and lostBytes are what a platform.logsDropped tells.
	lostRecords, lostBytes int
}

// isLine says that the event is not the platform's.
func (it item) isLine() bool {
	return it.eventType == telemetryapi.EventFunction || it.eventType == telemetryapi.EventExtensionLog
}

func sizeOf(items []item) (size int) {
	for _, it := range items {
		size += len(it.body)
	}
	return size
}

// subscriber buffers events for one extension and delivers them. Its timers stand still while the environment is
// frozen, and nothing is sent then.
type subscriber struct {
	extension string
	sub       subscription
	gate      *gate
	post      poster
	// refused and badStatus tell about failed deliveries; dropped makes the event that says so.
	refused   func(err error)
	badStatus func(status int)
	dropped   func(records, bytes int) (item, bool)
	// progress tells that events have been delivered or given up.
	progress func()
	faults   TelemetryFaults
	// drop and redeliver are asked in the order of lines and of deliveries.
	drop, redeliver chance

	mu          sync.Mutex
	queue       []item
	queued      int // bytes
	held        []item
	holding     bool // what comes now is for the next invocation
	wake        chan struct{}
	counts      map[telemetryapi.EventType]*Counts
	batches     int
	redelivered int
	function    []string
	lostRecords int // dropped and not yet told
	lostBytes   int
}

func newSubscriber(extension string, sub subscription, g *gate, post poster) *subscriber {
	return &subscriber{
		extension: extension,
		sub:       sub,
		gate:      g,
		post:      post,
		refused:   func(error) {},
		badStatus: func(int) {},
		dropped:   func(int, int) (item, bool) { return item{}, false },
		progress:  func() {},
		wake:      make(chan struct{}, 1),
		counts:    map[telemetryapi.EventType]*Counts{},
	}
}

func (s *subscriber) wants(stream telemetryapi.Stream) bool {
	return slices.Contains(s.sub.types, stream)
}

func (s *subscriber) count(eventType telemetryapi.EventType) *Counts {
	c := s.counts[eventType]
	if c == nil {
		c = &Counts{}
		s.counts[eventType] = c
	}
	return c
}

// misbehave sets what goes wrong. It must be called before the first event.
func (s *subscriber) misbehave(faults TelemetryFaults, generation int) {
	s.faults = faults
	// Two sources for each generation of processes, so that lines and deliveries do not depend on each other.
	which := 2 * uint64(generation) //nolint:gosec // It counts from 1.
	s.drop = newChance(faults.Drop, faults.Seed, which)
	s.redeliver = newChance(faults.Redeliver, faults.Seed, which+1)
}

// push takes an event, or drops it if too much is waiting.
func (s *subscriber) push(it item) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.count(it.eventType)
	c.Generated++
	full := len(s.queue)+len(s.held) >= queueFactor*s.sub.maxItems ||
		s.queued+sizeOf(s.held)+len(it.body) > queueFactor*s.sub.maxBytes
	if full || (it.isLine() && s.drop.hits()) {
		c.Dropped++
		s.lostRecords++
		s.lostBytes += len(it.body)
		return
	}
	if s.holding {
		s.held = append(s.held, it)
		return
	}
	s.append(it)
}

// release lets go what has been held back, and says whether what comes next is held.
func (s *subscriber) release(holding bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, it := range s.held {
		s.append(it)
	}
	s.held, s.holding = nil, holding
}

// settled reports whether nothing of a type is under way.
func (s *subscriber) settled(eventType telemetryapi.EventType) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.counts[eventType]
	return c == nil || c.Generated == c.Delivered+c.Dropped
}

func (s *subscriber) append(it item) {
	s.queue = append(s.queue, it)
	s.queued += len(it.body)
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// run delivers until ctx ends.
func (s *subscriber) run(ctx context.Context) {
	for {
		if !s.waitDue(ctx) {
			return
		}
		batch := s.take()
		if !s.deliver(ctx, batch) {
			return
		}
	}
}

// waitDue returns when a batch is full or its time is over, whichever is first; false when ctx ends.
func (s *subscriber) waitDue(ctx context.Context) bool {
	var timeout chan struct{}
	for {
		s.mu.Lock()
		n, size := len(s.queue), s.queued
		s.mu.Unlock()
		if n >= s.sub.maxItems || size >= s.sub.maxBytes {
			return ctx.Err() == nil
		}
		if n > 0 && timeout == nil {
			timeout = make(chan struct{})
			t := s.gate.afterFunc(s.sub.timeout, func() { close(timeout) })
			defer t.stop()
		}
		select {
		case <-s.wake:
		case <-timeout:
			return true
		case <-ctx.Done():
			return false
		}
	}
}

// take removes one batch from the queue. Losses are told at the end of the next batch, when there is room again.
func (s *subscriber) take() []item {
	s.mu.Lock()
	n, size := 0, 0
	for n < len(s.queue) && n < s.sub.maxItems {
		size += len(s.queue[n].body)
		if n > 0 && size > s.sub.maxBytes {
			break
		}
		n++
	}
	batch := slices.Clone(s.queue[:n])
	s.queue = slices.Delete(s.queue, 0, n)
	for _, it := range batch {
		s.queued -= len(it.body)
	}
	records, lost := s.lostRecords, s.lostBytes
	s.lostRecords, s.lostBytes = 0, 0
	s.mu.Unlock()

	if records > 0 {
		if it, ok := s.dropped(records, lost); ok {
			s.mu.Lock()
			s.count(it.eventType).Generated++
			s.mu.Unlock()
			it.lostRecords, it.lostBytes = records, lost
			batch = append(batch, it)
		}
	}
	return batch
}

// deliver posts a batch, again with backoff if it is not accepted, and gives it up after some attempts. It returns
// false when ctx ends.
func (s *subscriber) deliver(ctx context.Context, batch []item) bool {
	body := encodeBatch(batch)
	backoff := deliveryBackoff
	for attempt := range deliveryAttempts {
		if s.gate.wait(ctx) != nil {
			s.putBack(batch)
			return false
		}
		if attempt > 0 {
			s.addAll(batch, func(c *Counts) { c.Retried++ })
		}
		status, err := s.attempt(ctx, body)
		switch {
		case err == nil && status >= 200 && status < 300:
			s.accept(batch)
			s.progress()
			return s.deliverAgain(ctx, body)
		case ctx.Err() != nil:
			s.putBack(batch)
			return false
		case err == nil:
			s.badStatus(status)
		}
		if s.gate.sleep(ctx, backoff) != nil {
			s.putBack(batch)
			return false
		}
		if err != nil {
			// Not before the pause: a process that is about to be reaped refuses connections as well.
			s.refused(err)
		}
		backoff = min(2*backoff, deliveryMaxBackoff)
	}
	s.giveUp(batch)
	s.progress()
	return true
}

// deliverAgain makes an accepted delivery a second time, if that is asked for. What is answered to it does not matter.
// It returns false when ctx ends.
func (s *subscriber) deliverAgain(ctx context.Context, body []byte) bool {
	if !s.redeliver.hits() {
		return true
	}
	if s.gate.wait(ctx) != nil {
		return false
	}
	_, _ = s.attempt(ctx, body)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.redelivered++
	return ctx.Err() == nil
}

// giveUp drops a batch for good.
func (s *subscriber) giveUp(batch []item) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, it := range batch {
		s.count(it.eventType).Dropped++
		if it.lostRecords > 0 {
			// What it should have told is still to be told.
			s.lostRecords += it.lostRecords
			s.lostBytes += it.lostBytes
			continue
		}
		s.lostRecords++
		s.lostBytes += len(it.body)
	}
}

// attempt is one POST, bounded in running time.
func (s *subscriber) attempt(ctx context.Context, body []byte) (int, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	t := s.gate.afterFunc(deliveryTimeout, func() { cancel(context.DeadlineExceeded) })
	defer t.stop()
	status, err := s.post(ctx, body)
	if err != nil && errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
		err = context.DeadlineExceeded
	}
	return status, err
}

func (s *subscriber) accept(batch []item) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.batches++
	for _, it := range batch {
		s.count(it.eventType).Delivered++
		if it.eventType == telemetryapi.EventFunction {
			s.function = append(s.function, it.text)
		}
	}
}

func (s *subscriber) addAll(batch []item, change func(*Counts)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, it := range batch {
		change(s.count(it.eventType))
	}
}

// putBack returns what could not be sent, so that the counts add up.
func (s *subscriber) putBack(batch []item) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue = append(slices.Clone(batch), s.queue...)
	for _, it := range batch {
		s.queued += len(it.body)
	}
}

func (s *subscriber) report(generation int) TelemetryReport {
	s.mu.Lock()
	defer s.mu.Unlock()
	report := TelemetryReport{
		Generation: generation,
		Extension:  s.extension,
		Types:      slices.Clone(s.sub.types),
		Batches:    s.batches, Redelivered: s.redelivered,
		Events:   map[telemetryapi.EventType]Counts{},
		Function: append([]string{}, s.function...),
	}
	for eventType, c := range s.counts {
		counts := *c
		counts.Pending = counts.Generated - counts.Delivered - counts.Dropped
		report.Events[eventType] = counts
	}
	return report
}

func encodeBatch(batch []item) []byte {
	size := 2
	for _, it := range batch {
		size += len(it.body) + 1
	}
	body := make([]byte, 0, size)
	body = append(body, '[')
	for i, it := range batch {
		if i > 0 {
			body = append(body, ',')
		}
		body = append(body, it.body...)
	}
	return append(body, ']')
}
