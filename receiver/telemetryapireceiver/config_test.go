// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapireceiver

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"

	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
	"github.com/otelcol-lambda/otelcol-lambda/receiver/telemetryapireceiver/internal/metadata"
)

func TestConfig(t *testing.T) {
	defaults := createDefaultConfig().(*Config)
	require.Equal(t, &Config{Types: []string{"platform", "function", "extension"}, ExportIntervalMs: 60000}, defaults)

	tests := []struct {
		name     string
		want     *Config
		streams  []telemetryapi.Stream
		errTexts []string
	}{
		{name: "", want: defaults, streams: []telemetryapi.Stream{"platform", "function", "extension"}},
		{
			name: "all",
			want: &Config{
				Port: 4325, Types: []string{"platform", "function"}, LogReport: true, MetricsTemporality: "Delta",
			},
			streams: []telemetryapi.Stream{"platform", "function"},
		},
		{
			name:    "empty_types",
			want:    &Config{Types: []string{}, ExportIntervalMs: 60000},
			streams: []telemetryapi.Stream{"platform", "function", "extension"},
		},
		{
			name: "bad",
			errTexts: []string{
				"`port` must be between 0 and 65535, where 0 is any free port; it is -1",
				"`types` has \"functions\"; the allowed values are `platform`, `function`, `extension`",
				"`metrics_temporality` must be `delta` or `cumulative`, or be left out; it is \"sometimes\"",
				"`export_interval_ms` must not be negative; it is -5",
			},
		},
		{name: "reserved_port", errTexts: []string{"`port` must not be 9001"}},
		{name: "large_port", errTexts: []string{"`port` must be between 0 and 65535"}},
	}
	conf, err := confmaptest.LoadConf(filepath.Join("testdata", "config.yaml"))
	require.NoError(t, err)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			sub, err := conf.Sub(component.NewIDWithName(metadata.Type, tt.name).String())
			require.NoError(t, err)
			cfg := createDefaultConfig().(*Config)
			require.NoError(t, sub.Unmarshal(cfg))
			err = confmap.Validate(cfg)
			if len(tt.errTexts) > 0 {
				for _, text := range tt.errTexts {
					require.ErrorContains(t, err, text)
				}
				return
			}
			require.NoError(t, err)
			require.Equal(t, tt.want, cfg)
			require.Equal(t, tt.streams, cfg.streams())
		})
	}
}

func TestStreamsAreUnique(t *testing.T) {
	cfg := &Config{Types: []string{"function", "platform", "function"}}
	require.Equal(t, []telemetryapi.Stream{"function", "platform"}, cfg.streams())
}
