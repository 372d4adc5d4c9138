// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapireceiver

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/receiver"

	"github.com/otelcol-lambda/otelcol-lambda/receiver/telemetryapireceiver/internal/metadata"
)

// NewFactory returns the factory of the telemetryapi receiver.
func NewFactory() receiver.Factory {
	f := &factory{shared: newSharedComponents[*Config, *telemetryReceiver]()}
	return receiver.NewFactory(
		metadata.Type,
		createDefaultConfig,
		receiver.WithLogs(f.createLogs, metadata.LogsStability),
		receiver.WithTraces(f.createTraces, metadata.TracesStability),
		receiver.WithMetrics(f.createMetrics, metadata.MetricsStability),
	)
}

type factory struct {
	shared *sharedComponents[*Config, *telemetryReceiver]
}

func (f *factory) createLogs(
	_ context.Context, set receiver.Settings, cfg component.Config, next consumer.Logs,
) (receiver.Logs, error) {
	c, err := f.receiver(set, cfg)
	if err != nil {
		return nil, err
	}
	c.inner.next = next
	return c, nil
}

func (f *factory) createTraces(
	_ context.Context, set receiver.Settings, cfg component.Config, next consumer.Traces,
) (receiver.Traces, error) {
	c, err := f.receiver(set, cfg)
	if err != nil {
		return nil, err
	}
	c.inner.nextTraces = next
	return c, nil
}

func (f *factory) createMetrics(
	_ context.Context, set receiver.Settings, cfg component.Config, next consumer.Metrics,
) (receiver.Metrics, error) {
	c, err := f.receiver(set, cfg)
	if err != nil {
		return nil, err
	}
	c.inner.nextMetrics = next
	return c, nil
}

func (f *factory) receiver(
	set receiver.Settings, cfg component.Config,
) (*sharedComponent[*telemetryReceiver], error) {
	c := cfg.(*Config)
	return f.shared.loadOrStore(c, func() (*telemetryReceiver, error) { return newReceiver(set, c) })
}
