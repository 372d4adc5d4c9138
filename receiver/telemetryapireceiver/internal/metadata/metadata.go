// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

// Package metadata holds what metadata.yaml of the telemetryapi receiver says, for the code.
package metadata

import "go.opentelemetry.io/collector/component"

var (
	// Type is the component's type in configurations.
	Type = component.MustNewType("telemetryapi")
	// ScopeName names the instrumentation scope of everything the receiver produces.
	ScopeName = "github.com/otelcol-lambda/otelcol-lambda/receiver/telemetryapireceiver"
)

// The stability of the signals.
const (
	LogsStability    = component.StabilityLevelAlpha
	TracesStability  = component.StabilityLevelAlpha
	MetricsStability = component.StabilityLevelAlpha
)
