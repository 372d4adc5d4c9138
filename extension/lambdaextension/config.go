// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdaextension

import (
	"errors"
	"time"

	"go.opentelemetry.io/collector/component"
)

// Config is the configuration of the extension.
type Config struct {
	// Flush says how data leaves at the end of an invocation.
	Flush FlushConfig `mapstructure:"flush"`

	// prevent unkeyed literal initialization
	_ struct{}
}

// FlushConfig is the configuration of the flush at the end of an invocation.
type FlushConfig struct {
	// Timeout is how long the environment may be held after the function has finished, for its data to be delivered.
	// The invocation's own deadline bounds it as well. What is not delivered by then stays queued. Default 3s.
	Timeout time.Duration `mapstructure:"timeout"`

	// prevent unkeyed literal initialization
	_ struct{}
}

var _ component.Config = (*Config)(nil)

var errTimeout = errors.New("`timeout` must be positive")

// Validate checks the configuration.
func (c *FlushConfig) Validate() error {
	if c.Timeout <= 0 {
		return errTimeout
	}
	return nil
}

// defaultFlushTimeout outlasts a slow answer of a backend, and is Lambda's default for a function's whole timeout.
const defaultFlushTimeout = 3 * time.Second

func createDefaultConfig() component.Config {
	return &Config{Flush: FlushConfig{Timeout: defaultFlushTimeout}}
}
