// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package batchprocessor

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pipeline"
	"go.opentelemetry.io/collector/processor"
	"go.uber.org/zap"

	"github.com/otelcol-lambda/otelcol-lambda/extension/lambdaextension"
)

// errShutdown is what a producer gets that outlived the processor. The stock processor would keep it waiting for ever.
var errShutdown = errors.New("batch processor is shut down")

// refusedToTheEnd is the reason for data that is dropped.
const refusedToTheEnd = "refused by the next component until shutdown"

// inner is what the wrapper needs of a stock processor of any signal.
type inner interface {
	component.Component
	Capabilities() consumer.Capabilities
}

// held is what the next component has refused of the stock processor's batches.
type held interface {
	release(ctx context.Context) (moved bool, err error)
	items() int
}

// batch holds one stock processor at a time, and replaces it on Drain.
type batch[P inner] struct {
	logger *zap.Logger
	signal pipeline.Signal
	create func(context.Context) (P, error)
	held   held

	// mu is held for reading around every call into current, because such a call can block for ever once a stock
	// processor is shutting down; whoever shuts one down has replaced it under the write lock before.
	mu       sync.RWMutex
	current  P
	shutdown bool

	// used says that current has been given something.
	used atomic.Bool

	// turn has room for one: the drain or shutdown that may replace current. It is handed on, not unlocked, by those
	// that go on after their caller has left.
	turn chan struct{}

	host      component.Host
	lifecycle lambdaextension.Lifecycle // nil outside a collector with the lambda extension
	leave     func()
}

var _ lambdaextension.Participant = (*batch[inner])(nil)

func newBatch[P inner](
	ctx context.Context, logger *zap.Logger, signal pipeline.Signal, held held, create func(context.Context) (P, error),
) (*batch[P], error) {
	first, err := create(ctx)
	if err != nil {
		return nil, err
	}
	return &batch[P]{logger: logger, signal: signal, create: create, held: held, current: first, turn: make(chan struct{}, 1)}, nil
}

// Capabilities are those of the stock processor.
func (b *batch[P]) Capabilities() consumer.Capabilities {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.current.Capabilities()
}

// Start starts the stock processor and joins the lifecycle, if the host has one.
func (b *batch[P]) Start(ctx context.Context, host component.Host) error {
	if err := b.current.Start(ctx, host); err != nil {
		return err
	}
	b.host = host
	if lifecycle, ok := lambdaextension.FindLifecycle(host); ok {
		b.lifecycle = lifecycle
		b.leave = lifecycle.Join(b)
	}
	return nil
}

// Shutdown leaves the lifecycle and shuts the stock processor down, which sends what it holds. When ctx ends first it
// returns an error, and the rest happens when the next consumer lets it.
func (b *batch[P]) Shutdown(ctx context.Context) error {
	if b.leave != nil {
		b.leave()
		b.leave = nil
	}
	done := make(chan error, 1)
	go func() {
		b.turn <- struct{}{}
		defer func() { <-b.turn }()
		done <- b.end(ctx)
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("batch processor is still sending what it held: %w", ctx.Err())
	}
}

// end shuts current down for good. The caller has the turn.
func (b *batch[P]) end(ctx context.Context) error {
	b.mu.Lock()
	ended := b.shutdown
	b.shutdown = true
	b.used.Store(false)
	b.mu.Unlock()
	if ended {
		return nil
	}
	err := b.current.Shutdown(ctx)
	if _, refused := b.held.release(ctx); refused != nil {
		b.logger.Warn("Data was dropped", zap.Int("count", b.held.items()), zap.String("reason", refusedToTheEnd), zap.Error(refused))
		if b.lifecycle != nil {
			b.lifecycle.Health().Drop(b.signal.String(), refusedToTheEnd, b.held.items())
		}
	}
	return err
}

// Drain passes on everything that was accepted before the call and reports whether there was anything. It returns when
// that is done or ctx ends; in the latter case it is done as soon as the next consumer lets it, and the next Drain waits
// for it.
func (b *batch[P]) Drain(ctx context.Context) (moved bool) {
	select {
	case b.turn <- struct{}{}:
	default:
		// An earlier drain is still sending. Starting another one would not bring its data forward, but leave one
		// more stock processor behind.
		select {
		case b.turn <- struct{}{}:
		case <-ctx.Done():
			return false
		}
	}
	moved, _ = b.held.release(ctx) // what is refused again stays held
	if !b.used.Load() {
		<-b.turn
		return moved
	}
	// In a goroutine of its own, because neither a lock nor the stock processor's Shutdown can be given up halfway.
	done := make(chan error, 1)
	go func() {
		defer func() { <-b.turn }()
		done <- b.replace(context.WithoutCancel(ctx))
	}()
	select {
	case err := <-done:
		if err != nil {
			b.logger.Error("Cannot drain the batch processor; what it holds leaves by size or timeout", zap.Error(err))
		}
		return moved || err == nil
	case <-ctx.Done():
		return true
	}
}

// replace puts a fresh stock processor in the place of current and shuts the old one down. The caller has the turn.
func (b *batch[P]) replace(ctx context.Context) error {
	fresh, err := b.create(ctx)
	if err != nil {
		return err
	}
	if err := fresh.Start(ctx, b.host); err != nil {
		return errors.Join(err, fresh.Shutdown(ctx))
	}
	b.mu.Lock()
	old := b.current
	b.current = fresh
	b.used.Store(false)
	b.mu.Unlock()
	// No consumer is inside the old one any more, and none will come.
	return old.Shutdown(ctx)
}

// Flush has nothing to do: the batch does not talk to a backend.
func (b *batch[P]) Flush(context.Context) error {
	return nil
}

// enter returns the stock processor to give something to. The caller calls exit afterwards, unless there was an error.
func (b *batch[P]) enter(ctx context.Context) (P, error) {
	var none P
	if _, err := b.held.release(ctx); err != nil {
		return none, err
	}
	b.mu.RLock()
	if b.shutdown {
		b.mu.RUnlock()
		return none, errShutdown
	}
	if !b.used.Load() {
		b.used.Store(true)
	}
	return b.current, nil
}

func (b *batch[P]) exit() {
	b.mu.RUnlock()
}

type traces struct {
	*batch[processor.Traces]
}

// ConsumeTraces puts td into the current batch.
func (t *traces) ConsumeTraces(ctx context.Context, td ptrace.Traces) error {
	current, err := t.enter(ctx)
	if err != nil {
		return err
	}
	defer t.exit()
	if t.lifecycle == nil {
		return current.ConsumeTraces(ctx, td)
	}
	taken := t.lifecycle.ObserveTraces(td)
	if err := current.ConsumeTraces(ctx, td); err != nil {
		return err
	}
	taken()
	return nil
}

type metrics struct {
	*batch[processor.Metrics]
}

// ConsumeMetrics puts md into the current batch.
func (m *metrics) ConsumeMetrics(ctx context.Context, md pmetric.Metrics) error {
	current, err := m.enter(ctx)
	if err != nil {
		return err
	}
	defer m.exit()
	return current.ConsumeMetrics(ctx, md)
}

type logs struct {
	*batch[processor.Logs]
}

// ConsumeLogs puts ld into the current batch.
func (l *logs) ConsumeLogs(ctx context.Context, ld plog.Logs) error {
	current, err := l.enter(ctx)
	if err != nil {
		return err
	}
	defer l.exit()
	return current.ConsumeLogs(ctx, ld)
}
