// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapireceiver

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
)

const (
	defaultExportInterval = time.Minute

	// reservedPort is taken by Lambda's own APIs (AWS Lambda Telemetry API).
	reservedPort = 9001
	maxPort      = 65535
)

// The values of the keys that have a choice. The first one of each is the default.
const (
	histogramsExplicit    = "explicit"
	histogramsExponential = "exponential"

	xrayLink   = "link"
	xrayParent = "parent"
	xrayNone   = "none"

	invocationAuto   = "auto"
	invocationAlways = "always"
	invocationNever  = "never"
)

// Config is the configuration of the receiver.
type Config struct {
	// Port is the TCP port on which Lambda delivers its events. 0, the default, leaves the choice to the kernel.
	Port int `mapstructure:"port"`

	// Types are the streams whose events become telemetry: `platform`, `function`, `extension`. All of them by
	// default, and when the list is empty.
	Types []string `mapstructure:"types"`

	// ExportInterval is how often metrics are passed on: a minute unless set, and 0 means with each delivery.
	ExportInterval *time.Duration `mapstructure:"export_interval"`

	// Logs says which events become log records.
	Logs LogsConfig `mapstructure:"logs"`
	// Metrics says in which form metrics are.
	Metrics MetricsConfig `mapstructure:"metrics"`
	// Traces says how spans are made.
	Traces TracesConfig `mapstructure:"traces"`
	// Resource says what is found out about the environment.
	Resource ResourceConfig `mapstructure:"resource"`

	// LogReport is the old name of `logs::report`.
	LogReport bool `mapstructure:"log_report"`
	// MetricsTemporality is the old name of `metrics::temporality`.
	MetricsTemporality string `mapstructure:"metrics_temporality"`
	// ExportIntervalMs is the old name of `export_interval`, in milliseconds.
	ExportIntervalMs *int `mapstructure:"export_interval_ms"`

	// prevent unkeyed literal initialization
	_ struct{}
}

// LogsConfig says which events become log records, among those of the streams in Config.Types.
type LogsConfig struct {
	// Include, unless empty, lists the events that become records: a type of event (`platform.report`), a stream
	// (`function`, `extension`, `platform`), or the beginning of a type with a `*` behind it (`platform.init*`).
	Include []string `mapstructure:"include"`
	// Exclude lists the events that become none, in the same way. It goes before Include.
	Exclude []string `mapstructure:"exclude"`
	// MinSeverity is the name of a severity, such as `warn`: records of a lesser one are dropped. Records whose
	// severity is not known are kept.
	MinSeverity string `mapstructure:"min_severity"`
	// Report makes a record of each `platform.report`, as does the exact name of that type in Include. Off by default.
	Report *bool `mapstructure:"report"`

	// prevent unkeyed literal initialization
	_ struct{}
}

// MetricsConfig says in which form metrics are.
type MetricsConfig struct {
	// Temporality is `delta` or `cumulative`. When it is empty, OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE
	// decides, and without that it is cumulative.
	Temporality string `mapstructure:"temporality"`
	// Histograms is `explicit`, the default, or `exponential`.
	Histograms string `mapstructure:"histograms"`

	// prevent unkeyed literal initialization
	_ struct{}
}

// TracesConfig says how spans are made.
type TracesConfig struct {
	// XRayContext is what the X-Ray header of an invocation is to its span: a `link`, the default, the `parent`, or
	// `none`.
	XRayContext string `mapstructure:"xray_context"`
	// Invocation says when a span is made for an invocation: `auto`, the default, unless the function makes one
	// itself; `always`; or `never`.
	Invocation string `mapstructure:"invocation"`

	// prevent unkeyed literal initialization
	_ struct{}
}

// ResourceConfig says what is found out about the environment.
type ResourceConfig struct {
	// AvailabilityZone asks Lambda for the availability zone. Off by default.
	AvailabilityZone bool `mapstructure:"availability_zone"`

	// prevent unkeyed literal initialization
	_ struct{}
}

var _ component.Config = (*Config)(nil)

func createDefaultConfig() component.Config {
	return &Config{
		Types:   defaultTypes(),
		Metrics: MetricsConfig{Histograms: histogramsExplicit},
		Traces:  TracesConfig{XRayContext: xrayLink, Invocation: invocationAuto},
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
	errs = append(errs,
		oneOf("metrics_temporality", c.MetricsTemporality, "", "delta", "cumulative"),
		oneOf("metrics::temporality", c.Metrics.Temporality, "", "delta", "cumulative"),
		oneOf("metrics::histograms", c.Metrics.Histograms, histogramsExplicit, histogramsExponential),
		oneOf("traces::xray_context", c.Traces.XRayContext, xrayLink, xrayParent, xrayNone),
		oneOf("traces::invocation", c.Traces.Invocation, invocationAuto, invocationAlways, invocationNever),
		validatePatterns("logs::include", c.Logs.Include),
		validatePatterns("logs::exclude", c.Logs.Exclude),
	)
	if name := c.Logs.MinSeverity; name != "" && c.minSeverity() == plog.SeverityNumberUnspecified {
		errs = append(errs, fmt.Errorf(
			"`logs::min_severity` must be `trace`, `debug`, `info`, `warn`, `error` or `fatal`, or be left out; it is %q", name))
	}
	if c.ExportInterval != nil && *c.ExportInterval < 0 {
		errs = append(errs, fmt.Errorf("`export_interval` must not be negative; it is %s", *c.ExportInterval))
	}
	if c.ExportIntervalMs != nil && *c.ExportIntervalMs < 0 {
		errs = append(errs, fmt.Errorf("`export_interval_ms` must not be negative; it is %d", *c.ExportIntervalMs))
	}
	return errors.Join(append(errs, c.validateOldNames())...)
}

// validateOldNames refuses settings that contradict each other.
func (c *Config) validateOldNames() error {
	var errs []error
	if c.ExportInterval != nil && c.ExportIntervalMs != nil &&
		*c.ExportInterval != time.Duration(*c.ExportIntervalMs)*time.Millisecond {
		errs = append(errs, fmt.Errorf("`export_interval_ms` is the old name of `export_interval`, and they differ: "+
			"%d ms and %s; remove `export_interval_ms`", *c.ExportIntervalMs, *c.ExportInterval))
	}
	if c.MetricsTemporality != "" && c.Metrics.Temporality != "" &&
		!strings.EqualFold(c.MetricsTemporality, c.Metrics.Temporality) {
		errs = append(errs, fmt.Errorf("`metrics_temporality` is the old name of `metrics::temporality`, and they differ: "+
			"%q and %q; remove `metrics_temporality`", c.MetricsTemporality, c.Metrics.Temporality))
	}
	if c.Logs.Report != nil && !*c.Logs.Report {
		if c.LogReport {
			errs = append(errs, errors.New(
				"`log_report` is the old name of `logs::report`, and they differ; remove `log_report`"))
		}
		if c.includesReport() {
			errs = append(errs, errors.New(
				"`logs::include` has `platform.report`, but `logs::report` is false; remove one of them"))
		}
	}
	return errors.Join(errs...)
}

// oneOf checks a value that may be written in any case. An allowed value that is empty stands for the key left out.
func oneOf(key, value string, allowed ...string) error {
	if slices.Contains(allowed, strings.ToLower(value)) {
		return nil
	}
	names, leftOut := allowed, ""
	if allowed[0] == "" {
		names, leftOut = allowed[1:], ", or be left out"
	}
	return fmt.Errorf("`%s` must be `%s`%s; it is %q", key, strings.Join(names, "` or `"), leftOut, value)
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

// exportInterval is how often metrics are passed on; 0 means with each delivery.
func (c *Config) exportInterval() time.Duration {
	switch {
	case c.ExportInterval != nil:
		return *c.ExportInterval
	case c.ExportIntervalMs != nil:
		return time.Duration(*c.ExportIntervalMs) * time.Millisecond
	default:
		return defaultExportInterval
	}
}

// reports says whether `platform.report` becomes a record.
func (c *Config) reports() bool {
	if c.Logs.Report != nil {
		return *c.Logs.Report
	}
	return c.LogReport || c.includesReport()
}

func (c *Config) includesReport() bool {
	return slices.Contains(c.Logs.Include, string(telemetryapi.EventReport))
}

// logFilter says which events become records, as far as it does not depend on the streams and on reports.
func (c *Config) logFilter() logFilter {
	return logFilter{include: c.Logs.Include, exclude: c.Logs.Exclude, minSeverity: c.minSeverity()}
}

func (c *Config) minSeverity() plog.SeverityNumber { return textSeverity(c.Logs.MinSeverity) }

// temporality is `delta`, `cumulative`, or empty for what the environment says.
func (c *Config) temporality() string {
	return strings.ToLower(firstNonEmpty(c.Metrics.Temporality, c.MetricsTemporality))
}

func (c *Config) exponentialHistograms() bool {
	return strings.EqualFold(c.Metrics.Histograms, histogramsExponential)
}

// xrayContext is xrayLink, xrayParent or xrayNone.
func (c *Config) xrayContext() string { return strings.ToLower(c.Traces.XRayContext) }

// invocationSpans is invocationAuto, invocationAlways or invocationNever.
func (c *Config) invocationSpans() string { return strings.ToLower(c.Traces.Invocation) }
