// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

// Package metadata holds what metadata.yaml of the coldstart processor says, for the code.
package metadata

import "go.opentelemetry.io/collector/component"

// Type is the component's type in configurations.
var Type = component.MustNewType("coldstart")

// TracesStability is the stability of the only signal.
const TracesStability = component.StabilityLevelAlpha
