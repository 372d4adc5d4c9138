// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapireceiver

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
)

type countingComponent struct {
	starts, stops     int
	startErr, stopErr error
}

func (c *countingComponent) Start(context.Context, component.Host) error {
	c.starts++
	return c.startErr
}

func (c *countingComponent) Shutdown(context.Context) error {
	c.stops++
	return c.stopErr
}

func TestSharedComponentStartsAndStopsOnce(t *testing.T) {
	shared := newSharedComponents[string, *countingComponent]()
	inner := &countingComponent{startErr: errors.New("no start"), stopErr: errors.New("no stop")}
	create := func() (*countingComponent, error) { return inner, nil }
	first, err := shared.loadOrStore("key", create)
	require.NoError(t, err)
	second, err := shared.loadOrStore("key", create)
	require.NoError(t, err)
	require.Same(t, first, second)

	for range 3 {
		require.ErrorIs(t, first.Start(t.Context(), componenttest.NewNopHost()), inner.startErr, "everybody is told")
	}
	for range 3 {
		require.ErrorIs(t, first.Shutdown(t.Context()), inner.stopErr)
	}
	require.Equal(t, 1, inner.starts)
	require.Equal(t, 1, inner.stops)

	third, err := shared.loadOrStore("key", create)
	require.NoError(t, err)
	require.NotSame(t, first, third)
}

func TestSharedComponentForgetsFailedCreation(t *testing.T) {
	shared := newSharedComponents[string, *countingComponent]()
	failure := errors.New("cannot create")
	_, err := shared.loadOrStore("key", func() (*countingComponent, error) { return nil, failure })
	require.ErrorIs(t, err, failure)
	_, err = shared.loadOrStore("key", func() (*countingComponent, error) { return &countingComponent{}, nil })
	require.NoError(t, err)
}
