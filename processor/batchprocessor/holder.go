// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package batchprocessor

import (
	"context"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/collector/consumer/consumererror"
)

// holder stands behind the stock processor, which drops a batch that the next component refuses, although it told the
// sender long before that all was well. The holder keeps such a batch, and has the senders refused until it is gone.
//
// What it holds is bounded by what the stock processor had taken when the refusals began.
type holder[T any] struct {
	deliver func(context.Context, T) error
	count   func(T) int // of items

	// full says that something is held, for callers that must not wait for a delivery to find out.
	full atomic.Bool
	mu   sync.Mutex
	held []T
}

// consume takes a batch from the stock processor.
func (h *holder[T]) consume(ctx context.Context, data T) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.held) == 0 {
		err := h.deliver(ctx, data)
		if err == nil || consumererror.IsPermanent(err) {
			return err
		}
	}
	h.held = append(h.held, data)
	h.full.Store(true)
	return nil
}

// release passes on what is held, and reports whether anything was. An error means that some is still held.
func (h *holder[T]) release(ctx context.Context) (moved bool, err error) {
	if !h.full.Load() {
		return false, nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for len(h.held) > 0 {
		// A permanent refusal is counted where it was decided.
		if err := h.deliver(ctx, h.held[0]); err != nil && !consumererror.IsPermanent(err) {
			return moved, err
		}
		moved = true
		var none T
		h.held[0] = none // what is passed on must not stay in memory
		h.held = h.held[1:]
	}
	h.held = nil
	h.full.Store(false)
	return moved, nil
}

// items counts what is held.
func (h *holder[T]) items() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := 0
	for _, data := range h.held {
		n += h.count(data)
	}
	return n
}
