// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package coldstartprocessor

import "go.opentelemetry.io/collector/component"

// Config is the configuration of the processor, which has no keys.
type Config struct {
	// prevent unkeyed literal initialization
	_ struct{}
}

var _ component.Config = (*Config)(nil)

func createDefaultConfig() component.Config { return &Config{} }
