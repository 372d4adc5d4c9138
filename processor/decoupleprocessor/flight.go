// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package decoupleprocessor

import (
	"context"
	"slices"
	"time"

	"github.com/otelcol-lambda/otelcol-lambda/internal/quiet"
)

const (
	// timeSteps is in how many steps the time of a delivery is counted.
	timeSteps = 30

	// busyBytes is from how many bytes on a delivery is encoded and compressed for long enough to be interrupted.
	busyBytes = 64 << 10

	// flightStack is what a delivery needs of its goroutine's stack, in bytes: compression has a table of 16 KiB there.
	flightStack = 17 << 10
)

// flight is a delivery under way, on a goroutine of its own. When it has landed, one of them stays for the next delivery, with
// the stack that it has by then.
type flight[T any] struct {
	item   item[T]
	ctx    context.Context
	cancel context.CancelCauseFunc
	began  time.Time
	// overdue is set when a flush stopped waiting for it.
	overdue bool

	// The environment may be frozen meanwhile: monotonic time goes on in a freeze, and a timer that ran out in it fires
	// together with the answer that has been waiting for as long. So the time is counted in steps, each of which begins when
	// the one before has been seen to end: a freeze counts for one at most.
	step     *time.Timer
	stepEnds time.Time
	steps    int // left, 0 between two deliveries

	next chan struct{} // is told of each delivery but the first, and closed when there are no more
}

// depart begins a delivery.
func (d *decouple[T]) depart(it item[T]) {
	f := d.spare
	if f == nil {
		f = &flight[T]{next: make(chan struct{}, 1)}
	}
	f.item, f.began, f.overdue = it, time.Now(), false
	f.ctx, f.cancel = context.WithCancelCause(d.sending)
	d.flights = append(d.flights, f)
	d.startTime(f)
	if d.spare == nil {
		go d.fly(f)
		return
	}
	d.spare = nil
	f.next <- struct{}{}
}

// startTime has a delivery cancelled after its time.
func (d *decouple[T]) startTime(f *flight[T]) {
	every := max(d.cfg.Timeout/timeSteps, time.Millisecond)
	f.steps, f.stepEnds = timeSteps, f.began.Add(every)
	if f.step != nil {
		f.step.Reset(every)
		return
	}
	f.step = time.AfterFunc(every, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		now := time.Now()
		if f.steps == 0 || now.Before(f.stepEnds) {
			return // it ran out as the delivery ended, and another one may have begun
		}
		if f.steps--; f.steps == 0 {
			f.cancel(context.DeadlineExceeded)
			return
		}
		f.stepEnds = now.Add(every)
		f.step.Reset(every)
	})
}

// fly delivers for as long as there is something to deliver.
func (d *decouple[T]) fly(f *flight[T]) {
	for ok := true; ok; _, ok = <-f.next {
		growStack(f.item.count)
		if f.item.bytes >= busyBytes {
			quiet.Busy()
		}
		err := d.sig.deliver(f.ctx, f.item.data)
		if !d.land(f, err) {
			return
		}
	}
}

// land takes the outcome of a delivery, and reports whether there may be another one.
func (d *decouple[T]) land(f *flight[T], err error) (stays bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f.step.Stop()
	f.steps = 0
	f.cancel(context.Canceled)
	d.flights = slices.DeleteFunc(d.flights, func(other *flight[T]) bool { return other == f })
	it := f.item
	f.item, f.ctx, f.cancel = item[T]{}, nil, nil // what is delivered must not stay in memory
	if stays = d.spare == nil && d.sending.Err() == nil; stays {
		d.spare = f
	}
	d.settle(it, err)
	d.dispatch()
	d.announce()
	return stays
}

// growStack makes room on the stack of a goroutine that begins, or that a garbage collection has left less. A stack is doubled
// whenever it is full, with all that is on it looked through and copied. Here there is next to nothing on it.
//
//go:noinline
func growStack(n int) bool {
	var room [flightStack]byte
	return room[n%len(room)] == 0
}
