// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package decoupleprocessor

import (
	"context"
	"slices"
)

// waiter is a flush as it is at the end of nearly every invocation: one that the environment is held for, of a backend that is
// well. It needs no goroutine as long as there are deliveries to wait for and none has failed.
type waiter struct {
	ctx  context.Context
	done func(error)
	stop func() bool // being told that ctx has ended
}

// FlushThen implements lambdaextension.Holder.
func (d *decouple[T]) FlushThen(ctx context.Context, done func(error)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, held := ctx.Deadline()
	disk, _ := d.disk()
	if !held || disk != nil || d.backoff.failing() || d.last() {
		go func() { done(d.Flush(ctx)) }()
		return
	}
	if d.delivered() {
		done(nil)
		return
	}
	d.flushes++
	d.dispatch()
	w := &waiter{ctx: ctx, done: done}
	w.stop = context.AfterFunc(ctx, func() { d.attend(w) })
	d.waiters = append(d.waiters, w)
	d.tell()
}

// tell ends the waiters' flushes if everything is delivered, and gives them goroutines if that is not just a matter of time.
func (d *decouple[T]) tell() {
	delivered := d.delivered()
	if !delivered && !d.backoff.failing() && d.fresh() > 0 {
		return
	}
	d.waiters = slices.DeleteFunc(d.waiters, func(w *waiter) bool {
		switch {
		case !w.stop():
			return false // it is attended to
		case delivered:
			d.flushes--
			w.done(nil)
			return true
		default:
			go d.attend(w)
			return false
		}
	})
}

// attend goes on with a flush like any other.
func (d *decouple[T]) attend(w *waiter) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.waiters = slices.DeleteFunc(d.waiters, func(other *waiter) bool { return other == w })
	defer func() { d.flushes-- }()
	w.done(d.deliverAll(w.ctx, true, true))
}
