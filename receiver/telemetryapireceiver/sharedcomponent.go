// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapireceiver

import (
	"context"
	"sync"

	"go.opentelemetry.io/collector/component"
)

// sharedComponents keeps one component per key: the collector creates a receiver for each signal, but Lambda's events
// are to be subscribed to and worked through once.
type sharedComponents[K comparable, C component.Component] struct {
	mu         sync.Mutex
	components map[K]*sharedComponent[C]
}

func newSharedComponents[K comparable, C component.Component]() *sharedComponents[K, C] {
	return &sharedComponents[K, C]{components: map[K]*sharedComponent[C]{}}
}

// loadOrStore returns the component of the key, and creates it if there is none.
func (s *sharedComponents[K, C]) loadOrStore(key K, create func() (C, error)) (*sharedComponent[C], error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c, ok := s.components[key]; ok {
		return c, nil
	}
	inner, err := create()
	if err != nil {
		return nil, err
	}
	c := &sharedComponent[C]{inner: inner, forget: func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.components, key)
	}}
	s.components[key] = c
	return c, nil
}

// sharedComponent starts and stops its component once, whoever asks first. What came of it is everybody's answer.
type sharedComponent[C component.Component] struct {
	inner  C
	forget func()

	startOnce sync.Once
	startErr  error
	stopOnce  sync.Once
	stopErr   error
}

// Start starts the component, or returns the error with which it started.
func (c *sharedComponent[C]) Start(ctx context.Context, host component.Host) error {
	c.startOnce.Do(func() { c.startErr = c.inner.Start(ctx, host) })
	return c.startErr
}

// Shutdown stops the component, or returns the error with which it stopped. The key is free for a new one afterwards.
func (c *sharedComponent[C]) Shutdown(ctx context.Context) error {
	c.stopOnce.Do(func() {
		c.stopErr = c.inner.Shutdown(ctx)
		c.forget()
	})
	return c.stopErr
}
