// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapireceiver

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
	"github.com/otelcol-lambda/otelcol-lambda/receiver/telemetryapireceiver/internal/metadata"
)

func loadConfig(tb testing.TB, name string) *Config {
	tb.Helper()
	conf, err := confmaptest.LoadConf(filepath.Join("testdata", "config.yaml"))
	require.NoError(tb, err)
	sub, err := conf.Sub(component.NewIDWithName(metadata.Type, name).String())
	require.NoError(tb, err)
	cfg := createDefaultConfig().(*Config)
	require.NoError(tb, sub.Unmarshal(cfg))
	return cfg
}

// settings are what the rest of the receiver sees of a configuration.
type settings struct {
	port           int
	streams        []telemetryapi.Stream
	exportInterval time.Duration
	reports        bool
	filter         logFilter
	temporality    string
	exponential    bool
	xrayContext    string
	invocation     string
	zone           bool
}

func settingsOf(cfg *Config) settings {
	return settings{
		port: cfg.Port, streams: cfg.streams(), exportInterval: cfg.exportInterval(), reports: cfg.reports(),
		filter: cfg.logFilter(), temporality: cfg.temporality(), exponential: cfg.exponentialHistograms(),
		xrayContext: cfg.xrayContext(), invocation: cfg.invocationSpans(), zone: cfg.Resource.AvailabilityZone,
	}
}

func TestConfig(t *testing.T) {
	defaults := settings{
		streams:        []telemetryapi.Stream{"platform", "function", "extension"},
		exportInterval: time.Minute, xrayContext: "link", invocation: "auto",
	}
	with := func(change func(s *settings)) settings {
		s := defaults
		change(&s)
		return s
	}
	tests := []struct {
		name string
		want settings
	}{
		{name: "", want: defaults},
		{name: "empty_types", want: defaults},
		{name: "old", want: with(func(s *settings) {
			s.port, s.streams, s.reports = 4325, []telemetryapi.Stream{"platform", "function"}, true
			s.exportInterval, s.temporality = 0, "delta"
		})},
		{name: "new", want: with(func(s *settings) {
			s.exportInterval, s.reports, s.temporality, s.exponential = 1500*time.Millisecond, true, "cumulative", true
			s.filter = logFilter{
				include: []string{"platform.report", "platform.init*", "function", "*"}, exclude: []string{"extension", "func*"},
				minSeverity: plog.SeverityNumberWarn,
			}
			s.xrayContext, s.invocation, s.zone = "parent", "never", true
		})},
		{name: "interval_zero", want: with(func(s *settings) { s.exportInterval = 0 })},
		{name: "old_interval", want: with(func(s *settings) { s.exportInterval = 250 * time.Millisecond })},
		{name: "both_equal", want: with(func(s *settings) {
			s.exportInterval, s.reports, s.temporality = 2*time.Second, true, "delta"
		})},
		{name: "included_report", want: with(func(s *settings) {
			s.reports, s.filter.include = true, []string{"platform.report"}
		})},
		{name: "report_off", want: defaults},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := loadConfig(t, tt.name)
			require.NoError(t, confmap.Validate(cfg))
			require.Equal(t, tt.want, settingsOf(cfg))
		})
	}
	require.NoError(t, componenttest.CheckConfigStruct(createDefaultConfig()))
}

func TestConfigErrors(t *testing.T) {
	tests := map[string][]string{
		"bad": {
			"`port` must be between 0 and 65535, where 0 is any free port; it is -1",
			"`types` has \"functions\"; the allowed values are `platform`, `function`, `extension`",
			"`metrics_temporality` must be `delta` or `cumulative`, or be left out; it is \"sometimes\"",
			"`export_interval_ms` must not be negative; it is -5",
			"`export_interval` must not be negative; it is -1s",
			"`logs::include` has \"functions\"; write a type of event as `platform.report`",
			"`logs::include` has \"*.report\"",
			"`logs::include` has \"platform.*Done\"",
			"`logs::include` has \"platform.\"",
			"`logs::exclude` has \"\"",
			"`logs::min_severity` must be `trace`, `debug`, `info`, `warn`, `error` or `fatal`, or be left out; it is \"loud\"",
			"`metrics::temporality` must be `delta` or `cumulative`, or be left out; it is \"often\"",
			"`metrics::histograms` must be `explicit` or `exponential`; it is \"round\"",
			"`traces::xray_context` must be `link` or `parent` or `none`; it is \"\"",
			"`traces::invocation` must be `auto` or `always` or `never`; it is \"yes\"",
		},
		"reserved_port": {"`port` must not be 9001, which Lambda reserves for itself; leave it out for any free port"},
		"large_port":    {"`port` must be between 0 and 65535"},
		"contradictions": {
			"`export_interval_ms` is the old name of `export_interval`, and they differ: " +
				"1000 ms and 2s; remove `export_interval_ms`",
			"`metrics_temporality` is the old name of `metrics::temporality`, and they differ: \"delta\" and \"cumulative\"",
			"`log_report` is the old name of `logs::report`, and they differ; remove `log_report`",
			"`logs::include` has `platform.report`, but `logs::report` is false; remove one of them",
		},
	}
	for name, texts := range tests {
		t.Run(name, func(t *testing.T) {
			err := confmap.Validate(loadConfig(t, name))
			for _, text := range texts {
				require.ErrorContains(t, err, text)
			}
		})
	}
}

func TestStreamsAreUnique(t *testing.T) {
	cfg := &Config{Types: []string{"function", "platform", "function"}}
	require.Equal(t, []telemetryapi.Stream{"function", "platform"}, cfg.streams())
}
