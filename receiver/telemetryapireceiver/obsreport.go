// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapireceiver

import (
	"context"

	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/receiverhelper"
	noopmetric "go.opentelemetry.io/otel/metric/noop"
	nooptrace "go.opentelemetry.io/otel/trace/noop"

	"github.com/otelcol-lambda/otelcol-lambda/receiver/telemetryapireceiver/internal/metadata"
)

// obsReport is told what is given to the pipelines, as every receiver tells it.
type obsReport interface {
	StartLogsOp(ctx context.Context) context.Context
	EndLogsOp(ctx context.Context, format string, items int, err error)
	StartTracesOp(ctx context.Context) context.Context
	EndTracesOp(ctx context.Context, format string, items int, err error)
	StartMetricsOp(ctx context.Context) context.Context
	EndMetricsOp(ctx context.Context, format string, items int, err error)
}

// newObsReport returns the collector's own, unless nothing would come of what that is told, as in the layer.
func newObsReport(set receiver.Settings) (obsReport, error) {
	_, noMetrics := set.MeterProvider.Meter(metadata.ScopeName).(noopmetric.Meter)
	_, noTraces := set.TracerProvider.Tracer(metadata.ScopeName).(nooptrace.Tracer)
	if noMetrics && noTraces {
		return nobody{}, nil
	}
	return receiverhelper.NewObsReport(receiverhelper.ObsReportSettings{
		ReceiverID:             set.ID,
		Transport:              "http",
		ReceiverCreateSettings: set,
	})
}

// nobody is an obsReport that nobody reads.
type nobody struct{}

func (nobody) StartLogsOp(ctx context.Context) context.Context    { return ctx }
func (nobody) EndLogsOp(context.Context, string, int, error)      {}
func (nobody) StartTracesOp(ctx context.Context) context.Context  { return ctx }
func (nobody) EndTracesOp(context.Context, string, int, error)    {}
func (nobody) StartMetricsOp(ctx context.Context) context.Context { return ctx }
func (nobody) EndMetricsOp(context.Context, string, int, error)   {}
