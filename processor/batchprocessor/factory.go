// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package batchprocessor

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pipeline"
	"go.opentelemetry.io/collector/processor"
	stock "go.opentelemetry.io/collector/processor/batchprocessor"
)

// NewFactory returns a factory of batch processors that are drained when the lambda extension flushes. Type,
// configuration and stability are those of the collector's own batch processor.
func NewFactory() processor.Factory {
	return wrap(stock.NewFactory())
}

func wrap(inner processor.Factory) processor.Factory {
	return processor.NewFactory(
		inner.Type(),
		inner.CreateDefaultConfig,
		processor.WithTraces(func(
			ctx context.Context, set processor.Settings, cfg component.Config, next consumer.Traces,
		) (processor.Traces, error) {
			held := &holder[ptrace.Traces]{deliver: next.ConsumeTraces, count: ptrace.Traces.SpanCount}
			behind, err := consumer.NewTraces(held.consume, consumer.WithCapabilities(next.Capabilities()))
			if err != nil {
				return nil, err
			}
			b, err := newBatch(ctx, set.Logger, pipeline.SignalTraces, held, func(ctx context.Context) (processor.Traces, error) {
				return inner.CreateTraces(ctx, set, cfg, behind)
			})
			if err != nil {
				return nil, err
			}
			return &traces{b}, nil
		}, inner.TracesStability()),
		processor.WithMetrics(func(
			ctx context.Context, set processor.Settings, cfg component.Config, next consumer.Metrics,
		) (processor.Metrics, error) {
			held := &holder[pmetric.Metrics]{deliver: next.ConsumeMetrics, count: pmetric.Metrics.DataPointCount}
			behind, err := consumer.NewMetrics(held.consume, consumer.WithCapabilities(next.Capabilities()))
			if err != nil {
				return nil, err
			}
			b, err := newBatch(ctx, set.Logger, pipeline.SignalMetrics, held, func(ctx context.Context) (processor.Metrics, error) {
				return inner.CreateMetrics(ctx, set, cfg, behind)
			})
			if err != nil {
				return nil, err
			}
			return &metrics{b}, nil
		}, inner.MetricsStability()),
		processor.WithLogs(func(
			ctx context.Context, set processor.Settings, cfg component.Config, next consumer.Logs,
		) (processor.Logs, error) {
			held := &holder[plog.Logs]{deliver: next.ConsumeLogs, count: plog.Logs.LogRecordCount}
			behind, err := consumer.NewLogs(held.consume, consumer.WithCapabilities(next.Capabilities()))
			if err != nil {
				return nil, err
			}
			b, err := newBatch(ctx, set.Logger, pipeline.SignalLogs, held, func(ctx context.Context) (processor.Logs, error) {
				return inner.CreateLogs(ctx, set, cfg, behind)
			})
			if err != nil {
				return nil, err
			}
			return &logs{b}, nil
		}, inner.LogsStability()),
	)
}
