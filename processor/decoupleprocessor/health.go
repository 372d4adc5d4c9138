// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package decoupleprocessor

import (
	"time"

	"github.com/otelcol-lambda/otelcol-lambda/internal/health"
)

// attributes tell this queue from the others.
func (d *decouple[T]) attributes() []health.Attribute {
	return []health.Attribute{
		{Key: health.AttrSignal, Value: d.sig.kind},
		{Key: health.AttrComponent, Value: d.id},
	}
}

// count adds to one of the queue's own counts.
func (d *decouple[T]) count(m health.Metric, n int) {
	if d.lifecycle != nil {
		d.lifecycle.Health().Add(m, int64(n), d.attributes()...)
	}
}

// watch has the levels of the queue reported.
func (d *decouple[T]) watch(registry *health.Registry) (forget func()) {
	locked := func(read func() int64) func() int64 {
		return func() int64 {
			d.mu.Lock()
			defer d.mu.Unlock()
			return read()
		}
	}
	forgets := []func(){
		registry.Watch(health.QueueSize, locked(func() int64 { return int64(d.bytes) }), d.attributes()...),
		registry.Watch(health.QueueAge, locked(d.age), d.attributes()...),
		registry.Watch(health.BackendDown, locked(func() int64 {
			if d.backoff.failing() {
				return 1
			}
			return 0
		}), d.attributes()...),
	}
	return func() {
		for _, forget := range forgets {
			forget()
		}
	}
}

// age is how long the oldest data has been waiting, in milliseconds.
func (d *decouple[T]) age() int64 {
	var oldest time.Time
	for _, it := range d.queue {
		if !it.since.IsZero() && (oldest.IsZero() || it.since.Before(oldest)) {
			oldest = it.since
		}
	}
	if oldest.IsZero() {
		return 0
	}
	return max(0, time.Now().Round(0).Sub(oldest).Milliseconds())
}
