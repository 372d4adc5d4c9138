// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package coldstartprocessor

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/processor"

	"github.com/otelcol-lambda/otelcol-lambda/processor/coldstartprocessor/internal/metadata"
)

// NewFactory returns the factory of the coldstart processor.
func NewFactory() processor.Factory {
	return processor.NewFactory(metadata.Type, createDefaultConfig,
		processor.WithTraces(createTraces, metadata.TracesStability))
}

func createTraces(
	_ context.Context, set processor.Settings, _ component.Config, next consumer.Traces,
) (processor.Traces, error) {
	return &coldstart{logger: set.Logger, next: next}, nil
}
