// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapireceiver

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/component"

	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
)

const (
	defaultExportIntervalMs = 60_000

	// reservedPort is taken by Lambda's own APIs (AWS Lambda Telemetry API).
	reservedPort = 9001
	maxPort      = 65535
)

// Config is the configuration of the receiver.
type Config struct {
	// Port is the TCP port on which Lambda delivers its events. 0, the default, leaves the choice to the kernel.
	Port int `mapstructure:"port"`

	// Types are the streams whose events become telemetry: `platform`, `function`, `extension`. All of them by
	// default, and when the list is empty.
	Types []string `mapstructure:"types"`

	// LogReport makes a log record of each `platform.report`. Off by default.
	LogReport bool `mapstructure:"log_report"`

	// MetricsTemporality is `delta`, `cumulative`, or empty. It has no effect yet.
	MetricsTemporality string `mapstructure:"metrics_temporality"`

	// ExportIntervalMs is how often metrics are passed on, in milliseconds; 0 means with each delivery. It has no
	// effect yet.
	ExportIntervalMs int `mapstructure:"export_interval_ms"`

	// prevent unkeyed literal initialization
	_ struct{}
}

var _ component.Config = (*Config)(nil)

func createDefaultConfig() component.Config {
	return &Config{
		Types:            defaultTypes(),
		ExportIntervalMs: defaultExportIntervalMs,
	}
}

func defaultTypes() []string {
	return []string{
		string(telemetryapi.StreamPlatform), string(telemetryapi.StreamFunction), string(telemetryapi.StreamExtension),
	}
}

// Validate checks the configuration. An empty list of types is fine: configurations exist that have one.
func (c *Config) Validate() error {
	var errs []error
	if c.Port < 0 || c.Port > maxPort {
		errs = append(errs, fmt.Errorf("`port` must be between 0 and %d, where 0 is any free port; it is %d", maxPort, c.Port))
	}
	if c.Port == reservedPort {
		errs = append(errs, fmt.Errorf("`port` must not be %d, which Lambda reserves for itself; leave it out for any free port",
			reservedPort))
	}
	for _, t := range c.Types {
		if !slices.Contains(defaultTypes(), t) {
			errs = append(errs, fmt.Errorf("`types` has %q; the allowed values are `%s`",
				t, strings.Join(defaultTypes(), "`, `")))
		}
	}
	switch strings.ToLower(c.MetricsTemporality) {
	case "", "delta", "cumulative":
	default:
		errs = append(errs, fmt.Errorf("`metrics_temporality` must be `delta` or `cumulative`, or be left out; it is %q",
			c.MetricsTemporality))
	}
	if c.ExportIntervalMs < 0 {
		errs = append(errs, fmt.Errorf("`export_interval_ms` must not be negative; it is %d", c.ExportIntervalMs))
	}
	return errors.Join(errs...)
}

// streams are the streams whose events become telemetry.
func (c *Config) streams() []telemetryapi.Stream {
	types := c.Types
	if len(types) == 0 {
		types = defaultTypes()
	}
	streams := make([]telemetryapi.Stream, 0, len(types))
	for _, t := range types {
		if stream := telemetryapi.Stream(t); !slices.Contains(streams, stream) {
			streams = append(streams, stream)
		}
	}
	return streams
}
