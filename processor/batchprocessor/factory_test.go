// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package batchprocessor

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/processor"
	stock "go.opentelemetry.io/collector/processor/batchprocessor"
	"go.opentelemetry.io/collector/processor/processortest"
)

func TestFactoryIsTheStockOne(t *testing.T) {
	ours, theirs := NewFactory(), stock.NewFactory()
	require.Equal(t, theirs.Type(), ours.Type())
	require.Equal(t, theirs.CreateDefaultConfig(), ours.CreateDefaultConfig())
	require.IsType(t, &stock.Config{}, ours.CreateDefaultConfig())
	require.NoError(t, componenttest.CheckConfigStruct(ours.CreateDefaultConfig()))
	require.Equal(t, theirs.TracesStability(), ours.TracesStability())
	require.Equal(t, theirs.MetricsStability(), ours.MetricsStability())
	require.Equal(t, theirs.LogsStability(), ours.LogsStability())
}

func TestCapabilitiesAreTheStockOnes(t *testing.T) {
	for _, factory := range []processor.Factory{NewFactory(), stock.NewFactory()} {
		set, cfg := processortest.NewNopSettings(factory.Type()), factory.CreateDefaultConfig()
		tp, err := factory.CreateTraces(t.Context(), set, cfg, consumertest.NewNop())
		require.NoError(t, err)
		mp, err := factory.CreateMetrics(t.Context(), set, cfg, consumertest.NewNop())
		require.NoError(t, err)
		lp, err := factory.CreateLogs(t.Context(), set, cfg, consumertest.NewNop())
		require.NoError(t, err)
		for _, got := range []consumer.Capabilities{tp.Capabilities(), mp.Capabilities(), lp.Capabilities()} {
			require.Equal(t, consumer.Capabilities{MutatesData: true}, got)
		}
	}
}

func TestShutdownSendsEverything(t *testing.T) {
	factory := NewFactory()
	processortest.VerifyShutdown(t, factory, factory.CreateDefaultConfig())
}

func TestLifecycleWithoutUse(t *testing.T) {
	factory := NewFactory()
	set, cfg := processortest.NewNopSettings(factory.Type()), factory.CreateDefaultConfig()
	create := map[string]func() (component.Component, error){
		"traces": func() (component.Component, error) {
			return factory.CreateTraces(t.Context(), set, cfg, consumertest.NewNop())
		},
		"metrics": func() (component.Component, error) {
			return factory.CreateMetrics(t.Context(), set, cfg, consumertest.NewNop())
		},
		"logs": func() (component.Component, error) {
			return factory.CreateLogs(t.Context(), set, cfg, consumertest.NewNop())
		},
	}
	for signal, newComponent := range create {
		t.Run(signal, func(t *testing.T) {
			never, err := newComponent()
			require.NoError(t, err)
			require.NoError(t, never.Shutdown(t.Context()), "shutdown without start")

			twice, err := newComponent()
			require.NoError(t, err)
			require.NoError(t, twice.Start(t.Context(), componenttest.NewNopHost()))
			require.NoError(t, twice.Shutdown(t.Context()))
			require.NoError(t, twice.Shutdown(t.Context()), "second shutdown")
		})
	}
}

func TestCreateFails(t *testing.T) {
	refuse := errors.New("no")
	factory := wrap(processor.NewFactory(
		component.MustNewType("batch"),
		stock.NewFactory().CreateDefaultConfig,
		processor.WithTraces(func(context.Context, processor.Settings, component.Config, consumer.Traces) (processor.Traces, error) {
			return nil, refuse
		}, component.StabilityLevelBeta),
		processor.WithMetrics(func(context.Context, processor.Settings, component.Config, consumer.Metrics) (processor.Metrics, error) {
			return nil, refuse
		}, component.StabilityLevelBeta),
		processor.WithLogs(func(context.Context, processor.Settings, component.Config, consumer.Logs) (processor.Logs, error) {
			return nil, refuse
		}, component.StabilityLevelBeta),
	))
	set, cfg := processortest.NewNopSettings(factory.Type()), factory.CreateDefaultConfig()
	_, err := factory.CreateTraces(t.Context(), set, cfg, consumertest.NewNop())
	require.ErrorIs(t, err, refuse)
	_, err = factory.CreateMetrics(t.Context(), set, cfg, consumertest.NewNop())
	require.ErrorIs(t, err, refuse)
	_, err = factory.CreateLogs(t.Context(), set, cfg, consumertest.NewNop())
	require.ErrorIs(t, err, refuse)
}
