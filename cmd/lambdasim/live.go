// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/otelcol-lambda/otelcol-lambda/internal/lambdasim"
)

// life takes an environment through its phases.
type life struct {
	environment *lambdasim.Environment
	event       []byte
	set         runSettings
	mode        lambdasim.Mode
	printer     *printer
}

// run goes from Init to Shutdown. What goes wrong in Init does not end the run where Lambda tries again with the first
// invocation.
func (l *life) run(ctx context.Context) error {
	managed := l.mode == lambdasim.ModeManagedInstances
	failed := l.environment.Init(ctx)
	l.printer.init(l.environment.Report())
	switch {
	case failed != nil && managed:
		return failed
	case failed != nil:
		l.printer.line("Init failed, and is repeated with the first invocation: %v", failed)
	}
	invoke := l.oneByOne
	if managed {
		invoke = l.besideEachOther
	}
	err := invoke(ctx)
	if errors.Is(err, lambdasim.ErrEnded) {
		l.printer.line("The instance has failed; Lambda would start another one.")
		err = nil
	}
	if err != nil {
		return err
	}
	return l.environment.Shutdown(ctx)
}

func (l *life) oneByOne(ctx context.Context) error {
	for i := range l.set.invocations {
		if (i > 0 || l.ahead()) && sleep(ctx, l.set.gap) != nil {
			return ctx.Err()
		}
		before := l.printer.arrived()
		invocation, err := l.environment.Invoke(ctx, l.event)
		if err != nil {
			return fmt.Errorf("invocation %d: %w", i+1, err)
		}
		if err := l.environment.Settle(ctx); err != nil {
			return fmt.Errorf("wait for the end of invocation %d: %w", i+1, err)
		}
		l.printer.invocation(l.environment.Report(), invocation.Number, before)
	}
	return nil
}

// ahead says that Init was made long before there was an invocation.
func (l *life) ahead() bool { return l.mode != lambdasim.ModeOnDemand }

// besideEachOther has as many callers as the instance takes invocations, each of which waits for the gap between two of
// its own.
func (l *life) besideEachOther(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	turns := make(chan struct{}, max(l.set.invocations, 1))
	for range l.set.invocations {
		turns <- struct{}{}
	}
	close(turns)
	var wg sync.WaitGroup
	for range min(l.set.invocations, l.environment.Report().Concurrency) {
		wg.Go(func() {
			for range turns {
				if err := l.one(ctx); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

func (l *life) one(ctx context.Context) error {
	invocation, err := l.environment.Invoke(ctx, l.event)
	if err != nil {
		return fmt.Errorf("invocation: %w", err)
	}
	l.printer.beside(l.environment.Report(), invocation.Number)
	return sleep(ctx, l.set.gap)
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
